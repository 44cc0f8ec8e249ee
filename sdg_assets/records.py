"""THE record of every stage.

`Seed → Example → GeneratedExample → EnrichedExample → CuratedExample`, each a line of JSON in its
stage's file. A row that a gate refuses becomes a `Rejection` and lies beside the accepted ones.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator

from sdg_assets.kinds import AnswerKind as AnswerKind  # part of the records' vocabulary

if TYPE_CHECKING:
    import polars as pl


class Role(StrEnum):
    """The three parts a teacher plays. Each may be another model."""

    WRITER = "writer"
    SOLVER = "solver"
    JUDGE = "judge"


class Stage(StrEnum):
    """The stages, in the order in which they can be made; `stages/stage.py` says all about them.

    A value is the last part of an asset's key and a folder of the store. Hand Dagster the value
    (`assets.keys.asset_key`): it cannot serialize a key that holds an enum.
    """

    HELDOUT = "heldout"
    SEEDS = "seeds"
    NORMALIZED = "normalized"
    GENERATED = "generated"
    ENRICHED = "enriched"
    FILTERED = "filtered"
    CURATED = "curated"


# YAML reads a bare yes/no as a boolean.
CommercialUse = Annotated[
    Literal["yes", "no", "unclear"],
    BeforeValidator(lambda value: {True: "yes", False: "no"}.get(value, value)),
]


def content_id(*parts: object) -> str:
    """A 20-hex-digit id that depends on content alone, so it is the same in every run."""
    payload = json.dumps(parts, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(payload.encode("utf-8", "surrogatepass")).hexdigest()[:20]


class Record(BaseModel):
    """A frozen row that refuses columns it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(Record):
    """Where a seed row stands: enough to find it again in the dataset."""

    dataset: str = Field(description="the Hub's name of it, organization/name")
    config: str = Field(description="which of the dataset's configurations")
    split: str = Field(description="the split that it was read from; never a held-out one")
    row: int = Field(ge=0, description="position in the split, from 0")
    revision: str = Field(description="hub commit, or the fingerprint of a local copy's files")
    license: str = Field(description="of the dataset, as the catalog states it")


class Seed(Record):
    """A raw row of a seed split, untouched."""

    source: Source = Field(description="where the row stands")
    row: dict[str, Any] = Field(description="the dataset's own columns")


class TeacherStamp(Record):
    """Which model wrote something, and under which licence."""

    model: str = Field(description="hub id, or the name of a directory or of a served model")
    revision: str = Field(description="commit or content hash of the weights; `unknown` if untold")
    license: str = Field(description="as the model's card states it")


@dataclass(frozen=True)
class Content:
    """An example's content, without its identity: what a mapping or a writer's draft becomes."""

    question: str
    answer: str
    context: str = ""
    choices: list[str] = field(default_factory=list)
    answer_index: int | None = None
    aliases: list[str] = field(default_factory=list)
    solution: str = ""
    tests: list[str] = field(default_factory=list)


class Example(Record):
    """A question and its answer, after `normalized`. `answer` is meaning, never an option label."""

    id: str = Field(description="hash of the content: equal content has equal ids in every run")
    task: str = Field(description="name of the seed task")
    subtask: str = Field(description="name of the subtask, which is the partition")
    family: Literal["knowledge", "reasoning"] = Field(description="of the seed task")
    domain: str = Field(description="of the seed task: science, law …")
    language: str = Field(description="ISO 639 code of the language that the row is written in")
    answer_kind: AnswerKind
    context: str = Field(default="", description="passage the question is about; empty if none")
    question: str = Field(description="what is asked")
    choices: list[str] = Field(default_factory=list, description="option texts, never letters")
    answer: str = Field(description="the answer's text: of choices, the right one itself")
    answer_index: int | None = Field(default=None, description="position of `answer` in `choices`")
    aliases: list[str] = Field(default_factory=list, description="other right wordings")
    solution: str = Field(default="", description="worked solution, where the dataset has one")
    tests: list[str] = Field(default_factory=list, description="code: statements that must hold")
    source: Source = Field(description="the seed row; of a generated example its first seed's")


class GeneratedExample(Example):
    """A new example that the writer wrote after its seeds. `source` is the anchor seed's."""

    seed_ids: list[str] = Field(description="the seeds that the writer saw; the first is imitated")
    teacher: TeacherStamp = Field(description="the writer")
    prompt_version: str = Field(description="name and hash of the writer's prompt")
    variation: str = Field(description="how the example was to differ from its seed")
    completion_id: str = Field(description="the request's id in the writer's completion log")


class Vote(Record):
    """An answer the solver gave, and how often."""

    answer: str = Field(description="the answer that the votes gave")
    count: int = Field(ge=1, description="how many votes gave it")


class Rubric(Record):
    """The judge's scores by criterion, each from 0 (fails) to 1 (flawless)."""

    self_contained: float = Field(ge=0, le=1, description="it can be answered as it stands")
    one_right_answer: float = Field(ge=0, le=1, description="no other answer is right as well")
    same_skill: float = Field(ge=0, le=1, description="it asks for the seed's skill")
    right_language: float = Field(ge=0, le=1, description="it is written in the row's language")
    harmless: float = Field(ge=0, le=1, description="nothing in it does harm")


class Judgement(Record):
    """What the judge says of a row."""

    score: float = Field(
        ge=0, le=1, description="mean of the criteria, or logistic of a reward; 0 if unreadable"
    )
    criteria: Rubric | None = Field(default=None, description="None: a reward model has one score")
    reasons: list[str] = Field(description="the judge's comments, or why nothing could be read")
    judge: TeacherStamp = Field(description="who judged")
    prompt_version: str = Field(description="name and hash of the judge's prompt")

    @property
    def is_readable(self) -> bool:
        """Whether the judge's answer could be read.

        A rubric that could be has criteria, and a reward has no reasons. What the judge says is not
        looked at: a comment may begin with any word.
        """
        return self.criteria is not None or not self.reasons


class Proof(Record):
    """What a row's tests can tell: they ran on trivial mutants of its program, in the sandbox.

    A mutant returns None, its argument, one constant, or wrong values of the right type; tests that
    pass it would pass almost any program.
    """

    mutants: int = Field(ge=0, description="how many were tried")
    killed: int = Field(ge=0, description="how many of them fail a test")
    alike: list[str] = Field(
        description="mutants that answered all that the tests asked as the program did; with "
        "`constant` among them, all tests expect one value"
    )
    fault: str = Field(default="", description="why the tests prove nothing; empty if they do")


class Addition(Record):
    """What an enrichment of another package added to a row, and who wrote it."""

    enrichment: str = Field(description="its name")
    role: Role = Field(description="the part that its teacher plays")
    teacher: TeacherStamp = Field(description="who was asked")
    prompt_versions: list[str] = Field(description="of the prompts that it may have asked with")
    fields: dict[str, JsonValue] = Field(description="name → value; JSON text in Parquet")
    trained: list[str] = Field(
        default_factory=list, description="names of the fields whose text a row trains on"
    )

    @model_validator(mode="after")
    def _trains_on_texts(self) -> Self:
        for name in self.trained:
            if not isinstance(self.fields.get(name), str):
                raise ValueError(f"field {name!r} is trained on, so it must be a text")
        return self

    @property
    def trained_texts(self) -> list[str]:
        """The texts that a row trains on, in the order of `trained`."""
        return [str(self.fields[name]) for name in self.trained]


class EnrichedExample(GeneratedExample):
    """A generated example that was answered blind, with what was written along the way."""

    reasoning: str = Field(default="", description="best trace among the votes that agree")
    knowledge: str = Field(default="", description="background a learner needs; empty if unwritten")
    knowledge_fault: str = Field(default="", description="why a background that came was not kept")
    votes: list[Vote] = Field(description="each answer that votes gave, the most frequent first")
    votes_cast: int = Field(ge=0, description="votes without an answer included")
    vote_share: float = Field(ge=0, le=1, description="share of votes cast that agree")
    outcome: Literal[
        "agreed", "majority_disagrees", "no_majority", "unsolvable", "vacuous_tests"
    ] = Field(
        description="what the votes say about the writer's answer; no vote is asked for on a "
        "program with vacuous tests"
    )
    proof: Proof | None = Field(
        default=None, description="of a program that passes its tests: what these can tell"
    )
    written_answer: str = Field(
        default="", description="the writer's answer, where a strong majority corrected it"
    )
    solver: TeacherStamp = Field(description="who answered and wrote reasoning and background")
    judge: Judgement | None = Field(default=None, description="None: not verified, or no judge")
    enrichments: list[Addition] = Field(
        default_factory=list, description="what enrichments of other packages added, by name"
    )

    @property
    def added_texts(self) -> list[str]:
        """The texts that enrichments of other packages added for the row to train on."""
        return [text for added in self.enrichments for text in added.trained_texts]

    @property
    def verified(self) -> bool:
        """Whether `answer` is the one that the majority gave."""
        return self.outcome == "agreed" or bool(self.written_answer)


class Contribution(Record):
    """A teacher whose words stand in a row, with its terms as its card has them."""

    role: Role = Field(description="the part that it played")
    model: str = Field(description="as in the teacher's stamp")
    revision: str = Field(description="as in the teacher's stamp")
    license: str = Field(description="as the model's card states it")
    commercial_use: CommercialUse = Field(description="whether its licence permits commercial use")
    outputs_may_train: CommercialUse = Field(description="whether its outputs may train models")


class CuratedExample(EnrichedExample):
    """What leaves: a verified example, its provenance, its licence and its training texts."""

    license: str = Field(description="of the seed dataset")
    written_by: list[Contribution] = Field(description="every teacher whose words stand in the row")
    commercial_use: CommercialUse = Field(
        description="the strictest of the seed's licence and of every contribution's terms"
    )
    not_commercial: list[str] = Field(description="why it is not `yes`; empty if it is")
    text: dict[str, str] = Field(description="variant name → rendered training text")


class Rejection(Record):
    """A row that a gate refused, kept whole. Nothing is dropped silently."""

    gate: str = Field(description="which gate, or the stage itself: mapping, generation …")
    reason: str = Field(description="why, in words that many rows share")
    detail: str = Field(default="", description="what it was in this row")
    scores: dict[str, float] = Field(default_factory=dict, description="what the gate measured")
    row: dict[str, Any] = Field(description="the row as it stood when it was refused")


def polars_schema(record: type[Record]) -> dict[str, pl.DataType]:
    """The columns of a record as polars sees them.

    Args:
        record: A stage's record class.

    Returns:
        Column name → polars type. Nested records become structs; `dict` columns become JSON text.
    """
    return {name: _polars_type(field.annotation) for name, field in record.model_fields.items()}


def _polars_type(annotation: Any) -> pl.DataType:  # noqa: ANN401 – annotations have no common type
    import polars as pl

    arguments = [a for a in get_args(annotation) if a is not type(None)]
    if get_origin(annotation) is list:
        return pl.List(_polars_type(arguments[0]))
    if get_origin(annotation) is dict:
        return pl.String()
    if get_origin(annotation) is Literal:
        return pl.String()
    if arguments:  # Optional[...]: polars columns are nullable anyway
        return _polars_type(arguments[0])
    if issubclass(annotation, Record):
        return pl.Struct(polars_schema(annotation))
    plain: dict[type, pl.DataType] = {int: pl.Int64(), float: pl.Float64(), bool: pl.Boolean()}
    return plain.get(annotation, pl.String())


@dataclass(frozen=True)
class Refusal:
    """A gate's verdict on a row it does not let through."""

    gate: str
    reason: str
    detail: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)

    def rejection(self, row: Example) -> Rejection:
        """The row as it is kept beside the accepted ones."""
        return Rejection(
            gate=self.gate,
            reason=self.reason,
            detail=self.detail,
            scores=dict(self.scores),
            row=row.model_dump(mode="json"),
        )
