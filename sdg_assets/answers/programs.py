"""Programs run against a row's tests, and what these tests can tell a wrong program by.

A row's tests were written for the row's own program. So its source says which names the tests take
from a program, whichever one they are run on; every other name is the test's own (see
`sandbox.interface`). What decides must not come from the program that is judged. Hence the tests of
a row may take from it *one function*, and classes to build its arguments with; or classes alone,
which are then under test themselves.

Vacuous tests are refused as a set, the first one that proves nothing by its text, even beside tests
that prove something: tests are part of the training text, which says that a right program passes
them, and a set with one test removed is a text that nobody wrote.
"""

from __future__ import annotations

from functools import lru_cache

from sdg_assets.records import Example, Proof
from sdg_assets.sandbox import Interface, interface, run_program
from sdg_assets.sandbox.policy import may_run_unisolated


def passes(program: str, example: Example) -> bool:
    """Whether a program passes the tests of a row, in the sandbox.

    Raises:
        SandboxUnavailable: Nothing here can isolate it, and unsandboxed code is not allowed.
    """
    return _tried(program, example.answer, tuple(example.tests))[0]


def proof_of(example: Example) -> Proof | None:
    """What the tests of a row make of trivial mutants of its program.

    Returns:
        None where the program does not pass them.

    Raises:
        SandboxUnavailable: See `passes`.
    """
    tests = tuple(example.tests)
    if fault := _misplaced(_takes(example.answer, tests)):
        return Proof(mutants=0, killed=0, alike=[], fault=fault)
    return _tried(example.answer, example.answer, tests)[1]


def taken_names(example: Example) -> tuple[str, ...]:
    """The names that the tests of a row take from a program: what it must define."""
    return _takes(example.answer, tuple(example.tests)).names


def _misplaced(takes: Interface) -> str:
    """Why tests that take these names from the program cannot judge it; empty if they can."""
    if len(takes.functions) > 1:
        names = " and ".join(takes.functions)
        return f"the tests call {names}, and only one function may be the program's own"
    if takes.values:
        return f"the tests take {', '.join(takes.values)} from the program they judge"
    if not takes.functions and not takes.classes:
        return "the tests call nothing that the program defines"
    return ""


@lru_cache(maxsize=1 << 12)
def _takes(reference: str, tests: tuple[str, ...]) -> Interface:
    return interface(reference, tests)


# Remembered, for votes are often equal; without what a program printed, which may be long.
@lru_cache(maxsize=1 << 12)
def _tried(program: str, reference: str, tests: tuple[str, ...]) -> tuple[bool, Proof | None]:
    outcome = run_program(
        program,
        tests,
        takes=_takes(reference, tests),
        prove=program == reference,
        allow_unisolated=may_run_unisolated(),
    )
    proved = outcome.proof
    return outcome.passed, Proof(**vars(proved)) if outcome.passed and proved else None
