"""Seed sources: where raw rows come from – the Hub, a local mirror of it, or the embedded samples.

All three speak in the Hub's terms (dataset, config, split), so a mapping written for one fits all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.errors import SeedSourceError, TransientError

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


def open_source(setting: str) -> SeedSource:
    """The source that `SDG_SEED_SOURCE` names: `samples`, `hub` or `mirror:<dir>`.

    Raises:
        SeedSourceError: The mirror's directory does not exist.
    """
    if setting == "hub":
        return HubSource()
    if setting == "samples":
        return DirectorySource("samples", EMBEDDED)
    root = Path(setting.removeprefix("mirror:")).expanduser()
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

    def _files(self, spec: SubtaskSpec, split: str) -> list[Path]:
        config = self._root / spec.dataset / spec.config
        if not config.is_dir():
            raise SeedSourceError(
                f"{spec.task}/{spec.key}: {self.name} has no {spec.dataset} (config {spec.config});"
                f" expected {config}. Choose another SDG_SEED_SOURCE, or another subtask"
            )
        files = sorted(
            f
            for pattern in (f"{split}-*.parquet", f"{split}.parquet", f"{split}.jsonl")
            for f in config.glob(pattern)
        )
        if not files:
            there = sorted(
                {f.stem.split("-0")[0] for f in config.iterdir() if not f.name.startswith(".")}
            )
            raise SeedSourceError(
                f"{spec.task}/{spec.key}: split {split!r} is absent from {config}; "
                f"there: {', '.join(there) or 'nothing'}"
            )
        return files


class HubSource:
    """The Hugging Face Hub, streamed, at a pinned commit."""

    name = "hub"

    def __init__(self) -> None:
        self._commits: dict[str, str] = {}

    def revision(self, spec: SubtaskSpec) -> str:
        """The commit that the dataset's branch points to now; the same for the whole process."""
        if spec.dataset not in self._commits:
            from huggingface_hub import HfApi

            with _HubErrors(spec):
                info = HfApi().dataset_info(spec.dataset, revision=spec.hub_revision)
                self._commits[spec.dataset] = str(info.sha)
        return self._commits[spec.dataset]

    def rows(self, spec: SubtaskSpec, split: str) -> Iterator[Row]:
        """Streams a split; a script dataset is read from the Hub's parquet conversion of it."""
        with _HubErrors(spec):
            yield from self._open(spec, split)

    def _open(self, spec: SubtaskSpec, split: str) -> Iterator[Row]:
        import datasets

        commit = self.revision(spec)
        if spec.hub_files:
            files = spec.hub_files.format(config=spec.config, split=split)
            url = f"hf://datasets/{spec.dataset}@{commit}/{files}"
            kind = Path(files).suffix.lstrip(".").replace("jsonl", "json").replace("tsv", "csv")
            return iter(datasets.load_dataset(kind, data_files=url, split="train", streaming=True))
        config = None if spec.config == "default" else spec.config
        try:
            return iter(
                datasets.load_dataset(
                    spec.dataset, config, split=split, streaming=True, revision=commit
                )
            )
        except RuntimeError as error:
            if "scripts are no longer supported" not in str(error):
                raise
            return iter(
                datasets.load_dataset(
                    spec.dataset,
                    config,
                    split=split,
                    streaming=True,
                    revision="refs/convert/parquet",
                )
            )


class _HubErrors:
    """Turns what the Hub's libraries raise into our two kinds of errors."""

    def __init__(self, spec: SubtaskSpec) -> None:
        self._spec = spec

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: object
    ) -> None:
        if not isinstance(error, Exception):
            return
        spec, text = self._spec, " ".join(str(error).split())
        names = {c.__name__ for c in type(error).__mro__}
        if "GatedRepoError" in names or "gated" in text.lower():
            raise SeedSourceError(
                f"{spec.where}: gated on the Hub. Accept its licence at "
                f"https://huggingface.co/datasets/{spec.dataset} and set HF_TOKEN to a token of "
                "that account"
            ) from error
        missing = {"RepositoryNotFoundError", "DatasetNotFoundError", "RevisionNotFoundError"}
        if names & missing:
            raise SeedSourceError(
                f"{spec.where}: not found on the Hub: {text}. If it is private, set HF_TOKEN"
            ) from error
        if names & {"ValueError", "FileNotFoundError", "EmptyDatasetError"}:
            raise SeedSourceError(f"{spec.where}: {text}") from error
        network = {"ConnectionError", "ConnectError", "TimeoutError", "TimeoutException"}
        if names & (network | {"HfHubHTTPError", "LocalEntryNotFoundError", "OSError"}):
            raise TransientError(
                f"{spec.where}: the Hub did not answer: {text}. Try again, or use "
                "SDG_SEED_SOURCE=mirror:<dir>"
            ) from error


def _parquet_rows(file: Path) -> Iterator[Row]:
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as parquet:
            for batch in parquet.iter_batches(batch_size=1000):
                yield from batch.to_pylist()
    except (OSError, ValueError) as error:  # pyarrow's errors are subclasses of ValueError
        raise SeedSourceError(f"{file}: not readable as parquet: {error}") from error


def _json_rows(file: Path) -> Iterator[Row]:
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise SeedSourceError(f"{file}:{number}: not JSON: {error}") from error
            if not isinstance(row, dict):
                raise SeedSourceError(f"{file}:{number}: an object is expected")
            yield row
