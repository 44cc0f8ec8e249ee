"""The held-out splits of a subtask or a benchmark, as hashes: what must never leak, without it.

A row is hashed also where it has no answer to learn from: a test split that hides its labels, or
one that the task's record does not fit.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.errors import AbsentError, MappingError
from sdg_assets.examples import AnswerKind, Content, Record
from sdg_assets.fingerprints import Fingerprint, Hasher, Part, Runs
from sdg_assets.gates.base import batches
from sdg_assets.mapping import RowMapping
from sdg_assets.sources import SeedSource
from sdg_assets.stages.normalized import Mapper, mapper_of

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
# An answer that more than this share of the rows have (a label, yes or no) is no evidence.
COMMON_ANSWER = 0.05
# A column of a row that no mapping fits: shorter ones are labels, names and numbers.
_COLUMN_WORDS = 5


class HashedSplit(Record):
    """What became of one held-out split."""

    dataset: str
    config: str
    split: str
    revision: str = Field(description="what pinned its rows; empty if it is missing")
    rows: int = Field(description="raw rows")
    unanswered: int = Field(description="of them, rows hashed without an answer")
    unmapped: int = Field(description="of them, rows hashed column by column: no record fits")
    missing: str = Field(default="", description="why it was not read; empty if it was")


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


class HeldoutRows:
    """Collects the held-out rows of one subtask or benchmark; no text outlives `add`."""

    def __init__(self) -> None:
        self.splits: list[HashedSplit] = []
        self._hasher = Hasher()
        self._seen: set[tuple[int, int]] = set()
        self._tables: list[HeldoutTables] = []
        self._config: str | None = None
        self._prints: list[Fingerprint] = []
        self._runs: list[Runs] = []

    def add(self, spec: SubtaskSpec, split: str, source: SeedSource) -> None:
        """Reads and hashes one split; what the source does not have is noted as missing.

        Args:
            spec: The subtask, or a benchmark's config.
            split: The split.
            source: Where it is read.

        Raises:
            SeedSourceError: The source has it, but not for us.
            TransientError: The network gave up.
        """
        if self._config != (config := f"{spec.dataset} {spec.config}"):
            self._close()
            self._config = config
        try:
            there = source.splits(spec)
        except AbsentError as error:
            self._miss(spec, split, str(error))
            return
        if split not in there:
            self._miss(spec, split, f"the source has {', '.join(there) or 'no split'}")
            return
        reading = _Reading(spec)
        for rows in batches(reading.contents(source.rows(spec, split))):
            self._take(rows)
        pinned = spec.model_copy(update={"split": split})
        self.splits.append(
            HashedSplit(
                dataset=spec.dataset,
                config=spec.config,
                split=split,
                revision=source.revision(pinned),
                rows=reading.rows,
                unanswered=reading.unanswered,
                unmapped=reading.unmapped,
            )
        )

    def miss(self, dataset: str, splits: Iterable[str], why: str) -> None:
        """Notes splits of a dataset whose configs are not known."""
        for split in splits:
            self.splits.append(_missing(dataset, "*", split, why))

    def tables(self) -> HeldoutTables:
        """Everything that was added."""
        self._close()
        return HeldoutTables.joined(self._tables)

    def _miss(self, spec: SubtaskSpec, split: str, why: str) -> None:
        self.splits.append(_missing(spec.dataset, spec.config, split, why))

    def _take(self, contents: Sequence[Content]) -> None:
        import numpy as np

        prints, runs = self._hasher.fingerprints(contents)
        # Configs that contain each other (winogrande's xs to xl) repeat their rows.
        keys = [(p.item, p.answers[0] if p.answers else 0) for p in prints]
        new = np.zeros(len(prints), dtype=bool)
        for place, key in enumerate(keys):
            new[place] = key not in self._seen
            self._seen.add(key)
        shift = np.cumsum(new) - 1 + len(self._prints)
        lengths = np.array([(p.run, p.context_run) for p in prints], dtype=np.int64)
        used = lengths[runs.row, (runs.part == Part.CONTEXT).astype(np.int64)]
        kept = new[runs.row] & (runs.length == used)
        self._prints += [p for p, is_new in zip(prints, new, strict=True) if is_new]
        self._runs.append(
            Runs(runs.hashes[kept], shift[runs.row[kept]], runs.part[kept], runs.length[kept])
        )

    def _close(self) -> None:
        """Weighs what one config has: how rare a run is can be told only when all are there."""
        import numpy as np

        if self._prints:
            columns = zip(*((r.hashes, r.row, r.part, r.length) for r in self._runs), strict=True)
            runs = Runs(*(np.concatenate(column) for column in columns))
            self._tables.append(_tables(self._prints, runs))
        self._prints, self._runs = [], []


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


class _Reading:
    """Raw rows of a split as contents, with what they are missing."""

    def __init__(self, spec: SubtaskSpec) -> None:
        self.rows = self.unanswered = self.unmapped = 0
        self._mapper = mapper_of(spec)
        self._lenient = list(_lenient(spec))
        self._framed = spec.answer_kind in (AnswerKind.BOOLEAN, AnswerKind.LABEL)

    def contents(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[Content]:
        for row in rows:
            self.rows += 1
            for content in self._read(row):
                # Yes or no and labels are the task's own; see `Hasher.fingerprints`.
                yield _with(content, choices=[]) if self._framed else content

    def _read(self, row: Mapping[str, Any]) -> list[Content]:
        if found := _mapped(self._mapper, row):
            return found
        for mapper in self._lenient:
            if found := _mapped(mapper, row):
                self.unanswered += 1
                return [_with(content, answer="") for content in found]
        self.unmapped += 1
        columns = (value for value in row.values() if isinstance(value, str))
        return [
            Content(question=text, answer="")
            for text in columns
            if len(text.split()) >= _COLUMN_WORDS
        ]


def _lenient(spec: SubtaskSpec) -> Iterator[Mapper]:
    """Mappings that ask for less and less: no answer, then no choices either."""
    if spec.record is None:
        return
    answerless = {
        **dict.fromkeys(("answer_index", "aliases", "solution", "tests", "where")),
        "answer": "withheld",
    }
    for update in (answerless, {**answerless, "choices": None}):
        record = spec.record.model_copy(update=update)
        yield RowMapping(record, AnswerKind.FREE_FORM, spec.where)


def _mapped(mapper: Mapper, row: Mapping[str, Any]) -> list[Content]:
    try:
        return list(mapper(row))
    except MappingError:
        return []


def _with(content: Content, **fields: Any) -> Content:
    return Content(**{**vars(content), **fields})


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def _missing(dataset: str, config: str, split: str, why: str) -> HashedSplit:
    return HashedSplit(
        dataset=dataset,
        config=config,
        split=split,
        revision="",
        rows=0,
        unanswered=0,
        unmapped=0,
        missing=why,
    )


def _tables(prints: Sequence[Fingerprint], runs: Runs) -> HeldoutTables:
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
            "numbers": pl.Series(
                [sorted(p.numbers) for p in prints], dtype=pl.List(pl.UInt64())
            ),
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
        _sampled(rows, hashes[needed], row[needed], weights[needed]).cast(rows_schema()),
        _sampled(
            passages, in_context, of[runs.row[shown]], _weights(in_context, rows=len(distinct))
        )
        .filter(pl.col("context") != 0)
        .cast(contexts_schema()),
    )


def _sampled(
    facts: pl.DataFrame, hashes: Array, row: Array, weights: Array
) -> pl.DataFrame:
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
