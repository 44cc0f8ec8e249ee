"""The coverage matrix: accepted rows by behaviour, skill, domain, language, kind and difficulty.

Behaviours, skills, domain, language and answer kind are those that the catalog states for a row's
subtask now. A subtask with two behaviours and three skills has six cells, and each of its rows
counts in all six: rows of cells do not add up to the rows of the matrix.

Difficulty is the probe's pass rate, where rows carry one. Else the solver's agreement stands for
it, which all rows carry: the share of the votes cast that gave the row's answer. Both are low for
hard questions, and for ambiguous ones, too.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import ConfigDict

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.catalog.taxonomy import Taxonomy
from sdg_assets.records import Record, Stage
from sdg_assets.stages.stage import key_of
from sdg_assets.store.partitions import Store

AGREEMENT_BANDS = (
    ("all votes agree", 1.0),
    ("at least 3/4 agree", 0.75),
    ("fewer agree", 0.0),
)
"""Name of a band → the smallest share of agreeing votes in it; the first that fits holds."""
PASS_RATE_BANDS = (
    ("probe passes often", 0.75),
    ("probe passes sometimes", 0.25),
    ("probe passes rarely", 0.0),
)
"""Name of a band → the smallest pass rate in it; the first that fits holds."""
DIFFICULTIES = tuple(name for name, _ in (*PASS_RATE_BANDS, *AGREEMENT_BANDS))
"""The values of the axis `difficulty`."""


class Cell(NamedTuple):
    """What a row trains, and in which form. Difficulty divides a cell further."""

    behaviour: str
    skill: str
    domain: str
    language: str
    answer_kind: str


@dataclass(frozen=True)
class Matrix:
    """Every cell that one of the subtasks could fill, and how many rows it has."""

    rows: int
    """Accepted rows, each counted once."""
    cells: Mapping[Cell, Mapping[str, int]]
    """Cell → rows by difficulty. A cell without rows has an empty mapping."""
    subtasks: Mapping[Cell, Sequence[str]]
    """Cell → the subtasks that fill it, as `task/subtask`."""
    difficulty: Mapping[str, int]
    """Difficulty → rows, each counted once, in the order of `DIFFICULTIES`."""
    behaviours: Sequence[str]
    """The behaviours of these subtasks, in the taxonomy's order."""
    skills: Sequence[str]
    """The skills of these subtasks, in the taxonomy's order."""
    minimum: int
    """Rows that a cell should have at least."""
    share: float
    """The largest share of all rows that a cell should have."""

    @property
    def probed(self) -> int:
        """Rows whose difficulty is a pass rate."""
        return sum(self.difficulty.get(name, 0) for name, _ in PASS_RATE_BANDS)

    def rows_of(self, cell: Cell) -> int:
        """Rows of a cell, of any difficulty."""
        return sum(self.cells[cell].values())

    def by_behaviour_and_skill(self) -> dict[tuple[str, str], int]:
        """(behaviour, skill) → rows, for each pair that a subtask has. A sum over cells."""
        totals: Counter[tuple[str, str]] = Counter()
        for cell in self.cells:
            totals[cell.behaviour, cell.skill] += self.rows_of(cell)
        return dict(totals)

    def holes(self) -> list[Cell]:
        """The cells with fewer rows than the minimum.

        The emptiest come first, and of these the cells that most subtasks can fill.
        """
        return sorted(
            (cell for cell in self.cells if self.rows_of(cell) < self.minimum),
            key=lambda cell: (self.rows_of(cell), -len(self.subtasks[cell]), cell),
        )

    def surpluses(self) -> list[Cell]:
        """The cells with more than their share of all rows, the fullest first."""
        return sorted(
            (cell for cell in self.cells if self.rows_of(cell) > self.share * self.rows),
            key=lambda cell: (-self.rows_of(cell), cell),
        )

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yields each cell with its rows by difficulty and its subtasks, sorted, as JSON values."""
        for cell in sorted(self.cells):
            yield {
                **cell._asdict(),
                "rows": self.rows_of(cell),
                "rows_by_difficulty": {
                    name: self.cells[cell].get(name, 0) for name in self.difficulty
                },
                "subtasks": list(self.subtasks[cell]),
            }


class CellGroup(NamedTuple):
    """Cells that differ in their behaviour only and have the same rows: one line of a table."""

    behaviours: Sequence[str]
    skill: str
    domain: str
    language: str
    answer_kind: str
    rows: int
    subtasks: Sequence[str]


def cells_of(spec: SubtaskSpec) -> Iterator[Cell]:
    """Yields the cells in which each row of a subtask counts."""
    for behaviour in spec.behaviours:
        for skill in spec.skills:
            yield Cell(behaviour, skill, spec.domain, spec.language, spec.answer_kind.value)


def matrix_of(
    specs: Iterable[SubtaskSpec],
    difficulty: Mapping[str, Mapping[str, int]],
    taxonomy: Taxonomy,
    minimum: int,
    share: float,
) -> Matrix:
    """Builds the matrix of some subtasks.

    Args:
        specs: The subtasks. Each of their cells is in the matrix, with or without rows.
        difficulty: Subtask key → difficulty → accepted rows. A subtask without rows may be left
            out.
        taxonomy: Gives the order of behaviours and skills.
        minimum: Rows below which a cell is a hole.
        share: Share of all rows above which a cell is a surplus.
    """
    cells: dict[Cell, Counter[str]] = defaultdict(Counter)
    subtasks: dict[Cell, list[str]] = defaultdict(list)
    total: Counter[str] = Counter()
    for spec in specs:
        counts = difficulty.get(spec.key, {})
        total.update(counts)
        for cell in cells_of(spec):
            cells[cell].update(counts)
            subtasks[cell].append(f"{spec.task}/{spec.key}")
    behaviours, skills = {cell.behaviour for cell in cells}, {cell.skill for cell in cells}
    return Matrix(
        rows=total.total(),
        cells=cells,
        subtasks=subtasks,
        difficulty={name: total[name] for name in _shown(total)},
        behaviours=[name for name in taxonomy.behaviours if name in behaviours],
        skills=[name for name in taxonomy.skills if name in skills],
        minimum=minimum,
        share=share,
    )


def grouped(matrix: Matrix, cells: Iterable[Cell]) -> list[CellGroup]:
    """Cells as lines of a table, in their order.

    Args:
        matrix: The matrix.
        cells: Some of its cells, e.g. its holes.
    """
    behaviours: dict[tuple[Any, ...], list[str]] = {}
    for cell in cells:
        line = (*cell[1:], matrix.rows_of(cell), tuple(matrix.subtasks[cell]))
        behaviours.setdefault(line, []).append(cell.behaviour)
    return [CellGroup(sorted(names), *line) for line, names in behaviours.items()]


def _shown(counts: Mapping[str, int]) -> list[str]:
    """The difficulties of the measures that some rows have; agreement if there are no rows."""
    measures = (PASS_RATE_BANDS, AGREEMENT_BANDS)
    used = [bands for bands in measures if any(counts[name] for name, _ in bands)]
    return [name for bands in used or [AGREEMENT_BANDS] for name, _ in bands]


def difficulty_of(vote_share: float, pass_rate: float | None) -> str:
    """The difficulty of a row, one of `DIFFICULTIES`.

    Args:
        vote_share: The share of the votes that agree with the row's answer, without those cut off.
        pass_rate: The share of the probe's answers that equal it; None if it is not measured.
    """
    bands = AGREEMENT_BANDS if pass_rate is None else PASS_RATE_BANDS
    share = vote_share if pass_rate is None else pass_rate
    return next(name for name, least in bands if share >= least)


class _VotedRow(Record):
    """The fields of an accepted row that are counted; reading all fields takes far longer."""

    model_config = ConfigDict(extra="ignore")

    vote_share: float
    pass_rate: float | None = None


def difficulties_in(store: Store, specs: Iterable[SubtaskSpec]) -> dict[str, Counter[str]]:
    """Counts the accepted rows of the store, one subtask after the other.

    Args:
        store: The store.
        specs: The subtasks to count.

    Returns:
        Subtask key → difficulty → rows of its `filtered` partition. Subtasks without that
        partition are left out.

    Raises:
        StoreError: A partition is damaged; see `Store.read`.
    """
    keys = {key_of(spec, Stage.FILTERED): spec for spec in specs}
    store = store.pinned(keys)
    published = store.manifests(keys)
    return {
        spec.key: Counter(
            difficulty_of(row.vote_share, row.pass_rate) for row in store.read(key, _VotedRow)
        )
        for key, spec in keys.items()
        if key in published
    }
