"""Publishing rows of one partition, in a directory or in a bucket."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest

from sdg_assets.records import Example, Rejection
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets.store.places import listing

KEY = PartitionKey("quiz", "normalized", "quiz")


def either(request: pytest.FixtureRequest) -> Store:
    """The store that the fixture's parameter names: "directory" or "bucket"."""
    if request.param == "directory":
        directory: Store = request.getfixturevalue("directory")
        return directory
    return Store(request.getfixturevalue("bucket"))


def publish(store: Store, accepted: Iterable[Example], rejected: Iterable[Rejection] = ()) -> None:
    with store.write(KEY) as out:
        for row in itertools.chain(accepted, rejected):
            out.put(row)


def refused(reason: str = "prompt debris") -> Rejection:
    return Rejection(gate="format", reason=reason, row={"question": "as an AI"})


def names(store: Store) -> list[str]:
    return sorted(file.name for file in listing(store.root))
