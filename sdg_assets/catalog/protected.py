"""Benchmarks that are only ever held out: `protected.yaml`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from sdg_assets.catalog.files import faults, read_yaml
from sdg_assets.catalog.models import (
    EVERY_CONFIG,
    CatalogEntry,
    Certainty,
    RecordMapping,
    SubtaskSpec,
)
from sdg_assets.errors import CatalogError
from sdg_assets.records import AnswerKind

FILE = Path(__file__).parent / "protected.yaml"


class ProtectedBenchmark(CatalogEntry):
    """A benchmark that users evaluate on, with every copy of it."""

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    datasets: list[str] = Field(min_length=1)
    configs: tuple[str, ...] = ("default",)
    without: tuple[str, ...] = Field(default=(), description="configs that are open to seeding")
    splits: list[str] = Field(min_length=1)
    each: str | None = Field(default=None, description="as in a task's `record`")
    context: str | None = None
    question: str
    choices: str | list[str] | None = Field(
        default=None, description="of multiple choice: with them a short question is recognized"
    )
    answer: str | None = None
    answer_index: str | None = None
    gated: bool = False
    hub_files: str | None = None
    hub_revision: str | None = None
    certainty: Certainty = "known"

    @model_validator(mode="after")
    def _is_a_record(self) -> ProtectedBenchmark:
        self.record()
        return self

    def record(self) -> RecordMapping:
        """How a raw row is read."""
        return RecordMapping(
            each=self.each,
            context=self.context,
            question=self.question,
            choices=self.choices,
            answer=self.answer,
            answer_index=self.answer_index,
        )

    def covers(self, dataset: str, config: str, split: str) -> bool:
        """Whether this split is part of the benchmark.

        Where the file names no config the dataset has one, whatever its name is.
        """
        return (
            dataset in self.datasets
            and split in self.splits
            and config not in self.without
            and (config in self.configs or self.configs in ((EVERY_CONFIG,), ("default",)))
        )

    def specs(self, configs_of: Callable[[str], list[str]]) -> Iterator[SubtaskSpec]:
        """Each split of each config, as a source and a `RowMapping` take it.

        Not every config has every split (mmlu's `all` has no `dev`); a reader skips what is absent.

        Args:
            configs_of: The configs of a dataset, asked only where the file says "*".
        """
        record = self.record()
        for dataset in self.datasets:
            named = configs_of(dataset) if EVERY_CONFIG in self.configs else self.configs
            for config in named:
                for split in self.splits if config not in self.without else []:
                    yield SubtaskSpec(
                        task=self.name,
                        key=config,
                        family="knowledge",
                        domain="benchmark",
                        language="",
                        answer_kind=AnswerKind.of_any_row(),
                        dataset=dataset,
                        config=config,
                        split=split,
                        heldout_splits=self.splits,
                        license="",
                        commercial_use="unclear",
                        record=record,
                        lm_eval=None,
                        rows=None,
                        gated=self.gated,
                        hub_files=self.hub_files,
                        hub_revision=self.hub_revision,
                    )


@lru_cache(maxsize=4)
def load_protected(file: Path = FILE) -> tuple[ProtectedBenchmark, ...]:
    """Every protected benchmark.

    Raises:
        CatalogError: The file is malformed, or names a benchmark twice.
    """
    try:
        benchmarks = TypeAdapter(tuple[ProtectedBenchmark, ...]).validate_python(read_yaml(file))
    except ValidationError as error:
        raise CatalogError(f"{file}: {faults(error)}") from error
    names = [benchmark.name for benchmark in benchmarks]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise CatalogError(f"{file}: named twice: {', '.join(twice)}")
    return benchmarks
