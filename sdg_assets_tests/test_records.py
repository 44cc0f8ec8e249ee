from __future__ import annotations

import subprocess
import sys

import polars as pl
import pytest
from pydantic import ValidationError

from sdg_assets.records import (
    AnswerKind,
    CuratedExample,
    EnrichedExample,
    Example,
    content_id,
    polars_schema,
)
from sdg_assets_tests.support.records import enriched, example, judgement


def test_an_id_is_the_same_in_every_process() -> None:
    parts = ("arc", "Was ist Wasser? 水", ["a", "b"], None, {"y": 1, "x": 2.5})
    program = f"from sdg_assets.records import content_id; print(content_id(*{parts!r}))"

    ids = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PATH": "", "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }

    assert ids == {content_id(*parts)}


def test_an_id_depends_on_every_part_and_its_position() -> None:
    ids = [
        content_id("ab", "c"),
        content_id("a", "bc"),
        content_id("c", "ab"),
        content_id("ab", "c", ""),
        content_id(["ab", "c"]),
        content_id("1"),
        content_id(1),
        content_id(None),
    ]

    assert len(set(ids)) == len(ids)
    assert all(len(i) == 20 for i in ids)


def test_a_lone_surrogate_has_an_id_too() -> None:
    assert content_id("\ud800") != content_id("\ud801")


def test_an_unknown_column_is_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        Example.model_validate({**example().model_dump(), "colour": "red"})


def test_a_record_is_immutable() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        example().question = "another"  # type: ignore[misc]


def test_a_record_is_read_back_from_its_json_line() -> None:
    row = enriched(judge=judgement(0.5))

    assert EnrichedExample.model_validate_json(row.model_dump_json()) == row


def test_the_selecting_kinds_are_the_family_multiple_choice() -> None:
    selecting = {"multiple_choice", "boolean", "label"}

    assert {k for k in AnswerKind if k.selects} == selecting
    assert {k for k in AnswerKind if k.family == "multiple_choice"} == selecting


def test_the_polars_schema_has_every_column_with_its_type() -> None:
    schema = polars_schema(CuratedExample)

    assert list(schema) == list(CuratedExample.model_fields)
    assert schema["choices"] == pl.List(pl.String())
    assert schema["answer_index"] == pl.Int64()
    assert schema["votes"] == pl.List(pl.Struct({"answer": pl.String(), "count": pl.Int64()}))
    assert schema["vote_share"] == pl.Float64()
    assert schema["answer_kind"] == pl.String()
    judge = schema["judge"]
    assert isinstance(judge, pl.Struct)
    fields = {field.name: field.dtype for field in judge.fields}
    assert (fields["score"], fields["reasons"]) == (pl.Float64(), pl.List(pl.String()))
    assert isinstance(fields["criteria"], pl.Struct)
    source = schema["source"]
    assert isinstance(source, pl.Struct)
    assert source.to_schema()["row"] == pl.Int64()
