from __future__ import annotations

import re
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from sdg_assets.catalog import SubtaskSpec, cached_catalog, load_protected
from sdg_assets.errors import AbsentError, CatalogError, MappingError
from sdg_assets.heldout.splits import HeldoutRows, SplitReader
from sdg_assets.mapping.record import RowMapping
from sdg_assets.records import AnswerKind
from sdg_assets.sources.source import DirectorySource
from sdg_assets_tests.support.builders import MIRROR, mirror_sources, needs_mirror

BENCHMARKS = {benchmark.name: benchmark for benchmark in load_protected()}


@pytest.mark.parametrize(
    "name",
    [
        "gpqa",
        "mmlu",
        "mmlu_pro",
        "mmlu_redux",
        "agieval",
        "truthfulqa_mc",
        "truthfulqa_gen",
        "humaneval",
        "humaneval_plus",
        "mbpp",
        "mbpp_plus",
        "bbh",
        "ifeval",
        "aime24",
        "aime25",
        "hendrycks_math",
        "math_500",
        "gsm8k",
        "gsm8k_platinum",
        "gsm_plus",
        "bigcodebench",
        "livecodebench",
        "simpleqa",
        "hle",
        "belebele",
        "flores",
        "mgsm",
        "xcopa",
        "xquad",
        "global_mmlu",
        "ceval",
        "cmmlu",
        "lambada",
        "wsc273",
        "supergpqa",
        "musr",
        "arc",
        "hellaswag",
        "openbookqa",
        "piqa",
        "winogrande",
        "commonsense_qa",
        "race",
        "drop",
        "boolq",
        "triviaqa",
        "nq_open",
        "social_iqa",
        "squad",
        "scicode",
        "ifbench",
        "livebench",
        "cruxeval",
        "bbeh",
        "hmmt",
        "flores_200",
        "flores_sib200",
    ],
)
def test_a_benchmark_is_protected(name: str) -> None:
    assert name in BENCHMARKS


def test_every_template_compiles() -> None:
    for benchmark in BENCHMARKS.values():
        for spec in benchmark.specs(lambda _dataset: ["default"]):
            assert spec.record is not None
            RowMapping(spec.record, spec.answer_kind, spec.where)


def test_every_multiple_choice_benchmark_maps_its_choices() -> None:
    options = re.compile(r"\b(?:choices?|options?|endings|option\w*|sol1|answerA)\b")
    without = {
        name
        for name, benchmark in BENCHMARKS.items()
        if benchmark.choices is None and options.search(f"{benchmark.answer} {benchmark.each}")
    }

    assert without == set()
    for name in ("mmlu", "mmlu_pro", "arc", "hellaswag", "gpqa", "belebele", "race", "agieval"):
        assert BENCHMARKS[name].choices


def test_a_protected_benchmark_is_read_as_its_seed_task_reads_it() -> None:
    specs = [task.resolve(key) for task in cached_catalog().tasks.values() for key in task.subtasks]
    records = {(spec.dataset, spec.config): spec.record for spec in specs if spec.record}
    compared = set()
    for name in ("arc", "hellaswag", "openbookqa", "piqa", "winogrande", "commonsense_qa", "race",
                 "drop", "boolq", "triviaqa", "social_iqa", "squad", "gsm8k", "mmlu"):  # fmt: skip
        for benchmark in BENCHMARKS[name].specs(lambda _dataset: ["all"]):
            seeded = records.get((benchmark.dataset, benchmark.config))
            if seeded and benchmark.record:
                for part in ("each", "context", "question", "choices"):
                    assert getattr(benchmark.record, part) == getattr(seeded, part), name
                compared.add(name)

    assert len(compared) == 14


@needs_mirror
@pytest.mark.parametrize("name", [b.name for b in BENCHMARKS.values() if b.certainty == "seen"])
def test_templates_render_every_real_row(name: str) -> None:
    rendered = 0
    for source in mirror_sources():
        for dataset in BENCHMARKS[name].datasets:
            benchmark = BENCHMARKS[name].model_copy(update={"datasets": [dataset]})
            with suppress(AbsentError):
                for spec in benchmark.specs(source.configs):
                    if spec.split in source.splits(spec):
                        rendered += _renders_every_row(spec, source)
    assert rendered


def _renders_every_row(spec: SubtaskSpec, source: DirectorySource) -> int:
    """Number of rows, all of which render; in splits that hide answers, without the answer."""
    assert spec.record is not None
    unanswered = {"answer": "withheld", "answer_index": None}
    answered = RowMapping(spec.record, spec.answer_kind, spec.where)
    hidden = RowMapping(spec.record.model_copy(update=unanswered), spec.answer_kind, spec.where)
    failed, rows = 0, 0
    for row in source.rows(spec, spec.split):
        rows += 1
        try:
            (fields,) = answered(row)
        except MappingError:
            failed += 1
            (fields,) = hidden(row)
        assert fields.question
        assert fields.answer
        assert len(fields.choices) > 1 or spec.record.choices is None
    assert failed in (0, rows), f"{spec.where}: {failed} of {rows} rows have no answer"
    return rows


@needs_mirror
def test_a_short_stem_is_recognized_with_its_choices() -> None:
    benchmark, source = BENCHMARKS["mmlu"], DirectorySource("mirror", MIRROR)
    spec = next(s for s in benchmark.specs(lambda _: ["philosophy"]) if s.split == "test")
    rows = HeldoutRows()
    rows.add(spec, "test", source)

    hashed = rows.tables().rows

    assert (hashed["choices"] != 0).all()


@needs_mirror
@pytest.mark.parametrize(
    ("name", "config", "question", "answer"),
    [
        ("mmlu", "anatomy", "A lesion causing compression of the facial nerve", "paralysis of the"),
        ("aime_1983_2024", "default", "Let $x$ , $y$ and $z$ all exceed $1$", "60"),
        ("humaneval", "openai_humaneval", "from typing import List", "    for idx"),
        ("truthfulqa_mc", "multiple_choice", "What is the smallest country", "Nauru is the"),
        ("mgsm", "de", "Janets Enten legen 16 Eier pro Tag.", "18"),
        ("xquad", "xquad.en", "How many points did the Panthers defense surrender?", "308"),
        ("xcopa", "et", "Ese oli mullikilesse mässitud.", "See oli õrn."),
        ("arc", "ARC-Challenge", "Juan and LaKeisha roll a few objects", "Record the details"),
        ("winogrande", "winogrande_xl", "Sarah was a much better surgeon than Maria", "Maria"),
        ("commonsense_qa", "default", "A revolving door is convenient for two", "bank"),
        ("boolq", "boolq", "does ethanol take more energy make that produces?", "no"),
    ],
)
def test_a_real_row_maps_to_the_question_and_answer_a_person_reads(
    name: str, config: str, question: str, answer: str
) -> None:
    source = DirectorySource("mirror", MIRROR)
    specs = BENCHMARKS[name].specs(lambda _dataset: [config])
    spec = next(spec for spec in specs if spec.config == config)
    assert spec.record is not None
    mapping = RowMapping(spec.record, spec.answer_kind, spec.where)

    ((fields,),) = [tuple(mapping(row)) for row in islice(source.rows(spec, spec.split), 1)]

    assert fields.question.startswith(question.strip())
    assert fields.answer.startswith(answer.strip())


STEPS = [{"step_description_prompt": "Find the root.", "ground_truth_code": None}]
STORY = {f"input_sentence_{n}": f"S{n}." for n in (1, 2, 3, 4)}


@pytest.mark.parametrize(
    ("name", "row", "question", "choices", "answer"),
    [
        (
            "race",
            {"article": "A.", "question": "Q?", "options": ["a", "b"], "answer": "B"},
            "Q?",
            ["a", "b"],
            "b",
        ),
        ("squad", {"context": "C.", "question": "Q?", "answers": {"text": ["x"]}}, "Q?", [], "x"),
        ("squad", {"context": "C.", "question": "Q?", "answers": {"text": []}}, "Q?", [], None),
        ("boolq_google", {"passage": "P.", "question": "q", "answer": True}, "q?", [], "yes"),
        (
            "drop_ucinlp",
            {"passage": "P.", "question": "Q?", "answers_spans": {"spans": ["3"], "types": ["n"]}},
            "Q?",
            [],
            "3",
        ),
        ("bbeh", {"task": "t", "input": "Q?", "target": "x", "mini": 0}, "Q?", [], "x"),
        ("hmmt", {"problem_idx": 1, "problem": "Q?", "answer": 3}, "Q?", [], "3"),
        ("livebench", {"turns": ["Q?"], "ground_truth": "x"}, "Q?", [], "x"),
        ("livebench", {"turns": ["Q?"], "instruction_id_list": ["i"]}, "Q?", [], None),
        ("ifbench", {"key": "1", "prompt": "Q?", "instruction_id_list": ["i"]}, "Q?", [], "i"),
        ("cruxeval", {"code": "def f(): ...", "input": "", "output": "1"}, "def f(): ...", [], "1"),
        (
            "scicode",
            {"problem_description_main": "Q?", "general_solution": None, "sub_steps": STEPS},
            "Q?",
            [],
            None,
        ),
        ("scicode_steps", {"sub_steps": STEPS}, "Find the root.", [], None),
        ("flores_sib200", {"index_id": 1, "category": "travel", "text": "T."}, "T.", [], "T."),
        (
            "xstorycloze",
            {**STORY, "sentence_quiz1": "a", "sentence_quiz2": "b", "answer_right_ending": 2},
            "S1. S2. S3. S4.",
            ["a", "b"],
            "b",
        ),
    ],
)
def test_a_row_in_the_documented_columns_is_read(
    name: str, row: dict[str, Any], question: str, choices: list[str], answer: str | None
) -> None:
    record = BENCHMARKS[name].record()
    mapping = RowMapping(record, AnswerKind.FREE_FORM, name)
    if answer is None:
        with pytest.raises(MappingError):
            list(mapping(row))
        hidden = record.model_copy(update={"answer": "withheld", "answer_index": None})
        mapping = RowMapping(hidden, AnswerKind.FREE_FORM, name)

    (fields,) = mapping(row)

    assert (fields.question, fields.choices) == (question, choices)
    assert answer is None or fields.answer == answer


def test_flores_is_read_in_all_languages() -> None:
    mapping = RowMapping(BENCHMARKS["flores_200"].record(), AnswerKind.FREE_FORM, "flores_200")
    row = {"id": 1, "topic": "t", "sentence_eng_Latn": "Hello.", "sentence_fra_Latn": "Salut."}

    assert [fields.question for fields in mapping(row)] == ["Hello.", "Salut."]


def test_a_config_can_be_excluded_from_protection() -> None:
    mmlu = BENCHMARKS["mmlu"]

    assert mmlu.covers("cais/mmlu", "anatomy", "test")
    assert not mmlu.covers("cais/mmlu", "auxiliary_train", "test")
    assert not mmlu.covers("cais/mmlu", "all", "auxiliary_train")
    assert {s.config for s in mmlu.specs(lambda _: ["anatomy", "auxiliary_train"])} == {"anatomy"}


def test_the_only_config_of_a_dataset_is_covered_under_any_name() -> None:
    squad = BENCHMARKS["squad"]

    for config in ("default", "plain_text"):
        assert squad.covers("rajpurkar/squad", config, "validation")
        assert not squad.covers("rajpurkar/squad", config, "train")
    assert not BENCHMARKS["boolq"].covers("aps/super_glue", "rte", "validation")


def test_the_training_splits_of_a_protected_benchmark_may_be_seeded() -> None:
    for name, dataset, config in (
        ("arc", "allenai/ai2_arc", "ARC-Easy"),
        ("race", "ehovy/race", "high"),
        ("boolq", "aps/super_glue", "boolq"),
    ):
        assert BENCHMARKS[name].covers(dataset, config, "validation")
        assert not BENCHMARKS[name].covers(dataset, config, "train")


@pytest.mark.parametrize(
    ("name", "row"),
    [
        (
            "mbpp",
            {"text": "Add.", "code": "def add(): ...", "test_list": ["assert add(1, 2) == 3"]},
        ),
        (
            "humaneval",
            {"prompt": "Add.", "canonical_solution": "...", "test": "assert add(1, 2) == 3"},
        ),
    ],
)
def test_the_tests_of_programs_are_held_out_as_well(name: str, row: dict[str, Any]) -> None:
    spec = next(BENCHMARKS[name].specs(lambda _: []))

    contents = SplitReader(spec).contents([row])

    assert [content.question for content in contents] == ["Add.", "assert add(1, 2) == 3"]


def test_a_malformed_file_is_one_error(tmp_path: Path) -> None:
    file = tmp_path / "protected.yaml"
    entry = "- {name: a, datasets: [x/y], splits: [test], question: q, answer: a}\n"
    file.write_text(entry * 2, "utf-8")
    with pytest.raises(CatalogError, match="duplicate names: a"):
        load_protected(file)
    other = tmp_path / "other.yaml"
    other.write_text("- {name: a}", "utf-8")
    with pytest.raises(CatalogError, match=r"0\.datasets: Field required"):
        load_protected(other)
    answerless = tmp_path / "answerless.yaml"
    answerless.write_text("- {name: a, datasets: [x/y], splits: [test], question: q}", "utf-8")
    with pytest.raises(CatalogError, match="record needs `answer` or `answer_index`"):
        load_protected(answerless)
