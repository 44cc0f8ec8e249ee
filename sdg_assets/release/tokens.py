"""Sizes of a release in tokens, counted while its rows are written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from sdg_assets.records import CuratedExample
from sdg_assets.teacher.tokenizer import NoTokenizer, Tokenizer
from sdg_assets.texts import VARIANTS

TEXTS_AT_ONCE = 2048
"""Texts that are tokenized together, on all cores: a few megabytes in memory."""
Dimension = Literal["family", "task", "domain"]
DIMENSIONS: tuple[Dimension, ...] = ("family", "task", "domain")


@dataclass(frozen=True, order=True)
class Cell:
    """The texts of one variant of one kind of rows."""

    family: str
    task: str
    domain: str
    variant: str


@dataclass
class Size:
    """Texts and their tokens."""

    texts: int = 0
    tokens: int = 0
    commercial_tokens: int = 0
    """The part of `tokens` that is in the commercial subset."""

    def add(self, other: Size) -> None:
        """Adds another size to this one."""
        self.texts += other.texts
        self.tokens += other.tokens
        self.commercial_tokens += other.commercial_tokens


@dataclass
class TokenSizes:
    """The sizes. Their memory does not grow with the rows."""

    tokenizer: Tokenizer | NoTokenizer
    cells: dict[Cell, Size] = field(default_factory=dict)
    lengths: dict[str, Counter[int]] = field(default_factory=dict)
    """Variant → texts by the bit length of their number of tokens: key n counts texts of 2^(n-1) to
    2^n - 1 tokens."""
    _waiting: list[tuple[Cell, bool, str]] = field(default_factory=list)

    @property
    def why_not(self) -> str:
        """Why nothing is counted; empty if it is."""
        return self.tokenizer.reason if isinstance(self.tokenizer, NoTokenizer) else ""

    def see(self, row: CuratedExample) -> None:
        """Counts all texts of a row."""
        if self.why_not:
            return
        for variant, text in row.text.items():
            cell = Cell(row.answer_kind.family, row.task, row.domain, variant)
            self._waiting.append((cell, row.commercial_use == "yes", text))
        if len(self._waiting) >= TEXTS_AT_ONCE:
            self.finish()

    def finish(self) -> None:
        """Counts the texts that still wait."""
        if not self._waiting or isinstance(self.tokenizer, NoTokenizer):
            return
        counts = self.tokenizer.count([text for _, _, text in self._waiting])
        for (cell, is_commercial, _), tokens in zip(self._waiting, counts, strict=True):
            size = Size(1, tokens, tokens if is_commercial else 0)
            self.cells.setdefault(cell, Size()).add(size)
            self.lengths.setdefault(cell.variant, Counter())[tokens.bit_length()] += 1
        self._waiting.clear()

    def of_variants(self) -> dict[str, Size]:
        """Variant → size of all its texts, in the order of the variants."""
        return self._summed(lambda _cell: "").get("", {})

    def by(self, dimension: Dimension) -> dict[str, dict[str, Size]]:
        """Value of the dimension → variant → size, sorted."""
        return self._summed(lambda cell: str(getattr(cell, dimension)))

    def _summed(self, key: Callable[[Cell], str]) -> dict[str, dict[str, Size]]:
        sums: dict[str, dict[str, Size]] = {}
        for cell, size in self.cells.items():
            sums.setdefault(key(cell), {}).setdefault(cell.variant, Size()).add(size)
        return {
            name: {variant: sizes[variant] for variant in VARIANTS if variant in sizes}
            for name, sizes in sorted(sums.items())
        }

    def histogram(self) -> dict[str, dict[str, int]]:
        """Range of lengths, as in `64–127` → variant → texts; the shortest first."""
        bits = sorted({bit for counts in self.lengths.values() for bit in counts})
        return {
            length_range(bit): {
                variant: self.lengths[variant][bit]
                for variant in VARIANTS
                if variant in self.lengths
            }
            for bit in bits
        }

    def entry(self) -> dict[str, Any]:
        """The sizes for a manifest."""
        if isinstance(self.tokenizer, NoTokenizer):
            return {"not_counted": self.tokenizer.reason}
        return {
            "tokenizer": {"model": self.tokenizer.name, "revision": self.tokenizer.revision},
            "variants": {variant: asdict(size) for variant, size in self.of_variants().items()},
            "cells": [
                {**asdict(cell), **asdict(size)} for cell, size in sorted(self.cells.items())
            ],
            "lengths": self.histogram(),
        }


def length_range(bit_length: int) -> str:
    """The numbers of so many bits, as text: `64–127` for 7."""
    low, high = 1 << max(bit_length - 1, 0), (1 << bit_length) - 1
    return f"{low:,}–{high:,}" if low < high else f"{high}"
