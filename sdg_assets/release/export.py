"""A release as pretraining teams feed it: one text a row, shuffled, in shards of a size.

Each line is `{"text": …, "id": …, "task": …, "license": …}`: Megatron and NeMo read the key `text`,
`datasets` all of them. Families are written apart, because mixing them is left to the user.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any

from sdg_assets.errors import PermanentError
from sdg_assets.release.configs import COMMERCIAL, FAMILIES
from sdg_assets.release.shards import read_shards
from sdg_assets.store.places import Place

BUCKETS = 256
"""Files that the rows are scattered over before each is shuffled in memory: with 100 GB of texts a
bucket has 400 MB."""
COLUMNS = ("id", "task", "license", "text")


@dataclass(frozen=True)
class Exported:
    """What was written of one family."""

    family: str
    files: list[Path]
    rows: int
    without: int
    """Rows that have no text of this variant."""
    characters: int


def export(
    release: Place,
    to: Path,
    *,
    variant: str,
    commercial: bool = False,
    seed: int = 0,
    bytes_per_shard: int = 256 << 20,
) -> list[Exported]:
    """Writes the texts of one variant, each family into a folder of its own.

    The order depends on `seed` and the rows' ids alone, so the same release gives the same bytes.

    Args:
        release: The release's directory or prefix.
        to: The directory; it is created, and must be empty.
        variant: The key of `text`: `answer_only`, `with_reasoning` or `with_context`.
        commercial: Whether to export only the commercial subset.
        seed: Shuffles the rows.
        bytes_per_shard: Bytes after which a new shard is started.

    Raises:
        PermanentError: The directory is not empty, or no row has such a text.
    """
    to.mkdir(parents=True, exist_ok=True)
    if any(to.iterdir()):
        raise PermanentError(f"{to}: is not empty; name an empty directory for the export")
    written = [
        exported
        for family in FAMILIES
        if (exported := _family(release, to, family, variant, commercial, seed, bytes_per_shard))
    ]
    if not any(exported.rows for exported in written):
        raise PermanentError(
            f"{release}: no row{' for commercial use' if commercial else ''} has a text "
            f"{variant}; see the release's card for the variants that there are"
        )
    return written


def _family(
    release: Place,
    to: Path,
    family: str,
    variant: str,
    commercial: bool,
    seed: int,
    bytes_per_shard: int,
) -> Exported | None:
    folder = f"{COMMERCIAL}/{family}" if commercial else family
    rows = without = characters = 0
    with tempfile.TemporaryDirectory(dir=to) as scratch, ExitStack() as opened:
        buckets = [
            opened.enter_context((Path(scratch) / f"{n}.jsonl").open("wb")) for n in range(BUCKETS)
        ]
        for row in _rows(release, folder):
            text = row["text"].get(variant)
            if not text:
                without += 1
                continue
            key = blake2b(f"{seed}:{row['id']}".encode(), digest_size=8).digest()
            line = json.dumps({**row, "text": text}, ensure_ascii=False, sort_keys=True)
            buckets[key[0]].write(line.encode() + b"\n")
            rows += 1
            characters += len(text)
        files = _shards(to / family, buckets, seed, bytes_per_shard)
    if not rows + without:
        return None
    return Exported(family, files, rows, without, characters)


def _rows(release: Place, folder: str) -> Iterator[dict[str, Any]]:
    for frame in read_shards(release, folder, COLUMNS):
        yield from frame.iter_rows(named=True)


def _shards(
    folder: Path, buckets: Sequence[IO[bytes]], seed: int, bytes_per_shard: int
) -> list[Path]:
    """Shuffles bucket by bucket, and writes the lines into shards with their final names."""
    folder.mkdir()
    parts: list[Path] = []
    shard: IO[bytes] | None = None
    with ExitStack() as opened:
        for number, bucket in enumerate(buckets):
            bucket.close()
            lines = sorted(Path(bucket.name).read_bytes().splitlines(keepends=True))
            random.Random(f"{seed}:{number}").shuffle(lines)  # noqa: S311 – no secret
            for line in lines:
                if shard is None or shard.tell() >= bytes_per_shard:
                    parts.append(folder / f"part-{len(parts):05}.jsonl")
                    shard = opened.enter_context(parts[-1].open("wb"))
                shard.write(line)
    names = [
        part.with_name(f"text-{n:05}-of-{len(parts):05}.jsonl") for n, part in enumerate(parts)
    ]
    for part, name in zip(parts, names, strict=True):
        part.rename(name)
    if not names:
        folder.rmdir()
    return names
