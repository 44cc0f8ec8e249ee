"""What a seed task and a subtask are. The form of one YAML file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from hashlib import blake2b
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from sdg_assets.records import AnswerKind, CommercialUse, Stage
from sdg_assets.thresholds import limits, overridden

# Fields a `record:` mapping may fill; `question` and one of `answer`, `answer_index` must be there.
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

Certainty = Literal["yaml", "seen", "known", "guess"]
EVERY_CONFIG = "*"

# Assets and folders of these names are no seed tasks; a task called so would collide with them.
RESERVED_TASKS = frozenset({Stage.CURATED, "operations", "protected", "teacher"})
# Names of files beside a partition's own: `KEY.rejected.jsonl` is not a subtask `KEY.rejected`.
RESERVED_KEY_ENDINGS = (".rejected", ".manifest")

# These become parts of paths in a mirror, so none may leave its folder or stand for many.
DatasetName = Annotated[
    str,
    Field(pattern=r"^\w[\w.-]*(/\w[\w.-]*)?$", description="a Hub id: `name` or `owner/name`"),
]
SplitName = Annotated[str, Field(pattern=r"^\w[\w.-]*$", description="the name of one split")]


_WORDS = re.compile(r"\bwords\.(\w+)")


class CatalogEntry(BaseModel):
    """A frozen part of a catalog file that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RecordMapping(CatalogEntry):
    """Jinja templates over a raw row.

    A template that is one expression (`{{choices.text}}`) keeps the value's type; anything else is
    text. `row` is the whole row, for columns whose name is no identifier: `{{row['A b']}}`.
    `each` names an expression that yields several variables per row (a conversation's turns, an
    article's questions): the mapping is rendered once for each `item` of it, `index` counting them.
    `words` are wordings and labels that the templates name as `words.NAME`; a subtask's `words:`
    take the place of the task's, so that one record asks each language in its own words.
    `where` drops rows for which it is false. `shuffle` reorders choices by the row's id, for
    datasets whose right answer always stands at the same place.
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
        """Every template with the name of its field; a list's parts come one by one."""
        for name in (*RECORD_FIELDS, "each", "where"):
            value = getattr(self, name)
            for template in value if isinstance(value, list) else [value]:
                if template is not None:
                    yield name, str(template)

    def absent_words(self) -> list[str]:
        """Names that a template reads as `words.NAME` and that `words` does not have, sorted."""
        named = {n for _, template in self.templates() for n in _WORDS.findall(template)}
        return sorted(named - self.words.keys())


class Derivation(CatalogEntry):
    """Rows of another dataset that rows here were made of: copied, translated, relabelled."""

    dataset: str
    config: str = Field(default="default", description='"*": any config of the dataset')
    split: str
    how: str = Field(default="", description="e.g. translated by machine; a fifth of its rows")

    @field_validator("config", mode="before")
    @classmethod
    def _config_is_text(cls, value: Any) -> Any:  # noqa: ANN401 – a YAML scalar
        return str(value) if isinstance(value, int) else value

    def reads(self, dataset: str, config: str) -> bool:
        """Whether the rows were made of this config of this dataset."""
        return self.dataset == dataset and self.config in (config, EVERY_CONFIG)


class Subtask(CatalogEntry):
    """One leaf of a seed task: the partition key, and where its rows lie.

    What is unset is inherited from the task.
    """

    config: str = "default"
    lm_eval: str | None = Field(default=None, description="leaf of lm-eval; None: it has none")
    dataset: DatasetName | None = None
    split: SplitName | None = None
    language: str | None = None
    domain: str | None = None
    answer_kind: AnswerKind | None = None
    record: RecordMapping | None = None
    words: dict[str, str | list[str]] | None = Field(
        default=None, description="wordings that take the place of the record's"
    )
    heldout_splits: list[SplitName] | None = None
    license: str | None = None
    commercial_use: CommercialUse | None = None
    rows: int | None = Field(default=None, ge=0, description="rows of the seed split, as published")
    derived_from: list[Derivation] | None = Field(
        default=None, description="instead of the task's; []: its rows are its own"
    )
    gates: dict[str, Any] = Field(
        default_factory=dict, description="thresholds of its own, on top of the task's"
    )
    gates_because: dict[str, str] = Field(
        default_factory=dict, description="threshold → why it was moved; a limit needs it"
    )
    differs: str | None = Field(default=None, description="why it is not what lm-eval's leaf reads")
    certainty: Certainty = "guess"
    enabled: bool = True
    why: str | None = None

    @field_validator("config", mode="before")
    @classmethod
    def _config_is_text(cls, value: Any) -> Any:  # noqa: ANN401 – a YAML scalar
        return str(value) if isinstance(value, int) else value

    @field_validator("config")
    @classmethod
    def _config_is_a_folder(cls, value: str) -> str:
        if not value or value.startswith(".") or re.search(r"[/\\*\x00]", value):
            raise ValueError(f"{value!r}: a config names one folder of the dataset")
        return value


class SeedTask(CatalogEntry):
    """One public task family, as its YAML file says."""

    task: str = Field(pattern=r"^[a-z0-9_]+$")
    family: Literal["knowledge", "reasoning"]
    domain: str
    languages: list[str] = Field(min_length=1)
    dataset: DatasetName
    license: str = Field(description="SPDX identifier where there is one")
    license_source: str = ""
    commercial_use: CommercialUse
    answer_kind: AnswerKind
    seed_split: SplitName
    heldout_splits: list[SplitName]
    frame: str = Field(default="", description="what every question of the task asks for")
    record: RecordMapping | None = Field(default=None, description="None: lm-eval renders the rows")
    subtasks: dict[str, Subtask] = Field(min_length=1)
    notes: str = ""
    certainty: dict[str, Certainty] = Field(default_factory=dict)
    overlaps: list[str] = Field(default_factory=list, description="tasks whose rows it contains")
    translation_of: str | None = None
    derived_from: list[Derivation] = Field(
        default_factory=list,
        description="what the seed rows were made of; a task that was made of evaluation rows "
        "stays off",
    )
    parallel: bool = Field(
        default=False,
        description="the subtasks hold the same rows, aligned by position, each in a language of "
        "its own; every position is seeded in one of them only",
    )
    exemplars_only: bool = Field(default=False, description="the seed split is few-shot exemplars")
    canary: bool = Field(default=False, description="its rows ask not to be trained on")
    gated: bool = False
    hub_files: str | None = Field(
        default=None,
        description="glob inside the Hub repository, where `load_dataset` cannot find the files: "
        "a script dataset's parquet conversion, a CSV",
    )
    hub_revision: str | None = Field(default=None, description="e.g. refs/convert/parquet")
    differs: str | None = Field(
        default=None,
        description="why dataset, config or splits are not lm-eval's own, e.g. a script-free copy",
    )
    gates: dict[str, Any] = Field(
        default_factory=dict, description="thresholds of its own; `preview` prints their names"
    )
    gates_because: dict[str, str] = Field(
        default_factory=dict, description="threshold → why it was moved; a limit needs it"
    )
    enabled: bool = True
    why: str | None = None
    path: str = Field(default="", exclude=True, description="the file it was read from")

    @field_validator("task")
    @classmethod
    def _not_reserved(cls, value: str) -> str:
        if value in RESERVED_TASKS:
            raise ValueError(f"{value!r} is the name of an asset of the pipeline; choose another")
        return value

    @field_validator("subtasks")
    @classmethod
    def _keys_are_file_names(cls, value: dict[str, Subtask]) -> dict[str, Subtask]:
        by_lower_case: dict[str, str] = {}
        for key in value:
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.+-]*", key):
                raise ValueError(f"{key!r}: a subtask key names files; use letters, digits, _.+-")
            if key.endswith(RESERVED_KEY_ENDINGS):
                raise ValueError(f"{key!r}: a subtask key must not end in {key[key.rindex('.') :]}")
            other = by_lower_case.setdefault(key.lower(), key)
            if other != key:
                raise ValueError(
                    f"{key!r} and {other!r} differ in case only; some file systems hold one of them"
                )
        return value

    @field_validator("gates")
    @classmethod
    def _known_thresholds(cls, value: dict[str, Any]) -> dict[str, Any]:
        overridden(value)
        return value

    @model_validator(mode="after")
    def _moved_limits_say_why(self) -> SeedTask:
        for owner, gates, because in (
            ("", self.gates, self.gates_because),
            *((f"subtasks.{key}.", s.gates, s.gates_because) for key, s in self.subtasks.items()),
        ):
            try:
                overridden(gates)
            except ValueError as error:
                raise ValueError(f"{owner}gates.{error}") from error
            # Gates are found, and so imported, only for a task that moves a threshold.
            for name in sorted(limits() & gates.keys()) if gates else ():
                if not because.get(name):
                    raise ValueError(
                        f"{owner}gates.{name} moves a limit: say why in {owner}gates_because.{name}"
                    )
            if unmoved := sorted(because.keys() - gates.keys()):
                raise ValueError(f"{owner}gates_because: {', '.join(unmoved)} is not in gates")
        return self

    @model_validator(mode="after")
    def _a_translation_says_of_what(self) -> SeedTask:
        if self.translation_of and not self.derived_from:
            raise ValueError(
                "`translation_of` needs `derived_from:`, the dataset, config and split that were "
                "translated"
            )
        return self

    @field_validator("notes", mode="before")
    @classmethod
    def _notes_are_text(cls, value: Any) -> Any:  # noqa: ANN401 – a YAML scalar or list
        if isinstance(value, list) and all(isinstance(note, str) for note in value):
            return "; ".join(value)
        return value

    @model_validator(mode="after")
    def _off_says_why(self) -> SeedTask:
        if not self.enabled and not self.why:
            raise ValueError("`enabled: false` needs `why:`")
        for key, subtask in self.subtasks.items():
            if not subtask.enabled and not subtask.why:
                raise ValueError(f"subtasks.{key}: `enabled: false` needs `why:`")
        return self

    def resolve(self, key: str) -> SubtaskSpec:
        """The subtask with everything it inherits filled in.

        Raises:
            KeyError: The task has no such subtask.
        """
        subtask = self.subtasks[key]
        heldout, derived = subtask.heldout_splits, subtask.derived_from
        record = subtask.record or self.record
        if record is not None and subtask.words is not None:
            record = record.model_copy(update={"words": subtask.words})
        return SubtaskSpec(
            task=self.task,
            key=key,
            family=self.family,
            domain=subtask.domain or self.domain,
            language=subtask.language or self.languages[0],
            answer_kind=subtask.answer_kind or self.answer_kind,
            frame=self.frame,
            dataset=subtask.dataset or self.dataset,
            config=subtask.config,
            split=subtask.split or self.seed_split,
            heldout_splits=self.heldout_splits if heldout is None else heldout,
            license=subtask.license or self.license,
            commercial_use=subtask.commercial_use or self.commercial_use,
            record=record,
            lm_eval=subtask.lm_eval,
            rows=subtask.rows,
            gated=self.gated,
            hub_files=self.hub_files,
            hub_revision=self.hub_revision,
            gates={**self.gates, **subtask.gates},
            derived_from=self.derived_from if derived is None else derived,
            parallel_with=sorted(self.enabled_subtasks()) if self.parallel else [],
        )

    def enabled_subtasks(self) -> list[str]:
        """Keys of the subtasks that are seeded, in the file's order."""
        return [k for k, s in self.subtasks.items() if s.enabled] if self.enabled else []

    def declared_rows(self) -> int:
        """How many rows it seeds, as far as its subtasks' `rows` say."""
        rows = [self.subtasks[key].rows or 0 for key in self.enabled_subtasks()]
        return max(rows, default=0) if self.parallel else sum(rows)


class SubtaskSpec(CatalogEntry):
    """A subtask on its own: everything a stage must know of one partition."""

    task: str
    key: str
    family: Literal["knowledge", "reasoning"]
    domain: str
    language: str
    answer_kind: AnswerKind
    frame: str = ""
    dataset: str
    config: str
    split: str
    heldout_splits: list[str]
    license: str
    commercial_use: CommercialUse
    record: RecordMapping | None
    lm_eval: str | None
    rows: int | None
    gated: bool
    hub_files: str | None = None
    hub_revision: str | None = None
    gates: dict[str, Any] = {}
    derived_from: list[Derivation] = []
    parallel_with: list[str] = []

    def owner(self, position: int) -> str:
        """The subtask that seeds the row at `position`: this one, unless the task is parallel."""
        if not self.parallel_with:
            return self.key
        # Rendezvous hashing: a language switched on later takes its share of the rows from the
        # others, and moves no row between them.
        return max(self.parallel_with, key=partial(_share, self.task, position))

    @property
    def where(self) -> str:
        """`task/subtask (dataset, config, split)`: how messages name it."""
        return f"{self.task}/{self.key} ({self.dataset}, {self.config}, {self.split})"


def _share(task: str, position: int, key: str) -> bytes:
    return blake2b(f"{task}:{position}:{key}".encode(), digest_size=8).digest()
