"""The version of a release, and what changed since the release before it in the same store.

Versions are semantic, seen by whoever reads the data:

- **major**: a reader may fail. A column or a configuration is gone, or a column has another type.
- **minor**: a reader works and gets other rows. Rows were added, went or changed, or there is a new
  column or configuration.
- **patch**: the same rows, described anew: another tokenizer, held-out comparison or program,
  corrected terms.

The first release is 1.0.0. Each later one raises the highest version of the store, by its changes
since the release that `LATEST` names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sdg_assets.release.configs import FAMILIES, Config
from sdg_assets.release.published import Change, Published, changes, earlier, recorded
from sdg_assets.release.row_changes import RowChange, row_changes
from sdg_assets.release.shards import curated_schema
from sdg_assets.store.places import Place

Level = Literal["first", "major", "minor", "patch"]
FIRST = "1.0.0"
HISTORY = 20
"""How many earlier releases the changelog lists."""
DESCRIBING = ("made by", "terms of teacher", "tokenizer", "rows by teacher", "rows of licence")
"""The groups of facts that a changelog shows beside the rows."""


@dataclass(frozen=True)
class Entry:
    """One line of the changelog's history."""

    version: str
    release: str
    level: Level
    rows: int
    added: int = 0
    gone: int = 0
    changed: int = 0


@dataclass(frozen=True)
class Lineage:
    """A release's version and changelog."""

    version: str
    level: Level
    reasons: Sequence[str]
    """Why it is a release of this level, as sentences."""
    previous: str
    """Id of the release before; empty for the first."""
    previous_version: str
    rows: Sequence[RowChange]
    facts: Sequence[Change]
    history: Sequence[Entry]
    """This release and those before it, the newest first."""

    def entry(self) -> dict[str, Any]:
        """The changelog for a manifest."""
        return {name: value for name, value in asdict(self).items() if name != "version"}

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> Lineage:
        """Reads it back from a manifest."""
        fields = dict(manifest["changes"])
        return cls(
            version=manifest["version"],
            **fields
            | {
                "rows": [RowChange(**row) for row in fields["rows"]],
                "facts": [Change(**fact) for fact in fields["facts"]],
                "history": [Entry(**entry) for entry in fields["history"]],
            },
        )


UNNAMED = Lineage("", "patch", (), "", "", (), (), ())
"""Of a release whose id and version are not chosen yet."""


def schema_of(configs: Sequence[Config]) -> dict[str, Any]:
    """What a reader relies on: the configurations, and the type of each column and its parts."""
    columns = dict(part for name, kind in curated_schema().items() for part in _parts(name, kind))
    return {"configs": [config.name for config in configs], "columns": columns}


def lineage(
    root: Place,
    release_id: str,
    manifest: Mapping[str, Any],
    files: Mapping[str, str],
    built: Place,
) -> Lineage:
    """The version and changelog of a release that is about to be published.

    Args:
        root: The store.
        release_id: The release's id. If the store has it already, it keeps its version.
        manifest: Its manifest, with `schema` and without the files.
        files: Data file → its SHA-256.
        built: The folder in which it was built.

    Raises:
        StoreError: The manifest of an earlier release is corrupt.
    """
    if (kept := recorded(root, release_id)) and "changes" in kept:
        return Lineage.of(kept)
    before = earlier(root, release_id)
    rows = sum(manifest["rows"].values())
    if not before:
        entry = Entry(FIRST, release_id, "first", rows)
        return Lineage(FIRST, "first", ["the first release of the store"], "", "", (), (), [entry])
    previous = next((release for release in before if release.is_latest), before[0])
    is_same = _data(previous.manifest.get("files", {})) == _data(files)
    changed = [] if is_same else row_changes(previous.place, built)
    counts = Counter[str]()
    for change in changed:
        counts[change.change] += change.rows
    breaking, adding = _differences(previous.manifest.get("schema"), manifest["schema"])
    adding += [f"{count:,} rows {change}" for change, count in sorted(counts.items())]
    if not is_same and not counts:
        adding.append("columns that the changelog does not compare changed")
    level: Level = "major" if breaking else "minor" if adding else "patch"
    reasons = [*breaking, *adding] or ["the same rows, described anew"]
    version = raised(max(map(_version, before)), level)
    entry = Entry(version, release_id, level, rows, **counts)
    return Lineage(
        version,
        level,
        reasons,
        previous.id,
        previous.version,
        changed,
        [c for c in changes(previous.manifest, manifest) if c.what in DESCRIBING],
        [entry, *_history(previous)][:HISTORY],
    )


def raised(version: tuple[int, ...], level: Level) -> str:
    """A version, raised by one at its level."""
    major, minor, patch = version
    if level == "major":
        return f"{major + 1}.0.0"
    return f"{major}.{minor + 1}.0" if level == "minor" else f"{major}.{minor}.{patch + 1}"


def _differences(
    old: Mapping[str, Any] | None, new: Mapping[str, Any]
) -> tuple[list[str], list[str]]:
    """What breaks readers, and what is there that was not before, each as sentences."""
    if old is None:
        return ["the release before does not say which columns it has"], []
    columns, configs = new["columns"], new["configs"]
    breaking = [
        *(f"configuration {name} is gone" for name in old["configs"] if name not in configs),
        *(f"column {name} is gone" for name in old["columns"] if name not in columns),
        *(
            f"column {name} is {columns[name]} and was {kind}"
            for name, kind in old["columns"].items()
            if columns.get(name, kind) != kind
        ),
    ]
    adding = [
        *(f"new configuration {name}" for name in configs if name not in old["configs"]),
        *(f"new column {name}" for name in columns if name not in old["columns"]),
    ]
    return breaking, adding


def _data(files: Mapping[str, str]) -> dict[str, str]:
    """The files with rows for `datasets.load_dataset`, of both families and all licences."""
    return {name: sha for name, sha in files.items() if name.split("/")[0] in FAMILIES}


def _history(previous: Published) -> list[Entry]:
    if "changes" in previous.manifest:
        return list(Lineage.of(previous.manifest).history)
    return [Entry(previous.version, previous.id, "first", previous.rows)]


def _version(release: Published) -> tuple[int, ...]:
    return tuple(map(int, release.version.split(".")))


def _parts(name: str, kind: Any) -> list[tuple[str, str]]:  # noqa: ANN401 – a polars type
    import polars as pl

    if isinstance(kind, pl.List):
        return _parts(f"{name}[]", kind.inner)
    if isinstance(kind, pl.Struct):
        return [p for field in kind.fields for p in _parts(f"{name}.{field.name}", field.dtype)]
    return [(name, str(kind))]
