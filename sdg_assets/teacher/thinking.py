"""How a model thinks before it answers, as its card in `teachers.yaml` states it.

A thinking mode is `""` (the model's own default), `on`, `off`, or an effort such as `low`. A card
says which modes a model has, and by which template arguments or system text a mode is chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from sdg_assets.records import EFFORTS, Effort

Switch = dict[str, Any] | Annotated[str, Field(min_length=1)] | None
"""Arguments of the chat template, a text for the system turn, or nothing to say."""


@dataclass(frozen=True)
class Instruction:
    """What a prompt contains so that the model thinks, or does not."""

    template: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of the chat template."""
    system: str = ""
    """Text that opens the system turn."""


class SamplingAdvice(BaseModel):
    """Sampling that a model's makers recommend. None: they say nothing about it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=0)
    min_p: float | None = Field(default=None, ge=0, le=1)


class RecommendedSampling(BaseModel):
    """The makers' recommendations while the model thinks, and while it does not."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    thinking: SamplingAdvice = SamplingAdvice()
    answering: SamplingAdvice = SamplingAdvice()


class Thinking(BaseModel):
    """How a model thinks; a card without this part is of a model that does not."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    default: Literal["on", "off"] = Field(description="what it does if a prompt says nothing")
    switch: Literal["none", "template", "system"] = Field(
        description="how it is switched: not at all, by arguments of the chat template, or by a "
        "text that opens the system turn"
    )
    on: Switch = Field(default=None, description="what switches thinking on")
    off: Switch = Field(default=None, description="what switches thinking off")
    efforts: dict[Effort, Switch] = Field(
        default_factory=dict, description="effort → what asks for it"
    )
    parser: str = Field(
        min_length=1, description="vLLM's reasoning parser, which tells thought from answer"
    )
    max_tokens: PositiveInt = Field(description="token budget of a thought")
    budgets: dict[Effort, PositiveInt] = Field(
        default_factory=dict, description="effort → its token budget, if it has one of its own"
    )

    @model_validator(mode="before")
    @classmethod
    def _on_and_off_are_words(cls, value: Any) -> Any:  # noqa: ANN401 – as YAML gave it
        """YAML reads a bare `on` or `off` as a boolean, as key and as value."""
        if not isinstance(value, dict):
            return value
        words = {True: "on", False: "off"}
        named = {
            words.get(key, key) if isinstance(key, bool) else key: v for key, v in value.items()
        }
        if isinstance(default := named.get("default"), bool):
            named["default"] = words[default]
        return named

    @model_validator(mode="after")
    def _switches_agree(self) -> Self:
        if self.switch == "none" and (self.on is not None or self.off is not None):
            raise ValueError("switch is none, so there is no on or off")
        if self.switch != "none":
            other = "off" if self.default == "on" else "on"
            if getattr(self, other) is None:
                raise ValueError(
                    f"thinking is {self.default} by default: say what turns it {other}"
                )
        for name, value in self._switches.items():
            if value is not None and isinstance(value, str) != (self.switch == "system"):
                form = "a text" if self.switch == "system" else "template arguments (a mapping)"
                raise ValueError(f"{name}: must be {form}, as switch is {self.switch}")
        if unknown := sorted(self.budgets.keys() - self.efforts.keys()):
            raise ValueError(f"budgets: {', '.join(unknown)} is none of the model's efforts")
        return self

    @property
    def _switches(self) -> dict[str, Switch]:
        efforts = {str(effort): switch for effort, switch in self.efforts.items()}
        return {"on": self.on, "off": self.off, **efforts}

    @property
    def modes(self) -> tuple[str, ...]:
        """The modes that this model has."""
        switched = ("on", "off") if self.switch != "none" else (self.default,)
        return (*switched, *(effort for effort in EFFORTS if effort in self.efforts))

    def thinks(self, mode: str) -> bool:
        """Whether the model thinks in this mode."""
        return (mode or self.default) != "off"

    def budget(self, mode: str) -> int:
        """Most tokens of a thought in this mode; 0 if the model does not think."""
        if not self.thinks(mode):
            return 0
        own = (tokens for effort, tokens in self.budgets.items() if effort == mode)
        return next(own, self.max_tokens)

    @property
    def stated_budgets(self) -> str:
        """All budgets in one text, for the teacher's version: `8192`, or `8192,high:24576`."""
        of_efforts = (f"{effort}:{tokens}" for effort, tokens in sorted(self.budgets.items()))
        return ",".join([str(self.max_tokens), *of_efforts])

    def instruction(self, mode: str) -> Instruction:
        """What a prompt must contain for a mode; nothing for the default. An effort turns it on.

        Args:
            mode: One of `modes`, or empty.
        """
        value = self._switches.get(mode)
        if isinstance(value, str):
            return Instruction(system=value)
        on = self.on if mode in self.efforts and isinstance(self.on, dict) else {}
        return Instruction(template={**on, **(value or {})})


def thinks(thinking: Thinking | None, mode: str) -> bool:
    """Whether a model thinks in a mode; one whose card has no `thinking` never does."""
    return thinking is not None and thinking.thinks(mode)


def thought_budget(thinking: Thinking | None, mode: str) -> int:
    """Most tokens of a model's thought in a mode; 0 if it does not think."""
    return thinking.budget(mode) if thinking else 0


def mode_fault(thinking: Thinking | None, mode: str) -> str:
    """Why a model cannot do a mode; empty if it can.

    Args:
        thinking: The part `thinking` of its card, if it has one.
        mode: The mode that the settings ask for; empty if they ask for none.
    """
    if not mode or (thinking is None and mode == "off"):
        return ""
    if thinking is None:
        return (
            "its card in teachers.yaml has no `thinking`, so it is asked as one that cannot think"
        )
    if mode in thinking.modes:
        return ""
    return f"its card in teachers.yaml allows only {', '.join(thinking.modes)}"
