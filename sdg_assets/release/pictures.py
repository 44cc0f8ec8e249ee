"""The pictures of a dataset card: funnel, coverage, domains, lengths, votes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import log10
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from sdg_assets.release.statistics import TENTHS, Statistics
from sdg_assets.release.tokens import length_range
from sdg_assets.stages.funnel import FunnelRow
from sdg_assets.stages.matrix import Matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import Rectangle

BLUE, GREY, GREEN, AMBER = "#3b6ea5", "#c9cdd3", "#4f9d69", "#d9a441"
RED, INK, WHITE = "#b3402e", "#1f2933", "#ffffff"
WIDTH, ROW_HEIGHT = 8.0, 0.26
TASKS_SHOWN = 60


def draw_all(
    folder: Path, statistics: Statistics, funnels: Sequence[FunnelRow], matrix: Matrix | None
) -> list[str]:
    """Draws the pictures of a release.

    Args:
        folder: The folder for the PNG files. It is created.
        statistics: The counts of the release's rows.
        funnels: One funnel per subtask of the release.
        matrix: The coverage matrix of the release, if there is one.

    Returns:
        The names of the files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _draw_funnel(folder / "funnel.png", funnels)
    _draw_bars(folder / "domains.png", statistics.domains.most_common(20), "rows by domain")
    _draw_lengths(folder / "lengths.png", statistics)
    _draw_votes(folder / "votes.png", statistics)
    if statistics.pass_rates:
        _draw_pass_rates(folder / "pass_rates.png", statistics)
    if matrix:
        draw_matrix(folder / "coverage.png", matrix)
    return sorted(file.name for file in folder.iterdir())


def draw_matrix(file: Path | BinaryIO, matrix: Matrix) -> None:
    """Draws how many rows each behaviour has with each skill, as a heat map.

    The colour is the logarithm of the number of rows. Pairs with fewer rows than the minimum have a
    red edge; pairs that no subtask trains are left blank.

    Args:
        file: The PNG file.
        matrix: The coverage matrix.
    """
    rows = matrix.by_behaviour_and_skill()
    scale = log10(max(rows.values(), default=0) + 1) or 1
    with _Picture(file, height=2.2 + ROW_HEIGHT * max(1, len(matrix.skills))) as axes:
        for (behaviour, skill), count in rows.items():
            x, y = matrix.behaviours.index(behaviour), matrix.skills.index(skill)
            depth = log10(count + 1) / scale
            axes.add_patch(_tile(x, y, depth, RED if count < matrix.minimum else "none"))
            ink = WHITE if depth > 0.6 else INK
            axes.text(x, y, f"{count:,}", ha="center", va="center", fontsize=8, color=ink)
        axes.set_xlim(-0.5, len(matrix.behaviours) - 0.5)
        axes.set_ylim(len(matrix.skills) - 0.5, -0.5)
        names = [name.replace("_", "\n", 1).replace("_", " ") for name in matrix.behaviours]
        axes.set_xticks(range(len(names)), names)
        axes.set_yticks(range(len(matrix.skills)), [s.replace("_", " ") for s in matrix.skills])
        axes.xaxis.tick_top()
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        axes.set_title("accepted rows by behaviour and skill", pad=12)
        key = f"red edge: fewer than {matrix.minimum:,} rows; blank: no subtask trains the pair"
        axes.set_xlabel(key, fontsize=8)


def _tile(x: int, y: int, depth: float, edge: str) -> Rectangle:
    """A square of the heat map around a point, from almost white (0) to blue (1)."""
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Rectangle

    share = 0.06 + 0.94 * depth
    colour = [share * full + (1 - share) for full in to_rgb(BLUE)]
    return Rectangle((x - 0.47, y - 0.45), 0.94, 0.9, facecolor=colour, edgecolor=edge)


def _draw_funnel(file: Path, funnels: Iterable[FunnelRow]) -> None:
    """Draws per task which shares of the written examples were parsed, verified and accepted."""
    totals: dict[str, list[int]] = {}
    for funnel in funnels:
        counts = [funnel.generated, funnel.parsed, funnel.verified, funnel.accepted]
        subtotal = totals.setdefault(funnel.task, [0, 0, 0, 0])
        totals[funnel.task] = [a + b for a, b in zip(subtotal, counts, strict=True)]
    tasks = sorted(totals.items(), key=lambda item: (-item[1][3], item[0]))[:TASKS_SHOWN][::-1]
    with _Picture(file, height=1.2 + 2 * ROW_HEIGHT * max(1, len(tasks))) as axes:
        names = [name for name, _ in tasks]
        for place, (label, colour) in enumerate(
            (("written", GREY), ("well-formed", AMBER), ("verified", BLUE), ("accepted", GREEN))
        ):
            shares = [counts[place] / counts[0] if counts[0] else 0 for _, counts in tasks]
            thickness = 0.8 - 0.18 * place
            axes.barh(names, shares, height=thickness, color=colour, label=label)
        for row, (_, counts) in enumerate(tasks):
            axes.text(1.01, row, f"{counts[3]:,} of {counts[0]:,}", va="center", fontsize=7)
        axes.set_xlim(0, 1)
        axes.set_title("from written to accepted, by seed task")
        _legend(axes)


def _draw_bars(file: Path, counts: Sequence[tuple[str, int]], title: str) -> None:
    with _Picture(file, height=1.0 + ROW_HEIGHT * max(1, len(counts))) as axes:
        names, values = [n for n, _ in counts][::-1], [v for _, v in counts][::-1]
        axes.bar_label(axes.barh(names, values, color=BLUE), fmt="{:,.0f}", padding=3, fontsize=7)
        axes.margins(x=0.12)
        axes.set_title(title)


def _draw_lengths(file: Path, statistics: Statistics) -> None:
    with _Picture(file, height=3.2) as axes:
        lengths = statistics.tokens.lengths or statistics.lengths
        unit = "tokens" if statistics.tokens.lengths else "characters"
        bins = sorted({size for counts in lengths.values() for size in counts})
        variants = list(lengths)
        for place, (variant, colour) in enumerate(zip(variants, (GREY, BLUE, GREEN), strict=False)):
            width = 0.8 / len(variants)
            places = [number + width * (place - (len(variants) - 1) / 2) for number in bins]
            heights = [lengths[variant][size] for size in bins]
            axes.bar(places, heights, width=width, color=colour, label=variant)
        axes.set_xticks(bins, [length_range(size) for size in bins], fontsize=7)
        axes.set_title(f"rows by length of the text, in {unit}")
        _legend(axes)


def _draw_votes(file: Path, statistics: Statistics) -> None:
    with _Picture(file, height=3.0) as axes:
        tenths = range(TENTHS + 1)
        width = 0.4
        for shift, label, counts, colour in (
            (-width / 2, "share of votes that agree", statistics.vote_shares, BLUE),
            (width / 2, "judge's score", statistics.judge_scores, GREEN),
        ):
            places = [tenth + shift for tenth in tenths]
            heights = [counts[tenth] for tenth in tenths]
            axes.bar(places, heights, width=width, color=colour, label=label)
        axes.set_xticks(list(tenths), [f"{tenth / TENTHS:.1f}" for tenth in tenths])
        axes.set_title("rows by agreement and by the judge's score")
        _legend(axes)


def _draw_pass_rates(file: Path, statistics: Statistics) -> None:
    with _Picture(file, height=3.0) as axes:
        tenths, probes = range(TENTHS + 1), sorted(statistics.pass_rates)
        width = 0.8 / len(probes)
        for place, probe in enumerate(probes):
            shift = width * (place - (len(probes) - 1) / 2)
            heights = [statistics.pass_rates[probe][tenth] for tenth in tenths]
            axes.bar([tenth + shift for tenth in tenths], heights, width=width, label=probe)
        axes.set_xticks(list(tenths), [f"{tenth / TENTHS:.1f}" for tenth in tenths])
        axes.set_title("rows by the probe's pass rate")
        _legend(axes)


def _legend(axes: Axes) -> None:
    figure = axes.get_figure(root=True)
    assert figure
    figure.legend(loc="outside lower center", ncols=4, frameon=False)


class _Picture:
    """A figure with one plot, saved when the block ends. Needs no display and no global state."""

    def __init__(self, file: Path | BinaryIO, height: float) -> None:
        from matplotlib.figure import Figure

        self._file = file
        self._figure = Figure(figsize=(WIDTH, height), layout="constrained")

    def __enter__(self) -> Axes:
        axes = self._figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
        return axes

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:  # noqa: ANN401
        if kind is None:
            # matplotlib's version is left out, so that the same figures give the same bytes.
            self._figure.savefig(self._file, dpi=110, metadata={"Software": None})
