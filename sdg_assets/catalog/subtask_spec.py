"""A subtask as the stages see it: with all values that it inherits from its task."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from hashlib import blake2b
from typing import Any, Literal, Self

from pydantic import Field

from sdg_assets.catalog.entries import CatalogEntry, Derivation, RecordMapping, Topics
from sdg_assets.catalog.topic_tree import topic_tree
from sdg_assets.kinds import policies
from sdg_assets.records import AnswerKind, CommercialUse


class SubtaskSpec(CatalogEntry):
    """A subtask with all inherited values: everything that a stage needs to know of a partition."""

    task: str
    key: str
    family: Literal["knowledge", "reasoning"]
    domain: str
    behaviours: list[str] = Field(default_factory=list)
    skills: list[str] = Field(default_factory=list)
    language: str
    answer_kind: AnswerKind
    frame: str = ""
    dataset: str
    config: str
    split: str
    heldout_splits: list[str]
    license: str
    commercial_use: CommercialUse
    record: RecordMapping | None
    lm_eval: str | None
    rows: int | None
    gated: bool
    hub_files: str | None = None
    hub_revision: str | None = None
    gates: dict[str, Any] = Field(default_factory=dict)
    topics: Topics = None
    derived_from: list[Derivation] = Field(default_factory=list)
    parallel_with: list[str] = Field(default_factory=list)

    @classmethod
    def of_split(
        cls,
        task: str,
        dataset: str,
        config: str,
        split: str,
        record: RecordMapping,
        *,
        gated: bool = False,
        hub_files: str | None = None,
        hub_revision: str | None = None,
    ) -> Self:
        """A split that is only read: the form that sources and `RowMapping` need.

        It is no subtask: no row is made after its rows, so it has no domain, language or licence,
        and its answers may be of any kind.

        Args:
            task: What reads it, for messages.
            dataset: The dataset.
            config: Its config, which also is the key.
            split: The split.
            record: The templates that read a raw row.
            gated: See `SeedTask`.
            hub_files: See `SeedTask`.
            hub_revision: See `SeedTask`.
        """
        return cls(
            task=task,
            key=config,
            family="knowledge",
            domain="",
            language="",
            answer_kind=AnswerKind.of_any_row(),
            dataset=dataset,
            config=config,
            split=split,
            heldout_splits=[],
            license="",
            commercial_use="unclear",
            record=record,
            lm_eval=None,
            rows=None,
            gated=gated,
            hub_files=hub_files,
            hub_revision=hub_revision,
        )

    def owner(self, position: int) -> str:
        """The key of the subtask that seeds the row at `position`; see `SeedTask.parallel`."""
        if not self.parallel_with:
            return self.key
        # Rendezvous hashing: a subtask that is enabled later takes its share of rows from the
        # others, and moves no row between these.
        return max(self.parallel_with, key=partial(_share, self.task, position))

    @property
    def topic_parts(self) -> Sequence[str]:
        """Parts of the topic tree that new examples are about; empty: no topics are drawn.

        The catalog's `topics` decides. If it is unset, the domain does (`topics/domains.yaml`).
        Without `topics`, a subtask draws none if its rows have a passage (`record.context`), if
        lm-eval renders them, or if the task gives the choices (labels, yes and no): then its form
        is bound to texts or labels.
        """
        if self.topics is not None:
            return [self.topics] if isinstance(self.topics, str) else self.topics or []
        if self.record is None or self.record.context is not None:
            return []
        if policies()[self.answer_kind.value].choices == "given":
            return []
        return topic_tree().parts_of_domain(self.domain)

    @property
    def where(self) -> str:
        """`task/subtask (dataset, config, split)`: its name in messages."""
        return f"{self.task}/{self.key} ({self.dataset}, {self.config}, {self.split})"


def _share(task: str, position: int, key: str) -> bytes:
    return blake2b(f"{task}:{position}:{key}".encode(), digest_size=8).digest()
