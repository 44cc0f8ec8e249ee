"""The page of `sdg try`: one HTML file that loads nothing, with every intermediate of each row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sdg_assets.browse.render import HERE, page
from sdg_assets.browse.rows import Row, Trace, traces
from sdg_assets.gates import order
from sdg_assets.records import EnrichedExample, Record, Rejection, Stage
from sdg_assets.stages.extrapolation import CONFIDENCE, Extrapolation
from sdg_assets.stages.stage import ROW_STAGES
from sdg_assets.stages.tryout import Exchange, TriedRow, Tryout
from sdg_assets.store.places import Place


@dataclass(frozen=True)
class Verdict:
    """What a gate said about a row: `passed`, `refused`, or that it did not test it."""

    gate: str
    state: str
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True)
class _Step:
    """What one stage made of a row."""

    stage: Stage
    fields: Mapping[str, Any]
    """The record, or the row that was refused."""
    refusal: Rejection | None
    exchanges: Sequence[Exchange]
    traces: Sequence[Trace]
    is_changed: bool
    """Whether its record differs from the one of the stage before."""


def tryout_page(
    tryout: Tryout,
    cost: Extrapolation,
    tokens_per_second: float | None,
    notes: Sequence[str],
    logs: Place,
) -> str:
    """The page.

    Args:
        tryout: The tried rows, after the last stage.
        cost: What all seeds would cost.
        tokens_per_second: Output tokens per second of one GPU; None if they are not known.
        notes: Sentences about what the rows were compared with.
        logs: The folder of the completion logs.
    """
    return page(
        "tryout",
        style=(HERE / "static" / "browse.css").read_text("utf-8"),
        subtask=f"{tryout.spec.task}/{tryout.spec.key}",
        tryout=tryout,
        rows=[(row, list(_steps(row, logs)), verdicts(row)) for row in tryout.rows],
        counts=tryout.counts(),
        cost=cost,
        confidence=CONFIDENCE,
        tokens_per_second=tokens_per_second,
        gpu_hours=cost.gpu_hours(tokens_per_second) if tokens_per_second else None,
        notes=notes,
    )


def verdicts(row: TriedRow) -> list[Verdict]:
    """What each gate said about a row that reached the gates, in order."""
    if row.filtered is None:
        return []
    return [_verdict(row, gate) for gate in order()]


def _verdict(row: TriedRow, gate: str) -> Verdict:
    if gate in row.verdicts:
        refusal = row.verdicts[gate]
        if refusal is None:
            return Verdict(gate, "passed")
        return Verdict(gate, "refused", refusal.reason, refusal.detail)
    return Verdict(gate, "not tested")


def _steps(row: TriedRow, logs: Place) -> Iterator[_Step]:
    """The stages that a row reached. A record that a stage only passes on is not shown again."""
    before: Mapping[str, Any] = {}
    for stage in ROW_STAGES:
        result = row.result(stage)
        if result is None:
            return
        refusal = result if isinstance(result, Rejection) else None
        fields = refusal.row if refusal else result.model_dump(mode="json")
        yield _Step(
            stage,
            fields,
            refusal,
            row.exchanges(stage),
            _traces(result, logs) if stage is Stage.ENRICHED else [],
            is_changed=fields != before,
        )
        before = fields


def _traces(result: Record, logs: Place) -> list[Trace]:
    if not isinstance(result, EnrichedExample):
        return []
    return traces(Row(0, result.model_dump(mode="json")), logs)
