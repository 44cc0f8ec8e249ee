"""Output of the commands: text, tables and JSON on stdout, progress on stderr.

A table fits the terminal. In a pipe it has its natural width, without colours or lines, so that
`grep` and `awk` can read it. rich respects `NO_COLOR` and `COLUMNS`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from rich.cells import cell_len
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

GAP = 2
"""Spaces between two columns."""
NATURAL = 1_000_000
"""Width of a pipe in characters: no table is wider."""
ItemT = TypeVar("ItemT")


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: Its header.
        right: Whether the column has numbers, which are right-aligned and never wrapped.
        spare: If above 0, the column is left out of a terminal that is too narrow; columns with
            the highest number are left out first.
    """

    name: str
    right: bool = False
    spare: int = 0


def write(text: str = "") -> None:
    """Prints a text and a line break on stdout."""
    sys.stdout.write(f"{text}\n")


def note(text: str) -> None:
    """Prints a line on stderr, so that scripts that read stdout do not see it."""
    sys.stderr.write(f"{text}\n")


def write_json(value: object) -> None:
    """Prints a value as JSON. Values of types that JSON lacks, like dates, become strings."""
    write(json.dumps(value, ensure_ascii=False, indent=1, default=str))


def write_table(columns: Sequence[Column], rows: Iterable[Sequence[object]]) -> None:
    """Prints a table on stdout.

    Args:
        columns: Its columns.
        rows: The rows, with one value per column.
    """
    cells = [[str(value) for value in row] for row in rows]
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        piped = Console(highlight=False, markup=False, emoji=False, width=NATURAL)
        with piped.capture() as captured:
            piped.print(_table(columns, cells))
        for line in captured.get().splitlines():
            write(line.rstrip())
        return
    kept = fitting(columns, cells, console.width)
    console.print(_table([columns[at] for at in kept], [[row[at] for at in kept] for row in cells]))
    left_out = [column.name for at, column in enumerate(columns) if at not in kept]
    if left_out:
        console.print(Text(f"too narrow for: {', '.join(left_out)}", style="dim"))


def fitting(columns: Sequence[Column], cells: Iterable[Sequence[str]], width: int) -> list[int]:
    """Selects the columns of a table that fit a terminal.

    Args:
        columns: The table's columns.
        cells: The table's rows.
        width: The terminal's width in characters.

    Returns:
        The positions of the columns. Texts in columns that may not be left out are wrapped.
    """
    header = [column.name for column in columns]
    widths = [max(map(cell_len, texts)) for texts in zip(header, *cells, strict=True)]
    kept = list(range(len(columns)))
    for spare in sorted({c.spare for c in columns if c.spare}, reverse=True):
        if sum(widths[at] for at in kept) + GAP * (len(kept) - 1) <= width:
            break
        kept = [at for at in kept if columns[at].spare != spare]
    return kept


def is_terminal() -> bool:
    """Whether stdout is a terminal and not a file or a pipe."""
    return Console().is_terminal


def width() -> int:
    """The width of stdout in characters; 140 if it is not a terminal."""
    console = Console()
    return console.width if console.is_terminal else 140


@contextmanager
def busy(label: str) -> Iterator[None]:
    """Shows a spinner on stderr during the block, if stderr is a terminal.

    Args:
        label: The text beside the spinner.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status(label):
        yield


@contextmanager
def bar(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """Shows a progress bar on stderr during the block, if stderr is a terminal.

    Args:
        label: The text beside the bar.
        total: Number of steps.

    Yields:
        A function that advances the bar by a number of steps.
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    ends = (MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        *columns, *ends, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task(label, total=total)

        def advance(steps: int) -> None:
            progress.advance(task, steps)

        yield advance


def each(items: Sequence[ItemT], label: str) -> Iterator[ItemT]:
    """Iterates over items with a progress bar.

    Args:
        items: The items.
        label: The text beside the bar.
    """
    with bar(label, len(items)) as advance:
        for item in items:
            yield item
            advance(1)


def _table(columns: Sequence[Column], cells: Iterable[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for column in columns:
        justify: Any = "right" if column.right else "left"
        table.add_column(Text(column.name), justify=justify, no_wrap=column.right, overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))
    return table
