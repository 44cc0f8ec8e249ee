"""Forecasts how long a fleet of teachers needs for a plan, by simulating it.

Tokens ÷ speed is the least that a run can take. What comes on top is simulated (`simulation`): the
rows' hashes divide them unevenly, each replica loads its model for each stage, the last answers are
written with a batch that is no longer full, and a replica that fails loads again and writes again
what was under way. Answers that it had kept cost nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, quantiles

import numpy as np

from sdg_assets.stages.simulation import Pace, events_of, simulate

EVENTS = 500_000
"""Rows that are simulated one by one for a forecast, which takes about 0.3 s."""
LEAST_RUNS, MOST_RUNS = 20, 200
"""Simulated runs. With 200, the slowest of twenty differs by a percent between two seeds."""
MOST_REPLICAS = 1024
PARTS = 20
"""One run of so many takes longer than `late_hours`."""
DAY = 86_400.0


@dataclass(frozen=True)
class Fleet:
    """Replicas of a teacher that share the rows of each stage.

    Attributes:
        replicas: Their number.
        tokens_per_second: Output tokens per second of one replica, while its batch is full.
        batch: Requests that one replica computes together.
        load_seconds: From the start of its process to its first token.
        failures_per_day: How often one replica dies or is evicted.
        restart_seconds: From a failure to the start of the next process; Kubernetes waits 10 s.
        spread: Standard deviation of an answer's tokens, as a share of their mean.
    """

    replicas: int
    tokens_per_second: float
    batch: int = 256
    load_seconds: float = 300.0
    failures_per_day: float = 0.0
    restart_seconds: float = 10.0
    spread: float = 0.5


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
        tail_hours: The part of `hours` in which a replica is done and others are not, on average.
        replica_hours: Hours of all replicas together, on average. A replica that is done is given
            back.
        busy_share: Share of these hours in which tokens are written with a full batch.
    """

    hours: float
    late_hours: float
    tail_hours: float
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
    runs = [
        [seconds_of(phase, fleet, random) for phase in phases] for _ in range(_runs(phases, fleet))
    ]
    walls = [sum(float(seconds.max()) for seconds in run) / 3600 for run in runs]
    totals = [sum(float(seconds.sum()) for seconds in run) / 3600 for run in runs]
    tails = [sum(float(np.ptp(seconds[seconds > 0])) for seconds in run) / 3600 for run in runs]
    spent = fmean(totals)
    least = sum(phase.output_tokens for phase in phases) / fleet.tokens_per_second / 3600
    return Forecast(
        hours=fmean(walls),
        late_hours=quantiles(walls, n=PARTS)[-1],
        tail_hours=fmean(tails),
        replica_hours=spent,
        busy_share=least / spent if spent else 1.0,
    )


def seconds_of(
    phase: Phase,
    fleet: Fleet,
    random: np.random.Generator,
    failures: Sequence[Sequence[float]] | None = None,
) -> np.ndarray:
    """The seconds after which each replica has done its share of a phase; 0 where it has no row.

    Args:
        phase: The work.
        fleet: The replicas.
        random: Draws the shares, the lengths of answers and the failures.
        failures: The seconds at which each replica fails, ascending; None: drawn.
    """
    shares = random.multinomial(phase.rows, [1 / fleet.replicas] * fleet.replicas)
    pace = _pace(phase, fleet)
    return np.array(
        [
            simulate(
                rows,
                pace,
                failure_times(fleet, random) if failures is None else iter(failures[number]),
                random,
            )
            for number, rows in enumerate(shares.tolist())
        ]
    )


def failure_times(fleet: Fleet, random: np.random.Generator) -> Iterator[float]:
    """Draws the seconds at which one replica fails, in ascending order, without end."""
    seconds = 0.0
    while fleet.failures_per_day:
        seconds += random.exponential(DAY / fleet.failures_per_day)
        yield seconds


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

    for_writing = hours - fleet.load_seconds / 3600 * sum(phase.rows > 0 for phase in phases)
    tokens = sum(phase.output_tokens for phase in phases)
    if for_writing <= 0:
        return None
    least = math.ceil(tokens / fleet.tokens_per_second / 3600 / for_writing)
    too_few, enough = max(0, least - 1), max(1, least)
    while enough <= MOST_REPLICAS and not is_enough(enough):
        too_few, enough = enough, 2 * enough
    if enough > MOST_REPLICAS:
        return None
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        too_few, enough = (too_few, middle) if is_enough(middle) else (middle, enough)
    return enough


def _runs(phases: Sequence[Phase], fleet: Fleet) -> int:
    """How many runs are simulated: fewer of large fleets, whose shares differ less."""
    share = [math.ceil(phase.rows / fleet.replicas) for phase in phases]
    events = fleet.replicas * sum(events_of(rows, fleet.batch) for rows in share)
    return min(MOST_RUNS, max(LEAST_RUNS, EVENTS // max(1, events)))


def _pace(phase: Phase, fleet: Fleet) -> Pace:
    """How a replica works on rows of a phase.

    A row makes its requests in waves, one wave after the other. The requests of a wave are under
    way together, so that fewer rows are under way than requests.
    """
    a_row = phase.requests / phase.rows
    waves = max(1, min(phase.in_sequence, round(a_row)))
    slots = max(1, round(fleet.batch / max(1.0, a_row / waves)))
    tokens = phase.output_tokens / phase.rows
    return Pace(
        slots=slots,
        row_seconds=slots * tokens / fleet.tokens_per_second,
        links=waves,
        spread=fleet.spread / math.sqrt(waves),
        load_seconds=fleet.load_seconds,
        restart_seconds=fleet.restart_seconds,
    )
