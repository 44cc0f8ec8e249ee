"""Runs programs against a row's tests, and proves that these tests detect wrong programs.

A row's tests were written for the row's own program. The source of that program therefore decides
which names the tests take from any program they run on; all other names belong to the tests (see
`sandbox.interface`). A program must not supply code that decides whether it passes. Hence tests may
take from it *one function*, plus classes to build its arguments with; or classes alone, which are
then under test themselves.

If one test is vacuous, the whole set is rejected, and the reason quotes that test, even if other
tests prove something. The tests are part of the training text, which says that a right program
passes them; with one test removed, it would be a text that nobody wrote.
"""

from __future__ import annotations

from functools import lru_cache

from sdg_assets.records import Example, Proof
from sdg_assets.sandbox import Interface, interface, run_program
from sdg_assets.sandbox.policy import may_run_unisolated


def passes(program: str, example: Example) -> bool:
    """Whether a program passes the tests of a row, in the sandbox.

    Raises:
        SandboxUnavailable: No isolation works here, and unsandboxed code is not allowed.
    """
    return _tried(program, example.answer, tuple(example.tests))[0]


def proof_of(example: Example) -> Proof | None:
    """Runs the tests of a row on trivial mutants of its program.

    Returns:
        Which mutants the tests detect; None if the program itself does not pass.

    Raises:
        SandboxUnavailable: See `passes`.
    """
    tests = tuple(example.tests)
    if fault := _misplaced(_takes(example.answer, tests)):
        return Proof(mutants=0, killed=0, alike=[], fault=fault)
    return _tried(example.answer, example.answer, tests)[1]


def taken_names(example: Example) -> tuple[str, ...]:
    """The names that the tests of a row take from a program, which it must define."""
    return _takes(example.answer, tuple(example.tests)).names


def _misplaced(takes: Interface) -> str:
    """Why tests that take these names from a program cannot test it; empty if they can."""
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


# Cached, because votes are often equal. The program's output, which may be long, is not kept.
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
