"""The rows that a page shows: those of a partition or of a release, as files of JSON lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sdg_assets.browse.columns import ACCEPTED, REFUSED
from sdg_assets.records import Stage
from sdg_assets.release.configs import FAMILIES
from sdg_assets.release.published import Published
from sdg_assets.store.disk import clear_errors
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets.store.places import Place

REJECTED = "rejected"


@dataclass(frozen=True)
class Part:
    """A file of a table, with one row a line."""

    place: Place
    state: str
    """`ACCEPTED` or `REFUSED`."""
    sha256: str
    """Of the content, as the manifest says."""


@dataclass(frozen=True)
class Table:
    """The rows of a partition's version or of a release: accepted ones first, then refused ones."""

    name: str
    """`task/stage/subtask`, or the release's id."""
    stage: Stage
    version: str
    """Changes whenever the rows may be others."""
    parts: Sequence[Part]
    accepted: int
    refused: int

    @property
    def rows(self) -> int:
        """Number of all rows."""
        return self.accepted + self.refused

    def head(self, count: int) -> Iterator[tuple[Part, bytes]]:
        """The first lines of the table, each with the file that it stands in."""
        for part in self.parts:
            with clear_errors(str(part.place)), part.place.open("rb") as file:
                for line in file:
                    if count <= 0:
                        return
                    yield part, line
                    count -= 1


def partition_table(store: Store, key: PartitionKey) -> Table:
    """The table of a partition's published version.

    Raises:
        StoreError: The partition is not published, or its manifest is corrupt.
    """
    store = store.pinned([key])
    manifest = store.manifest(key)
    return Table(
        name=str(key),
        stage=Stage(key.stage),
        version=manifest.version,
        parts=(
            Part(store.path(key), ACCEPTED, manifest.sha256),
            Part(store.rejected_path(key), REFUSED, manifest.rejected_sha256),
        ),
        accepted=manifest.rows,
        refused=sum(manifest.rejected.values()),
    )


def release_table(release: Published) -> Table:
    """The table of a release: the JSON lines beside its Parquet files, which hold the same rows."""
    files: Mapping[str, str] = release.manifest.get("files", {})

    def parts(folder: str, state: str) -> list[Part]:
        names = sorted(n for n in files if n.startswith(f"{folder}/") and n.endswith(".jsonl"))
        return [Part(_below(release.place, name), state, files[name]) for name in names]

    return Table(
        name=release.id,
        stage=Stage.CURATED,
        version=release.id,
        parts=[
            *(part for family in FAMILIES for part in parts(family, ACCEPTED)),
            *parts(REJECTED, REFUSED),
        ],
        accepted=release.rows,
        refused=sum(release.manifest.get("rejected", {}).values()),
    )


def read_range(place: Place, start: int, size: int) -> bytes:
    """Some bytes of a file.

    Raises:
        SdgError: It cannot be read.
    """
    if isinstance(place, Path):
        with clear_errors(place), place.open("rb") as file:
            file.seek(start)
            return file.read(size)
    return place.read_range(start, start + size)


def _below(place: Place, name: str) -> Place:
    for part in name.split("/"):
        place = place / part
    return place
