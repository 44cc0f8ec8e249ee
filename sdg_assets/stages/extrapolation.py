"""Extrapolates the cost of a subtask from a few rows that were tried."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from sdg_assets.records import Example, Role, Stage
from sdg_assets.stages.fleet import Phase
from sdg_assets.stages.plan import Load, SubtaskPlan
from sdg_assets.stages.stage import TEACHER_STAGES
from sdg_assets.stages.tryout import TriedRow, Tryout
from sdg_assets.teacher.requests import Completion

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A number that is expected, and between which bounds it lies with `CONFIDENCE`."""

    expected: float
    low: float
    high: float
    """Infinite if a single row was tried: one row does not show how much rows differ."""

    def divided_by(self, divisor: float) -> Interval:
        """The interval in another unit."""
        return Interval(self.expected / divisor, self.low / divisor, self.high / divisor)


@dataclass(frozen=True)
class Extrapolation:
    """What all seeds of a subtask would cost, and bring.

    Attributes:
        plan: The expected cost, as `sdg plan` has it, from the tokens of the tried rows.
        tried: Rows that had an example written.
        examples: Examples that would be written after all seeds.
        requests: Requests of all examples.
        output_tokens: Their output tokens.
        accepted: Rows that would be accepted. Where several examples are written after a seed, or
            many seeds are alike, duplicates make it fewer.
    """

    plan: SubtaskPlan
    tried: int
    examples: int
    requests: Interval
    output_tokens: Interval
    accepted: Interval

    def gpu_hours(self, tokens_per_second: float) -> Interval:
        """GPU-hours of all examples.

        Args:
            tokens_per_second: Output tokens per second of one GPU.
        """
        return self.output_tokens.divided_by(3600 * tokens_per_second)


def extrapolated(tryout: Tryout, seeds: int, examples_per_seed: int) -> Extrapolation:
    """The cost of all seeds, from the rows that had an example written.

    The tried rows are the first by rank, so they are a random sample of all. Answers that were in
    the log before count like new ones.

    Args:
        tryout: The tried rows.
        seeds: Number of the subtask's normalized examples.
        examples_per_seed: New examples per seed of the whole run.
    """
    rows = [row for row in tryout.rows if isinstance(row.normalized, Example)]
    examples = seeds * examples_per_seed
    generated, enriched = (_phase(rows, stage, examples) for stage in TEACHER_STAGES)
    return Extrapolation(
        plan=SubtaskPlan(
            task=tryout.spec.task,
            subtask=tryout.spec.key,
            seeds=seeds,
            roles=_loads(rows, examples),
            generated=generated,
            enriched=enriched,
        ),
        tried=len(rows),
        examples=examples,
        requests=sum_of([_requests(row) for row in rows], examples),
        output_tokens=sum_of([_output_tokens(row) for row in rows], examples),
        accepted=share_of(sum(row.is_accepted for row in rows), len(rows), examples),
    )


def sum_of(sample: Sequence[float], size: int) -> Interval:
    """The sum over all of `size` rows, by Student's t distribution.

    Args:
        sample: The values of a random sample of the rows.
        size: The number of all rows.
    """
    expected = size * fmean(sample or [0])
    if len(sample) < 2:
        return Interval(expected, 0.0, math.inf)
    from scipy.stats import t  # slow to import

    quantile = float(t.ppf((1 + CONFIDENCE) / 2, len(sample) - 1))
    margin = size * quantile * stdev(sample) / math.sqrt(len(sample))
    return Interval(expected, max(0.0, expected - margin), expected + margin)


def share_of(hits: int, tried: int, size: int) -> Interval:
    """How many of `size` rows have a property that `hits` of `tried` have, by Wilson's interval."""
    if not tried:
        return Interval(0.0, 0.0, float(size))
    from scipy.stats import binomtest

    bounds = binomtest(hits, tried).proportion_ci(CONFIDENCE, "wilson")
    return Interval(size * hits / tried, size * float(bounds.low), size * float(bounds.high))


def _phase(rows: Sequence[TriedRow], stage: Stage, examples: int) -> Phase:
    """What a stage would ask for all examples."""
    by_row = [row.exchanges(stage) for row in rows]
    share = len([exchanges for exchanges in by_row if exchanges]) / (len(rows) or 1)
    output = [sum(e.completion.output_tokens for e in exchanges) for exchanges in by_row]
    return Phase(
        rows=round(examples * share),
        requests=round(examples * fmean(map(len, by_row) if by_row else [0])),
        output_tokens=round(examples * fmean(output or [0])),
    )


def _loads(rows: Sequence[TriedRow], examples: int) -> dict[Role, Load]:
    """What each role would be asked for all examples."""
    by_role: dict[Role, list[Completion]] = {}
    for exchange in (e for row in rows for stage in TEACHER_STAGES for e in row.exchanges(stage)):
        by_role.setdefault(exchange.request.role, []).append(exchange.completion)
    times = examples / (len(rows) or 1)
    return {
        role: Load(
            requests=round(times * len(completions)),
            prompt_tokens=round(times * sum(each.prompt_tokens for each in completions)),
            output_tokens=round(times * sum(each.output_tokens for each in completions)),
        )
        for role, completions in by_role.items()
    }


def _requests(row: TriedRow) -> int:
    return sum(len(row.exchanges(stage)) for stage in TEACHER_STAGES)


def _output_tokens(row: TriedRow) -> int:
    exchanges = (e for stage in TEACHER_STAGES for e in row.exchanges(stage))
    return sum(exchange.completion.output_tokens for exchange in exchanges)
