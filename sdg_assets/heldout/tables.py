"""How held-out rows are stored: two tables of hashes, with lengths and weights, without text."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sdg_assets.heldout.fingerprints import Fingerprint, Part, Runs

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    Array = np.ndarray[Any, Any]

ATTACHMENTS = {"rows": "rows.parquet", "contexts": "contexts.parquet"}
# A run of words that stands in so many held-out rows, or in a quarter of a small split, is a stem
# ("which of the following") and tells nothing of any of them.
STEM_ROWS = 32
# Runs kept a row, the ones with the smallest hashes: an overlap of 0.5 is then known to 0.06.
KEPT_RUNS = 64
# Weights are stored in bytes.
FULL_WEIGHT = 255
# What a question must weigh, in runs that no other row has, to be recognised by them. One that does
# not ("Which of these is true?") is taken together with its choices.
MIN_WEIGHT = 4.0
# One that weighs less is its task's frame: equal in many rows, it tells nothing of any.
FRAME_WEIGHT = 1.0
# An answer that more than this share of the rows have (a label, yes or no) is no evidence.
COMMON_ANSWER = 0.05


@dataclass(frozen=True)
class HeldoutTables:
    """The hashes of one subtask or benchmark, as they are stored."""

    rows: pl.DataFrame
    """See `rows_schema`."""
    contexts: pl.DataFrame
    """See `contexts_schema`."""

    @classmethod
    def joined(cls, tables: Iterable[HeldoutTables]) -> HeldoutTables:
        """Several as one; of none, the empty tables."""
        import polars as pl

        found = list(tables)
        return cls(
            pl.concat([pl.DataFrame(schema=rows_schema()), *(t.rows for t in found)]),
            pl.concat([pl.DataFrame(schema=contexts_schema()), *(t.contexts for t in found)]),
        )

    def to_bytes(self) -> dict[str, bytes]:
        """Name of an attachment → its content, Parquet."""
        return {name: _parquet(getattr(self, table)) for table, name in ATTACHMENTS.items()}

    @classmethod
    def from_bytes(cls, attachment: Callable[[str], bytes]) -> HeldoutTables:
        """Reads what `to_bytes` wrote.

        Args:
            attachment: Content by name.
        """
        import polars as pl

        return cls(
            **{
                table: pl.read_parquet(io.BytesIO(attachment(name)))
                for table, name in ATTACHMENTS.items()
            }
        )


def hashed(prints: Sequence[Fingerprint], runs: Runs) -> HeldoutTables:
    """The tables of one config, where it can be told how rare a run of words is.

    Args:
        prints: Its held-out rows.
        runs: Theirs, each of the length by which its row is compared.
    """
    import numpy as np
    import polars as pl

    answers = np.array([p.answers[0] if p.answers else 0 for p in prints], dtype=np.uint64)
    _, place, times = np.unique(answers, return_inverse=True, return_counts=True)
    asked = runs.part != Part.CONTEXT
    hashes, row, part = runs.hashes[asked], runs.row[asked], runs.part[asked]
    weights = _weights(hashes, rows=len(prints))
    own = np.where(part == Part.QUESTION, weights, 0.0)
    question_weight = np.bincount(row, own, minlength=len(prints))
    needed = (part == Part.QUESTION) | (question_weight[row] < MIN_WEIGHT)
    rows = pl.DataFrame(
        {
            **{
                name: np.array([getattr(p, name) for p in prints], dtype=np.uint64)
                for name in ("item", "wording", "question", "context", "choices")
            },
            "answer": answers,
            "numbers": pl.Series([sorted(p.numbers) for p in prints], dtype=pl.List(pl.UInt64())),
            "common": times[place] > max(2, len(prints) * COMMON_ANSWER),
            "letters": [p.letters for p in prints],
            "question_weight": question_weight,
        }
    )
    contexts = np.array([p.context for p in prints], dtype=np.uint64)
    distinct, first, of = np.unique(contexts, return_index=True, return_inverse=True)
    shown = ~asked & np.isin(runs.row, first)
    in_context = runs.hashes[shown]
    passages = pl.DataFrame(
        {"context": distinct, "words": [prints[at].context_words for at in first]}
    )
    return HeldoutTables(
        _sampled(rows, hashes[needed], row[needed], weights[needed]).cast(pl.Schema(rows_schema())),
        _sampled(
            passages, in_context, of[runs.row[shown]], _weights(in_context, rows=len(distinct))
        )
        .filter(pl.col("context") != 0)
        .cast(pl.Schema(contexts_schema())),
    )


def _sampled(facts: pl.DataFrame, hashes: Array, row: Array, weights: Array) -> pl.DataFrame:
    """The facts with `weight`, `runs` and `weights`."""
    import numpy as np
    import polars as pl

    told = weights > 0
    hashes, row, weights = hashes[told], row[told], weights[told]
    order = np.lexsort((hashes, row))
    hashes, row, weights = hashes[order], row[order], weights[order]
    sample = np.arange(len(row)) - np.searchsorted(row, row) < KEPT_RUNS
    runs = (
        pl.DataFrame(
            {
                "row": row[sample].astype(np.uint32),
                "runs": hashes[sample],
                "weights": np.rint(weights[sample] * FULL_WEIGHT).astype(np.uint8),
            }
        )
        .group_by("row", maintain_order=True)
        .agg("runs", "weights")
    )
    return (
        facts.with_columns(weight=np.bincount(row, weights, minlength=len(facts)))
        .with_row_index("row")
        .join(runs, on="row", how="left", maintain_order="left")
        .drop("row")
        .with_columns(pl.col("runs", "weights").fill_null([]))
    )


def _weights(hashes: Array, rows: int) -> Array:
    """1 for a run that one row has, falling with the logarithm of how many have it, to 0."""
    import numpy as np

    _, place, times = np.unique(hashes, return_inverse=True, return_counts=True)
    stem = min(STEM_ROWS, max(2, rows // 4))
    return np.asarray(np.maximum(0.0, 1 - np.log(times) / np.log(stem))[place])


def rows_schema() -> dict[str, pl.DataType]:
    """Columns of the hashed rows: one a held-out row, none of its text.

    `item`, `wording`, `question`, `context`, `choices`: as in a `Fingerprint`. `answer`: 0 if it is
    withheld or long. `common`: whether many rows have this answer. `numbers`: the question's.
    `letters`: the question's length. `question_weight`: what its runs of words weigh, in runs that
    no other row has; `weight`: what `runs` do, which are the question's, or those of question and
    choices where the question weighs too little. `runs`, `weights`: a sample, of 255 each.
    """
    import polars as pl

    hashed = ("item", "wording", "question", "context", "choices", "answer")
    return {
        **dict.fromkeys(hashed, pl.UInt64()),
        "numbers": pl.List(pl.UInt64()),
        "common": pl.Boolean(),
        "letters": pl.UInt32(),
        "question_weight": pl.Float32(),
        **_runs_schema(),
    }


def contexts_schema() -> dict[str, pl.DataType]:
    """Columns of the hashed contexts: one a passage, however many questions are asked about it."""
    import polars as pl

    return {"context": pl.UInt64(), "words": pl.UInt32(), **_runs_schema()}


def _runs_schema() -> dict[str, pl.DataType]:
    import polars as pl

    return {
        "weight": pl.Float32(),
        "runs": pl.List(pl.UInt64()),
        "weights": pl.List(pl.UInt8()),
    }


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()
