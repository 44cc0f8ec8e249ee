"""Third-party packages, installed for a test."""

from __future__ import annotations

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
    info = directory / f"{module}-1.0.dist-info"
    info.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n"
    (info / "METADATA").write_text(metadata, "utf-8")
    entry = f"[{group}]\n{module} = {points_at or module}\n"
    (info / "entry_points.txt").write_text(entry, "utf-8")
