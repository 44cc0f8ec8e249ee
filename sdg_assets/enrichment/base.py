"""The contract of an enrichment: a module that asks a teacher about verified rows.

A module exports its enrichment as `ENRICHMENT`. Built-in modules are in this package. Another
installed package names its module in an entry point, and no existing file changes:

    [project.entry-points."sdg_assets.enrichment"]
    hint = "my_enrichments.hint"
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, cast

from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.errors import PermanentError
from sdg_assets.records import (
    AnswerKind,
    EnrichedExample,
    Example,
    GeneratedExample,
    JudgeApi,
    Role,
    TeacherClass,
)
from sdg_assets.registry import members
from sdg_assets.teacher.conversation import Work
from sdg_assets.teacher.prompts import Prompt
from sdg_assets.teacher.requests import Request, Sampling, TeacherFacts, build_request

ROLES = (Role.SOLVER, Role.JUDGE, Role.PROBE)
"""The roles whose teachers run in `enriched`."""


@dataclass(frozen=True)
class EnrichmentContext:
    """What an enrichment may use besides the row; the same for all rows of a partition."""

    teachers: Mapping[Role, TeacherFacts]
    """Role → teacher; has no judge and no probe if none is configured."""
    knobs: SolverKnobs
    judge_api: JudgeApi = "rubric"
    frame: str = ""
    """The task's description, as the judge reads it; empty without a judge."""
    seeds: Mapping[str, Example] = field(default_factory=dict)
    """Id → seed, to look up the rows' anchors; empty without a judge."""
    thinking: Mapping[Role, str] = field(default_factory=dict)
    """Role → its thinking mode; the model's default if it is missing or empty."""

    def request(
        self,
        role: Role,
        prompt: Prompt,
        values: Mapping[str, Any],
        sampling: Sampling,
        json_schema: dict[str, Any] | None = None,
    ) -> Request:
        """Builds a request to a role's teacher.

        Args:
            role: The role whose teacher answers.
            prompt: A prompt that the enrichment declares; the teacher's class words it.
            values: The values of the prompt's variables: JSON values.
            sampling: Temperature, and length of the answer in tokens. Without a thinking mode, the
                role's mode is used.
            json_schema: The schema of the answer; None for free text.
        """
        identity = self.teachers[role].identity
        mode = sampling.thinking or self.thinking.get(role, "")
        sampling = sampling.model_copy(update={"thinking": mode})
        worded = prompt.worded_for(identity.teacher_class)
        return build_request(identity, role, worded, values, sampling, json_schema)


class Enrichment(ABC):
    """A question to a teacher about verified rows, and what the answers add. It has no state."""

    name: ClassVar[str]
    """Its name in rows, metadata and errors."""
    role: ClassVar[Role]
    """The role whose teacher answers: the solver, the judge or the probe. Enrichments of a role
    that nobody plays are skipped. The teacher counts among those who wrote part of the row, with
    its licence."""
    columns: ClassVar[frozenset[str]] = frozenset()
    """Columns of `EnrichedExample` that hold the added fields. If empty, as for other packages, the
    added fields go to `enrichments` under the enrichment's name."""
    trained: ClassVar[tuple[str, ...]] = ()
    """The added fields that are training text. They are part of the training text `with_context`,
    the contamination gate tests them, and each must read as well as the row itself: see
    `without`."""

    @abstractmethod
    def prompts(self, kind: AnswerKind, judge_api: JudgeApi) -> Sequence[Prompt]:
        """Every prompt that may be used for a row; using another one fails.

        The prompts' versions are part of the role's version, so a changed prompt makes `enriched`
        stale.

        Args:
            kind: The row's answer kind.
            judge_api: The judge's API, if there is a judge.
        """

    def prompts_for(
        self, kind: AnswerKind, judge_api: JudgeApi, teacher_class: TeacherClass
    ) -> Sequence[Prompt]:
        """The prompts that a teacher of this class may get: those of `prompts`, in its words."""
        return [prompt.worded_for(teacher_class) for prompt in self.prompts(kind, judge_api)]

    def prompts_in(self, kind: AnswerKind, context: EnrichmentContext) -> list[tuple[Role, Prompt]]:
        """Every prompt that may be used in a partition, with the role that answers it.

        Args:
            kind: The row's answer kind.
            context: The context of the partition.
        """
        teacher_class = context.teachers[self.role].identity.teacher_class
        prompts = self.prompts_for(kind, context.judge_api, teacher_class)
        return [(self.role, prompt) for prompt in prompts]

    def is_wanted(self, row: EnrichedExample, context: EnrichmentContext) -> bool:
        """Whether this row is to be enriched; by default, every verified row is.

        Args:
            row: A verified row, before any enrichment.
            context: The context of the partition.
        """
        del row, context
        return True

    @abstractmethod
    def ask(self, row: EnrichedExample, context: EnrichmentContext) -> Work[Mapping[str, Any]]:
        """Sends requests about a row. All enrichments of a row do so at the same time.

        Args:
            row: A verified row, before any enrichment.
            context: The context of the partition.

        Yields:
            Batches of requests to the role's teacher; receives their completions in order. A
            request that exceeds the teacher's context gets a completion whose finish reason is
            `too_long`.

        Returns:
            Field → value (JSON). Any field may be missing; with no field, nothing is added.
        """

    def without(self, added: Mapping[str, Any], field: str, reason: str) -> Mapping[str, Any]:
        """What is left of the added fields if a training text among them reads badly.

        Args:
            added: The result of `ask`.
            field: The refused field, one of `trained`.
            reason: Why one of the gates `gates.text_gates` refused it.

        Returns:
            The fields to add; by default none, as the others describe the refused text.
        """
        del added, field, reason
        return {}

    def numbers(self, added: Mapping[str, Any]) -> Mapping[str, float]:
        """A row's counts for the partition's metadata; they are summed over all rows.

        Args:
            added: The result of `ask`.
        """
        return {f"{self.name}_written": 1} if added else {}


def enrichments() -> tuple[Enrichment, ...]:
    """Every built-in or installed enrichment.

    Raises:
        PermanentError: One breaks the contract, or an entry point cannot be loaded.
    """
    exported = members("sdg_assets.enrichment", "ENRICHMENT")
    for member in exported:
        if not isinstance(member, Enrichment):
            raise PermanentError(
                f"ENRICHMENT = {member!r}: must be an instance of a subclass of "
                "sdg_assets.enrichment.base.Enrichment"
            )
    return _checked(cast("tuple[Enrichment, ...]", exported))


@cache  # called once per row
def _checked(exported: tuple[Enrichment, ...]) -> tuple[Enrichment, ...]:
    checked: list[Enrichment] = []
    for member in exported:
        if missing := [name for name in ("name", "role") if not hasattr(member, name)]:
            raise PermanentError(f"enrichment {type(member).__name__}: set its `{missing[0]}`")
        if fault := _fault(member, checked):
            raise PermanentError(f"enrichment {member.name!r}: {fault}")
        checked.append(member)
    return tuple(checked)


def _fault(member: Enrichment, others: Sequence[Enrichment]) -> str:
    if member.role not in ROLES:
        roles = ", ".join(ROLES[:-1]) + f" or {ROLES[-1]}"
        return f"role {member.role}: only the {roles} can be asked about verified rows"
    if any(member.name == other.name for other in others):
        return "another module has this name; rename one"
    free = EnrichedExample.model_fields.keys() - GeneratedExample.model_fields.keys()
    free -= {column for other in others for column in other.columns}
    if taken := sorted(member.columns - free):
        return f"column {taken[0]!r} is taken or unknown; leave `columns` empty"
    return ""
