"""Whom to cite for a seed task: the BibTeX of lm-eval's own pages on its tasks.

Read from `citations.json`, which `sdg catalog check --update` writes from the
installed lm-eval.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path

from sdg_assets.catalog.lm_eval_index import task_index
from sdg_assets.catalog.loader import Catalog

FILE = Path(__file__).parent / "citations.json"
_ENTRY = re.compile(r"^@\w+\s*\{.+?^\s*\}\s*$", re.MULTILINE | re.DOTALL)


@lru_cache(maxsize=1)
def citations() -> dict[str, list[str]]:
    """Seed task → BibTeX entries, for the tasks that lm-eval has a page with some on."""
    found: dict[str, list[str]] = json.loads(FILE.read_text("utf-8"))
    return found


def collect(catalog: Catalog) -> dict[str, list[str]]:
    """Finds the entries of every task of a catalog in the installed lm-eval.

    Args:
        catalog: The catalog; tasks without an lm-eval leaf have no entry.
    """
    index = task_index()
    found: dict[str, list[str]] = {}
    for name, task in sorted(catalog.tasks.items()):
        pages = dict.fromkeys(
            page
            for subtask in task.subtasks.values()
            if subtask.lm_eval in index and (page := _page(index[subtask.lm_eval].yaml_path))
        )
        entries = [e for page in pages for e in _ENTRY.findall(page.read_text("utf-8"))]
        if entries:
            found[name] = list(dict.fromkeys(entry.strip() for entry in entries))
    return found


def write(found: dict[str, list[str]], file: Path = FILE) -> None:
    """Writes what `collect` found."""
    file.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", "utf-8")


def _page(yaml_path: Path) -> Path | None:
    """The README of the folder that a leaf's YAML lies in, or of the folder above it."""
    for folder in list(yaml_path.parents)[:3]:
        if folder.name == "tasks":
            return None
        if (folder / "README.md").exists():
            return folder / "README.md"
    return None
