"""Seed sources: where raw rows come from – the Hub, a local mirror of it, or the embedded samples.

All three speak in the Hub's terms (dataset, config, split), so a mapping written for one fits all.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.errors import AbsentError, SeedSourceError
from sdg_assets.sources.hub import HubSource

# Records serialize no deeper than 255 levels; the deepest row of the catalog's datasets has 5.
DEEPEST = 100
EMBEDDED = Path(__file__).parent / "samples"
Row = dict[str, Any]


class SeedSource(Protocol):
    """Reads the rows of one split."""

    @property
    def name(self) -> str:
        """How settings name this source."""
        ...

    def revision(self, spec: SubtaskSpec) -> str:
        """What pins the rows: a hub commit, or a fingerprint of local files.

        Raises:
            SeedSourceError: The dataset is not there or not open to us.
        """
        ...

    def rows(self, spec: SubtaskSpec, split: str) -> Iterator[Row]:
        """Streams a split in its own order.

        Raises:
            SeedSourceError: The split is not there; says which are.
            TransientError: The network gave up.
        """
        ...

    def splits(self, spec: SubtaskSpec) -> list[str]:
        """The splits of the subtask's config.

        Raises:
            SeedSourceError: The dataset or its config is not there.
        """
        ...

    def configs(self, dataset: str) -> list[str]:
        """The configs of a dataset.

        Raises:
            SeedSourceError: The dataset is not there.
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
        raise SeedSourceError(f"SDG_SEED_SOURCE={setting}: {error}; write the path out") from error
    if not root.is_dir():
        raise SeedSourceError(
            f"SDG_SEED_SOURCE={setting}: {root.resolve()} is not a directory; it must hold "
            "<dataset>/<config>/<split>-*.parquet"
        )
    return DirectorySource(setting, root)


class DirectorySource:
    """A directory in the Hub's layout: `<dataset>/<config>/<split>-*.parquet` (or `.jsonl`)."""

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self._root = root

    def revision(self, spec: SubtaskSpec) -> str:
        """`local:` and a hash of the seed split's files."""
        digest = hashlib.sha256()
        for file in self._files(spec, spec.split):
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
        return f"local:{digest.hexdigest()[:16]}"

    def rows(self, spec: SubtaskSpec, split: str) -> Iterator[Row]:
        """Streams the files of a split, in the order of their names."""
        for file in self._files(spec, split):
            yield from _parquet_rows(file) if file.suffix == ".parquet" else _json_rows(file)

    def splits(self, spec: SubtaskSpec) -> list[str]:
        """The splits that have files."""
        files = [f for f in self._config(spec).iterdir() if f.suffix in (".parquet", ".jsonl")]
        return sorted({re.sub(r"-\d+-of-\d+$", "", file.stem) for file in files})

    def configs(self, dataset: str) -> list[str]:
        """The directories of a dataset."""
        directory = self._root / dataset
        if not directory.is_dir():
            raise AbsentError(f"{self.name} has no {dataset}; expected {directory}")
        return sorted(config.name for config in directory.iterdir() if config.is_dir())

    def _config(self, spec: SubtaskSpec) -> Path:
        dataset = self._root / spec.dataset
        config = dataset / spec.config
        if config.is_dir():
            return config
        # Copies made by hand call a dataset's only config `default` whatever the Hub calls it, and
        # the other way round.
        there = [d for d in dataset.iterdir() if d.is_dir()] if dataset.is_dir() else []
        if len(there) != 1 or "default" not in (there[0].name, spec.config):
            raise AbsentError(
                f"{spec.task}/{spec.key}: {self.name} has no {spec.dataset} (config {spec.config});"
                f" expected {config}. Choose another SDG_SEED_SOURCE, or another subtask"
            )
        return there[0]

    def _files(self, spec: SubtaskSpec, split: str) -> list[Path]:
        config = self._config(spec)
        # A digit after the dash: `train-*` would take the files of a split `train-hard` as well.
        patterns = (f"{split}-[0-9]*.parquet", f"{split}.parquet", f"{split}.jsonl")
        files = sorted(f for pattern in patterns for f in config.glob(pattern))
        if not files:
            there = ", ".join(self.splits(spec)) or "nothing"
            raise AbsentError(
                f"{spec.task}/{spec.key}: split {split!r} is absent from {config}; there: {there}"
            )
        return files


def _parquet_rows(file: Path) -> Iterator[Row]:
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as parquet:
            for batch in parquet.iter_batches(batch_size=1000):
                yield from batch.to_pylist()
    except (OSError, ValueError) as error:  # pyarrow's errors are subclasses of ValueError
        raise SeedSourceError(f"{file}: not readable as parquet: {error}") from error


def _json_rows(file: Path) -> Iterator[Row]:
    """The objects of a JSONL file; blank lines and a byte order mark are skipped.

    Raises:
        SeedSourceError: A line is no JSON object; names file and line.
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
            except ValueError as error:  # an integer of over 4,300 digits, too
                raise SeedSourceError(f"{file}:{number}: not JSON: {error}") from error
            if not isinstance(row, dict):
                raise SeedSourceError(
                    f"{file}:{number}: an object is expected, not {type(row).__name__}"
                )
            yield row


def _check_depth(value: object, levels: int) -> None:
    if levels < 0:
        raise RecursionError
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            _check_depth(inner, levels - 1)
