from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from sdg_assets.catalog import load_protected
from sdg_assets.errors import CatalogError
from sdg_assets.mapping import RowMapping
from sdg_assets.sources import DirectorySource
from sdg_assets_tests.builders import MIRROR, needs_mirror

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
    ],
)
def test_a_benchmark_is_protected(name: str) -> None:
    assert name in BENCHMARKS


def test_every_template_compiles() -> None:
    for benchmark in BENCHMARKS.values():
        for spec in benchmark.specs(lambda _dataset: ["default"]):
            assert spec.record is not None
            RowMapping(spec.record, spec.answer_kind, spec.where)


@needs_mirror
@pytest.mark.parametrize("name", [b.name for b in BENCHMARKS.values() if b.certainty == "seen"])
def test_templates_render_every_real_row(name: str) -> None:
    source = DirectorySource("mirror", MIRROR)
    rendered = 0
    for spec in BENCHMARKS[name].specs(source.configs):
        assert spec.record is not None
        if spec.config not in source.configs(spec.dataset) or spec.split not in source.splits(spec):
            continue
        mapping = RowMapping(spec.record, spec.answer_kind, spec.where)
        for row in source.rows(spec, spec.split):
            (fields,) = mapping(row)
            assert fields.question
            assert fields.answer
            rendered += 1
    assert rendered


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
    ],
)
def test_a_real_row_reads_as_a_person_reads_it(
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


def test_a_config_can_be_left_open() -> None:
    mmlu = BENCHMARKS["mmlu"]

    assert mmlu.covers("cais/mmlu", "anatomy", "test")
    assert not mmlu.covers("cais/mmlu", "auxiliary_train", "test")
    assert not mmlu.covers("cais/mmlu", "all", "auxiliary_train")
    assert {s.config for s in mmlu.specs(lambda _: ["anatomy", "auxiliary_train"])} == {"anatomy"}


def test_a_malformed_file_is_one_error(tmp_path: Path) -> None:
    file = tmp_path / "protected.yaml"
    entry = "- {name: a, datasets: [x/y], splits: [test], question: q, answer: a}\n"
    file.write_text(entry * 2, "utf-8")
    with pytest.raises(CatalogError, match="named twice: a"):
        load_protected(file)
    other = tmp_path / "other.yaml"
    other.write_text("- {name: a}", "utf-8")
    with pytest.raises(CatalogError, match=r"0\.datasets: Field required"):
        load_protected(other)
