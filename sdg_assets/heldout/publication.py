"""Writes the hashes of held-out splits into a store."""

from __future__ import annotations

from dataclasses import dataclass

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.heldout.freshness import FINGERPRINT, fingerprint_of
from sdg_assets.heldout.protection import empty_splits, missing_splits
from sdg_assets.heldout.splits import HeldoutRows
from sdg_assets.heldout.vectors import QuestionVectors
from sdg_assets.sources.source import SeedSource
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets.store.places import Place


@dataclass(frozen=True)
class Hashes:
    """The hashes that were published."""

    rows: int
    texts: int
    size: int
    """Bytes."""
    path: Place
    attached: dict[str, str]
    """Name of each file → its SHA-256 in hex."""


def heldout_rows(
    spec: SubtaskSpec, source: SeedSource, vectors: QuestionVectors | None = None
) -> HeldoutRows:
    """Hashes the held-out splits of a subtask.

    Args:
        spec: The subtask.
        source: The source that they are read from.
        vectors: Collects the questions' embeddings; None: there is no embedder.

    Raises:
        SeedSourceError: The source has a split, but access is denied.
        TransientError: The network failed.
    """
    rows = HeldoutRows(vectors)
    for split in spec.heldout_splits:
        rows.add(spec, split, source)
    return rows


def publish_hashes(store: Store, key: PartitionKey, rows: HeldoutRows, source: str) -> Hashes:
    """Publishes the hashes of one subtask or benchmark.

    Args:
        store: The store to write to.
        key: Their partition, from `heldout_key`.
        rows: The hashed rows.
        source: The seed source that they were read from.
    """
    tables = rows.tables()
    with store.write(key) as out:
        for split in rows.splits:
            out.accept(split)
        attachments = tables.to_bytes()
        out.info = {
            "rows": len(tables.rows),
            "splits": len(rows.splits),
            "missing": missing_splits(rows.splits),
            "empty": empty_splits(rows.splits),
            "source": source,
            FINGERPRINT: fingerprint_of(rows.splits),
        }
        if rows.vectors is not None:
            file, entry = rows.vectors.attachment()
            attachments |= file
            out.info |= entry
        out.attachments.update(attachments)
    return Hashes(
        rows=len(tables.rows),
        texts=len(tables.texts),
        size=sum(map(len, attachments.values())),
        path=out.path,
        attached=store.manifest(key).attached,
    )
