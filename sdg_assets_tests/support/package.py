"""The package's own source, parsed: for tests of what its modules may contain and call."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import sdg_assets

ROOT = Path(sdg_assets.__file__).parent


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Path below `sdg_assets/` and syntax tree of every module."""
    for file in sorted(ROOT.rglob("*.py")):
        yield file.relative_to(ROOT).as_posix(), ast.parse(file.read_text("utf-8"), str(file))
