"""Groups held-out rows by a key, and by the text of one of their parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    Array = np.ndarray[Any, Any]

# If more held-out rows share a key or a text, only this many are compared with a row.
ROWS_OF_A_TEXT = 32


def ranges(firsts: Array, lengths: Array) -> Array:
    """The numbers first, first + 1, … of each range, one range after the other (int64)."""
    import numpy as np

    return np.repeat(firsts - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())


class RowsByKey:
    """Held-out rows, looked up by a key. Key 0 means "none" and is never looked up."""

    def __init__(self, keys: Array) -> None:
        """Takes the key of each held-out row (uint64)."""
        import numpy as np

        rows = np.flatnonzero(keys)
        order = np.argsort(keys[rows], kind="stable")
        self._rows = rows[order].astype(np.uint32)
        self._keys = keys[self._rows]

    def pairs(self, keys: Sequence[int]) -> tuple[Array, Array]:
        """Parallel arrays: a position in `keys`, and a held-out row that has this key."""
        import numpy as np

        wanted = np.array(keys, dtype=np.uint64)
        firsts = np.searchsorted(self._keys, wanted, "left")
        counts = np.searchsorted(self._keys, wanted, "right") - firsts
        counts = np.minimum(counts, ROWS_OF_A_TEXT)
        rows = self._rows[ranges(firsts, counts)].astype(np.int64)
        return np.repeat(np.arange(len(wanted)), counts), rows


class Part:
    """One part of all held-out rows: the text of each row, and the rows that share each text."""

    def __init__(self, keys: pl.Series, texts: Array) -> None:
        """Looks up each row's text.

        Args:
            keys: The key of this part of each held-out row; 0 for none.
            texts: The keys of all texts, ascending.
        """
        import numpy as np

        values = keys.to_numpy()
        self.text = np.where(values == 0, -1, np.searchsorted(texts, values))
        """For each held-out row, the position of its text among all texts; -1 for none."""
        order = np.argsort(self.text, kind="stable")
        self._rows = order[self.text[order] >= 0].astype(np.uint32)
        counts = np.bincount(self.text[self.text >= 0], minlength=len(texts))
        self._starts = np.append(0, np.cumsum(counts))
        self.is_used = counts > 0
        """For each text, whether a row has it as this part."""

    def weights(self, of_text: Array, rows: Array | slice = slice(None)) -> Array:
        """The weights of the texts of the given held-out rows; 0 for none."""
        import numpy as np

        text = self.text[rows]
        if not len(of_text):
            return np.zeros(len(text))
        return np.where(text >= 0, of_text[text], 0)

    def pairs(self, place: Array, text: Array) -> tuple[Array, Array]:
        """Parallel arrays: each place, and a held-out row that has the text given for the place."""
        import numpy as np

        firsts = self._starts[text]
        counts = np.minimum(self._starts[text + 1] - firsts, ROWS_OF_A_TEXT)
        rows = self._rows[ranges(firsts, counts)].astype(np.int64)
        return np.repeat(place, counts), rows

    def rows(self, text: int) -> Array:
        """The held-out rows that have a text, at most `ROWS_OF_A_TEXT` of them."""
        first, end = self._starts[text], self._starts[text + 1]
        return self._rows[first : min(end, first + ROWS_OF_A_TEXT)]
