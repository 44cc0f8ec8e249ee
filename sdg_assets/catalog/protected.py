"""Protected benchmarks, which are never seeded and always held out: `protected.yaml`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from sdg_assets.catalog.dataset_ids import same_dataset
from sdg_assets.catalog.entries import EVERY_CONFIG, CatalogEntry, Certainty, RecordMapping
from sdg_assets.catalog.files import faults, read_yaml
from sdg_assets.catalog.subtask_spec import SubtaskSpec
from sdg_assets.errors import CatalogError

FILE = Path(__file__).parent / "protected.yaml"


class ProtectedBenchmark(CatalogEntry):
    """A benchmark that users evaluate on, with all known copies of it."""

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    datasets: list[str] = Field(min_length=1)
    configs: tuple[str, ...] = ("default",)
    without: tuple[str, ...] = Field(default=(), description="configs that may be seeded")
    splits: list[str] = Field(min_length=1)
    each: str | None = Field(default=None, description="see `RecordMapping`")
    context: str | None = None
    question: str
    choices: str | list[str] | None = Field(
        default=None,
        description="options of multiple choice; they identify questions that are too short alone",
    )
    answer: str | None = None
    answer_index: str | None = None
    tests: str | None = None
    gated: bool = False
    hub_files: str | None = None
    hub_revision: str | None = None
    certainty: Certainty = "known"

    @model_validator(mode="after")
    def _is_a_record(self) -> ProtectedBenchmark:
        self.record()
        return self

    def record(self) -> RecordMapping:
        """The templates that read a raw row."""
        return RecordMapping(
            each=self.each,
            context=self.context,
            question=self.question,
            choices=self.choices,
            answer=self.answer,
            answer_index=self.answer_index,
            tests=self.tests,
        )

    def covers(self, dataset: str, config: str, split: str) -> bool:
        """Whether this split is part of the benchmark.

        A benchmark without `configs` covers all configs of its datasets: each dataset has only one,
        whose name may differ between copies. Ids are compared by `same_dataset`.
        """
        return (
            split in self.splits
            and config not in self.without
            and (config in self.configs or self.configs in ((EVERY_CONFIG,), ("default",)))
            and any(same_dataset(own, dataset) for own in self.datasets)
        )

    def specs(self, configs_of: Callable[[str], list[str]]) -> Iterator[SubtaskSpec]:
        """Yields each split of each config in the form that sources and `RowMapping` need.

        Not every config has every split (mmlu's `all` has no `dev`); readers skip missing splits.

        Args:
            configs_of: Dataset → its configs; called only for benchmarks with `configs: "*"`.
        """
        for dataset in self.datasets:
            yield from self.specs_of(dataset, configs_of)

    def specs_of(
        self, dataset: str, configs_of: Callable[[str], list[str]]
    ) -> Iterator[SubtaskSpec]:
        """The part of `specs` that is of one of its datasets."""
        record = self.record()
        configs = configs_of(dataset) if EVERY_CONFIG in self.configs else self.configs
        for config in configs:
            for split in self.splits if config not in self.without else []:
                yield SubtaskSpec.of_split(
                    self.name,
                    dataset,
                    config,
                    split,
                    record,
                    gated=self.gated,
                    hub_files=self.hub_files,
                    hub_revision=self.hub_revision,
                )


@lru_cache(maxsize=4)
def load_protected(file: Path = FILE) -> tuple[ProtectedBenchmark, ...]:
    """All protected benchmarks.

    Args:
        file: The YAML file, read once per process.

    Raises:
        CatalogError: The file is malformed, or names a benchmark twice.
    """
    try:
        benchmarks = TypeAdapter(tuple[ProtectedBenchmark, ...]).validate_python(read_yaml(file))
    except ValidationError as error:
        raise CatalogError(f"{file}: {faults(error)}") from error
    names = [benchmark.name for benchmark in benchmarks]
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        raise CatalogError(f"{file}: duplicate names: {', '.join(duplicates)}")
    return benchmarks
