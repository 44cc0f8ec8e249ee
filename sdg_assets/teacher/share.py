"""Divides rows among processes that fill the same partitions at the same time."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

from sdg_assets.errors import PermanentError


@dataclass(frozen=True)
class Share:
    """The rows of one of several processes: each row belongs to exactly one of them.

    Attributes:
        index: The number of the process, from 0.
        of: The number of processes.

    Raises:
        PermanentError: There is no such process.
    """

    index: int
    of: int

    def __post_init__(self) -> None:
        """Checks that the process is one of them."""
        if not 0 <= self.index < self.of:
            raise PermanentError(
                f"index {self.index} of {self.of}: the indexes are 0 to {self.of - 1}"
            )

    def __str__(self) -> str:
        """`3 of 16`."""
        return f"{self.index} of {self.of}"

    def holds(self, row_id: str) -> bool:
        """Whether the row belongs to this process. It depends on the row's id alone."""
        # Ids are hashes, but a row may also have one that a person wrote.
        digest = blake2b(row_id.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.of == self.index


WHOLE = Share(0, 1)
"""All rows: one process does it all."""
