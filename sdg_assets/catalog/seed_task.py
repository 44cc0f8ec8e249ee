"""The schema of a seed task's YAML file, with its subtasks."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from sdg_assets.addresses import OWNER
from sdg_assets.catalog.entries import CatalogEntry, Certainty, Derivation, RecordMapping, Topics
from sdg_assets.catalog.subtask_spec import SubtaskSpec
from sdg_assets.records import AnswerKind, CommercialUse, Stage
from sdg_assets.thresholds import limits, overridden

# Names of other assets and folders, with which a seed task of the same name would collide.
RESERVED_TASKS = frozenset(
    {Stage.CURATED, "budgets", "coverage", "operations", "passages", "protected", "teacher"}
)
# Endings of other files of a partition: `KEY.rejected.jsonl` is not of a subtask `KEY.rejected`.
RESERVED_KEY_ENDINGS = (".rejected", ".manifest")

# These become parts of paths in a mirror, so they must not leave their folder or be a glob.
DatasetName = Annotated[
    str,
    Field(pattern=r"^\w[\w.-]*(/\w[\w.-]*)?$", description="a Hub id: `name` or `owner/name`"),
]
SPLIT_NAME = r"^\w[\w.-]*$"
SplitName = Annotated[str, Field(pattern=SPLIT_NAME, description="the name of one split")]


class Subtask(CatalogEntry):
    """A subtask, i.e. a partition, of a seed task. Unset fields are inherited from the task."""

    config: str = "default"
    lm_eval: str | None = Field(
        default=None, description="the corresponding leaf task of lm-eval; None if there is none"
    )
    dataset: DatasetName | None = None
    split: SplitName | None = None
    language: str | None = None
    domain: str | None = None
    behaviours: list[str] | None = Field(
        default=None, min_length=1, description="names of the taxonomy, instead of the task's"
    )
    skills: list[str] | None = Field(
        default=None, min_length=1, description="names of the taxonomy, instead of the task's"
    )
    answer_kind: AnswerKind | None = None
    record: RecordMapping | None = None
    words: dict[str, str | list[str]] | None = Field(
        default=None, description="texts and labels that replace the record's `words`"
    )
    heldout_splits: list[SplitName] | None = None
    license: str | None = None
    commercial_use: CommercialUse | None = Field(
        default=None,
        description="a task's `yes` is `unclear` for a subtask with its own dataset or licence",
    )
    rows: int | None = Field(
        default=None, ge=0, description="number of rows of the seed split, as published"
    )
    topics: Topics = Field(default=None, description="overrides the task's `topics`")
    derived_from: list[Derivation] | None = Field(
        default=None,
        description="origins of the rows instead of the task's; []: derived from nothing",
    )
    gates: dict[str, Any] = Field(
        default_factory=dict, description="thresholds that override the task's"
    )
    gates_because: dict[str, str] = Field(
        default_factory=dict,
        description="threshold → why it was changed; required for `limits`",
    )
    differs: str | None = Field(
        default=None, description="why the rows are not those that lm-eval's leaf reads"
    )
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
            raise ValueError(f"{value!r}: a config must be the name of one folder of the dataset")
        return value


class SeedTask(CatalogEntry):
    """A seed task: the content of one YAML file."""

    task: str = Field(pattern=r"^[a-z0-9_]+$")
    family: Literal["knowledge", "reasoning"]
    domain: str
    behaviours: list[str] = Field(
        min_length=1, description="how one works on the task: names of `taxonomy.yaml`"
    )
    skills: list[str] = Field(
        min_length=1, description="what the work is about: names of `taxonomy.yaml`"
    )
    languages: list[str] = Field(min_length=1)
    dataset: DatasetName
    license: str = Field(description="SPDX identifier if the licence has one, else its name")
    license_source: str = ""
    commercial_use: CommercialUse
    answer_kind: AnswerKind
    seed_split: SplitName
    heldout_splits: list[SplitName]
    frame: str = Field(
        default="",
        description="description of the task with which prompts open: what each question asks for",
    )
    record: RecordMapping | None = Field(
        default=None, description="templates for the rows; None: lm-eval renders them"
    )
    subtasks: dict[str, Subtask] = Field(min_length=1)
    owners: list[Annotated[str, Field(pattern=f"^({OWNER})$")]] = Field(
        default_factory=list,
        description="who answers for the task, instead of SDG_OWNERS: e-mail addresses or "
        "team:NAME; the UI shows them, and alerts reach them",
    )
    notes: str = ""
    certainty: dict[str, Certainty] = Field(default_factory=dict)
    overlaps: list[str] = Field(
        default_factory=list, description="other tasks whose rows this task contains"
    )
    translation_of: str | None = None
    derived_from: list[Derivation] = Field(
        default_factory=list,
        description="splits that the seed rows were made from; a task made from evaluation rows "
        "must be switched off",
    )
    topics: Topics = Field(
        default=None,
        description="parts of the topic tree that new examples are about (roots, `root/field` or "
        "`all`); `no`: the task is bound to given texts or labels; None: by domain and form, see "
        "`SubtaskSpec.topic_parts`",
    )
    parallel: bool = Field(
        default=False,
        description="whether the subtasks contain the same rows at the same positions, each in "
        "another language; then each position is seeded in one subtask only",
    )
    exemplars_only: bool = Field(
        default=False, description="whether the seed split consists of few-shot exemplars"
    )
    canary: bool = Field(
        default=False, description="whether the rows carry a request not to train on them"
    )
    gated: bool = False
    hub_files: str | None = Field(
        default=None,
        description="glob of files in the Hub repository, if `load_dataset` cannot find them: "
        "the Parquet conversion of a script dataset, a CSV",
    )
    hub_revision: str | None = Field(default=None, description="e.g. refs/convert/parquet")
    differs: str | None = Field(
        default=None,
        description="why dataset, config or splits differ from lm-eval's, e.g. a copy without a "
        "loading script",
    )
    gates: dict[str, Any] = Field(
        default_factory=dict,
        description="thresholds that override the defaults; `preview` prints their names",
    )
    gates_because: dict[str, str] = Field(
        default_factory=dict,
        description="threshold → why it was changed; required for `limits`",
    )
    enabled: bool = True
    why: str | None = None
    path: str = Field(default="", exclude=True, description="YAML file of the task")

    @field_validator("task")
    @classmethod
    def _not_reserved(cls, value: str) -> str:
        if value in RESERVED_TASKS:
            raise ValueError(f"{value!r} is the name of an asset of the pipeline; use another name")
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
                    f"{key!r} and {other!r} differ in case only; on some file systems they are the "
                    "same file"
                )
        return value

    @field_validator("gates")
    @classmethod
    def _known_thresholds(cls, value: dict[str, Any]) -> dict[str, Any]:
        overridden(value)
        return value

    @model_validator(mode="after")
    def _changed_limits_have_a_reason(self) -> SeedTask:
        for owner, gates, because in (
            ("", self.gates, self.gates_because),
            *((f"subtasks.{key}.", s.gates, s.gates_because) for key, s in self.subtasks.items()),
        ):
            try:
                overridden(gates)
            except ValueError as error:
                raise ValueError(f"{owner}gates.{error}") from error
            # `limits()` imports all gates, so it is called only if the task changes a threshold.
            for name in sorted(limits() & gates.keys()) if gates else ():
                if not because.get(name):
                    raise ValueError(
                        f"{owner}gates.{name} changes a limit: give the reason in "
                        f"{owner}gates_because.{name}"
                    )
            if unchanged := sorted(because.keys() - gates.keys()):
                raise ValueError(f"{owner}gates_because: {', '.join(unchanged)} is not in gates")
        return self

    @model_validator(mode="after")
    def _translations_have_an_origin(self) -> SeedTask:
        if self.translation_of and not self.derived_from:
            raise ValueError(
                "`translation_of` needs `derived_from:` with dataset, config and split of the "
                "original"
            )
        return self

    @field_validator("notes", mode="before")
    @classmethod
    def _notes_are_text(cls, value: Any) -> Any:  # noqa: ANN401 – a YAML scalar or list
        if isinstance(value, list) and all(isinstance(note, str) for note in value):
            return "; ".join(value)
        return value

    @model_validator(mode="after")
    def _disabled_needs_a_reason(self) -> SeedTask:
        if not self.enabled and not self.why:
            raise ValueError("`enabled: false` needs `why:`")
        for key, subtask in self.subtasks.items():
            if not subtask.enabled and not subtask.why:
                raise ValueError(f"subtasks.{key}: `enabled: false` needs `why:`")
        return self

    def resolve(self, key: str) -> SubtaskSpec:
        """The subtask with the values it inherits from the task; it may be switched off.

        Raises:
            KeyError: The task has no such subtask.
        """
        subtask = self.subtasks[key]
        heldout, derived = subtask.heldout_splits, subtask.derived_from
        topics = self.topics if subtask.topics is None else subtask.topics
        record = subtask.record or self.record
        if record is not None and subtask.words is not None:
            record = record.model_copy(update={"words": subtask.words})
        return SubtaskSpec(
            task=self.task,
            key=key,
            family=self.family,
            domain=subtask.domain or self.domain,
            behaviours=subtask.behaviours or self.behaviours,
            skills=subtask.skills or self.skills,
            language=subtask.language or self.languages[0],
            answer_kind=subtask.answer_kind or self.answer_kind,
            frame=self.frame,
            dataset=subtask.dataset or self.dataset,
            config=subtask.config,
            split=subtask.split or self.seed_split,
            heldout_splits=self.heldout_splits if heldout is None else heldout,
            license=subtask.license or self.license,
            commercial_use=self._commercial_use(subtask),
            record=record,
            lm_eval=subtask.lm_eval,
            rows=subtask.rows,
            gated=self.gated,
            hub_files=self.hub_files,
            hub_revision=self.hub_revision,
            gates={**self.gates, **subtask.gates},
            topics=topics,
            derived_from=self.derived_from if derived is None else derived,
            parallel_with=sorted(self.enabled_subtasks()) if self.parallel else [],
        )

    def _commercial_use(self, subtask: Subtask) -> CommercialUse:
        """What the subtask states, else what the task does, as far as it may be inherited.

        A task's `yes` is about its own dataset and licence. A CC-BY-NC subtask once inherited it,
        and its rows reached the commercial subset.
        """
        if subtask.commercial_use:
            return subtask.commercial_use
        others = {subtask.dataset, subtask.license} - {None, self.dataset, self.license}
        return "unclear" if others and self.commercial_use == "yes" else self.commercial_use

    def enabled_subtasks(self) -> list[str]:
        """Keys of the subtasks that are seeded, in the order of the file."""
        return [k for k, s in self.subtasks.items() if s.enabled] if self.enabled else []

    def declared_rows(self) -> int:
        """Number of rows that the task seeds; subtasks without `rows` count as 0."""
        rows = [self.subtasks[key].rows or 0 for key in self.enabled_subtasks()]
        return max(rows, default=0) if self.parallel else sum(rows)
