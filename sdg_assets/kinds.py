"""Answer kinds: an open set of names, and the policy that the module of each kind declares.

A kind is one module that exports `ANSWER`, an `answers.AnswerFormat`: built in if it lies in
`sdg_assets/answers`, otherwise an entry point of the group `sdg_assets.answers` (see `registry`).
What the pipeline does otherwise for one kind than for another is an attribute of its policy; no
code outside `answers` asks which kind it has. Records, catalog, mapping and texts lie below
`answers` and need some of the policy, so its form lies here and kinds are looked up at run time.
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
# A name becomes a pod label, a tag in Dagster and a part of prompt versions. `base` is the prompt
# template that those of all kinds extend.
_NAME = re.compile(r"(?!base$)[a-z](?:[a-z0-9_]{0,61}[a-z0-9])?")

Choices = Literal["none", "written", "given"]
Family = Literal["multiple_choice", "generative"]
AnswerInBackground = Literal["nowhere", "after_first_sentence", "anywhere"]


class AnswerPolicy:
    """What is special about one answer kind, as data. The defaults suit a short written answer."""

    name: ClassVar[str]
    """What the catalog's `answer_kind:` and every record call the kind: a-z, 0-9 and _."""
    default_frame: ClassVar[str] = "A question that has one right answer."
    """What the kind's questions have in common: tells the writer what to write where a task has no
    `frame:`, and describes the kind in documents."""

    # Choices
    choices: ClassVar[Choices] = "none"
    """Whether an answer is one of several choices, and whose these are: `written` for each
    question, or `given` by the task, the same in all its rows."""
    default_choices: ClassVar[tuple[str, ...]] = ()
    """Choices of a row whose dataset names none, the affirming one first."""

    # Prompts. A kind with template files of its own in `teacher/prompts` does not use these.
    answer_form: ClassVar[str] = "the answer in as few words as possible"
    """How an answer is to be written. Completes `End with a line "Answer: " and …` for the solver
    and `"answer" is …` for the writer."""
    writing_rules: ClassVar[tuple[str, ...]] = ()
    """Further rules for the writer, each a sentence."""
    background_subject: ClassVar[str] = (
        "the definitions, facts and relations that the question rests on"
    )
    """What a background is about. Completes `Write three to six plain sentences of …`."""
    background_rule: ClassVar[str] = ""
    """A further sentence for whoever writes a background."""

    # Raw rows
    needs_tests: ClassVar[bool] = False
    """Whether a raw row whose `tests` render to nothing is refused."""
    serves_any_row: ClassVar[bool] = False
    """Whether the kind stands in where rows are only read to be hashed and their kind is unknown:
    it asks a row for nothing but a question. The first registered kind that does is taken."""

    # Gates
    has_long_answers: ClassVar[bool] = False
    """Whether answers may have `long_answer_chars` characters instead of `answer_chars`."""
    answer_is_words: ClassVar[bool] = True
    """Whether a right answer is made of words, so that a bare option label such as "(b)" is what
    is left of a multiple-choice question."""
    is_prose: ClassVar[bool] = False
    """Whether an answer is running text, which must be in the row's language."""
    is_program: ClassVar[bool] = False
    """Whether an answer is a program: its braces, backticks and repeated lines are no debris."""
    question_opens_with_frame: ClassVar[bool] = False
    """Whether a question may open with the task's own instruction, which may be in English
    whatever the row's language is."""

    # Comparing rows
    is_weak_evidence: ClassVar[bool] = False
    """Whether two different questions often have equal answers, or two copies of one question
    different ones: an equal answer then says little, and duplicates must be more alike."""
    is_worded_freely: ClassVar[bool] = False
    """Whether nobody writes an answer twice in the same words. Duplicates are then looked for
    among rows with any answer."""

    # Enrichment
    may_be_corrected: ClassVar[bool] = True
    """Whether a strong majority may replace the writer's answer. Answers that say one thing in
    many wordings have no wording to take over."""
    is_compared_by_judge: ClassVar[bool] = False
    """Whether the judge, where there is one, says if two answers agree, rather than `same`."""
    keeps_trace: ClassVar[bool] = True
    """Whether a solver's trace is the row's reasoning. False where a trace is only a second
    wording of the answer."""
    trace_holds_answer: ClassVar[bool] = False
    """Whether every trace holds a full answer, so that a training text does not repeat it."""
    answer_in_background: ClassVar[AnswerInBackground] = "after_first_sentence"
    """Where a background may state the answer without giving it away. `anywhere`: the answer is a
    word that every text may hold, or a program."""

    # Cluster
    runs_programs: ClassVar[bool] = False
    """Whether comparing answers runs programs that a model wrote: pods get a sandbox, and no way
    out where they can do without."""

    # New seed tasks
    is_first_guess: ClassVar[bool] = False
    """Whether the draft of a new seed task names the kind where nothing is known but whether there
    are choices. The first registered kind that does is named."""

    def prompt_values(self) -> dict[str, Any]:
        """What the general prompt templates say of the kind, as JSON values by variable."""
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
        """The output family of the method: selecting among choices, or writing the answer."""
        return "multiple_choice" if self.selects else "generative"

    @property
    def choices_are_written(self) -> bool:
        """Whether choices belong to their question: they are text to check and tell rows apart."""
        return self.choices == "written"

    @property
    def choices_are_given(self) -> bool:
        """Whether choices are the task's frame.

        They are no part of a question's identity then, and each is asked for equally often.
        """
        return self.choices == "given"

    @property
    def has_classes(self) -> bool:
        """Whether rows can be counted by answer, to see that refusals spare no class."""
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
        PermanentError: A member of the registry is no answer kind, has a name that cannot be used,
            or has another one's name.
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

    The kind says how a question is answered, and so how its answer is asked for, extracted and
    compared. Making one of a name looks the kind up, which the module that defines it must not do
    while it is imported.
    """

    __slots__ = ()

    def __new__(cls, name: str) -> AnswerKind:
        """Takes a name.

        Args:
            name: Of a registered kind.

        Raises:
            ValueError: No module serves a kind of that name; says which is nearest.
            PermanentError: See `policies`.
        """
        if name not in policies():
            raise ValueError(_unknown(name))
        # One object a kind: a million rows share it, and `is` compares as `==` does.
        if name not in _MADE:
            _MADE[str(name)] = super().__new__(cls, name)
        return _MADE[name]

    @classmethod
    def where(cls, holds: Callable[[AnswerPolicy], bool]) -> list[AnswerKind]:
        """The kinds whose policy meets a condition: for columns, where no row is at hand.

        Args:
            holds: The condition.
        """
        return [cls(name) for name, policy in policies().items() if holds(policy)]

    @classmethod
    def of_any_row(cls) -> AnswerKind:
        """The kind of rows that are only read to be hashed, as those of a protected benchmark.

        It demands no more of a row than a question.
        """
        return cls.where(lambda policy: policy.serves_any_row)[0]

    @property
    def value(self) -> str:
        """The name as plain text."""
        return str(self)

    @property
    def policy(self) -> AnswerPolicy:
        """What the kind's module declares."""
        return policies()[self]

    @property
    def selects(self) -> bool:
        """Whether the answer is one of the given choices."""
        return self.policy.selects

    @property
    def family(self) -> Family:
        """The output family of the method: selecting among choices, or writing the answer."""
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
        # As its own type, or pydantic says "Value error, unknown answer kind".
        raise PydanticCustomError("answer_kind", "{fault}", {"fault": str(error)}) from None
