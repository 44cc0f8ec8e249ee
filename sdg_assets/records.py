"""The row formats of all stages.

`Seed → Example → GeneratedExample → EnrichedExample → CuratedExample`. Each row is one line of
JSON in its stage's file. A row that a gate refuses becomes a `Rejection`, stored beside the
accepted rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args, get_origin

import msgspec
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator

from sdg_assets.kinds import AnswerKind as AnswerKind  # re-exported: records use it

if TYPE_CHECKING:
    import polars as pl


class Role(StrEnum):
    """The roles of a teacher. Each role may use a different model.

    The judge and the probe may be missing; see `teacher.is_played`.
    """

    WRITER = "writer"
    SOLVER = "solver"
    JUDGE = "judge"
    PROBE = "probe"


class Stage(StrEnum):
    """The stages, in an order in which they can be materialized; see `stages/stage.py`.

    A value is the last part of an asset's key and the name of a folder in the store. Pass the
    value to Dagster (`assets.keys.asset_key`): it cannot serialize a key that holds an enum.
    """

    HELDOUT = "heldout"
    SEEDS = "seeds"
    NORMALIZED = "normalized"
    GENERATED = "generated"
    ENRICHED = "enriched"
    FILTERED = "filtered"
    CURATED = "curated"


JudgeApi = Literal["rubric", "reward", "score", "verifier"]
"""How a teacher is asked to judge: as a chat model (`rubric`), for a score, or whether two answers
are equivalent (`verifier`)."""
VerifierFamily = Literal["compassverifier", "xverify"]
"""The families of answer-equivalence models: each has a prompt and answers of its own."""
VerdictWord = Literal["equal", "correct", "incorrect", "invalid", "unreadable", "cut_off"]
"""Whether an answer means the same as the writer's. `equal`: in the same words, so that no model
was asked. `invalid`: cut off, a refusal, or no answer to the question. `cut_off`: the model's own
reply was, so that it says nothing about the answer."""
VoteFault = Literal[
    "truncated",
    "truncated_while_thinking",
    "filtered_by_the_server",
    "too_long",
    "refused_by_the_server",
    "not_compared",
]
"""Why a vote counts for no answer, which says nothing about the question: a fault of its completion
(`teacher.requests.FAULTS`), or `not_compared`: the reply of the model that compares answers was cut
off."""
Outcome = Literal[
    "agreed",
    "majority_disagrees",
    "no_majority",
    "unsolvable",
    "invalid_answers",
    "vacuous_tests",
    VoteFault,
]
"""Result of the votes on a row."""
ReasoningSource = Literal["answer", "condensed"]
"""What becomes a row's reasoning: the answer's own steps, or the thought, condensed."""
Effort = Literal["minimal", "low", "medium", "high", "xhigh", "max"]
"""How hard a model thinks, from the least to the most."""
EFFORTS: tuple[Effort, ...] = get_args(Effort)
THINKING_MODES = ("on", "off", *EFFORTS)
"""What `SDG_THINKING` may ask of a role. A card says which of them its model has."""
TeacherClass = Literal["small", "strong", "thinking"]
"""The ability of a teacher. Prompts are worded for it, and it decides how long answers may be."""


# YAML reads a bare yes/no as a boolean.
CommercialUse = Annotated[
    Literal["yes", "no", "unclear"],
    BeforeValidator(lambda value: {True: "yes", False: "no"}.get(value, value)),
]


# The first takes a third of the time, and knows neither lone surrogates nor numbers as keys.
_CANONICAL = msgspec.json.Encoder(order="sorted")
_ANYTHING = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def content_id(*parts: object) -> str:
    """An id of 20 hex digits that depends only on the content: equal in every run and process.

    Args:
        *parts: JSON values. Their order and types count: `1` and `"1"` give different ids.
    """
    try:
        payload = _CANONICAL.encode(parts)
    except (UnicodeEncodeError, TypeError):
        payload = _ANYTHING.encode(parts).encode("utf-8", "surrogatepass")
    return hashlib.sha256(payload).hexdigest()[:20]


class Record(BaseModel):
    """Base of all rows: immutable, and unknown columns are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """A copy with other values, which are not validated: `model_copy`, in a tenth of its time.

        A row that is published is copied up to seven times.
        """
        copy = object.__new__(type(self))
        object.__setattr__(copy, "__dict__", {**self.__dict__, **changes})
        object.__setattr__(copy, "__pydantic_fields_set__", self.model_fields_set | changes.keys())
        object.__setattr__(copy, "__pydantic_extra__", None)
        object.__setattr__(copy, "__pydantic_private__", None)
        return copy


class Source(Record):
    """Where a seed row comes from: enough to find the row again in the dataset."""

    dataset: str = Field(description="Hub id of the dataset, organization/name")
    config: str = Field(description="configuration of the dataset")
    split: str = Field(description="split that the row was read from; never a held-out split")
    row: int = Field(ge=0, description="position in the split, counted from 0")
    revision: str = Field(description="Hub commit, or a fingerprint of the local copy's files")
    license: str = Field(description="licence of the dataset, as the catalog states it")


class Seed(Record):
    """A raw row of a seed split, unchanged."""

    source: Source = Field(description="where the row comes from")
    row: dict[str, Any] = Field(description="the dataset's own columns and their values")


class Passage(Record):
    """A text that backgrounds are written from."""

    id: str = Field(description="the passage's id in its collection")
    title: str = Field(description="what it is about")
    text: str = Field(description="its text, unchanged")
    license: str = Field(description="SPDX identifier of its licence, one of `licences.yaml`")
    source: str = Field(description="who published it, or where: a name or a URL")


class CitedPassage(Record):
    """The passage that a text was written from, without its text."""

    id: str = Field(description="the passage's id in its collection")
    title: str = Field(description="what it is about")
    license: str = Field(description="SPDX identifier of its licence")
    source: str = Field(description="who published it, or where: a name or a URL")
    revision: str = Field(description="hash of its text; another text has another one")

    @classmethod
    def of(cls, passage: Passage) -> Self:
        """The citation of a passage."""
        revision = content_id(passage.title, passage.text)
        return cls(revision=revision, **passage.model_dump(exclude={"text"}))


class TeacherStamp(Record):
    """The model that wrote a text, and its licence."""

    model: str = Field(description="Hub id, directory name, or the name that a server gives it")
    revision: str = Field(
        description="commit or content hash of the weights; `unknown` if a server does not say"
    )
    license: str = Field(description="licence of the model, as its card states it")


@dataclass(frozen=True)
class Content:
    """An example without its id and source; made by a mapping, or from a writer's draft."""

    question: str
    answer: str
    context: str = ""
    choices: list[str] = field(default_factory=list)
    answer_index: int | None = None
    aliases: list[str] = field(default_factory=list)
    solution: str = ""
    tests: list[str] = field(default_factory=list)


class Example(Record):
    """A question and its answer, as the stage `normalized` makes it. No option letters remain."""

    id: str = Field(description="hash of the content; equal content has the same id in every run")
    task: str = Field(description="name of the seed task")
    subtask: str = Field(description="name of the subtask, which is also the partition key")
    family: Literal["knowledge", "reasoning"] = Field(description="family of the seed task")
    domain: str = Field(description="subject of the seed task: science, law …")
    language: str = Field(description="ISO 639 code of the language that the row is written in")
    answer_kind: AnswerKind
    context: str = Field(
        default="", description="passage that the question is about; empty if there is none"
    )
    question: str = Field(description="text of the question")
    choices: list[str] = Field(
        default_factory=list, description="texts of the options, without their letters"
    )
    answer: str = Field(
        description="text of the answer; with `choices`, the text of the right option"
    )
    answer_index: int | None = Field(
        default=None, description="position of `answer` in `choices`, counted from 0"
    )
    aliases: list[str] = Field(
        default_factory=list, description="other wordings of the answer that are right too"
    )
    solution: str = Field(default="", description="worked solution; empty if the dataset has none")
    tests: list[str] = Field(
        default_factory=list, description="of code: statements that the program must pass"
    )
    source: Source = Field(
        description="where the seed row comes from; for a generated example, its first seed"
    )


class GeneratedExample(Example):
    """A new example that the writer modelled on seeds. `source` is the first (anchor) seed's."""

    seed_ids: list[str] = Field(
        description="ids of the seeds shown to the writer; it imitates the first (the anchor)"
    )
    teacher: TeacherStamp = Field(description="the model that wrote the example")
    prompt_version: str = Field(description="name and hash of the writer's prompt")
    variation: str = Field(description="how the writer was told to differ from the anchor")
    topic: str = Field(
        default="",
        description="root/field/leaf of the topic tree that the writer was given; empty if the "
        "task's form leaves no choice of topic",
    )
    angle: str = Field(
        default="",
        description="kind of person, place or source that the writer was given beside the topic",
    )
    completion_id: str = Field(description="id of the request in the writer's completion log")
    context_from: CitedPassage | None = Field(
        default=None,
        description="the passage that is the row's `context`; None if the writer wrote the context",
    )


class Vote(Record):
    """An answer that the solver gave, and how often."""

    answer: str = Field(description="text of the answer")
    count: int = Field(ge=1, description="number of votes for this answer")


class Rubric(Record):
    """The judge's scores by criterion, each from 0 (fails) to 1 (flawless)."""

    self_contained: float = Field(
        ge=0, le=1, description="the question can be answered without further context"
    )
    one_right_answer: float = Field(ge=0, le=1, description="no other answer is right too")
    same_skill: float = Field(ge=0, le=1, description="the question needs the seed's skill")
    right_language: float = Field(
        ge=0, le=1, description="the texts are written in the row's `language`"
    )
    harmless: float = Field(ge=0, le=1, description="the texts contain nothing harmful")


class Judgement(Record):
    """The judge's rating of a row."""

    score: float = Field(
        ge=0,
        le=1,
        description="mean of the criteria, or the logistic function of a reward; 0 if the "
        "judge's answer could not be parsed",
    )
    criteria: Rubric | None = Field(
        default=None,
        description="score of each criterion; None for a reward model, and for an answer that "
        "could not be parsed",
    )
    reasons: list[str] = Field(
        description="the judge's comments, or why its answer could not be parsed"
    )
    judge: TeacherStamp = Field(description="the model that rated the row")
    prompt_version: str = Field(description="name and hash of the judge's prompt")

    @property
    def is_readable(self) -> bool:
        """Whether the judge's answer could be parsed.

        A parsed rubric has criteria; a reward has no reasons. The text of the reasons does not
        count, because a judge's comment may begin with any word.
        """
        return self.criteria is not None or not self.reasons


class Verdict(Record):
    """What a model said of an answer that the solver gave."""

    answer: str = Field(description="text of the solver's answer")
    verdict: VerdictWord = Field(
        description="whether it means the same as the writer's answer; `equal`: it has the same "
        "words, and no model was asked; `unreadable`: the model's reply could not be parsed; "
        "`cut_off`: it was cut off, and votes for the answer do not count"
    )


class Equivalence(Record):
    """Which of the solver's answers mean the same as the writer's, as decided by a model."""

    verdicts: list[Verdict] = Field(description="one for each different answer")
    verifier: TeacherStamp = Field(description="the model that was asked: a verifier or a judge")
    prompt_version: str = Field(description="name and hash of its prompt")


class Proof(Record):
    """Mutation testing of a row's tests: the sandbox ran them on trivial mutants of its program.

    A mutant returns None, its argument, one constant, or wrong values of the right type. Tests
    that such a mutant passes would pass almost any program.
    """

    mutants: int = Field(ge=0, description="number of mutants that the tests ran on")
    killed: int = Field(ge=0, description="number of mutants that failed a test")
    alike: list[str] = Field(
        description="mutants that returned the same values as the program in every test; if "
        "`constant` is among them, all tests expect the same value"
    )
    fault: str = Field(
        default="", description="why the tests prove nothing; empty if they prove something"
    )


class Addition(Record):
    """The fields that an enrichment of another package added to a row, and the model it asked."""

    enrichment: str = Field(description="name of the enrichment")
    role: Role = Field(description="role of the teacher that it asked")
    teacher: TeacherStamp = Field(description="the model that it asked")
    prompt_versions: list[str] = Field(
        description="name and hash of each prompt that the enrichment may have used"
    )
    fields: dict[str, JsonValue] = Field(
        description="field name → value; stored as JSON text in Parquet"
    )
    trained: list[str] = Field(
        default_factory=list,
        description="names of the fields whose texts belong to the row's training text",
    )

    @model_validator(mode="after")
    def _trains_on_texts(self) -> Self:
        for name in self.trained:
            if not isinstance(self.fields.get(name), str):
                raise ValueError(f"field {name!r} is trained on, so it must be a text")
        return self

    @property
    def trained_texts(self) -> list[str]:
        """The values of the `trained` fields, in that order."""
        return [str(self.fields[name]) for name in self.trained]


class EnrichedExample(GeneratedExample):
    """A generated example with the votes of a solver that did not see the writer's answer."""

    reasoning: str = Field(
        default="",
        description="best reasoning of a vote that agrees, without the answer's announcement, or "
        "the solver's thought, condensed; empty if none explains it",
    )
    reasoning_from: Literal["", ReasoningSource] = Field(
        default="",
        description="`answer`: the steps of the solver's answer; `condensed`: its thought, which "
        "it rewrote as an explanation; empty without reasoning",
    )
    reasoning_fault: str = Field(
        default="", description="why the explanation of a thought was dropped; else empty"
    )
    thought: str = Field(
        default="",
        description="the raw thought of an agreeing vote, if the settings keep it; in no `text`",
    )
    knowledge: str = Field(
        default="", description="background knowledge that a learner needs; empty if not written"
    )
    knowledge_fault: str = Field(
        default="", description="why the background that was written was dropped; else empty"
    )
    passages: list[CitedPassage] = Field(
        default_factory=list,
        description="the passages that the background was written from; empty without "
        "`SDG_PASSAGES`, or without a background",
    )
    votes: list[Vote] = Field(description="the answers of the votes, the most frequent first")
    votes_cast: int = Field(ge=0, description="number of votes, those without an answer included")
    vote_ids: list[str] = Field(
        default_factory=list,
        description="ids of the votes' requests in the solver's completion log, in the order in "
        "which the votes were cast",
    )
    vote_share: float = Field(
        ge=0,
        le=1,
        description="share of the votes cast that agree with the answer, without those cut off",
    )
    votes_cut_off: int = Field(
        default=0,
        ge=0,
        description="number of votes that count for no answer because they, or a model's "
        "comparison of their answers, were cut off; part of `votes_cast`",
    )
    outcome: Outcome = Field(
        description="result of the vote on the writer's answer; `unsolvable`: no vote has an "
        "answer; `invalid_answers`: the verifier found a majority of the votes invalid; a program "
        "whose tests are vacuous gets no vote; `truncated`, `truncated_while_thinking`, "
        "`filtered_by_the_server`, `too_long`, `refused_by_the_server` and `not_compared` (a "
        "model's comparison of answers was cut off): no majority, and the votes that were cut off "
        "could have made one, so this says nothing about the question"
    )
    proof: Proof | None = Field(
        default=None,
        description="mutation test of the row's tests; only for a program that passes them",
    )
    written_answer: str = Field(
        default="",
        description="the writer's original answer if a strong majority corrected it; else empty",
    )
    solver: TeacherStamp = Field(
        description="the model that voted and wrote reasoning and background"
    )
    judge: Judgement | None = Field(
        default=None, description="the judge's rating; None if not verified, or without a judge"
    )
    equivalence: Equivalence | None = Field(
        default=None,
        description="a model's verdicts on the votes' answers; None if rules compared them",
    )
    pass_rate: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="share of the probe's whole answers that equal `answer`; None if not "
        "verified, without a probe, or if all its answers were cut off",
    )
    probe_answers: int = Field(
        default=0, ge=0, description="number of answers that `pass_rate` is a share of"
    )
    probe: TeacherStamp | None = Field(
        default=None, description="the weaker model that `pass_rate` is about"
    )
    probe_fault: str = Field(
        default="",
        description="how the probe's answers that are left out of `pass_rate` were cut off, most "
        "often; empty if none was",
    )
    enrichments: list[Addition] = Field(
        default_factory=list,
        description="what the enrichments of other packages added, sorted by name",
    )

    @property
    def added_texts(self) -> list[str]:
        """The training texts that enrichments of other packages added."""
        return [text for added in self.enrichments for text in added.trained_texts]

    @property
    def verified(self) -> bool:
        """Whether `answer` is the one that the majority gave."""
        return self.outcome == "agreed" or bool(self.written_answer)


class Contribution(Record):
    """A model that wrote text of a row, with the terms of its licence as its card states them."""

    role: Role = Field(description="role in which the model wrote")
    model: str = Field(description="name of the model, as in `TeacherStamp`")
    revision: str = Field(description="version of the weights, as in `TeacherStamp`")
    license: str = Field(description="licence of the model, as its card states it")
    commercial_use: CommercialUse = Field(description="whether the licence permits commercial use")
    outputs_may_train: CommercialUse = Field(
        description="whether the licence permits training other models on its outputs"
    )


class CuratedExample(EnrichedExample):
    """A released row: a verified example with its provenance, licence and training texts."""

    license: str = Field(
        description="licence of the seed dataset; licences of cited passages that differ are "
        "joined by AND"
    )
    written_by: list[Contribution] = Field(description="every model that wrote text of the row")
    commercial_use: CommercialUse = Field(
        description="the strictest value of the seed dataset, of cited passages and of all models "
        "in `written_by`"
    )
    not_commercial: list[str] = Field(
        description="why `commercial_use` is not `yes`; empty if it is"
    )
    text: dict[str, str] = Field(description="name of the variant → training text")


class Rejection(Record):
    """A refused row with gate and reason. It is kept complete: no row disappears silently."""

    gate: str = Field(
        description="name of the gate, or of the step that failed: mapping, generation …"
    )
    reason: str = Field(
        description="why it was refused; the same text for many rows, to count them"
    )
    detail: str = Field(default="", description="what is special to this row")
    scores: dict[str, float] = Field(
        default_factory=dict, description="values that the gate measured, by name"
    )
    row: dict[str, Any] = Field(description="the complete row at the time of the refusal")


def polars_schema(record: type[Record]) -> dict[str, pl.DataType]:
    """The polars schema of a record.

    Args:
        record: A stage's record class.

    Returns:
        Column name → polars type. Nested records become structs; `dict` columns become strings
        that hold JSON.
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
    """Why a gate refuses a row; the fields are those of `Rejection`."""

    gate: str
    reason: str
    detail: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)

    def rejection(self, row: Example) -> Rejection:
        """The refused row in the form in which it is stored."""
        return Rejection(
            gate=self.gate,
            reason=self.reason,
            detail=self.detail,
            scores=dict(self.scores),
            row=row.model_dump(mode="json"),
        )
