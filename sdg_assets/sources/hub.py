"""The Hugging Face Hub as a seed source: streamed rows, a pinned commit, errors with a remedy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from sdg_assets.addresses import masked
from sdg_assets.catalog import SubtaskSpec
from sdg_assets.errors import SdgError, SeedSourceError, TransientError
from sdg_assets.sources.hub_limits import limit_hub_calls

if TYPE_CHECKING:
    import datasets

# The Hub converts datasets with a loading script to parquet, on this branch. `datasets` 4 and later
# runs no such scripts.
CONVERSION = "refs/convert/parquet"


class _Pinned(NamedTuple):
    """One commit of a dataset."""

    id: str
    commit: str
    files: list[str]
    converted: bool


class HubSource:
    """The Hugging Face Hub. Datasets with a loading script are read from the Hub's conversion."""

    name = "hub"

    def __init__(self) -> None:
        limit_hub_calls()
        self._pins: dict[tuple[str, str | None, bool], _Pinned] = {}

    def revision(self, spec: SubtaskSpec) -> str:
        """The current commit of the dataset's branch; looked up once per process.

        Raises:
            SeedSourceError: See `SeedSource`.
            TransientError: The Hub did not answer.
        """
        with _hub_errors(spec.where, spec.dataset):
            return self._pin_of(spec).commit

    def rows(self, spec: SubtaskSpec, split: str) -> Iterator[dict[str, Any]]:
        """Streams a split; for errors see `SeedSource`."""
        with _hub_errors(spec.where, spec.dataset):
            yield from self._open(spec, split)

    def splits(self, spec: SubtaskSpec) -> list[str]:
        """The splits of the subtask's config."""
        import datasets

        with _hub_errors(spec.where, spec.dataset):
            pin = self._pin_of(spec)
            if spec.hub_files:
                declared = [spec.split, *spec.heldout_splits]
                return [s for s in declared if _matching(pin.files, _pattern(spec, pin, s))]
            if pin.converted:
                config = _converted_config(spec, pin)
                parts = [PurePosixPath(file).parts for file in pin.files]
                return sorted({p[1] for p in parts if len(p) == 3 and p[0] == config})
            named = datasets.get_dataset_split_names(
                spec.dataset, _config(spec), revision=pin.commit
            )
            return list(named)

    def configs(self, dataset: str) -> list[str]:
        """The configs of a dataset."""
        import datasets

        with _hub_errors(dataset, dataset):
            pin = self._pin(dataset)
            if pin.converted:
                return _converted_configs(pin)
            return list(datasets.get_dataset_config_names(dataset, revision=pin.commit))

    def _pin_of(self, spec: SubtaskSpec) -> _Pinned:
        return self._pin(spec.dataset, spec.hub_revision, as_files=spec.hub_files is not None)

    def _pin(self, dataset: str, revision: str | None = None, *, as_files: bool = False) -> _Pinned:
        key = (dataset, revision, as_files)
        if key not in self._pins:
            pin = _pinned(dataset, revision)
            _refuse_alias(dataset, pin.id)
            script = f"{dataset.split('/')[-1]}.py"
            if revision is None and not as_files and script in pin.files:
                pin = _pinned(dataset, CONVERSION)
            self._pins[key] = pin
        return self._pins[key]

    def _open(self, spec: SubtaskSpec, split: str) -> Iterator[dict[str, Any]]:
        import datasets

        pin = self._pin_of(spec)
        if not spec.hub_files and not pin.converted:
            opened = datasets.load_dataset(
                spec.dataset, _config(spec), split=split, streaming=True, revision=pin.commit
            )
            return _undecoded(opened)
        pattern = _pattern(spec, pin, split)
        if not _matching(pin.files, pattern):
            raise SeedSourceError(
                f"{spec.where}: split {split!r} is absent from the Hub: no file matches {pattern}; "
                f"its files: {', '.join(sorted(pin.files)[:8])}"
            )
        kind = PurePosixPath(pattern).suffix.lstrip(".").replace("jsonl", "json")
        builder, options = {"tsv": ("csv", {"sep": "\t"})}.get(kind, (kind, {}))
        url = f"hf://datasets/{spec.dataset}@{pin.commit}/{pattern}"
        opened = datasets.load_dataset(
            builder, data_files=url, split="train", streaming=True, **options
        )
        return _undecoded(opened)


def _undecoded(opened: datasets.IterableDataset) -> Iterator[dict[str, Any]]:
    """The rows, with images, audio and video as their stored bytes.

    Decoding needs libraries that may not be installed, for columns that no stage uses: one such
    column made a whole partition fail.
    """
    return iter(opened.decode(enable=False) if opened.features else opened)


def _pinned(dataset: str, revision: str | None) -> _Pinned:
    from huggingface_hub import HfApi

    info = HfApi().dataset_info(dataset, revision=revision)
    files = [sibling.rfilename for sibling in info.siblings or []]
    return _Pinned(info.id, str(info.sha), files, converted=revision == CONVERSION)


def _refuse_alias(dataset: str, canonical: str) -> None:
    """Refuses an old id without an owner, which the Hub redirects to any owner and name.

    An owner's own move is followed: a catalog would else stop working on the day of the move.

    Args:
        dataset: The catalog's id.
        canonical: The Hub's id of the same dataset.

    Raises:
        SeedSourceError: The dataset has another id, by which evaluation splits are known.
    """
    if "/" not in dataset and dataset != canonical:
        raise SeedSourceError(
            f"{dataset} is {canonical} on the Hub; write `dataset: {canonical}` in the catalog, so "
            "that its evaluation splits are recognized"
        )


def _config(spec: SubtaskSpec) -> str | None:
    return None if spec.config == "default" else spec.config


def _pattern(spec: SubtaskSpec, pin: _Pinned, split: str) -> str:
    if spec.hub_files:
        return spec.hub_files.format(config=spec.config, split=split)
    return f"{_converted_config(spec, pin)}/{split}/*.parquet"


def _converted_config(spec: SubtaskSpec, pin: _Pinned) -> str:
    """The config's name in the conversion. A dataset's only config has the name from its script."""
    configs = _converted_configs(pin)
    return configs[0] if len(configs) == 1 and spec.config == "default" else spec.config


def _converted_configs(pin: _Pinned) -> list[str]:
    return sorted({file.split("/")[0] for file in pin.files if file.count("/") == 2})


def _matching(files: list[str], pattern: str) -> bool:
    return any(fnmatch(file, pattern) for file in files)


@contextmanager
def _hub_errors(where: str, dataset: str) -> Iterator[None]:
    """Turns exceptions of the Hub's libraries into `SeedSourceError` or `TransientError`."""
    try:
        yield
    except (SdgError, PermissionError):
        raise
    except Exception as error:
        translated = _translate(where, dataset, error)
        if translated is None:
            raise
        raise translated from error


def _translate(where: str, dataset: str, error: Exception) -> SdgError | None:
    from datasets.exceptions import DatasetNotFoundError, DatasetsError
    from huggingface_hub import errors as hub

    text = masked(" ".join(str(error).split()))
    page = f"https://huggingface.co/datasets/{dataset}"
    status = error.response.status_code if isinstance(error, hub.HfHubHTTPError) else None
    gated = isinstance(error, hub.GatedRepoError) or (
        isinstance(error, DatasetNotFoundError) and "gated" in text
    )
    if gated or status == 403:
        return SeedSourceError(
            f"{where}: gated on the Hub. Accept its licence at {page} and set HF_TOKEN to a "
            "token of that account"
        )
    if isinstance(error, hub.LocalTokenNotFoundError) or (
        status == 401 and not isinstance(error, hub.RepositoryNotFoundError)
    ):
        return SeedSourceError(
            f"{where}: the Hub requires a valid token. Set HF_TOKEN (see "
            f"https://huggingface.co/settings/tokens; the dataset: {page})"
        )
    if isinstance(error, hub.RepositoryNotFoundError | DatasetNotFoundError):
        return SeedSourceError(
            f"{where}: not found on the Hub ({page}). If it is private, set HF_TOKEN to a "
            "token that may read it"
        )
    if isinstance(error, hub.RevisionNotFoundError):
        return SeedSourceError(
            f"{where}: {text}. If the dataset has a loading script that the Hub has not converted "
            f"to parquet ({page}), name a script-free copy as `dataset`, or its files as "
            "`hub_files`"
        )
    if isinstance(error, hub.OfflineModeIsEnabled):
        return SeedSourceError(f"{where}: HF_HUB_OFFLINE is set; unset it, or use a mirror")
    no_answer = hub.HTTPError | ConnectionError | TimeoutError | hub.LocalEntryNotFoundError
    if isinstance(error, no_answer) and status != 404:
        return TransientError(
            f"{where}: the Hub did not answer: {text}. Try again, or use "
            "SDG_SEED_SOURCE=mirror:<dir>"
        )
    if isinstance(error, hub.HTTPError | FileNotFoundError | ValueError | DatasetsError):
        return SeedSourceError(f"{where}: {text}")
    return None
