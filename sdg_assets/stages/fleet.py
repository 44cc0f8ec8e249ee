"""Forecasts how long a fleet of teachers needs for a plan, by simulating it.

Tokens ÷ speed is the least that a run can take. What comes on top is simulated: the rows' hashes
divide them unevenly, each replica loads its model for each stage, its last answers are written with
a batch that is no longer full, and a replica that fails loads again and writes again what was under
way. Answers that it had kept cost nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, quantiles

import numpy as np

RUNS = 200
"""Simulated runs. With so many, the slowest of twenty differs by a percent between two seeds."""
LONGEST = 3.0
"""The longest of thousands of answers, as a multiple of the mean one."""
SPREAD = 0.5
"""Standard deviation of a row's tokens, as a share of their mean."""
MOST_REPLICAS = 1024
PARTS = 20
"""One run of so many takes longer than `late_hours`."""


@dataclass(frozen=True)
class Fleet:
    """Replicas of a teacher that share the rows of each stage.

    Attributes:
        replicas: Their number.
        tokens_per_second: Output tokens per second of one replica, while its batch is full.
        batch: Requests that one replica computes together.
        load_seconds: From the start of its process to its first token.
        failures_per_day: How often one replica dies or is evicted.
    """

    replicas: int
    tokens_per_second: float
    batch: int = 256
    load_seconds: float = 300.0
    failures_per_day: float = 0.0


@dataclass(frozen=True)
class Phase:
    """The work of one stage, which begins when the stage before is done.

    Attributes:
        rows: Rows that make requests.
        requests: Requests of all rows.
        output_tokens: Output tokens of all requests.
        in_sequence: Most requests that one row makes one after the other.
    """

    rows: int
    requests: int
    output_tokens: int
    in_sequence: int = 1


@dataclass(frozen=True)
class Forecast:
    """How long a fleet needs for all phases.

    Attributes:
        hours: Wall clock, on average.
        late_hours: Wall clock that one run of twenty exceeds.
        replica_hours: Hours of all replicas together, on average. A replica that is done is given
            back.
        busy_share: Share of these hours in which tokens are written with a full batch.
    """

    hours: float
    late_hours: float
    replica_hours: float
    busy_share: float


def forecast(phases: Sequence[Phase], fleet: Fleet, seed: int = 0) -> Forecast:
    """Simulates the phases, one after the other.

    Args:
        phases: The stages' work, in order; empty ones take no time.
        fleet: The replicas.
        seed: Of the random numbers; equal seeds give equal forecasts.
    """
    random = np.random.default_rng(seed)
    phases = [phase for phase in phases if phase.rows and phase.output_tokens]
    runs = [[_simulated(phase, fleet, random) for phase in phases] for _ in range(RUNS)]
    walls = [sum(float(seconds.max()) for seconds in run) / 3600 for run in runs]
    totals = [sum(float(seconds.sum()) for seconds in run) / 3600 for run in runs]
    spent = fmean(totals)
    least = sum(phase.output_tokens for phase in phases) / fleet.tokens_per_second / 3600
    return Forecast(
        hours=fmean(walls),
        late_hours=quantiles(walls, n=PARTS)[-1],
        replica_hours=spent,
        busy_share=least / spent if spent else 1.0,
    )


def replicas_for(phases: Sequence[Phase], hours: float, fleet: Fleet) -> int | None:
    """The fewest replicas with which nineteen runs of twenty are done in time.

    Args:
        phases: The stages' work.
        hours: The time.
        fleet: What one replica is like; its number is not used.

    Returns:
        The number; None if not even `MOST_REPLICAS` are enough, for example because a teacher needs
        longer to load.
    """

    def is_enough(replicas: int) -> bool:
        return forecast(phases, replace(fleet, replicas=replicas)).late_hours <= hours

    if not is_enough(MOST_REPLICAS):
        return None
    too_few, enough = 0, 1
    while not is_enough(enough):
        too_few, enough = enough, min(2 * enough, MOST_REPLICAS)
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        too_few, enough = (too_few, middle) if is_enough(middle) else (middle, enough)
    return enough


def _simulated(phase: Phase, fleet: Fleet, random: np.random.Generator) -> np.ndarray:
    """The seconds that each replica works on a phase, shape (replicas,)."""
    each = phase.output_tokens / phase.rows
    rows = random.multinomial(phase.rows, [1 / fleet.replicas] * fleet.replicas)
    tokens = rows * each + np.sqrt(rows) * SPREAD * each * random.standard_normal(fleet.replicas)
    speed, one_answer = fleet.tokens_per_second, phase.output_tokens / phase.requests
    # When no new row is left, the rows under way have half their tokens to write. The longest of
    # them goes on alone, as fast as in the batch.
    longest = LONGEST * one_answer * phase.in_sequence
    tail = longest * fleet.batch / speed
    writing = np.maximum(tokens / speed - each / 2 * fleet.batch / speed, 0) + tail
    seconds = np.where(rows > 0, fleet.load_seconds + writing, 0.0)
    failures = random.poisson(seconds * fleet.failures_per_day / 86_400)
    lost = np.minimum(rows, fleet.batch) * one_answer / 2 / speed
    return np.asarray(seconds + failures * (fleet.load_seconds + lost))
