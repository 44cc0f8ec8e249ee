"""What rows can be filtered and sorted by, and how it is read from the lines of a file.

Accepted rows are records of their stage, refused rows are `Rejection`s that hold one. Both become
the same columns. A field that a stage does not have yet is null. Adding a filter is adding a row to
`CATEGORIES` or `MEASURES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

MODEL_CHARACTERS = 12
"""How much of a revision is shown beside the model's name."""


@dataclass(frozen=True)
class Category:
    """A column of few different texts. Its filter is an equality."""

    label: str
    field: str
    """Name of the expression in `_expressions`."""


@dataclass(frozen=True)
class Measure:
    """A column of numbers. Its filter is a range, its picture a histogram."""

    label: str
    meaning: str
    low: float | None = None
    """Lowest possible value; None: the lowest of the rows."""
    high: float | None = None


CATEGORIES: Mapping[str, Category] = {
    "state": Category("state", "accepted, or refused by a gate"),
    "gate": Category("gate", "gate that refused the row"),
    "reason": Category("reason", "why it was refused"),
    "outcome": Category("outcome", "result of the vote"),
    "task": Category("task", "seed task"),
    "subtask": Category("subtask", "subtask"),
    "kind": Category("answer kind", "answer kind"),
    "language": Category("language", "ISO 639 code"),
    "topic": Category("topic", "root and field of the topic tree"),
    "variation": Category("variation", "how the writer was told to differ"),
    "teacher": Category("writer", "model that wrote the row"),
    "solver": Category("solver", "model that voted on it"),
    "prompt": Category("prompt", "version of the writer's prompt"),
    "licence": Category("licence", "licence of the seed's dataset"),
    "commercial": Category("commercial", "whether commercial use is permitted"),
}
MEASURES: Mapping[str, Measure] = {
    "vote_share": Measure("vote share", "share of the votes that agree", 0, 1),
    "judge": Measure("judge score", "the judge's mean score", 0, 1),
    "pass_rate": Measure("pass rate", "share of a probe's attempts that are right", 0, 1),
    "length": Measure("length", "characters of all texts of the row"),
}
ACCEPTED, REFUSED = "accepted", "refused"


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
    import polars as pl

    def model(name: str) -> pl.Expr:
        fields = pl.col(name).struct
        revision = fields.field("revision").str.slice(0, MODEL_CHARACTERS)
        return pl.concat_str(fields.field("model"), revision, separator=" @ ")

    is_refused = pl.col("gate").is_not_null()
    licence = pl.coalesce("license", pl.col("source").struct.field("license"))
    # Three quarters of the subtasks have 2,400 leaves: a filter of the root and field is usable.
    topic = pl.col("topic").str.split("/").list.head(2).list.join("/")
    expressions = {
        "state": pl.when(is_refused).then(pl.lit(REFUSED)).otherwise(pl.lit(ACCEPTED)),
        "gate": pl.col("gate"),
        "reason": pl.col("reason"),
        "outcome": pl.col("outcome"),
        "task": pl.col("task"),
        "subtask": pl.col("subtask"),
        "kind": pl.col("answer_kind"),
        "language": pl.col("language"),
        "topic": topic,
        "variation": pl.col("variation"),
        "teacher": model("teacher"),
        "solver": model("solver"),
        "prompt": pl.col("prompt_version"),
        "licence": licence,
        "commercial": pl.col("commercial_use"),
    }
    return frame.select(expressions[name].fill_null("").alias(name) for name in CATEGORIES)


def measures(frame: pl.DataFrame) -> pl.DataFrame:
    """The column of each of `MEASURES`, as numbers; null where a row has none."""
    import polars as pl

    expressions = {
        "vote_share": pl.col("vote_share"),
        "judge": pl.col("judge").struct.field("score"),
        "pass_rate": pl.col("pass_rate"),
        "length": text_of().str.len_chars(),
    }
    return frame.select(expressions[name].cast(pl.Float32).alias(name) for name in MEASURES)


def text_of() -> pl.Expr:
    """All texts of a row in one, for search."""
    import polars as pl

    written = ("question", "context", "answer", "solution", "reasoning", "knowledge", "thought",
               "written_answer", "topic", "reason", "detail")  # fmt: skip
    raw = pl.col("row").str.replace_all(r"\\[nrtbf]", " ")  # escapes of JSON
    listed = [pl.col(name).list.join("\n") for name in ("choices", "tests")]
    draft = pl.col("completion").struct.field("text")
    return pl.concat_str(*written, raw, *listed, draft, separator="\n", ignore_nulls=True)
