"""The coverage matrix as Markdown, for a release's card and for the asset `coverage`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from sdg_assets.stages.matrix import CellGroup, Matrix, grouped

LINES_SHOWN = 30
SUBTASKS_SHOWN = 3
HEADER = ("skill", "behaviours", "domain", "language", "answer kind", "rows", "subtasks")


def matrix_page(matrix: Matrix) -> str:
    """What the matrix counts, the rows by difficulty, and the first holes and surpluses.

    Args:
        matrix: A matrix with rows.
    """
    return "\n\n".join(_parts(matrix))


def _parts(matrix: Matrix) -> Iterator[str]:
    holes, surpluses = matrix.holes(), matrix.surpluses()
    yield (
        "A cell is a combination of behaviour, skill, domain, language and answer kind that an "
        f"enabled subtask trains. There are {len(matrix.cells):,} cells for {matrix.rows:,} rows: "
        f"{len(holes):,} holes with fewer than {matrix.minimum:,} rows, and {len(surpluses):,} "
        f"surpluses with more than {matrix.share:.0%} of all rows. A row counts in every cell of "
        "its subtask, so cells do not add up."
    )
    yield _difficulty(matrix)
    shares = [(b, f"{n:,}", f"{n / matrix.rows:.0%}") for b, n in matrix.difficulty.items()]
    measure = "difficulty" if matrix.probed else "solver's agreement"
    yield table((measure, "rows", "share"), shares)
    for title, cells in (("Holes", holes), ("Surpluses", surpluses)):
        if cells:
            lines = grouped(matrix, cells)
            more = len(lines) - LINES_SHOWN
            rest = f"\n\nand {more:,} more lines" if more > 0 else ""
            yield f"### {title}\n\n{table(HEADER, map(_line, lines[:LINES_SHOWN]))}{rest}"


def _difficulty(matrix: Matrix) -> str:
    agreement = (
        "the solver's agreement stands for it: the share of its votes that gave a row's answer."
    )
    if not matrix.probed:
        return f"Difficulty is not measured. {agreement[0].upper()}{agreement[1:]}"
    measured = (
        f"The difficulty of {matrix.probed:,} rows is the pass rate of the probe, a weaker model: "
        "often means at least 3/4 of its answers, rarely fewer than 1/4."
    )
    return measured if matrix.probed == matrix.rows else f"{measured} For the others {agreement}"


def _line(group: CellGroup) -> Sequence[object]:
    more = len(group.subtasks) - SUBTASKS_SHOWN
    subtasks = ", ".join(group.subtasks[:SUBTASKS_SHOWN]) + (
        f" and {more} more" if more > 0 else ""
    )
    behaviours = ", ".join(group.behaviours)
    place = (group.domain, group.language, group.answer_kind)
    return (group.skill, behaviours, *place, f"{group.rows:,}", subtasks)


def table(header: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """A Markdown table; values are turned into text."""
    rows = [header, ["---"] * len(header), *lines]
    cells = ([str(cell).replace("|", "\\|") for cell in row] for row in rows)
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)
