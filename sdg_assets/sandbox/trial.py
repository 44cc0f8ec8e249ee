"""Runs the tests on a program, and on trivial mutants of it to measure what the tests detect.

Child side: runs inside the sandbox, with only the standard library.

Tests prove something only if they can fail. So after the program has passed, the tests run again on
each trivial mutant of it (see `mutants`), and three conditions must hold:

- every test calls the function or class under test;
- every test detects a wrong answer: under some mutant its assertion fails, or a wrong value of the
  right type makes it fail in another way. A crash on None alone does not count:
  `assert f(2) + 1 or True` crashes, but its assertion can never fail;
- every mutant is *killed*: some test fails. Exempt are mutants that gave the tests the same answers
  as the program, so that no test could distinguish them. For example, tests that all expect the
  same value do not kill the constant mutant; it is counted as `alike`, and the row records this.
  Wrong values of the right type, and the mutant that does nothing, must be killed: tests that
  expect only None or exceptions, or only compare the program's own objects, prove nothing.
"""

from __future__ import annotations

import sys
from types import CodeType

from sdg_assets.sandbox.mutants import Mutant, MutantError, mutants_of_class, mutants_of_function
from sdg_assets.sandbox.witness import CONTROL, Witness

TYPE_CHECKING = False  # importing `typing` would cost every sandbox 5 ms
if TYPE_CHECKING:
    from typing import Any

_LONGEST_REASON = 500
_LONGEST_TEST = 200


class Trial:
    """One program and its tests.

    Args:
        spec: `tests`: their source texts; `names`: the names that they take from the program;
            `imports`: import statements for their other names; `functions`, `classes`: names of the
            functions and classes under test; `fixtures`: numbers of the tests that only prepare
            other tests.
        witness: The connection to the program.
    """

    def __init__(self, spec: dict[str, Any], witness: Witness) -> None:
        self._spec = spec
        self._witness = witness
        self._tests: list[str] = spec["tests"]
        self._compiled: list[CodeType] = []
        self._literals: list[list[Any]] = []
        self._globals: dict[str, Any] = {}

    def first_failure(self) -> str | None:
        """Start the program and run the tests until one fails.

        Returns:
            Why that test failed; None if all tests hold.
        """
        running = ""
        try:
            self._compiled = [compile(test, "<test>", "exec") for test in self._tests]
            self._literals = [list(_constants(code)) for code in self._compiled]
            self._start()
            namespace = dict(self._globals)
            for number, running in enumerate(self._tests):  # noqa: B007 - named on failure
                self._witness.turn_to(number, self._literals[number])
                exec(self._compiled[number], namespace)  # noqa: S102
        except MemoryError:
            return "memory"
        except BaseException as error:  # noqa: BLE001 - any exception: the test did not hold
            text = str(error) or (running.strip() if isinstance(error, AssertionError) else "")
            return f"failed: {type(error).__name__}: {text}"[:_LONGEST_REASON].rstrip(": ")
        return None

    def proof(self) -> dict[str, Any]:
        """Run the tests on the mutants of a program that has passed them.

        Returns:
            `mutants`: the number tried; `killed`: the number that fail at least one test; `alike`:
            names of those that answered like the program; `fault`: why the tests prove nothing,
            empty if they prove something.
        """
        sys.stdout = sys.stderr = _Nowhere()  # the tests' output, repeated per mutant, is useless
        first, functions = self._witness.first_value(), self._spec["functions"]
        mutants = list(mutants_of_function(first) if functions else mutants_of_class(first))
        noticed: set[int] = set()
        alike: list[Mutant] = []
        survivors: list[Mutant] = []
        for mutant in mutants:
            errors = self._errors(mutant)
            noticed |= {number for number, error in errors.items() if _notices(mutant, error)}
            if not errors:
                (survivors if self._witness.differs else alike).append(mutant)
        return {
            "mutants": len(mutants),
            "killed": len(mutants) - len(alike) - len(survivors),
            "alike": [mutant.name for mutant in alike],
            "fault": self._fault(noticed, survivors, alike),
        }

    def _start(self) -> None:
        names = self._spec["names"]
        told = self._witness.ask("start", names)
        self._globals = {name: told[name] for name in names if name in told}
        for statement in self._spec["imports"]:
            try:
                exec(statement, self._globals)  # noqa: S102 - names the standard library alone
            except ImportError:
                continue  # a test that uses the name will fail, and that is reported
        under_test = (
            [self._globals[name] for name in self._spec[kind] if name in self._globals]
            for kind in ("functions", "classes")
        )
        self._witness.watch(*under_test)

    def _errors(self, mutant: Mutant | None) -> dict[int, BaseException]:
        """Test number → the exception that the test raises under a mutant."""
        errors: dict[int, BaseException] = {}
        namespace = dict(self._globals)
        self._witness.become(mutant)
        for number, code in enumerate(self._compiled):
            self._witness.turn_to(number, self._literals[number])
            try:
                exec(code, namespace)  # noqa: S102
            except BaseException as error:  # noqa: BLE001 - any exception: the test failed
                errors[number] = error.with_traceback(None)
            if self._witness.gone:
                break
        return errors

    def _fault(self, noticed: set[int], survivors: list[Mutant], alike: list[Mutant]) -> str:
        subject = ", ".join(self._spec["functions"] or self._spec["classes"]) or "the program"
        real = [n for n in range(len(self._tests)) if n not in self._spec["fixtures"]]
        if not real:
            return "no test asserts anything"
        for number in real:
            if not self._witness.calls_of(number):
                return f"{self._quoted(number)} never calls {subject}"
        for number in real:
            if number not in noticed:
                return f"{self._quoted(number)} holds whatever {subject} returns"
        if survivors:
            return f"no test fails when {subject} {survivors[0].says}"
        names = {mutant.name for mutant in alike}
        if "none" in names:
            return f"no test fails when {subject} does nothing"
        if names >= {"larger", "smaller"}:
            return f"no test looks at a value that {subject} returns"
        first = self._witness.first_value()
        if "constant" in names and not self._witness.was_given and isinstance(first, bool):
            return f"every call of {subject} is without arguments and returns {first}"
        # Tests that fail in every second run would seem to kill every mutant. The recorded answers
        # are tried first: a program may keep state, so its own answers may differ the second time.
        for mutant in (Mutant(CONTROL, "", change=lambda value, literals: value), None):
            failed = self._errors(mutant)
            if not failed:
                return ""
        return f"{self._quoted(min(failed))} does not hold a second time"

    def _quoted(self, number: int) -> str:
        text = self._tests[number].strip()
        shown = text if len(text) <= _LONGEST_TEST else f"{text[:_LONGEST_TEST]}…"
        return f"test {shown!r}"


class _Nowhere:
    """A stream that discards everything written to it."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass


def _notices(mutant: Mutant, error: BaseException) -> bool:
    """Whether a test failed under a mutant because it checked the answer."""
    if isinstance(error, AssertionError):
        return True
    # A NameError does not count: an earlier test may have failed before it bound the name.
    return mutant.change is not None and not isinstance(error, (NameError, MutantError))


def _constants(code: CodeType) -> list[Any]:
    """The literals of a test, including those in its tuples and in its functions."""
    found: list[Any] = []
    waiting: list[Any] = list(code.co_consts)
    while waiting:
        value = waiting.pop(0)
        if isinstance(value, CodeType):
            waiting += value.co_consts
        else:
            found.append(value)
            waiting += value if isinstance(value, tuple) else ()
    return found
