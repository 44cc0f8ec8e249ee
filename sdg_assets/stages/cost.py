"""What the answers behind a subtask's rows cost: tokens, GPU-seconds and money, by teacher.

All answers count, whenever they were paid for: those of earlier runs are in the completion log.
GPU-seconds are measured where a teacher runs in the step's own process, from its first request to
its last answer, without the time in which it loads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sdg_assets.errors import PermanentError
from sdg_assets.prices import Price
from sdg_assets.records import Role, Stage
from sdg_assets.settings import Settings
from sdg_assets.stages.stage import ROW_STAGES
from sdg_assets.store.manifest import Manifest
from sdg_assets.teacher.models import teacher_cards


@dataclass(frozen=True)
class Cost:
    """What one teacher was asked in one role."""

    role: Role
    model: str
    requests: int
    prompt_tokens: int
    output_tokens: int
    gpu_seconds: float | None
    """None: unknown for at least one answer."""

    @property
    def tokens(self) -> int:
        """Tokens of prompts and answers."""
        return self.prompt_tokens + self.output_tokens

    def __add__(self, other: Cost) -> Cost:
        """The cost of both, as one of this role and model."""
        measured = [self.gpu_seconds, other.gpu_seconds]
        return Cost(
            self.role,
            self.model,
            self.requests + other.requests,
            self.prompt_tokens + other.prompt_tokens,
            self.output_tokens + other.output_tokens,
            None if None in measured else sum(filter(None, measured)),
        )


@dataclass(frozen=True)
class PriceList:
    """The prices of a deployment's teachers, by model."""

    currency: str = ""
    """Empty: no prices are set."""
    by_model: Mapping[str, Price] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings) -> PriceList:
        """The prices in the settings.

        Raises:
            PermanentError: Two entries are for the same model, or `teachers.yaml` is malformed.
        """
        if settings.prices is None:
            return cls()
        cards, by_model = teacher_cards(settings.catalog), dict[str, Price]()
        for name, price in settings.prices.teachers.items():
            model = cards[name].model if name in cards else name
            if model in by_model:
                raise PermanentError(f"SDG_PRICES: {name} is the model {model}, which has a price")
            by_model[model] = price
        return cls(settings.prices.currency, by_model)

    def money(self, costs: Iterable[Cost]) -> float | None:
        """What all of it costs; None if the price of a part is unknown."""
        amounts = [self._money(cost) for cost in costs]
        known = [amount for amount in amounts if amount is not None]
        return sum(known) if self.currency and len(known) == len(amounts) else None

    def why_unknown(self, costs: Iterable[Cost]) -> str:
        """Why `money` is None, as a sentence."""
        unknown = [cost for cost in costs if self._money(cost) is None]
        unpriced = sorted({c.model for c in unknown if c.model not in self.by_model})
        if unpriced:
            return f"SDG_PRICES has no price of {', '.join(unpriced)}"
        models = ", ".join(sorted({cost.model for cost in unknown}))
        return f"the GPU-seconds of {models} are unknown, so give the prices of its tokens"

    def _money(self, cost: Cost) -> float | None:
        price = self.by_model.get(cost.model)
        if price is None:
            return None
        return price.money(cost.prompt_tokens, cost.output_tokens, cost.gpu_seconds)


def costs_of(manifests: Mapping[Stage, Manifest]) -> list[Cost]:
    """The cost of a subtask's rows, a line for each role.

    With `target_accepted`, `generated` asks all roles, and `enriched` finds the same answers in the
    log: the last stage that has a role counts.

    Args:
        manifests: The manifests of its stages.
    """
    by_role: dict[Role, Cost] = {}
    for stage in ROW_STAGES:
        usage = manifests[stage].info.get("usage", {}) if stage in manifests else {}
        for role, entry in usage.get("roles", {}).items():
            by_role[Role(role)] = _cost(role, entry)
    return list(by_role.values())


def by_teacher(costs: Iterable[Cost]) -> list[Cost]:
    """The costs of several subtasks, one line for each role and model."""
    summed: dict[tuple[Role, str], Cost] = {}
    for cost in costs:
        key = cost.role, cost.model
        summed[key] = summed[key] + cost if key in summed else cost
    return list(summed.values())


def total_gpu_seconds(costs: Iterable[Cost]) -> float | None:
    """GPU-seconds of all of it; None if those of a part are unknown."""
    seconds = [cost.gpu_seconds for cost in costs]
    return None if None in seconds else sum(filter(None, seconds))


def _cost(role: str, entry: Mapping[str, Any]) -> Cost:
    """A role's cost, from `Usage.plain`: of the answers that were new, and of those in the log."""
    model = entry["model"]
    new, kept = (Cost(role=Role(role), model=model, **entry[part]) for part in ("new", "kept"))
    return new + kept
