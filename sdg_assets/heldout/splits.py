"""Hashes the held-out splits of a subtask or a benchmark, so that leaks can be found without texts.

A row is hashed even if nothing can be learned from its answer: test splits may hide their labels,
and some splits do not fit the task's record.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from more_itertools import chunked
from pydantic import Field

from sdg_assets.answers.unspaced import words_in
from sdg_assets.catalog import SubtaskSpec
from sdg_assets.errors import AbsentError, MappingError
from sdg_assets.heldout.tables import HashedRows, HeldoutTables, hashed_rows, table_of
from sdg_assets.heldout.vectors import QuestionVectors, questions_of
from sdg_assets.mapping.mapper import Mapper, mapper_of
from sdg_assets.mapping.record import RowMapping
from sdg_assets.records import AnswerKind, Content, Record
from sdg_assets.sources.source import SeedSource

# In a row that no mapping fits, columns with fewer words are labels, names and numbers.
_COLUMN_WORDS = 5
_ROWS_AT_ONCE = 1024


class HashedSplit(Record):
    """The result of hashing one held-out split."""

    dataset: str
    config: str
    split: str
    revision: str = Field(description="revision its rows were read at; empty if it is missing")
    rows: int = Field(description="raw rows")
    unanswered: int = Field(description="rows hashed without an answer")
    unmapped: int = Field(description="rows hashed column by column, because no record fits them")
    missing: str = Field(default="", description="why it was not read; empty if it was read")


class HeldoutRows:
    """Collects the held-out rows of one subtask or benchmark; no text outlives `add`."""

    def __init__(self, vectors: QuestionVectors | None = None) -> None:
        """Starts without rows.

        Args:
            vectors: Collects the questions' embeddings; None: there is no embedder.
        """
        self.splits: list[HashedSplit] = []
        self.vectors = vectors
        self._seen: set[tuple[int, int]] = set()
        self._tables: list[HeldoutTables] = []
        self._config: str | None = None
        self._hashed: list[HashedRows] = []

    def add(self, spec: SubtaskSpec, split: str, source: SeedSource) -> None:
        """Reads and hashes one split; a split that the source does not have is noted as missing.

        Args:
            spec: The subtask, or a benchmark's config.
            split: The split.
            source: The source that it is read from.

        Raises:
            SeedSourceError: The source has the split, but access is denied.
            TransientError: The network failed.
        """
        if self._config != (config := f"{spec.dataset} {spec.config}"):
            self._close()
            self._config = config
        try:
            available = source.splits(spec)
        except AbsentError as error:
            self._miss(spec, split, str(error))
            return
        if split not in available:
            self._miss(spec, split, f"the source has {', '.join(available) or 'no split'}")
            return
        reading = SplitReader(spec)
        for rows in chunked(reading.contents(source.rows(spec, split)), _ROWS_AT_ONCE):
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
        """Notes splits of a dataset as missing if its configs are not known."""
        for split in splits:
            self.splits.append(_missing(dataset, "*", split, why))

    def tables(self) -> HeldoutTables:
        """The tables of everything that was added."""
        self._close()
        return HeldoutTables.joined(self._tables)

    def _miss(self, spec: SubtaskSpec, split: str, why: str) -> None:
        self.splits.append(_missing(spec.dataset, spec.config, split, why))

    def _take(self, contents: Sequence[Content]) -> None:
        batch = hashed_rows(contents)
        # Configs that contain each other (winogrande's xs to xl) repeat their rows.
        new = []
        for row in batch.rows:
            key = row["item"], row["answer"]
            if key not in self._seen:
                new.append(row)
            self._seen.add(key)
        if self.vectors is not None:
            questions = questions_of(batch.rows, contents)
            self.vectors.add({row["question"]: questions[row["question"]] for row in new})
        used = {row[part] for row in new for part in ("question", "context", "choices")}
        texts = {key: text for key, text in batch.texts.items() if key in used}
        self._hashed.append(HashedRows(new, texts))

    def _close(self) -> None:
        """Makes the table of one config; its boilerplate shows only in all its rows together."""
        if any(batch.rows for batch in self._hashed):
            self._tables.append(table_of(self._hashed))
        self._hashed = []


class SplitReader:
    """Reads the raw rows of a split as contents, even if parts are missing."""

    def __init__(self, spec: SubtaskSpec) -> None:
        self.rows = self.unanswered = self.unmapped = 0
        self._mapper = mapper_of(spec)
        self._lenient = list(_lenient(spec))
        self._choices_are_given = spec.answer_kind.policy.choices_are_given

    def contents(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[Content]:
        """The contents to hash, also for rows that hide their answer or fit no record.

        The tests of a program are a content of their own: they are compared like a question.
        """
        for row in rows:
            self.rows += 1
            for content in self._read(row):
                # Given choices belong to the task, they are not options of one question.
                yield replace(content, choices=[]) if self._choices_are_given else content
                # A row may have the assertions of a held-out program beside another wording of its
                # question: 497 of MBPP's 500 test rows passed in that form.
                if content.tests:
                    yield Content(question="\n".join(content.tests), answer="")

    def _read(self, row: Mapping[str, Any]) -> list[Content]:
        if contents := _mapped(self._mapper, row):
            return contents
        for mapper in self._lenient:
            if contents := _mapped(mapper, row):
                self.unanswered += 1
                return [replace(content, answer="") for content in contents]
        self.unmapped += 1
        columns = (value for value in row.values() if isinstance(value, str))
        return [
            Content(question=text, answer="") for text in columns if words_in(text) >= _COLUMN_WORDS
        ]


def _lenient(spec: SubtaskSpec) -> Iterator[Mapper]:
    """Less and less strict mappings: without an answer, then also without choices."""
    if spec.record is None:
        return
    answerless = {
        **dict.fromkeys(("answer_index", "aliases", "solution", "tests", "where")),
        "answer": "withheld",
    }
    for update in (answerless, {**answerless, "choices": None}):
        record = spec.record.model_copy(update=update)
        yield RowMapping(record, AnswerKind.of_any_row(), spec.where)


def _mapped(mapper: Mapper, row: Mapping[str, Any]) -> list[Content]:
    try:
        return list(mapper(row))
    except MappingError:
        return []


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
