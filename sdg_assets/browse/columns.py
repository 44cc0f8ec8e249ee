"""What rows can be filtered and sorted by, and how it is read from the lines of a file.

Accepted rows are records of their stage, refused rows are `Rejection`s that hold one. Both become
the same columns. A field that a stage does not have yet is null. Adding a filter is adding a row to
`CATEGORIES` or `MEASURES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

MODEL_CHARACTERS = 12
"""How much of a revision is shown beside the model's name."""


ACCEPTED, REFUSED = "accepted", "refused"
Columns = Callable[[], "pl.Expr"]
"""Returns how a column is read from a row; polars is imported only then."""


@dataclass(frozen=True)
class Category:
    """A column of few different texts. Its filter is an equality."""

    label: str
    values: Columns


@dataclass(frozen=True)
class Measure:
    """A column of numbers. Its filter is a range, its picture a histogram."""

    label: str
    meaning: str
    values: Columns
    low: float | None = None
    """Lowest possible value; None: the lowest of the rows."""
    high: float | None = None


def _field(name: str) -> Columns:
    def values() -> pl.Expr:
        import polars as pl

        return pl.col(name)

    return values


def _part(name: str, part: str) -> Columns:
    def values() -> pl.Expr:
        import polars as pl

        return pl.col(name).struct.field(part)

    return values


def _model(name: str) -> Columns:
    def values() -> pl.Expr:
        import polars as pl

        revision = _part(name, "revision")().str.slice(0, MODEL_CHARACTERS)
        return pl.concat_str(_part(name, "model")(), revision, separator=" @ ")

    return values


def _state() -> pl.Expr:
    import polars as pl

    return pl.when(pl.col("gate").is_null()).then(pl.lit(ACCEPTED)).otherwise(pl.lit(REFUSED))


def _licence() -> pl.Expr:
    import polars as pl

    return pl.coalesce("license", _part("source", "license")())


def _topic() -> pl.Expr:
    """Root and field of a topic: there are 2,400 leaves, too many to choose from."""
    import polars as pl

    return pl.col("topic").str.split("/").list.head(2).list.join("/")


def _length() -> pl.Expr:
    return text_of().str.len_chars()


CATEGORIES: Mapping[str, Category] = {
    "state": Category("state", _state),
    "gate": Category("gate", _field("gate")),
    "reason": Category("reason", _field("reason")),
    "outcome": Category("outcome", _field("outcome")),
    "task": Category("task", _field("task")),
    "subtask": Category("subtask", _field("subtask")),
    "kind": Category("answer kind", _field("answer_kind")),
    "language": Category("language", _field("language")),
    "topic": Category("topic", _topic),
    "variation": Category("variation", _field("variation")),
    "teacher": Category("writer", _model("teacher")),
    "solver": Category("solver", _model("solver")),
    "prompt": Category("prompt", _field("prompt_version")),
    "licence": Category("licence", _licence),
    "commercial": Category("commercial use", _field("commercial_use")),
}
MEASURES: Mapping[str, Measure] = {
    "vote_share": Measure(
        "vote share", "share of the votes that agree", _field("vote_share"), 0, 1
    ),
    "judge": Measure("judge score", "the judge's mean score", _part("judge", "score"), 0, 1),
    "pass_rate": Measure(
        "pass rate", "share of a probe's attempts that are right", _field("pass_rate"), 0, 1
    ),
    "length": Measure("length", "characters of all texts of the row", _length),
}


def flat_schema() -> dict[str, pl.DataType]:
    """The fields of a record that are read, with their types. Others are skipped."""
    import polars as pl

    text, texts = pl.String(), pl.List(pl.String())
    model = pl.Struct({"model": text, "revision": text})
    names = (
        "id", "task", "subtask", "language", "answer_kind", "question", "context", "answer",
        "solution", "reasoning", "knowledge", "thought", "topic", "variation", "outcome",
        "written_answer", "prompt_version", "license", "commercial_use",
    )  # fmt: skip
    return {
        **dict.fromkeys(names, text),
        "choices": texts,
        "seed_ids": texts,
        "tests": texts,
        "teacher": model,
        "solver": model,
        "judge": pl.Struct({"score": pl.Float64()}),
        "vote_share": pl.Float64(),
        "pass_rate": pl.Float64(),
        "source": pl.Struct({"license": text}),
        "completion": pl.Struct({"text": text}),
        "row": text,  # of a seed: its dataset's own columns, as JSON
    }


def accepted_frame(lines: bytes) -> pl.DataFrame:
    """Lines of accepted rows, with the fields of `flat_schema` and empty refusals."""
    import polars as pl

    frame = pl.read_ndjson(lines, schema=flat_schema())
    empty = pl.lit(None, pl.String)
    return frame.with_columns(empty.alias("gate"), empty.alias("reason"), empty.alias("detail"))


def refused_frame(lines: bytes) -> pl.DataFrame:
    """Lines of `Rejection`s, with the same columns."""
    import polars as pl

    text = pl.String()
    refusal = {"gate": text, "reason": text, "detail": text}
    frame = pl.read_ndjson(lines, schema={**refusal, "row": pl.Struct(flat_schema())})
    fields = pl.col("row").struct
    return frame.select(*refusal, *(fields.field(name).alias(name) for name in flat_schema()))


def categories(frame: pl.DataFrame) -> pl.DataFrame:
    """The column of each of `CATEGORIES`, as texts; empty where a row has none."""
    return frame.select(
        category.values().fill_null("").alias(name) for name, category in CATEGORIES.items()
    )


def measures(frame: pl.DataFrame) -> pl.DataFrame:
    """The column of each of `MEASURES`, as numbers; null where a row has none."""
    import polars as pl

    return frame.select(
        measure.values().cast(pl.Float32).alias(name) for name, measure in MEASURES.items()
    )


def text_of() -> pl.Expr:
    """All texts of a row in one, for search."""
    import polars as pl

    written = ("question", "context", "answer", "solution", "reasoning", "knowledge", "thought",
               "written_answer", "topic", "reason", "detail")  # fmt: skip
    raw = pl.col("row").str.replace_all(r"\\[nrtbf]", " ")  # escapes of JSON
    listed = [pl.col(name).list.join("\n") for name in ("choices", "tests")]
    draft = pl.col("completion").struct.field("text")
    return pl.concat_str(*written, raw, *listed, draft, separator="\n", ignore_nulls=True)
