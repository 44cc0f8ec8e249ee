"""What `sdg try` prints: a line for each row and stage, and the cost of all seeds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sdg_assets.browse.render import number, short
from sdg_assets.browse.tryout_page import verdicts
from sdg_assets.cli import terminal
from sdg_assets.cli.terminal import Column
from sdg_assets.records import EnrichedExample, Example
from sdg_assets.stages.extrapolation import CONFIDENCE, Extrapolation, Interval
from sdg_assets.stages.stage import TEACHER_STAGES
from sdg_assets.stages.tryout import StageCount, TriedRow, Tryout

ROW_COLUMNS = (
    Column("row", right=True),
    Column("seed", spare=2),
    Column("new question"),
    Column("answer", spare=1),
    Column("votes", spare=3),
    Column("tokens", right=True, spare=4),
    Column("verdict"),
)
STAGE_COLUMNS = (
    Column("stage"),
    Column("in", right=True),
    Column("accepted", right=True),
    Column("requests", right=True),
    Column("prompt tokens", right=True, spare=2),
    Column("output tokens", right=True),
    Column("tokens/s", right=True, spare=1),
)
QUESTION, ANSWER = 48, 20
"""Characters of a question and of an answer."""


def write_report(
    tryout: Tryout,
    cost: Extrapolation,
    tokens_per_second: float | None,
    notes: Sequence[str],
    *,
    is_measured: bool,
) -> None:
    """Prints the report.

    Args:
        tryout: The tried rows.
        cost: What all seeds would cost.
        tokens_per_second: Output tokens per second of one GPU; None if they are not known.
        notes: What the rows were compared with.
        is_measured: Whether the speed is that of these few rows.
    """
    terminal.write_table(ROW_COLUMNS, map(_row_cells, tryout.rows))
    terminal.write()
    terminal.write_table(STAGE_COLUMNS, map(_stage_cells, tryout.counts()))
    terminal.write()
    for line in _cost_lines(cost, tokens_per_second, is_measured=is_measured):
        terminal.write(line)
    terminal.write()
    for note in notes:
        terminal.write(note)


def as_numbers(
    tryout: Tryout,
    cost: Extrapolation,
    tokens_per_second: float | None,
    notes: Sequence[str],
    page: Path,
) -> dict[str, Any]:
    """The report as JSON's values; arguments as for `write_report`, and the file of the page."""
    hours = cost.gpu_hours(tokens_per_second) if tokens_per_second else None
    return {
        "subtask": f"{tryout.spec.task}/{tryout.spec.key}",
        "teachers": {role: each.data_version for role, each in tryout.teachers.items()},
        "rows": list(map(_row_numbers, tryout.rows)),
        "stages": [
            {
                "stage": count.stage,
                "in": count.rows_in,
                "accepted": count.accepted,
                "refused": dict(count.refused),
                "usage": count.usage.plain() if count.usage else None,
            }
            for count in tryout.counts()
        ],
        "extrapolation": {
            "tried": cost.tried,
            "all_seeds": cost.plan.seeds,
            "examples": cost.examples,
            "prompt_tokens": cost.plan.prompt_tokens,
            "tokens_per_second": tokens_per_second,
            "confidence": CONFIDENCE,
            "requests": _bounds(cost.requests),
            "output_tokens": _bounds(cost.output_tokens),
            "gpu_hours": _bounds(hours) if hours else None,
            "accepted": _bounds(cost.accepted),
        },
        "heldout_notes": list(notes),
        "page": str(page),
    }


def _row_numbers(row: TriedRow) -> dict[str, Any]:
    refusal = row.refusal
    return {
        "seed_row": row.seed.source.row,
        "question": row.question,
        "is_accepted": row.is_accepted,
        "refused_by": refusal
        and {
            "stage": refusal[0],
            "gate": refusal[1].gate,
            "reason": refusal[1].reason,
            "detail": refusal[1].detail,
        },
        "gates": {verdict.gate: verdict.state for verdict in verdicts(row)},
        "requests": sum(len(row.exchanges(stage)) for stage in TEACHER_STAGES),
    }


def _row_cells(row: TriedRow) -> tuple[object, ...]:
    seed = row.normalized.question if isinstance(row.normalized, Example) else ""
    new = row.draft if isinstance(row.draft, Example) else None
    tokens = [e.completion.output_tokens for s in TEACHER_STAGES for e in row.exchanges(s)]
    return (
        row.seed.source.row,
        _plain(seed, QUESTION),
        _plain(new.question, QUESTION) if new else "–",
        _plain(new.answer, ANSWER) if new else "–",
        _votes(row),
        sum(tokens),
        _verdict(row),
    )


def _votes(row: TriedRow) -> str:
    enriched = row.enriched
    if not isinstance(enriched, EnrichedExample):
        return "–"
    return ", ".join(f"{_plain(vote.answer, ANSWER)} ×{vote.count}" for vote in enriched.votes)


def _verdict(row: TriedRow) -> str:
    if row.refusal is None:
        return "accepted" if row.is_accepted else "–"
    stage, refusal = row.refusal
    return f"{stage}: {refusal.gate}: {refusal.reason}"


def _stage_cells(count: StageCount) -> tuple[object, ...]:
    usage = count.usage
    if usage is None:
        return count.stage, count.rows_in, count.accepted, "", "", "", ""
    reused = f" (+{usage.reused} from the log)" if usage.reused else ""
    speed = f"{usage.tokens_per_second:.0f}" if usage.output_tokens else "–"
    return (
        count.stage,
        count.rows_in,
        count.accepted,
        f"{usage.requests}{reused}",
        usage.prompt_tokens,
        usage.output_tokens,
        speed,
    )


def _cost_lines(
    cost: Extrapolation, tokens_per_second: float | None, *, is_measured: bool
) -> Iterator[str]:
    yield (
        f"All {cost.plan.seeds:,} seeds, {cost.examples:,} examples, extrapolated from "
        f"{cost.tried} rows ({CONFIDENCE:.0%} bounds in brackets):"
    )
    yield f"  requests       {_text(cost.requests)}"
    yield f"  prompt tokens  {cost.plan.prompt_tokens:,}"
    yield f"  output tokens  {_text(cost.output_tokens)}"
    if tokens_per_second:
        hours = cost.gpu_hours(tokens_per_second)
        yield f"  GPU-hours      {_text(hours)}, at {number(tokens_per_second)} tokens/s"
    else:
        yield "  GPU-hours      unknown: no token was written just now; give --tokens-per-second"
    yield f"  accepted rows  {_text(cost.accepted)}"
    if tokens_per_second and is_measured:
        yield (
            "So few rows fill no batch: a full one is faster, and GPU-hours are then fewer. `sdg "
            "bench` measures its speed for --tokens-per-second."
        )


def _text(interval: Interval) -> str:
    high = _rounded(interval.high) if math.isfinite(interval.high) else "unknown"
    return f"{_rounded(interval.expected)} ({_rounded(interval.low)} to {high})"


def _rounded(value: float) -> str:
    return number(round(value)) if value >= 100 else number(value)


def _bounds(interval: Interval) -> dict[str, float | None]:
    high = interval.high if math.isfinite(interval.high) else None
    return {"expected": interval.expected, "low": interval.low, "high": high}


def _plain(text: str, length: int) -> str:
    """The beginning of a text, without characters that would steer a terminal."""
    return short("".join(c if c.isprintable() or c.isspace() else "\ufffd" for c in text), length)
