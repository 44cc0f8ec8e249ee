"""Index of lm-eval's leaf tasks: the dataset, the config, and the role of each split.

The index is read from `evaluated_splits.json`, which `sdg catalog check --update` writes from the
installed lm-eval. It is a file because reading lm-eval's 14 000 YAMLs takes seconds, and the
train-only rules are checked on every load of the catalog.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from sdg_assets.catalog.dataset_ids import ByDataset

FILE = Path(__file__).parent / "evaluated_splits.json"


class Leaf(NamedTuple):
    """A task of lm-eval that loads rows itself (no group or tag). Unused splits are None."""

    name: str
    dataset: str
    config: str | None
    training: str | None
    validation: str | None
    test: str | None
    fewshot: str | None

    @property
    def evaluated(self) -> set[str]:
        """The splits that models are evaluated on."""
        return {split for split in (self.validation, self.test) if split}

    @property
    def exemplar_splits(self) -> set[str]:
        """The splits that few-shot exemplars are drawn from."""
        return {split for split in (self.fewshot, self.training) if split}


@dataclass(frozen=True)
class LmEvalIndex:
    """All leaves of one version of lm-eval, by dataset."""

    version: str
    """Version of lm-eval."""
    datasets: Mapping[str, list[list[Any]]]
    """Dataset → groups of leaves: config, training, validation, test, fewshot, names of leaves."""

    def on(self, dataset: str, config: str) -> list[Leaf]:
        """The leaves that read this config of a dataset.

        A leaf without a config is included: it reads the default config, whose name is unknown.
        """
        return [leaf for leaf in self.of(dataset) if leaf.config in (None, config)]

    @cached_property
    def leaves(self) -> dict[str, Leaf]:
        """Name → leaf."""
        entries = self.datasets.items()
        return {leaf.name: leaf for entry in entries for leaf in _leaves(*entry)}

    def of(self, dataset: str) -> list[Leaf]:
        """The leaves that read any config of a dataset, however its id is spelled."""
        return [leaf for entry in self._by_dataset.of(dataset) for leaf in _leaves(*entry)]

    @cached_property
    def _by_dataset(self) -> ByDataset[list[list[Any]]]:
        return ByDataset(self.datasets)


def _leaves(dataset: str, groups: list[list[Any]]) -> list[Leaf]:
    return [
        Leaf(name, dataset, config, *splits) for config, *splits, names in groups for name in names
    ]


@lru_cache(maxsize=1)
def recorded() -> LmEvalIndex:
    """The index in this package's `evaluated_splits.json`."""
    data = json.loads(FILE.read_text("utf-8"))
    return LmEvalIndex(data["lm_eval"], data["datasets"])


@lru_cache(maxsize=1)
def task_index() -> dict[str, Any]:
    """lm-eval's own index of leaves, groups and tags. Takes seconds; needs no network."""
    from lm_eval.tasks import TaskManager

    return dict(TaskManager().task_index)


def installed() -> LmEvalIndex:
    """The index of the installed lm-eval, read from its YAMLs and Python tasks."""
    leaves = []
    for name, entry in task_index().items():
        if entry.kind.name == "TASK":
            leaves.append(_yaml_leaf(name, entry.cfg))
        elif entry.kind.name == "PY_TASK":
            leaves.append(_python_leaf(name, entry.yaml_path))
    return LmEvalIndex(version("lm_eval"), _by_dataset(leaves))


def write(index: LmEvalIndex, file: Path = FILE) -> None:
    """Writes the index with one line per group of leaves, so that diffs are easy to read."""
    blocks = []
    for dataset, groups in sorted(index.datasets.items()):
        lines = ",\n".join("   " + json.dumps(group, ensure_ascii=False) for group in groups)
        blocks.append(f"  {json.dumps(dataset)}: [\n{lines}\n  ]")
    body = ",\n".join(blocks)
    file.write_text(
        f'{{\n "lm_eval": {json.dumps(index.version)},\n'
        ' "columns": ["config", "training", "validation", "test", "fewshot", "leaves"],\n'
        f' "datasets": {{\n{body}\n }}\n}}\n',
        "utf-8",
    )


def _yaml_leaf(name: str, config: Mapping[str, Any]) -> Leaf:
    fewshot = config.get("fewshot_config")
    fewshot_split = fewshot.get("split") if isinstance(fewshot, Mapping) else None
    dataset, subset = str(config.get("dataset_path") or ""), config.get("dataset_name")
    # With the generic builders `json` and `csv`, the dataset is the Hub repository of the files.
    files = re.search(r"hf://datasets/([^/]+/[^/@]+)", str(config.get("dataset_kwargs")))
    return Leaf(
        name,
        files[1] if files else dataset,
        None if subset is None else str(subset),
        config.get("training_split"),
        config.get("validation_split"),
        config.get("test_split"),
        config.get("fewshot_split") or fewshot_split,
    )


def _python_leaf(name: str, yaml_path: Path) -> Leaf:
    """A leaf that is written in Python: its class declares what otherwise the YAML declares."""
    from lm_eval.tasks._yaml_loader import load_yaml

    try:
        task = load_yaml(yaml_path)["class"]
        has = {
            split: bool(getattr(task, f"has_{split}_docs")(object.__new__(task)))
            for split in ("training", "validation", "test")
        }
    except Exception:  # noqa: BLE001 – importing a task may fail in any way; keep at least its name
        return Leaf(name, "", None, None, None, None, None)
    return Leaf(
        name,
        task.DATASET_PATH or "",
        task.DATASET_NAME,
        "train" if has["training"] else None,
        "validation" if has["validation"] else None,
        "test" if has["test"] else None,
        None,
    )


def _by_dataset(leaves: Iterable[Leaf]) -> dict[str, list[list[Any]]]:
    names: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for leaf in leaves:
        names[leaf[1:]].append(leaf.name)
    datasets: dict[str, list[list[Any]]] = defaultdict(list)
    for key in sorted(names, key=str):
        dataset, *rest = key
        datasets[dataset].append([*rest, sorted(names[key])])
    return datasets
