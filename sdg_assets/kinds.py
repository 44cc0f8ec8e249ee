"""Answer kinds: an open set of names, and the policy that the module of each kind declares.

A kind is one module that exports `ANSWER`, an `answers.AnswerFormat`. Built-in kinds are modules of
`sdg_assets/answers`; other packages use an entry point of the group `sdg_assets.answers` (see
`registry`). Every difference between kinds is an attribute of the policy; no code outside `answers`
tests which kind it has. Records, catalog, mapping and texts are layers below `answers` but need
parts of the policy, so `AnswerPolicy` is defined here and the kinds are looked up at run time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, ClassVar, Literal

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from sdg_assets.environment import nearest
from sdg_assets.errors import PermanentError
from sdg_assets.registry import members

PACKAGE, ATTRIBUTE = "sdg_assets.answers", "ANSWER"
# A name becomes a pod label, a Dagster tag and a part of prompt versions. `base` is reserved: it is
# the prompt template that the templates of all kinds extend.
_NAME = re.compile(r"(?!base$)[a-z](?:[a-z0-9_]{0,61}[a-z0-9])?")

Choices = Literal["none", "written", "given"]
Family = Literal["multiple_choice", "generative"]
VoteForm = Literal["free", "constrained"]
AnswerInBackground = Literal["nowhere", "after_first_sentence", "anywhere"]


class AnswerPolicy:
    """The settings of one answer kind. The defaults suit a short written answer."""

    name: ClassVar[str]
    """The kind's name in the catalog's `answer_kind:` and in every record: a-z, 0-9 and _."""
    default_frame: ClassVar[str] = "A question that has one right answer."
    """Describes the kind's questions: to the writer, for a task without its own `frame:`, and in
    the documents."""

    # Choices
    choices: ClassVar[Choices] = "none"
    """Whether an answer is one of several choices, and where these come from: `written` for each
    question, or `given` by the task and the same in all its rows."""
    default_choices: ClassVar[tuple[str, ...]] = ()
    """Choices of a row if its dataset names none; the affirmative one comes first."""

    # Prompts. Unused by a kind that has its own template files in `teacher/prompts`.
    answer_form: ClassVar[str] = "the answer in as few words as possible"
    """The form of an answer. Completes `End with a line "Answer: " and …` for the solver and
    `"answer" is …` for the writer."""
    writing_rules: ClassVar[tuple[str, ...]] = ()
    """Further rules for the writer, one sentence each."""
    background_subject: ClassVar[str] = (
        "the definitions, facts and relations that the question rests on"
    )
    """The subject of a background. Completes `Write … sentences of …`."""
    background_rule: ClassVar[str] = ""
    """A further sentence in the prompt for backgrounds."""

    vote_form: ClassVar[Mapping[str, VoteForm]] = {}
    """Class of the solver → the form of its votes: `free` text that announces the answer, or JSON
    that the engine `constrained` to `AnswerFormat.vote_schema`. Classes left out vote freely."""

    # Raw rows
    needs_tests: ClassVar[bool] = False
    """Whether a raw row is refused if its `tests` render to nothing."""
    serves_any_row: ClassVar[bool] = False
    """Whether the kind can stand for an unknown kind where rows are only hashed: it requires
    nothing but a question. The first registered kind with this setting is used."""

    # Gates
    has_long_answers: ClassVar[bool] = False
    """Whether answers may have `long_answer_chars` characters instead of `answer_chars`."""
    answer_is_words: ClassVar[bool] = True
    """Whether a right answer is made of words. A bare option label such as "(b)" is then a remnant
    of a multiple-choice question."""
    is_prose: ClassVar[bool] = False
    """Whether an answer is running text, which must be in the row's language."""
    is_program: ClassVar[bool] = False
    """Whether an answer is a program, in which braces, backticks and repeated lines are normal."""
    question_opens_with_frame: ClassVar[bool] = False
    """Whether a question may start with the task's instruction, which may be in English even if
    the row is in another language."""

    # Comparing rows
    is_weak_evidence: ClassVar[bool] = False
    """Whether different questions often have equal answers, or copies of one question have
    different answers. An equal answer is then weak evidence of a duplicate, so duplicates need
    more similar questions."""
    is_worded_freely: ClassVar[bool] = False
    """Whether the same answer is rarely written twice in the same words. Duplicates are then
    searched among all rows, whatever their answers."""

    # Enrichment
    may_be_corrected: ClassVar[bool] = True
    """Whether a strong majority may replace the writer's answer. False if the votes of a majority
    agree in meaning but not in wording: there is no single text to take over."""
    is_compared_by_judge: ClassVar[bool] = False
    """Whether the judge, if one is configured, decides whether two answers agree, instead of
    `same`."""
    is_compared_by_verifier: ClassVar[bool] = False
    """Whether a verifier (`SDG_JUDGE_API=verifier`) decides whether two answers agree that `same`
    holds for different. It does so for all kinds that the judge compares."""
    keeps_trace: ClassVar[bool] = True
    """Whether a solver's trace becomes the row's reasoning. False if a trace is only another
    wording of the answer."""
    trace_holds_answer: ClassVar[bool] = False
    """Whether every trace contains the full answer, so that a training text need not repeat it."""
    answer_in_background: ClassVar[AnswerInBackground] = "after_first_sentence"
    """Where a background may state the answer without giving it away. `anywhere`: the answer is a
    word that any text may contain, or a program."""

    # Cluster
    runs_programs: ClassVar[bool] = False
    """Whether comparing answers runs programs that a model wrote. Pods then get a sandbox, and no
    network access if they can do without it."""

    # New seed tasks
    is_first_guess: ClassVar[bool] = False
    """Whether the draft of a new seed task names the kind if all that is known of the dataset is
    whether it has choices. The first registered kind with this setting is named."""

    def prompt_values(self) -> dict[str, Any]:
        """The variables of the general prompt templates, as variable → JSON value."""
        return {
            "answer_form": self.answer_form,
            "writing_rules": list(self.writing_rules),
            "background_subject": self.background_subject,
            "background_rule": self.background_rule,
            "selects": self.selects,
            "choices_are_written": self.choices_are_written,
            "needs_tests": self.needs_tests,
        }

    @property
    def selects(self) -> bool:
        """Whether an answer is one of several choices."""
        return self.choices != "none"

    @property
    def family(self) -> Family:
        """The output family of the method: selecting a choice, or writing the answer."""
        return "multiple_choice" if self.selects else "generative"

    @property
    def choices_are_written(self) -> bool:
        """Whether choices belong to one question: gates check them, and they identify the row."""
        return self.choices == "written"

    @property
    def choices_are_given(self) -> bool:
        """Whether the task gives the choices, the same for all rows.

        They are then not part of a question's identity, and each is asked for equally often.
        """
        return self.choices == "given"

    @property
    def has_classes(self) -> bool:
        """Whether rows can be counted by answer, to check that no class is rejected more."""
        return self.selects


@lru_cache(maxsize=1)
def _by_name(exported: tuple[object, ...]) -> Mapping[str, AnswerPolicy]:
    by_name: dict[str, AnswerPolicy] = {}
    for policy in exported:
        if not isinstance(policy, AnswerPolicy):
            raise PermanentError(
                f"{PACKAGE}: {ATTRIBUTE} = {policy!r}: export an instance of `AnswerFormat`"
            )
        name = getattr(policy, "name", None)
        where = f"{type(policy).__module__}.{type(policy).__qualname__}"
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise PermanentError(
                f"{where}: {name!r} cannot name an answer kind; use up to 63 of a-z, 0-9 and _, "
                "the first of them a letter, and not `base`"
            )
        if name in by_name:
            other = type(by_name[name])
            raise PermanentError(
                f"{where} and {other.__module__}.{other.__qualname__} both serve the answer kind "
                f"{name!r}; rename one of them"
            )
        by_name[name] = policy
    return by_name


def policies() -> Mapping[str, AnswerPolicy]:
    """The policy of every registered answer kind, by name.

    Raises:
        PermanentError: A member of the registry is not an answer kind, has an invalid name, or has
            the same name as another one.
    """
    return _by_name(members(PACKAGE, ATTRIBUTE))


class _AnswerKinds(type):
    """Makes `AnswerKind` a collection, and `AnswerKind.NUMERIC` the kind named `numeric`."""

    def __iter__(cls) -> Iterator[AnswerKind]:
        return map(AnswerKind, policies())

    def __len__(cls) -> int:
        return len(policies())

    def __contains__(cls, name: object) -> bool:
        return name in policies()

    def __getattr__(cls, name: str) -> AnswerKind:
        if name.startswith("_") or not name.isupper():
            raise AttributeError(f"AnswerKind has no attribute {name!r}")
        try:
            return AnswerKind(name.lower())
        except ValueError as error:
            raise AttributeError(str(error)) from error


_MADE: dict[str, AnswerKind] = {}


class AnswerKind(str, metaclass=_AnswerKinds):
    """The name of a registered answer kind.

    The kind determines how an answer is asked for, extracted and compared. The constructor looks
    the name up in the registry, so the module that defines a kind must not call it while that
    module is being imported.
    """

    __slots__ = ()

    def __new__(cls, name: str) -> AnswerKind:
        """Looks a kind up by name.

        Args:
            name: The name of a registered kind.

        Raises:
            ValueError: No module serves a kind of that name; the message names the nearest.
            PermanentError: See `policies`.
        """
        if name not in policies():
            raise ValueError(_unknown(name))
        # One object per kind: a million rows share it, and `is` gives the same result as `==`.
        if name not in _MADE:
            _MADE[str(name)] = super().__new__(cls, name)
        return _MADE[name]

    @classmethod
    def where(cls, holds: Callable[[AnswerPolicy], bool]) -> list[AnswerKind]:
        """The kinds whose policy meets a condition. For code on whole columns, without rows.

        Args:
            holds: The condition.
        """
        return [cls(name) for name, policy in policies().items() if holds(policy)]

    @classmethod
    def of_any_row(cls) -> AnswerKind:
        """The kind of rows that are only hashed, such as rows of a protected benchmark.

        It requires nothing of a row but a question.
        """
        return cls.where(lambda policy: policy.serves_any_row)[0]

    @property
    def value(self) -> str:
        """The name as plain text."""
        return str(self)

    @property
    def policy(self) -> AnswerPolicy:
        """The settings that the kind's module declares."""
        return policies()[self]

    @property
    def selects(self) -> bool:
        """Whether the answer is one of the given choices."""
        return self.policy.selects

    @property
    def family(self) -> Family:
        """The output family of the method: selecting a choice, or writing the answer."""
        return self.policy.family

    @classmethod
    def __get_pydantic_core_schema__(
        cls,
        _source: Any,  # noqa: ANN401 – pydantic's own signature
        _handler: GetCoreSchemaHandler,
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            _validated,
            core_schema.str_schema(),
            serialization=core_schema.to_string_ser_schema(),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """All kinds, each described by its module."""
        kinds = [f"`{name}`: {policy.default_frame}" for name, policy in policies().items()]
        return {"type": "string", "enum": list(policies()), "description": "\n".join(kinds)}


def _unknown(name: str) -> str:
    return f"unknown answer kind {name!r}; {nearest(name, policies())}"


def _validated(name: str) -> AnswerKind:
    try:
        return AnswerKind(name)
    except ValueError as error:
        # With its own error type; otherwise pydantic prepends "Value error, " to the message.
        raise PydanticCustomError("answer_kind", "{fault}", {"fault": str(error)}) from None
