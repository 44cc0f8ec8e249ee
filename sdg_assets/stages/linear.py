"""The linear program behind a plan of coverage."""

from __future__ import annotations

from collections.abc import Sequence

_SLACK = 1e-7


def fewest(
    costs: Sequence[float],
    limits: Sequence[float],
    gains: Sequence[Sequence[float]],
    missing: Sequence[float],
) -> tuple[list[float], list[float]]:
    """The cheapest amounts that leave as little missing as possible.

    Two programs, one after the other: the first finds how little can be left missing, the second
    the lowest cost at which no goal is left with more.

    Args:
        costs: Cost of one unit of each variable.
        limits: The most of each variable; `inf` for no limit.
        gains: Goal × variable: what one unit contributes to the goal.
        missing: What the amounts must contribute to each goal; negative where there is more than
            enough, and negative contributions must leave enough.

    Returns:
        The amount of each variable, and what stays missing of each goal.
    """
    import numpy as np
    from scipy.optimize import linprog  # half a second, which `sdg --help` must not take

    if not costs or not missing:
        return [0.0] * len(costs), [max(0.0, amount) for amount in missing]
    goals = np.hstack([np.asarray(gains), np.eye(len(missing))])
    bounds = [(0.0, limit) for limit in limits]
    nothing, ones = np.zeros(len(costs)), np.ones(len(missing))

    def solve(cost: object, slack: list[tuple[float, float | None]]) -> list[float]:
        result = linprog(
            cost, A_ub=-goals, b_ub=-np.asarray(missing), bounds=bounds + slack, method="highs"
        )
        assert result.success, result.message
        return [float(amount) for amount in result.x]

    first = solve(np.concatenate([nothing, ones]), [(0.0, None)] * len(missing))
    short = [max(0.0, amount) for amount in first[len(costs) :]]
    most: list[tuple[float, float | None]] = [(0.0, amount + _SLACK) for amount in short]
    second = solve(np.concatenate([np.asarray(costs), 0 * ones]), most)
    return [max(0.0, amount) for amount in second[: len(costs)]], short
