"""The contract of an enrichment: a module that asks a teacher about verified rows.

A module exports its enrichment as `ENRICHMENT`. Built-in modules lie in this package; another
installed package names its module in an entry point, and no existing file changes:

    [project.entry-points."sdg_assets.enrichment"]
    hint = "my_enrichments.hint"
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar

from sdg_assets.enrichment.knobs import JudgeApi, SolverKnobs
from sdg_assets.errors import PermanentError
from sdg_assets.gates import Gate, text_refusals
from sdg_assets.records import AnswerKind, EnrichedExample, Example, GeneratedExample, Role
from sdg_assets.registry import members
from sdg_assets.teacher.conversation import Work
from sdg_assets.teacher.prompts import Prompt
from sdg_assets.teacher.requests import Request, Sampling, Teacher, build_request, fits

ROLES = (Role.SOLVER, Role.JUDGE)
"""Those whose teachers run in `enriched`."""


@dataclass(frozen=True)
class EnrichmentContext:
    """What an enrichment may use besides the row: the same for all rows of a partition."""

    teachers: Mapping[Role, Teacher]
    """Without an entry for the judge where there is none."""
    knobs: SolverKnobs
    gates: Sequence[Gate]
    """`gates.text_gates`: a text that is added must read as well as the row itself."""
    judge_api: JudgeApi = "rubric"
    frame: str = ""
    """The task's description, as the judge reads it; empty where there is no judge."""
    seeds: Mapping[str, Example] = field(default_factory=dict)
    """Id → the seed, for the anchors of the rows; empty where there is no judge."""

    def request(
        self,
        role: Role,
        prompt: Prompt,
        values: Mapping[str, Any],
        sampling: Sampling,
        json_schema: dict[str, Any] | None = None,
    ) -> Request | None:
        """A request to a role's teacher; None where prompt and answer do not fit it.

        Args:
            role: Whose teacher is asked.
            prompt: One of those that the enrichment declares.
            values: What the prompt refers to.
            sampling: Temperature and length of the answer, in tokens.
            json_schema: What the answer must conform to; None: it is free text.
        """
        teacher, messages = self.teachers[role], prompt.render(**values)
        request = build_request(
            teacher.identity, role, prompt.version, messages, sampling, json_schema
        )
        return request if fits(request, teacher) else None

    def fault(self, text: str, row: Example) -> str:
        """Why a text that was written for a row does not read well; empty if it does."""
        refusal = text_refusals([text], row, self.gates).get(0)
        return refusal.reason.removeprefix("context ") if refusal else ""


class Enrichment(ABC):
    """What to ask about a verified row, and what the answers add to it. It keeps no state."""

    name: ClassVar[str]
    """Names it in rows, numbers and errors."""
    role: ClassVar[Role]
    """Whose teacher is asked: the solver, or the judge. Without a judge its enrichments are not
    asked. The teacher counts among those whose words stand in the row, with its licence."""
    columns: ClassVar[frozenset[str]] = frozenset()
    """Columns of `EnrichedExample` that hold what it adds. Without any, what it adds goes to
    `enrichments` under its name: that is what another package uses."""
    trained: ClassVar[tuple[str, ...]] = ()
    """Which of the added fields are texts that a row trains on. They stand in its training text
    `with_context`, and the contamination gate reads them."""

    @abstractmethod
    def prompts(self, kind: AnswerKind, judge_api: JudgeApi) -> Sequence[Prompt]:
        """Every prompt that a row may be asked about with; asking with another one fails.

        Their versions are part of the role's version, so a changed prompt makes `enriched` stale.

        Args:
            kind: The row's answer kind.
            judge_api: How the judge is asked, if there is one.
        """

    def is_wanted(self, row: EnrichedExample, context: EnrichmentContext) -> bool:
        """Whether this row is asked about; every verified row is, unless a module says otherwise.

        Args:
            row: A verified row, before any enrichment.
            context: Of the partition.
        """
        del row, context
        return True

    @abstractmethod
    def ask(self, row: EnrichedExample, context: EnrichmentContext) -> Work[Mapping[str, Any]]:
        """Asks about a row. Enrichments of one row are asked side by side.

        Args:
            row: A verified row, before any enrichment.
            context: Of the partition.

        Yields:
            Requests to the role's teacher, wave by wave; receives their completions in order.

        Returns:
            Field → value (JSON), none of which need be there. Nothing is added for no field.
        """

    def numbers(self, added: Mapping[str, Any]) -> Mapping[str, float]:
        """What a row counts for in the partition's metadata; summed over all rows.

        Args:
            added: What `ask` returned.
        """
        return {f"{self.name}_written": 1} if added else {}


def enrichments() -> tuple[Enrichment, ...]:
    """Every enrichment, built in or installed.

    Raises:
        PermanentError: One breaks the contract, or an entry point cannot be loaded.
    """
    return _checked(members("sdg_assets.enrichment", "ENRICHMENT"))


@cache  # asked for once a row
def _checked(exported: tuple[object, ...]) -> tuple[Enrichment, ...]:
    checked: list[Enrichment] = []
    for member in exported:
        if not isinstance(member, Enrichment):
            raise PermanentError(
                f"ENRICHMENT = {member!r}: must be an instance of a subclass of "
                "sdg_assets.enrichment.base.Enrichment"
            )
        if missing := [name for name in ("name", "role") if not hasattr(member, name)]:
            raise PermanentError(f"enrichment {type(member).__name__}: set its `{missing[0]}`")
        if fault := _fault(member, checked):
            raise PermanentError(f"enrichment {member.name!r}: {fault}")
        checked.append(member)
    return tuple(checked)


def _fault(member: Enrichment, others: Sequence[Enrichment]) -> str:
    if member.role not in ROLES:
        roles = " or ".join(ROLES)
        return f"role {member.role}: only the {roles} can be asked about verified rows"
    if any(member.name == other.name for other in others):
        return "another module has this name; rename one"
    free = EnrichedExample.model_fields.keys() - GeneratedExample.model_fields.keys()
    free -= {column for other in others for column in other.columns}
    if taken := sorted(member.columns - free):
        return f"column {taken[0]!r} is not its own; leave `columns` empty"
    return ""
