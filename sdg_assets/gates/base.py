"""A gate is one row-level test; a verdict is why it refused a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sdg_assets.examples import Example, Rejection


@dataclass(frozen=True)
class Refusal:
    """A gate's verdict on a row it does not let through."""

    gate: str
    reason: str
    detail: str = ""

    def rejection(self, row: Example) -> Rejection:
        """The row as it is kept beside the accepted ones."""
        return Rejection(
            gate=self.gate,
            reason=self.reason,
            detail=self.detail,
            row=row.model_dump(mode="json"),
        )


class Gate(Protocol):
    """A row → None (accepted) or a `Refusal`. May remember earlier rows of its partition."""

    def __call__(self, row: Example, /) -> Refusal | None:
        """Judges one row."""
        ...
