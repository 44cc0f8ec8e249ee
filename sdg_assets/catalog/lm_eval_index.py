"""What lm-eval declares of each leaf: dataset, config, and which split it uses for what.

Read from `evaluated_splits.json`, which `sdg catalog check --update` writes from
the installed lm-eval. A file, because walking lm-eval's 14 000 YAMLs takes seconds and the
train-only rules hold on every load.
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

FILE = Path(__file__).parent / "evaluated_splits.json"


class Leaf(NamedTuple):
    """A task of lm-eval that loads rows itself. Splits it does not use are None."""

    name: str
    dataset: str
    config: str | None
    training: str | None
    validation: str | None
    test: str | None
    fewshot: str | None

    @property
    def evaluated(self) -> set[str]:
        """The splits it measures models on."""
        return {split for split in (self.validation, self.test) if split}

    @property
    def shown(self) -> set[str]:
        """The splits it draws few-shot exemplars from."""
        return {split for split in (self.fewshot, self.training) if split}


@dataclass(frozen=True)
class LmEvalIndex:
    """Every leaf of one version of lm-eval, by dataset."""

    version: str
    datasets: Mapping[str, list[list[Any]]]

    def on(self, dataset: str, config: str) -> list[Leaf]:
        """The leaves that read this config of a dataset.

        A leaf that names no config reads the dataset's default one, whatever its name is.
        """
        return [leaf for leaf in self.of(dataset) if leaf.config in (None, config)]

    @cached_property
    def leaves(self) -> dict[str, Leaf]:
        """Every leaf by name."""
        return {leaf.name: leaf for dataset in self.datasets for leaf in self.of(dataset)}

    def of(self, dataset: str) -> list[Leaf]:
        """The leaves that read a dataset, whatever its config."""
        return [
            Leaf(name, dataset, config, *splits)
            for config, *splits, names in self.datasets.get(dataset, [])
            for name in names
        ]


@lru_cache(maxsize=1)
def recorded() -> LmEvalIndex:
    """The index that the package carries."""
    data = json.loads(FILE.read_text("utf-8"))
    return LmEvalIndex(data["lm_eval"], data["datasets"])


@lru_cache(maxsize=1)
def task_index() -> dict[str, Any]:
    """lm-eval's own index of its leaves, groups and tags; takes seconds, needs no network."""
    from lm_eval.tasks import TaskManager

    return dict(TaskManager().task_index)


def installed() -> LmEvalIndex:
    """The index of the installed lm-eval, read from its YAMLs."""
    leaves = []
    for name, entry in task_index().items():
        if entry.kind.name == "TASK":
            leaves.append(_declared(name, entry.cfg))
        elif entry.kind.name == "PY_TASK":
            leaves.append(_of_class(name, entry.yaml_path))
    return LmEvalIndex(version("lm_eval"), _by_dataset(leaves))


def write(index: LmEvalIndex, file: Path = FILE) -> None:
    """Writes the index, a line for each group of leaves, so that an update reads well as a diff."""
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


def _declared(name: str, config: Mapping[str, Any]) -> Leaf:
    fewshot = config.get("fewshot_config")
    shown = fewshot.get("split") if isinstance(fewshot, Mapping) else None
    dataset, subset = str(config.get("dataset_path") or ""), config.get("dataset_name")
    # json and csv are builders; the dataset is the Hub repository that their files lie in.
    files = re.search(r"hf://datasets/([^/]+/[^/@]+)", str(config.get("dataset_kwargs")))
    return Leaf(
        name,
        files[1] if files else dataset,
        None if subset is None else str(subset),
        config.get("training_split"),
        config.get("validation_split"),
        config.get("test_split"),
        config.get("fewshot_split") or shown,
    )


def _of_class(name: str, yaml_path: Path) -> Leaf:
    """A task written in Python; its class says what a YAML would."""
    from lm_eval.tasks._yaml_loader import load_yaml

    try:
        task = load_yaml(yaml_path)["class"]
        has = {
            split: bool(getattr(task, f"has_{split}_docs")(object.__new__(task)))
            for split in ("training", "validation", "test")
        }
    except Exception:  # noqa: BLE001 – a task's module may need anything; its name is known at least
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
