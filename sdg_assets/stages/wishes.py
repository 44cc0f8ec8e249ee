"""Wishes about coverage: how many rows, or which share of all rows, should train something."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.catalog.files import faults, read_yaml
from sdg_assets.catalog.taxonomy import Taxonomy
from sdg_assets.environment import nearest
from sdg_assets.errors import PermanentError
from sdg_assets.stages.matrix import DIFFICULTIES, Cell, cells_of

ROUNDS = 6
"""Rounds by default: a simulation with 60 untried subtasks wrote 1.3 times the fewest examples in 6
rounds, 1.6 times in 4."""
MOST_PER_SEED = 20
"""Examples after one seed by default, so that not all rows come from the seeds of one subtask."""


class Axes(NamedTuple):
    """A value of each of the matrix's axes; empty: any value."""

    behaviour: str = ""
    skill: str = ""
    domain: str = ""
    language: str = ""
    answer_kind: str = ""
    difficulty: str = ""


class Wish(BaseModel):
    """Rows with these values of the axes should be so many, or this share of all rows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    behaviour: str = ""
    skill: str = ""
    domain: str = ""
    language: str = ""
    answer_kind: str = ""
    difficulty: str = ""
    """A name of `matrix.DIFFICULTIES`."""
    rows: int | None = None
    """The fewest accepted rows."""
    share: float | None = None
    """The smallest share of all accepted rows, above 0 and below 1."""

    @property
    def axes(self) -> Axes:
        """The values that the rows must have."""
        return Axes(*(getattr(self, name) for name in Axes._fields))

    @property
    def label(self) -> str:
        """The values as text."""
        return ", ".join(filter(None, self.axes)) or "all rows"

    def holds(self, spec: SubtaskSpec) -> bool:
        """Whether rows of a subtask have these values, their difficulty aside."""
        return (
            (not self.behaviour or self.behaviour in spec.behaviours)
            and (not self.skill or self.skill in spec.skills)
            and self.domain in ("", spec.domain)
            and self.language in ("", spec.language)
            and self.answer_kind in ("", spec.answer_kind.value)
        )


class CoverRequest(BaseModel):
    """What a person asks the job `cover` for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    wishes: list[Wish] = []
    minimum: int | None = None
    """The fewest rows of each cell; None: no minimum, unless there is no other wish."""
    writers: list[str] = []
    """The tasks or subtasks that may write; empty: all enabled ones."""
    without: list[str] = []
    """The tasks or subtasks that may not."""
    rounds: int = ROUNDS
    """How many rounds there still are."""
    most_per_seed: int = MOST_PER_SEED
    """The most examples after one seed, those of earlier runs included."""


def read_request(file: Path) -> CoverRequest:
    """The request in a YAML file, which has the same keys as the run config of the job.

    Raises:
        PermanentError: The file is not readable or malformed; the message names each fault.
    """
    try:
        return CoverRequest.model_validate(read_yaml(file) or {})
    except ValidationError as error:
        raise PermanentError(f"{file}: {faults(error)}") from error


def checked(wishes: Iterable[Wish], specs: Sequence[SubtaskSpec], taxonomy: Taxonomy) -> list[Wish]:
    """The wishes, once each is found to be well-formed.

    Args:
        wishes: As a person wrote them.
        specs: The enabled subtasks.
        taxonomy: Names the behaviours and skills.

    Raises:
        PermanentError: A value of an axis does not exist, a wish names neither or both of rows and
            share, a number is out of bounds, or two wishes are about the same rows.
    """
    known: dict[str, Iterable[str]] = {
        "behaviour": taxonomy.behaviours,
        "skill": taxonomy.skills,
        "domain": {spec.domain for spec in specs},
        "language": {spec.language for spec in specs},
        "answer_kind": {spec.answer_kind.value for spec in specs},
        "difficulty": DIFFICULTIES,
    }
    by_axes: dict[Axes, Wish] = {}
    for number, wish in enumerate(wishes, 1):
        place = f"wish {number} ({wish.label})"
        for axis, value in wish.axes._asdict().items():
            if value and value not in known[axis]:
                hint = nearest(value, known[axis])
                raise PermanentError(f"wish {number}: unknown {axis} {value!r}; {hint}")
        if (wish.rows is None) == (wish.share is None):
            raise PermanentError(f"{place}: give either rows or share")
        if wish.rows is not None and wish.rows < 1:
            raise PermanentError(f"{place}: rows={wish.rows}: must be at least 1")
        if wish.share is not None and not (0 < wish.share < 1 and any(wish.axes)):
            raise PermanentError(
                f"{place}: share={wish.share}: must be above 0 and below 1, of rows with a value "
                "of some axis"
            )
        if wish.axes in by_axes:
            raise PermanentError(f"{place}: another wish is about the same rows; keep one of both")
        by_axes[wish.axes] = wish
    return list(by_axes.values())


def of_every_cell(specs: Iterable[SubtaskSpec], minimum: int) -> list[Wish]:
    """The wish for so many rows of each cell that one of the subtasks can fill.

    Of several cells with the same subtasks, which have the same rows, the first stands for all.

    Args:
        specs: The enabled subtasks.
        minimum: The fewest rows of a cell, of any difficulty.
    """
    subtasks: dict[Cell, list[str]] = {}
    for spec in specs:
        for cell in cells_of(spec):
            subtasks.setdefault(cell, []).append(f"{spec.task}/{spec.key}")
    alike: dict[tuple[str, ...], Cell] = {}
    for cell, names in sorted(subtasks.items()):
        alike.setdefault(tuple(names), cell)
    return [Wish(**cell._asdict(), rows=minimum) for cell in alike.values()]


def with_cells(
    wishes: Sequence[Wish],
    specs: Sequence[SubtaskSpec],
    minimum: int | None,
    otherwise: int,
) -> list[Wish]:
    """The wishes, and those for the least rows of each cell.

    Args:
        wishes: What a person wishes.
        specs: The enabled subtasks.
        minimum: The fewest rows of each cell; None: none, unless there is no other wish.
        otherwise: The minimum if nothing at all is wished.

    Raises:
        PermanentError: The minimum is below 1.
    """
    if minimum is not None and minimum < 1:
        raise PermanentError(f"minimum={minimum}: must be at least 1")
    least = minimum or (None if wishes else otherwise)
    return [*wishes, *(of_every_cell(specs, least) if least else ())]
