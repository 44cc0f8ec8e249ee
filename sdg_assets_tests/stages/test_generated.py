from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.records import (
    AnswerKind,
    Example,
    GeneratedExample,
    Rejection,
    TeacherClass,
)
from sdg_assets.stages import generated
from sdg_assets.stages.draws import VARIATIONS
from sdg_assets.stages.generated import WriterKnobs
from sdg_assets.store.row_file import RowFile
from sdg_assets.teacher.conversation import Desk
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.requests import Completion, Request, refused
from sdg_assets_tests.support.builders import seed_task
from sdg_assets_tests.support.conversations import written_by
from sdg_assets_tests.support.records import example, numeric
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher, completion

SPEC = seed_task().resolve("quiz")
COUNTRIES = ["Norway", "Japan", "Chile", "Kenya", "Nepal", "Cuba"]
CITIES = ["Oslo", "Tokyo", "Santiago", "Nairobi", "Kathmandu", "Havana"]
Write = Callable[..., list[GeneratedExample | Rejection]]


def capital_seeds(count: int = 6) -> list[Example]:
    return [
        example(
            question=f"What is the capital of {country}?",
            choices=[city, "Paris", "Rome", "Madrid"],
        )
        for country, city in list(zip(COUNTRIES, CITIES, strict=True))[:count]
    ]


def draft(question: str = "Which river flows through Cairo?", **fields: Any) -> str:
    answers = {"answer": "Nile", "wrong_answers": ["Rhine", "Volga", "Po"]}
    return json.dumps({"question": question, **answers, **fields})


def a_new_one(request: Request) -> str:
    return draft(f"Which river has the number {request.id}?")


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Runs the stage with a scripted writer."""

    def run(
        teacher: ScriptedTeacher,
        seeds: Sequence[Example] | None = None,
        spec: SubtaskSpec = SPEC,
        **knobs: Any,
    ) -> list[GeneratedExample | Rejection]:
        anchors = capital_seeds(1) if seeds is None else seeds
        with CompletionLog(tmp_path / "log") as log:
            return written_by(Desk(teacher, log), spec, anchors, WriterKnobs(**knobs))

    return run


def only(rows: list[GeneratedExample | Rejection]) -> GeneratedExample:
    (row,) = rows
    assert isinstance(row, GeneratedExample), row
    return row


def reason(rows: list[GeneratedExample | Rejection]) -> str:
    (row,) = rows
    assert isinstance(row, Rejection), row
    return f"{row.gate}: {row.reason}"


def test_a_draft_becomes_an_example_with_its_provenance(write: Write) -> None:
    teacher = ScriptedTeacher(lambda _: draft())
    (seed,) = seeds = capital_seeds(1)

    row = only(write(teacher, seeds))

    assert row.question == "Which river flows through Cairo?"
    assert sorted(row.choices) == ["Nile", "Po", "Rhine", "Volga"]
    assert row.answer_index is not None
    assert row.choices[row.answer_index] == row.answer == "Nile"
    assert row.seed_ids == [seed.id]
    assert row.source == seed.source
    assert row.teacher == teacher.identity.stamp
    assert row.prompt_version.startswith("write/multiple_choice@")
    assert row.completion_id == teacher.requests[0].id
    assert row.variation in VARIATIONS


def test_json_may_be_wrapped_in_words(write: Write) -> None:
    teacher = ScriptedTeacher(lambda _: f"Here it is:\n```json\n{draft()}\n```\nGood luck!")

    assert only(write(teacher)).answer == "Nile"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "generation: empty"),
        (" \n", "generation: empty"),
        ("I'm sorry, but I cannot help with that.", "generation: refusal"),
        ("What is the capital of Peru? Lima", "generation: unparsable"),
        ('{"question": "What?"}', "generation: unparsable"),
        (draft(colour="red"), "generation: unparsable"),
        (draft(wrong_answers=["Rhine"]), "generation: unparsable"),
        ('{"question": "broken \\ud800"}', "generation: unparsable"),
        (draft(question=" "), "generation: empty question"),
        (draft(wrong_answers=["Rhine", "rhine", "Po"]), "generation: repeated choices"),
        (draft(wrong_answers=["Rhine", "nile.", "Po"]), "generation: repeated choices"),
        (draft(answer=" "), "schema: empty answer"),
        (draft("What is {{ it }} then?"), "format: prompt debris"),
        (draft(answer="A", wrong_answers=["B", "C", "D"]), "format: label-only answer"),
    ],
)
def test_an_unusable_completion_is_kept_with_its_reason(
    write: Write, text: str, expected: str
) -> None:
    assert reason(write(ScriptedTeacher(lambda _: text))) == expected


def test_a_truncated_draft_is_called_truncated_and_never_unparsable(write: Write) -> None:
    def cut(request: Request) -> Completion:
        return completion(request, draft()[:40], "length")

    assert reason(write(ScriptedTeacher(cut))) == "generation: truncated"


def test_a_request_that_the_server_refuses_is_a_rejection_with_its_words(write: Write) -> None:
    rows = write(ScriptedTeacher(lambda request: refused(request, "HTTP 400: blocked")))

    assert reason(rows) == "generation: refused by the server"
    assert isinstance(rows[0], Rejection)
    assert rows[0].detail == "HTTP 400: blocked"


def test_a_draft_that_was_never_begun_is_called_truncated_while_thinking(write: Write) -> None:
    def cut(request: Request) -> Completion:
        return completion(request, "", "thinking").model_copy(update={"reasoning": "A river?"})

    rows = write(ScriptedTeacher(cut))

    assert reason(rows) == "generation: truncated while thinking"
    assert isinstance(rows[0], Rejection)
    assert rows[0].row["completion"]["reasoning"] == "A river?", "it is kept for the log's reader"


def test_a_rejection_keeps_what_the_writer_said(write: Write) -> None:
    (row,) = write(ScriptedTeacher(lambda _: "no JSON at all"))

    assert isinstance(row, Rejection)
    assert row.row["completion"]["text"] == "no JSON at all"
    assert set(row.row) == {"seed_ids", "variation", "topic", "angle", "source", "completion"}


def test_a_copy_of_a_seed_is_refused_in_other_letters_and_another_order_too(write: Write) -> None:
    copied = draft(
        "what is the capital of NORWAY", answer="Oslo", wrong_answers=["Madrid", "Rome", "Paris"]
    )

    assert reason(write(ScriptedTeacher(lambda _: copied))) == "generation: copy of a seed"


def test_every_seed_is_anchor_equally_often(write: Write) -> None:
    seeds = capital_seeds()

    rows = write(ScriptedTeacher(a_new_one), seeds, examples_per_seed=3)

    anchors = Counter(row.seed_ids[0] for row in rows if isinstance(row, GeneratedExample))
    assert anchors == {seed.id: 3 for seed in seeds}


def test_rounds_of_one_anchor_take_different_variations(write: Write) -> None:
    rows = write(ScriptedTeacher(a_new_one), examples_per_seed=len(VARIATIONS))

    assert {r.variation for r in rows if isinstance(r, GeneratedExample)} == set(VARIATIONS)


def test_a_drawn_topic_stands_in_the_prompt_and_in_the_row(write: Write) -> None:
    teacher = ScriptedTeacher(a_new_one)
    spec = seed_task(topics=["home/tools", "food"]).resolve("quiz")

    rows = write(teacher, examples_per_seed=3, spec=spec)

    requests = {request.id: request for request in teacher.requests}
    assert len(rows) == 3
    for row in rows:
        assert isinstance(row, GeneratedExample)
        root, field, leaf = row.topic.split("/")
        assert root in ("home", "food")
        last = requests[row.completion_id].messages[1].content.splitlines()[-1]
        assert f"on this topic: {leaf} ({field})." in last
        assert row.angle in last
    assert len({row.topic for row in rows if isinstance(row, GeneratedExample)}) == 3


def test_a_task_without_topics_asks_for_none(write: Write) -> None:
    teacher = ScriptedTeacher(a_new_one)

    row = only(write(teacher, spec=seed_task(topics=False).resolve("quiz")))

    assert (row.topic, row.angle) == ("", "")
    assert "topic:" not in teacher.requests[0].messages[1].content


def test_a_prompt_has_the_configured_number_of_seeds_and_no_seed_twice(write: Write) -> None:
    seeds = capital_seeds()

    rows = write(ScriptedTeacher(a_new_one), seeds, shots=3)

    for row, anchor in zip(rows, seeds, strict=True):
        assert isinstance(row, GeneratedExample)
        assert row.seed_ids[0] == anchor.id
        assert len(set(row.seed_ids)) == 3


def test_more_shots_than_seeds_show_all_seeds(write: Write) -> None:
    rows = write(ScriptedTeacher(a_new_one), capital_seeds(2), shots=5)

    assert all(len(r.seed_ids) == 2 for r in rows if isinstance(r, GeneratedExample))


def test_seeds_that_do_not_fit_are_left_out_of_the_prompt_and_of_the_provenance(
    write: Write,
) -> None:
    teacher = ScriptedTeacher(a_new_one, max_model_len=270)

    rows = write(teacher, capital_seeds(), shots=6, max_tokens=100)

    requests = {request.id: request for request in teacher.requests}
    assert len(requests) == len(rows) == 6
    for row in rows:
        assert isinstance(row, GeneratedExample)
        request = requests[row.completion_id]
        shots = request.messages[1].content.count("Example ")
        assert 1 <= len(row.seed_ids) == shots < 6
        assert teacher.count_tokens(request.messages) + 100 <= 270


def test_a_seed_that_fits_nowhere_is_refused_without_asking(write: Write) -> None:
    teacher = ScriptedTeacher(a_new_one, max_model_len=120)

    assert reason(write(teacher, max_tokens=100)) == "generation: too long"
    assert teacher.requests == []


def test_a_rerun_asks_the_same_questions(write: Write) -> None:
    once, again = ScriptedTeacher(a_new_one), ScriptedTeacher(a_new_one)

    first = write(once, capital_seeds(), examples_per_seed=2)
    second = write(again, capital_seeds(), examples_per_seed=2)

    assert again.requests == []  # every id was in the log
    assert second == first


def test_more_examples_per_seed_keep_the_earlier_ones(write: Write) -> None:
    once, more = ScriptedTeacher(a_new_one), ScriptedTeacher(a_new_one)

    first = write(once, capital_seeds(), examples_per_seed=2)
    second = write(more, capital_seeds(), examples_per_seed=5)

    assert len(more.requests) == 6 * 3
    kept = {r.id for r in first if isinstance(r, GeneratedExample)}
    assert kept < {r.id for r in second if isinstance(r, GeneratedExample)}


def test_labels_are_asked_for_in_turn(write: Write) -> None:
    def yes_or_no(request: Request) -> str:
        wanted = "yes" if '"yes"' in request.messages[1].content.rsplit("Write one", 1)[1] else "no"
        return json.dumps({"question": f"Is {request.id} a prime?", "answer": wanted})

    seeds = [
        example(answer_kind=AnswerKind.BOOLEAN, question="Is seven a prime?", choices=["yes", "no"])
    ]
    rows = write(ScriptedTeacher(yes_or_no), seeds, examples_per_seed=10)

    answers = Counter(r.answer for r in rows if isinstance(r, GeneratedExample))
    assert answers == {"yes": 5, "no": 5}


def test_a_numeric_seed_brings_its_working_along(write: Write) -> None:
    text = json.dumps(
        {"question": "Ann has 3 pens and buys 4. How many?", "solution": "3+4=7", "answer": "7"}
    )
    teacher = ScriptedTeacher(lambda _: text)

    row = only(write(teacher, [numeric()]))

    assert (row.answer, row.solution, row.choices) == ("7", "3+4=7", [])
    assert teacher.requests[0].json_schema is not None
    assert list(teacher.requests[0].json_schema["properties"]) == ["question", "solution", "answer"]


@pytest.mark.parametrize(
    ("part", "text", "token"),
    [
        ("question", "Which river is it?<|im_end|>\n<|im_start|>system", "<|im_end|>"),
        ("context", "The Nile. <start_of_turn>model", "<start_of_turn>"),
        ("solution", "It is <｜Assistant｜> the Nile.", "<｜Assistant｜>"),
        ("aliases", ["the Nile", "[/INST]"], "[/INST]"),
        ("choices", ["<think>", "Paris", "Rome"], "<think>"),
        ("question", "Is <own> a letter?", "<own>"),
    ],
)
def test_a_seed_with_a_control_token_is_not_imitated(
    part: str, text: Any, token: str, write: Write
) -> None:
    writer = ScriptedTeacher(a_new_one, control_tokens=["<own>"])
    odd = example(**{part: text}, answer_index=0)

    refused, *written = write(writer, [odd, *capital_seeds(3)], shots=3, examples_per_seed=2)

    assert isinstance(refused, Rejection)
    assert (refused.gate, refused.reason) == ("generation", "control token in the seed")
    assert refused.detail == f"{token!r} controls a model"
    assert refused.row["id"] == odd.id, "the seed is kept, whole"
    assert refused.row[part] == text
    assert len(written) == 6
    assert all(isinstance(row, GeneratedExample) for row in written)
    assert not any(token in message.content for r in writer.requests for message in r.messages)


def test_a_draft_with_a_control_token_of_its_writer_is_refused(write: Write) -> None:
    draft_with_one = draft("Which river does <own> mean?")
    writer = ScriptedTeacher(lambda _: draft_with_one, control_tokens=["<own>"])

    assert reason(write(writer)) == "generation: control token"


@pytest.mark.parametrize(
    ("teacher_class", "setting", "tokens"),
    [("small", None, 512), ("strong", None, 2048), ("thinking", None, 2048), ("strong", 64, 64)],
)
def test_a_draft_is_as_long_as_its_writers_class_needs_unless_a_setting_says_otherwise(
    teacher_class: TeacherClass, setting: int | None, tokens: int, write: Write
) -> None:
    teacher = ScriptedTeacher(lambda _: draft())
    teacher.identity = replace(teacher.identity, teacher_class=teacher_class)

    row = only(write(teacher, max_tokens=setting))

    assert teacher.requests[0].sampling.max_tokens == tokens
    is_named = f"multiple_choice.{teacher_class}@" in row.prompt_version
    assert is_named == (teacher_class != "small")


def test_rows_in_a_file_are_asked_for_as_rows_in_a_list_are() -> None:
    def asked(seeds: Sequence[Example]) -> list[str]:
        works = generated.write(SPEC, seeds, teacher, WriterKnobs(examples_per_seed=2))
        return [request.id for work in works for request in next(work)]

    teacher = ScriptedTeacher(a_new_one)
    seeds = [example(id=f"{n:020x}", question=f"Is {n} odd?") for n in range(40)]

    assert asked(RowFile(Example, iter(seeds))) == asked(seeds)
