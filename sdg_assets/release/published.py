"""Lists the releases of a store by their manifests, and compares two of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sdg_assets.errors import StoreError
from sdg_assets.records import Stage, content_id
from sdg_assets.release.publication import LATEST, MANIFEST
from sdg_assets.store.places import Place, listing

SHORT = 12
"""How many characters of a hash or commit are shown."""


@dataclass(frozen=True)
class Published:
    """A release of the store.

    Attributes:
        id: The release's id, a hash of all that it holds and says.
        place: Its directory or prefix.
        manifest: The content of its `manifest.json`.
        published: When the manifest, its last file, was written.
        is_latest: Whether `LATEST` names it.
    """

    id: str
    place: Place
    manifest: Mapping[str, Any]
    published: datetime
    is_latest: bool

    @property
    def rows(self) -> int:
        """Rows of all families."""
        return sum(self.manifest.get("rows", {}).values())

    @property
    def version(self) -> str:
        """Its semantic version; 0.0.0 for a release of a program that gave none."""
        return str(self.manifest.get("version", "0.0.0"))

    @property
    def size(self) -> int:
        """Bytes of all files except the manifest."""
        return sum(self.manifest.get("bytes", {}).values())


@dataclass(frozen=True)
class Change:
    """One difference between two releases. An empty string means that the fact is absent."""

    what: str
    name: str
    before: str
    after: str


def releases(root: Place) -> list[Published]:
    """All releases of a store that have a manifest, newest first.

    Args:
        root: The store.

    Raises:
        StoreError: A manifest is corrupt.
    """
    return earlier(root, "")


def earlier(root: Place, release_id: str) -> list[Published]:
    """All releases of a store except one, which may be damaged; newest first.

    Args:
        root: The store.
        release_id: The release to leave out.

    Raises:
        StoreError: A manifest is corrupt.
    """
    folder = root / Stage.CURATED.value
    latest = _latest(folder)
    published = [
        Published(
            id=release,
            place=folder / release,
            manifest=_manifest(folder / release),
            published=file.modified,
            is_latest=release == latest,
        )
        for file in listing(folder)
        for release, _, name in [file.name.partition("/")]
        if name == MANIFEST and not release.startswith(".") and release != release_id
    ]
    return sorted(published, key=lambda r: (r.published, r.is_latest, r.id), reverse=True)


def recorded(root: Place, release_id: str) -> Mapping[str, Any] | None:
    """The manifest of a release that the store has; None if it has none, or a corrupt one."""
    try:
        return _manifest(root / Stage.CURATED.value / release_id)
    except (FileNotFoundError, StoreError):
        return None


def release_named(root: Place, name: str | None) -> Published:
    """One release of a store.

    Args:
        root: The store.
        name: Its id, or a unique prefix of it; None for the release that `LATEST` names.

    Raises:
        StoreError: No release has this name, several share the prefix, or a manifest is corrupt.
    """
    folder, all_releases = root / Stage.CURATED.value, releases(root)
    if not all_releases:
        raise StoreError(f"no release in {folder}; cut one with Dagster's job `release`")
    if name is None:
        matching = [release for release in all_releases if release.is_latest]
    else:
        matching = [release for release in all_releases if release.id.startswith(name)]
    if len(matching) == 1:
        return matching[0]
    ids = ", ".join(release.id for release in matching or all_releases)
    if name is None:
        raise StoreError(f"{folder / LATEST} names no release; name one of: {ids}")
    problem = "several releases begin with" if matching else "no release begins with"
    raise StoreError(f"{problem} {name!r}; there are: {ids}")


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    """The differences between two releases, found by comparing their manifests.

    Args:
        before: The manifest of the older release.
        after: The manifest of the newer release.

    Yields:
        The differences, in the order of `FACTS` and by name.
    """
    for what, facts in FACTS.items():
        old, new = facts(before), facts(after)
        for name in sorted(old.keys() | new.keys()):
            if old.get(name) != new.get(name):
                yield Change(what, name, old.get(name, ""), new.get(name, ""))


def _counts(field: str) -> Callable[[Mapping[str, Any]], dict[str, str]]:
    return lambda manifest: {name: f"{n:,}" for name, n in manifest.get(field, {}).items() if n}


def _hashes(field: str) -> Callable[[Mapping[str, Any]], dict[str, str]]:
    return lambda manifest: {name: sha[:SHORT] for name, sha in manifest.get(field, {}).items()}


def _tokenizer(manifest: Mapping[str, Any]) -> dict[str, str]:
    tokenizer = manifest.get("tokens", {}).get("tokenizer")
    return {"of token counts": f"{tokenizer['model']} {tokenizer['revision']}"} if tokenizer else {}


def _tokens(manifest: Mapping[str, Any]) -> dict[str, str]:
    variants = manifest.get("tokens", {}).get("variants", {})
    return {variant: f"{size['tokens']:,}" for variant, size in variants.items()}


def _made_by(manifest: Mapping[str, Any]) -> dict[str, str]:
    return {
        "name": str(manifest.get("name", "")),
        "code version": str(manifest.get("code_version", "")),
        "catalog": str(manifest.get("catalog", ""))[:SHORT],
    }


def _terms(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Model → a hash of its conditions, which are too long for a table."""
    return {m: content_id(text)[:SHORT] for m, text in manifest.get("terms", {}).items()}


def _all_rows(manifest: Mapping[str, Any]) -> dict[str, str]:
    families = {name: f"{count:,}" for name, count in manifest.get("rows", {}).items()}
    return families | {"commercial use": f"{manifest.get('commercial_rows', 0):,}"}


def _task_rows(manifest: Mapping[str, Any]) -> dict[str, str]:
    return {task: f"{figures['rows']:,}" for task, figures in manifest.get("tasks", {}).items()}


def _teachers(manifest: Mapping[str, Any]) -> dict[str, str]:
    return {
        f"{t['role']} {t['model']} {t['revision'][:SHORT]}": f"{t['rows']:,}"
        for t in manifest.get("teachers", ())
    }


def _sources(manifest: Mapping[str, Any]) -> dict[str, str]:
    return {
        f"{s['dataset']} {s['revision'][:SHORT]} {s['license']}": f"{s['rows']:,}"
        for s in manifest.get("sources", ())
    }


FACTS: Mapping[str, Callable[[Mapping[str, Any]], dict[str, str]]] = {
    "made by": _made_by,
    "terms of teacher": _terms,
    "tokenizer": _tokenizer,
    "tokens": _tokens,
    "rows": _all_rows,
    "rows of task": _task_rows,
    "rows of licence": _counts("licences"),
    "rows by teacher": _teachers,
    "rows from": _sources,
    "rejected": _counts("rejected"),
    "input": _hashes("inputs"),
    "compared with": _hashes("compared_with"),
    "file": _hashes("files"),
}
"""Title of a group of facts → reads these facts from a manifest, as name → text."""


def _latest(folder: Place) -> str:
    try:
        return (folder / LATEST).read_bytes().decode().strip()
    except FileNotFoundError:
        return ""


def _manifest(release: Place) -> Mapping[str, Any]:
    try:
        manifest = json.loads((release / MANIFEST).read_bytes())
    except ValueError as error:
        raise StoreError(f"{release / MANIFEST}: is not JSON ({error})") from error
    if not isinstance(manifest, dict):
        raise StoreError(f"{release / MANIFEST}: is no manifest")
    return manifest
