"""Parts that files of the catalog share."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from sdg_assets.catalog.dataset_ids import same_dataset
from sdg_assets.catalog.topic_tree import Parts

# Fields that a `record:` mapping may fill; `question` and `answer` or `answer_index` are required.
RECORD_FIELDS = (
    "context",
    "question",
    "choices",
    "answer",
    "answer_index",
    "aliases",
    "solution",
    "tests",
)

# YAML reads `no` as false.
Topics = Literal[False] | Parts | None
Certainty = Literal["yaml", "seen", "known", "guess"]
EVERY_CONFIG = "*"

_WORDS = re.compile(r"\bwords\.(\w+)")


class CatalogEntry(BaseModel):
    """Base of all parts of a catalog file: immutable, and unknown keys are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RecordMapping(CatalogEntry):
    """Jinja templates that make an example from a raw row.

    A template that is a single expression (`{{choices.text}}`) keeps the value's type; any other
    template gives text. `row` is the whole row, for columns whose names are not identifiers:
    `{{row['A b']}}`.
    `each` is an expression for a list (the turns of a conversation, the questions on an article).
    The mapping is rendered once for each element, with the variables `item` and `index`.
    `words` are texts and labels that templates use as `words.NAME`. A subtask's `words:` replace
    the task's, so that the same record asks in the language of each subtask.
    Rows for which `where` is false are dropped. `shuffle` reorders the choices by the row's id, for
    datasets in which the right answer is always at the same position.
    """

    question: str
    context: str | None = None
    choices: str | list[str] | None = None
    answer: str | None = None
    answer_index: str | int | None = None
    aliases: str | None = None
    solution: str | None = None
    tests: str | None = None
    each: str | None = None
    where: str | None = None
    shuffle: bool = False
    words: dict[str, str | list[str]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_an_answer(self) -> RecordMapping:
        if self.answer is None and self.answer_index is None:
            raise ValueError("record needs `answer` or `answer_index`")
        if self.answer_index is not None and self.choices is None:
            raise ValueError("record.answer_index needs record.choices")
        return self

    def templates(self) -> Iterator[tuple[str, str]]:
        """Yields (field, template) of every template; a list of templates gives several pairs."""
        for name in (*RECORD_FIELDS, "each", "where"):
            value = getattr(self, name)
            for template in value if isinstance(value, list) else [value]:
                if template is not None:
                    yield name, str(template)

    def missing_words(self) -> list[str]:
        """Sorted names that templates use as `words.NAME` and that `words` lacks."""
        used = {name for _, template in self.templates() for name in _WORDS.findall(template)}
        return sorted(used - self.words.keys())


class Derivation(CatalogEntry):
    """A split of another dataset from which seed rows were copied, translated or relabelled."""

    dataset: str
    config: str = Field(default="default", description='"*": any config of the dataset')
    split: str
    how: str = Field(default="", description="e.g. `translated by machine; a fifth of its rows`")

    @field_validator("config", mode="before")
    @classmethod
    def _config_is_text(cls, value: Any) -> Any:  # noqa: ANN401 – a YAML scalar
        return str(value) if isinstance(value, int) else value

    def reads(self, dataset: str, config: str) -> bool:
        """Whether the rows derive from this config of this dataset."""
        return same_dataset(self.dataset, dataset) and self.config in (config, EVERY_CONFIG)
