"""A program that passes its tests. Programs run only in the sandbox."""

from __future__ import annotations

import ast
import random
import re
from typing import Any

from pydantic import Field

from sdg_assets.answers.base import AnswerFormat, Draft, DraftError
from sdg_assets.answers.extraction import code_blocks, json_answer, normalized
from sdg_assets.answers.programs import passes, proof_of, taken_names
from sdg_assets.records import Content, Example, Proof

_PYTHON = {"", "python", "py", "python3"}
_OPENING = re.compile(r"(?:async\s+def|def|class|import|from)\b|@")
_LONGEST = 400


class CodeDraft(Draft):
    """A task in words, a program that solves it, and statements that must hold after it."""

    program: str
    tests: list[str] = Field(min_length=2, max_length=4)


class Code(AnswerFormat):
    """Two programs are the same if both pass the example's tests."""

    name = "code"
    default_frame = "A small programming task with tests."
    needs_tests = True
    has_long_answers = True
    answer_is_words = False
    is_program = True
    is_weak_evidence = True
    is_worded_freely = True
    # Every agreeing trace contains a program that passes the tests.
    trace_holds_answer = True
    answer_in_background = "anywhere"
    runs_programs = True
    needs_proof = True

    def draft_model(self, anchor: Example) -> type[Draft]:
        """Task, program, tests."""
        return CodeDraft

    def draft_of(self, example: Example) -> Draft:
        """Keeps at most four tests."""
        return CodeDraft(
            question=example.question,
            program=example.answer.replace("\r\n", "\n").replace("\t", "    "),
            tests=example.tests[:4] if len(example.tests) > 1 else example.tests * 2,
        )

    def assemble(self, draft: Draft, anchor: Example, rng: random.Random) -> Content:
        """Takes the program and its tests.

        Raises:
            DraftError: The program or a test does not parse, or a test has no `assert`.
        """
        assert isinstance(draft, CodeDraft)
        blocks = code_blocks(draft.program)
        program = blocks[-1][1] if blocks else draft.program
        tests = [t.strip() for t in draft.tests if t.strip()]
        for name, source in [("program", program), *(("test", t) for t in tests)]:
            tree = _parsed(source)
            if tree is None:
                raise DraftError(f"{name} does not parse")
            if name == "test" and not any(isinstance(n, ast.Assert) for n in ast.walk(tree)):
                raise DraftError("test asserts nothing")
        return Content(question=draft.question, answer=program, tests=list(dict.fromkeys(tests)))

    def vote_schema(self, example: Example) -> dict[str, Any] | None:
        """None: programs are written in a fenced block."""
        return None

    def extract(self, text: str, example: Example) -> str | None:
        """The last program that defines the names the tests use, with earlier blocks it depends on.

        Blocks that are not Python, or only show how to call the function, do not count. Without
        fences, the part of the text that parses is the program.
        """
        text = text.rpartition("</think>")[2]
        fenced = [body for language, body in code_blocks(text) if language in _PYTHON]
        programs = [p for p in fenced or [json_answer(text) or "", _unfenced(text)] if _defined(p)]
        required = set(taken_names(example))
        program = next(
            (p for p in reversed(programs) if required <= _defined(p)), (programs or [""])[-1]
        )
        missing = _names(program) - _defined(program)
        helpers = (
            [p for p in programs[: programs.index(program)] if _defined(p) & missing]
            if program
            else []
        )
        return "\n\n".join([*helpers, program]) or None

    def same(self, left: str, right: str, example: Example) -> bool:
        """Whether both programs pass the tests of the example."""
        return passes(left, example) and passes(right, example)

    def proof(self, example: Example) -> Proof | None:
        """Which trivial mutants of the program the tests detect; None if the program fails them."""
        return proof_of(example)

    def check(self, example: Example) -> str | None:
        """Whether there are tests, and the program is not a copy of the question."""
        if not example.tests:
            return "no tests"
        return "answer repeats the question" if _echo(example) else None

    def is_given_away(self, example: Example) -> bool:
        """Never: `check` rejects a program that is a copy of the question."""
        return False


def _echo(example: Example) -> bool:
    return normalized(example.answer) == normalized(example.question)


def _parsed(program: str) -> ast.Module | None:
    # A looping writer nests too deep for the parser: 3,000 minus signs are a RecursionError, which
    # stopped the partition at every run; 300,000 are a MemoryError.
    try:
        return ast.parse(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _defined(program: str) -> set[str]:
    """The names that a program binds at its top level; none if it does not parse."""
    tree = _parsed(program)
    bound: set[str] = set()
    for node in tree.body if tree else []:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.Assign):
            bound |= {t.id for t in node.targets if isinstance(t, ast.Name)}
        elif isinstance(node, ast.Import | ast.ImportFrom):
            bound |= {alias.asname or alias.name.split(".")[0] for alias in node.names}
    return bound


def _names(program: str) -> set[str]:
    tree = _parsed(program)
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)} if tree else set()


def _unfenced(text: str) -> str:
    """The longest run of lines that starts at the first definition or import, and parses."""
    lines = text.splitlines()[:_LONGEST]
    start = next((i for i, line in enumerate(lines) if _OPENING.match(line)), len(lines))
    ends = range(len(lines), start, -1)
    return next((p for e in ends if _parsed(p := "\n".join(lines[start:e]))), "").strip()


ANSWER = Code()
