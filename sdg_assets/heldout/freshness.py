"""Whether held-out hashes were made from the seed source in use, as it is now.

Hashes carry a fingerprint of the splits that they were made from. A trial with a small mirror left
the hashes of 2 rows where the whole mirror has 1,954: nothing was missing in them, so every later
source took them as complete, and no row was refused. A mirror may also grow under its name.

A directory is asked for its fingerprint: its files are read once per process. The Hub is not, which
would be a request for each of some 150 datasets before each partition: hashes from the Hub are
fresh for the Hub, whatever was committed there since.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.catalog.entries import EVERY_CONFIG
from sdg_assets.catalog.protected import ProtectedBenchmark
from sdg_assets.errors import AbsentError
from sdg_assets.heldout.splits import HashedSplit
from sdg_assets.heldout.tables import FORMAT
from sdg_assets.records import content_id
from sdg_assets.sources.source import DirectorySource, local_source

FINGERPRINT = "fingerprint"
"""Field of the manifest of hashes: the format of the hashes, and a hash of what they are of."""
SplitState = tuple[str, str, str, str]
"""Dataset, config, split, and its revision; "" if the source does not have it."""


def fingerprint_of(splits: Iterable[HashedSplit]) -> str:
    """The fingerprint of hashed splits, for the manifest."""
    return _fingerprint((s.dataset, s.config, s.split, s.revision) for s in splits)


class SourceInUse:
    """Tells whether hashes were made from what a seed source holds now."""

    def __init__(self, setting: str) -> None:
        """Asks nothing yet.

        Args:
            setting: The source, as in `SDG_SEED_SOURCE`.
        """
        self._setting = setting
        self._local = local_source(setting)

    def made(self, info: Mapping[str, Any], held_out: SubtaskSpec | ProtectedBenchmark) -> bool:
        """Whether hashes come from this source in its present state.

        Where the source cannot be asked (the Hub, a mirror that is not mounted here), its name
        decides.

        Args:
            info: `info` of the hashes' manifest.
            held_out: The subtask, or the benchmark, whose splits were hashed.
        """
        if self._local is None:
            return is_of_this_format(info) and bool(info.get("source") == self._setting)
        return info.get(FINGERPRINT) == current_fingerprint(held_out, self._local)


def is_of_this_format(info: Mapping[str, Any]) -> bool:
    """Whether hashes can be compared with: those of an older format match nothing.

    Args:
        info: `info` of the hashes' manifest.
    """
    return str(info.get(FINGERPRINT, "")).startswith(f"{FORMAT}:")


def current_fingerprint(held_out: SubtaskSpec | ProtectedBenchmark, source: DirectorySource) -> str:
    """The fingerprint that hashes would have if they were made now."""
    if isinstance(held_out, SubtaskSpec):
        return _fingerprint(_state(held_out, split, source) for split in held_out.heldout_splits)
    return _fingerprint(_states(held_out, source))


def _states(benchmark: ProtectedBenchmark, source: DirectorySource) -> Iterator[SplitState]:
    for dataset in benchmark.datasets:
        try:
            specs = list(benchmark.specs_of(dataset, source.configs))
        except AbsentError:
            yield from ((dataset, EVERY_CONFIG, split, "") for split in benchmark.splits)
            continue
        yield from (_state(spec, spec.split, source) for spec in specs)


def _state(spec: SubtaskSpec, split: str, source: DirectorySource) -> SplitState:
    try:
        is_there = split in source.splits(spec)
    except AbsentError:
        is_there = False
    pinned = spec.model_copy(update={"split": split})
    return spec.dataset, spec.config, split, source.revision(pinned) if is_there else ""


def _fingerprint(states: Iterable[SplitState]) -> str:
    return f"{FORMAT}:{content_id(sorted(states))}"
