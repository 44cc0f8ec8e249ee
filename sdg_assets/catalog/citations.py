"""Citations of the seed tasks: the BibTeX entries on lm-eval's README pages of its tasks.

They are read from `citations.json`, which `sdg catalog check --update` writes from the installed
lm-eval.
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
    """Seed task → BibTeX entries; tasks without entries are left out."""
    entries: dict[str, list[str]] = json.loads(FILE.read_text("utf-8"))
    return entries


def collect(catalog: Catalog) -> dict[str, list[str]]:
    """Collects the BibTeX entries of a catalog's tasks from the installed lm-eval.

    Args:
        catalog: The catalog. Tasks without an lm-eval leaf have no entries.

    Returns:
        Seed task → BibTeX entries without repetitions; tasks without entries are left out.
    """
    index = task_index()
    collected: dict[str, list[str]] = {}
    for name, task in sorted(catalog.tasks.items()):
        pages = dict.fromkeys(
            page
            for subtask in task.subtasks.values()
            if subtask.lm_eval in index and (page := _page(index[subtask.lm_eval].yaml_path))
        )
        entries = [e for page in pages for e in _ENTRY.findall(page.read_text("utf-8"))]
        if entries:
            collected[name] = list(dict.fromkeys(entry.strip() for entry in entries))
    return collected


def write(collected: dict[str, list[str]], file: Path = FILE) -> None:
    """Writes the result of `collect` to `citations.json`."""
    file.write_text(json.dumps(collected, ensure_ascii=False, indent=1) + "\n", "utf-8")


def _page(yaml_path: Path) -> Path | None:
    """The README of the folder of a leaf's YAML, or of one of the two folders above it."""
    for folder in list(yaml_path.parents)[:3]:
        if folder.name == "tasks":
            return None
        if (folder / "README.md").exists():
            return folder / "README.md"
    return None
