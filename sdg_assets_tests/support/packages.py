"""Third-party packages, installed for a test."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def installed(
    directory: Path, module: str, source: str, *, group: str, points_at: str | None = None
) -> None:
    """Writes the files that `pip install` of a package with one module and entry point writes.

    Args:
        directory: Stands for site-packages; the test puts it on `sys.path`.
        module: Name of the package, its module and its entry point.
        source: The module's text.
        group: The entry point's group.
        points_at: What the entry point names; by default the module.
    """
    (directory / f"{module}.py").write_text(source, "utf-8")
    write_metadata(directory, module, "1.0", {group: {module: points_at or module}})


def write_metadata(
    directory: Path, package: str, version: str, entry_points: Mapping[str, Mapping[str, str]]
) -> None:
    """Writes what `pip install` records of a package: its name, version and entry points.

    Args:
        directory: Stands for site-packages.
        package: Name of the package.
        version: Its version.
        entry_points: Group → name → module, as in `[project.entry-points]`.
    """
    info = directory / f"{package.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
    (info / "METADATA").write_text(metadata, "utf-8")
    lines = []
    for group, points in entry_points.items():
        lines += [f"[{group}]", *(f"{name} = {module}" for name, module in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n", "utf-8")
