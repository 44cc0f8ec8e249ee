"""Seed sources: raw rows come from the Hub, a local mirror of it, or the embedded samples.

All three use the Hub's terms (dataset, config, split), so one mapping works for all of them.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.catalog.seed_task import SPLIT_NAME
from sdg_assets.errors import AbsentError, SeedSourceError
from sdg_assets.sources.hub import HubSource

# Records can be serialized to a depth of 255 levels; the catalog's deepest row has 5.
DEEPEST = 100
EMBEDDED = Path(__file__).parent / "samples"
DATA_SUFFIXES = (".parquet", ".jsonl")
# The Hub's number of a shard: `-0`, `-00000-of-00001`, or `-00000-of-00001-b42a775f407cee45`.
_SHARD = re.compile(r"-\d+(-of-\d+(-[0-9a-f]+)?)?$")
# A numbering that `_SHARD` does not know, left in the name of what should be a split.
_OTHER_NUMBERING = re.compile(r"\d+[-_.]of[-_.]\d+|^\d+$")
Row = dict[str, Any]


class SeedSource(Protocol):
    """Reads the rows of one split."""

    @property
    def name(self) -> str:
        """The source's name in `SDG_SEED_SOURCE`."""
        ...

    def revision(self, spec: SubtaskSpec) -> str:
        """The version of the rows: a hub commit, or a fingerprint of local files.

        Raises:
            SeedSourceError: The dataset does not exist, or access to it is denied.
        """
        ...

    def rows(self, spec: SubtaskSpec, split: str) -> Iterator[Row]:
        """Streams the rows of a split, in their stored order.

        Raises:
            SeedSourceError: The split does not exist; the message lists those that do.
            TransientError: The Hub did not answer.
        """
        ...

    def splits(self, spec: SubtaskSpec) -> list[str]:
        """The splits of the subtask's config.

        Raises:
            SeedSourceError: The dataset or its config does not exist.
        """
        ...

    def configs(self, dataset: str) -> list[str]:
        """The configs of a dataset.

        Raises:
            SeedSourceError: The dataset does not exist.
        """
        ...


def open_source(setting: str) -> SeedSource:
    """The source that `SDG_SEED_SOURCE` names: `samples`, `hub` or `mirror:<dir>`.

    Raises:
        SeedSourceError: The mirror's directory does not exist.
    """
    if setting == "hub":
        return HubSource()
    if setting == "samples":
        return DirectorySource("samples", EMBEDDED)
    try:
        root = Path(setting.removeprefix("mirror:")).expanduser()
    except RuntimeError as error:
        raise SeedSourceError(f"SDG_SEED_SOURCE={setting}: {error}; give a full path") from error
    if not root.is_dir():
        raise SeedSourceError(
            f"SDG_SEED_SOURCE={setting}: {root.resolve()} is not a directory; it must hold "
            "<dataset>/<config>/<split>-*.parquet"
        )
    return DirectorySource(setting, root)


def local_source(setting: str) -> DirectorySource | None:
    """The directory that `SDG_SEED_SOURCE` names; None for the Hub, or if it is not mounted here.

    For questions that must not need a network. A pod that only publishes may lack the mirror.
    """
    if setting == HubSource.name:
        return None
    try:
        source = open_source(setting)
    except SeedSourceError:
        return None
    return source if isinstance(source, DirectorySource) else None


class DirectorySource:
    """A directory in the Hub's layout: `<dataset>/<config>/<split>-*.parquet` (or `.jsonl`)."""

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self._root = root

    def revision(self, spec: SubtaskSpec) -> str:
        """`local:` and 16 hex digits of the hash of the seed split's files."""
        digest = hashlib.sha256()
        for file in self._files(spec, spec.split):
            stat = file.stat()
            digest.update(_file_digest(file, stat.st_size, stat.st_mtime_ns))
        return f"local:{digest.hexdigest()[:16]}"

    def rows(self, spec: SubtaskSpec, split: str) -> Iterator[Row]:
        """Streams the rows of a split's files, in the order of the file names."""
        for file in self._files(spec, split):
            yield from parquet_rows(file) if file.suffix == ".parquet" else json_rows(file)

    def splits(self, spec: SubtaskSpec) -> list[str]:
        """The splits that have files, sorted."""
        return sorted(self._files_by_split(spec))

    def configs(self, dataset: str) -> list[str]:
        """The dataset's directories, one per config, sorted."""
        directory = self._root / dataset
        if not directory.is_dir():
            raise AbsentError(f"{self.name} has no {dataset}; expected {directory}")
        return sorted(config.name for config in _folders(directory))

    def _config(self, spec: SubtaskSpec) -> Path:
        dataset = self._root / spec.dataset
        config = dataset / spec.config
        if config.is_dir():
            return config
        # In a copy made by hand, a dataset's only config may be called `default` although the Hub
        # has another name for it, or the reverse.
        configs = _folders(dataset) if dataset.is_dir() else []
        if len(configs) != 1 or "default" not in (configs[0].name, spec.config):
            raise AbsentError(
                f"{spec.task}/{spec.key}: {self.name} has no {spec.dataset} (config {spec.config});"
                f" expected {config}. Choose another SDG_SEED_SOURCE, or another subtask"
            )
        return configs[0]

    def _files(self, spec: SubtaskSpec, split: str) -> list[Path]:
        by_split = self._files_by_split(spec)
        if split not in by_split:
            splits = ", ".join(sorted(by_split)) or "none"
            raise AbsentError(
                f"{spec.task}/{spec.key}: split {split!r} is absent from {self._config(spec)}; its "
                f"splits: {splits}"
            )
        return by_split[split]

    def _files_by_split(self, spec: SubtaskSpec) -> dict[str, list[Path]]:
        """Split → its files, in the order of their names."""
        files: dict[str, list[Path]] = {}
        for file in sorted(self._config(spec).iterdir()):
            if file.suffix in DATA_SUFFIXES and not file.name.startswith("."):
                files.setdefault(split_of(file), []).append(file)
        return files


def split_of(file: Path) -> str:
    """The split that a data file belongs to, by its name without the number of a shard.

    Seeds and held-out rows are both found by this function. When each had a rule of its own, files
    such as `test-0.parquet` were read as seeds, but counted as absent when held-out rows were
    hashed: every held-out row could have become a seed.

    Raises:
        SeedSourceError: The name does not tell the split.
    """
    split = _SHARD.sub("", file.stem)
    if not re.fullmatch(SPLIT_NAME, split) or _OTHER_NUMBERING.search(split):
        raise SeedSourceError(
            f"{file}: the name does not tell the split; name it <split>{file.suffix}, "
            f"<split>-0{file.suffix} or <split>-00000-of-00001{file.suffix}, or move it away"
        )
    return split


def _folders(directory: Path) -> list[Path]:
    """The folders in a directory, without hidden ones: `hf download` leaves a `.cache`."""
    return [d for d in directory.iterdir() if d.is_dir() and not d.name.startswith(".")]


@lru_cache(maxsize=1 << 16)
def _file_digest(file: Path, size: int, modified: int) -> bytes:
    """SHA-256 of a file, once per process and state: every partition asks for all benchmarks."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").digest()


def parquet_rows(file: Path) -> Iterator[Row]:
    """The rows of a Parquet file.

    Raises:
        SeedSourceError: The file is not readable.
    """
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as parquet:
            for batch in parquet.iter_batches(batch_size=1000):
                yield from batch.to_pylist()
    except (OSError, ValueError) as error:  # pyarrow's errors are subclasses of ValueError
        raise SeedSourceError(f"{file}: not readable as parquet: {error}") from error


def json_rows(file: Path) -> Iterator[Row]:
    """The objects of a JSONL file; blank lines and a byte order mark are skipped.

    Raises:
        SeedSourceError: A line is not a JSON object; the message names the file and the line.
    """
    with file.open("rb") as lines:
        for number, raw in enumerate(lines, start=1):
            if not (line := raw.removeprefix(codecs.BOM_UTF8).strip()):
                continue
            try:
                row = json.loads(line.decode("utf-8"))
                _check_depth(row, DEEPEST)
            except UnicodeDecodeError as error:
                raise SeedSourceError(
                    f"{file}:{number}: not UTF-8 at byte {error.start}; convert the file"
                ) from error
            except RecursionError as error:
                raise SeedSourceError(
                    f"{file}:{number}: nested more than {DEEPEST} levels deep; flatten the row"
                ) from error
            except ValueError as error:  # also an integer of more than 4,300 digits
                raise SeedSourceError(f"{file}:{number}: not JSON: {error}") from error
            if not isinstance(row, dict):
                raise SeedSourceError(
                    f"{file}:{number}: expected a JSON object, not {type(row).__name__}"
                )
            yield row


def _check_depth(value: object, levels: int) -> None:
    if levels < 0:
        raise RecursionError
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            _check_depth(inner, levels - 1)
