"""A program that passes its tests. Programs run in the sandbox only."""

from __future__ import annotations

import ast
import random

from pydantic import Field

from sdg_assets.answers.base import AnswerFormat, Content, Draft, DraftError
from sdg_assets.answers.extraction import code_block, normalized
from sdg_assets.examples import AnswerKind, Example


class CodeDraft(Draft):
    """A task in words, a program that solves it, and statements that must hold after it."""

    program: str
    tests: list[str] = Field(min_length=2, max_length=4)


class Code(AnswerFormat):
    """Two programs are the same when both pass the example's tests."""

    kind = AnswerKind.CODE

    def draft_model(self, anchor: Example) -> type[Draft]:
        """Task, program, tests."""
        return CodeDraft

    def draft_of(self, example: Example) -> Draft:
        """At most four tests are shown."""
        return CodeDraft(
            question=example.question,
            program=example.answer.replace("\r\n", "\n").replace("\t", "    "),
            tests=example.tests[:4] if len(example.tests) > 1 else example.tests * 2,
        )

    def assemble(self, draft: Draft, anchor: Example, rng: random.Random) -> Content:
        """Refuses what does not parse, and tests that assert nothing."""
        assert isinstance(draft, CodeDraft)
        program = code_block(draft.program) or draft.program
        tests = [t.strip() for t in draft.tests if t.strip()]
        for name, source in [("program", program), *(("test", t) for t in tests)]:
            try:
                tree = ast.parse(source)
            except (SyntaxError, ValueError) as error:
                raise DraftError(f"{name} does not parse") from error
            if name == "test" and not any(isinstance(n, ast.Assert) for n in ast.walk(tree)):
                raise DraftError("test asserts nothing")
        return Content(question=draft.question, answer=program, tests=list(dict.fromkeys(tests)))

    def extract(self, text: str, example: Example) -> str | None:
        """The last fenced block; a completion that is a program as a whole counts too."""
        block = code_block(text)
        if block is not None:
            return block
        try:
            ast.parse(text)
        except (SyntaxError, ValueError):
            return None
        return text.strip() or None

    def same(self, left: str, right: str, example: Example) -> bool:
        """Whether both programs pass the tests of the example."""
        return passes(left, tuple(example.tests)) and passes(right, tuple(example.tests))

    def check(self, example: Example) -> str | None:
        """There are tests, and the program is not the task's text."""
        if not example.tests:
            return "no tests"
        return "answer repeats the question" if _echo(example) else None


def _echo(example: Example) -> bool:
    return normalized(example.answer) == normalized(example.question)


def passes(program: str, tests: tuple[str, ...]) -> bool:
    """Whether a program passes its tests, in the sandbox.

    Raises:
        SandboxUnavailable: Nothing here can isolate it, and unsandboxed code is not allowed.
    """
    from sdg_assets.sandbox import run_program
    from sdg_assets.settings import settings

    allowed = settings().allow_unsandboxed_code
    return run_program(program, tests, allow_unisolated=allowed).passed


ANSWER = Code()
