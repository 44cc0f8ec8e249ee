"""Runs programs that a model wrote against their tests, isolated from the machine.

Every program gets its own sandbox, which exists only while it runs: no network, no access to the
host's files, processes or environment, a scratch directory in memory, and limits on time, memory,
processes, files and output. The tests run in another process than the program, so a program can
pass only by giving right answers. To measure which wrong answers the tests detect, they also run
on trivial mutants of the program (see `trial`).
"""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

from sdg_assets.errors import PermanentError, TransientError
from sdg_assets.sandbox.interface import Interface, interface
from sdg_assets.sandbox.launch import Isolation, Limits, launch
from sdg_assets.store.disk import SCRATCH

__all__ = [
    "Interface",
    "Isolation",
    "Limits",
    "Mutants",
    "Outcome",
    "Program",
    "SandboxUnavailable",
    "interface",
    "isolation",
    "obstacle",
    "run_program",
    "run_programs",
]

_SAFE = (Isolation.bubblewrap, Isolation.namespaces)

_PROBE = """
import os, socket

def sees(path):
    return os.path.exists(path) or len([name for name in os.listdir("/proc") if name.isdigit()]) > 5

def writes(path):
    try:
        return open(path + "/probe", "w").write("x")
    except OSError:
        return 0

def connects():
    try:
        return socket.socket() is not None
    except OSError:
        return False
"""


class SandboxUnavailable(PermanentError):  # noqa: N818
    """No isolation works on this machine, and running without isolation was not allowed."""


@dataclass(frozen=True)
class Program:
    """A program under test.

    Attributes:
        code: Source text.
        tests: Statements that must run without an exception, usually asserts. They may use the
            program's globals, and names that it imports from the standard library.
        setup: Statements that build values for the tests from the program's definitions. They run
            after the code, in the program's process, so they must not check anything: checks
            belong in the tests.
        takes: The names that the tests take from the program, if the tests were written for
            another program; by default, those that they take from this one.
        prove: Whether to run the tests also on trivial mutants, after the program has passed.
    """

    code: str
    tests: Sequence[str]
    setup: str = ""
    takes: Interface | None = None
    prove: bool = False


@dataclass(frozen=True)
class Mutants:
    """Which trivial mutants of a passing program the tests detect; see `trial`.

    Attributes:
        mutants: Number of mutants tried.
        killed: Number of mutants that fail at least one test.
        alike: Names of the mutants that gave the tests the same answers as the program.
        fault: Why the tests prove nothing, as one sentence that names the test; empty if they
            prove something.
    """

    mutants: int
    killed: int
    alike: list[str]
    fault: str


@dataclass(frozen=True)
class Outcome:
    """The result of running a program.

    Attributes:
        passed: Whether every test held.
        reason: `passed`, `timeout`, `memory`, `processes`, `output`, `files`,
            `killed[: SIGNAL]`, or
            `failed: <exception>: <its text, or the test that did not hold>`.
        proof: Which mutants the tests detect; None if mutants were not tried.
        stdout: The end of the program's standard output, at most `Limits.output_kib`.
        stderr: The end of its standard error, at most `Limits.output_kib`.
    """

    passed: bool
    reason: str
    proof: Mutants | None = None
    stdout: str = ""
    stderr: str = ""


@cache
def obstacle(candidate: Isolation) -> str | None:
    """Test an isolation, once per process, with a program that tries to escape.

    Returns:
        Why the isolation does not work on this machine; None if it works.
    """
    with tempfile.TemporaryDirectory(prefix=SCRATCH) as outside:
        tests = [
            f"assert not sees({outside!r})",
            f"assert not writes({outside!r})",
            "assert not writes('/')",
            "assert writes('/tmp')",
            "assert not connects()",
        ]
        try:
            report = launch(candidate, Limits(), *_job(Program(_PROBE, tests)))
        except (TransientError, OSError) as error:
            return str(error)
    return None if report["passed"] else f"{candidate} does not isolate: {report['reason']}"


def isolation() -> Isolation:
    """The best isolation that works on this machine; `none` if none works."""
    for candidate in _SAFE:
        if obstacle(candidate) is None:
            return candidate
    return Isolation.none


def run_program(
    code: str,
    tests: Sequence[str],
    *,
    setup: str = "",
    takes: Interface | None = None,
    prove: bool = False,
    limits: Limits | None = None,
    allow_unisolated: bool = False,
    using: Isolation | None = None,
) -> Outcome:
    """Run one program against its tests.

    Args:
        code: See `Program`.
        tests: See `Program`.
        setup: See `Program`.
        takes: See `Program`.
        prove: See `Program`.
        limits: Resource limits; default: those of `Limits`.
        allow_unisolated: Whether to run it even if no isolation works.
        using: The isolation to use; default: the best that works.

    Returns:
        The program's outcome. No behaviour of the program raises an exception.

    Raises:
        SandboxUnavailable: No isolation works, and running without is not allowed.
        TransientError: The isolation works on this machine, but this sandbox did not start.
        ValueError: There are no tests.
    """
    program = Program(code, tests, setup, takes, prove)
    return _run(program, limits=limits, allow_unisolated=allow_unisolated, using=using)


def _run(
    program: Program, *, limits: Limits | None, allow_unisolated: bool, using: Isolation | None
) -> Outcome:
    if not program.tests:
        raise ValueError("a program without tests verifies nothing")
    isolated_by = using or isolation()
    if isolated_by is Isolation.none and not allow_unisolated:
        tried = "; ".join(f"{candidate}: {obstacle(candidate) or 'works'}" for candidate in _SAFE)
        raise SandboxUnavailable(
            f"nothing isolates the programs a model wrote from this machine ({tried}). Install "
            "bubblewrap (apt-get install bubblewrap) or allow unprivileged user namespaces; or, "
            "on a machine with nothing to lose, set SDG_ALLOW_UNSANDBOXED_CODE=1"
        )
    report = launch(isolated_by, limits or Limits(), *_job(program))
    proof = Mutants(**report.pop("proof")) if report["proof"] else None
    return Outcome(**{"proof": proof, **report})


def _job(program: Program) -> tuple[dict[str, str], dict[str, Any]]:
    """The inputs of the program's process and of the examiner's process."""
    source = {"code": program.code, "setup": program.setup}
    takes = program.takes or interface(f"{program.code}\n{program.setup}", program.tests)
    trial = {
        "tests": list(program.tests),
        "names": takes.names,
        "imports": takes.imports,
        "functions": takes.functions,
        "classes": () if takes.functions else takes.classes,
        "fixtures": takes.fixtures,
        "prove": program.prove,
    }
    return source, trial


def run_programs(
    programs: Iterable[Program],
    *,
    workers: int | None = None,
    limits: Limits | None = None,
    allow_unisolated: bool = False,
    using: Isolation | None = None,
) -> Iterator[Outcome]:
    """Run a stream of programs in parallel. Reads at most `2 * workers` programs ahead.

    Args:
        programs: The programs to run.
        workers: How many run at a time; default: the number of cores of this process.
        limits: See `run_program`.
        allow_unisolated: See `run_program`.
        using: See `run_program`.

    Yields:
        The outcomes, in the order of the programs.

    Raises:
        SandboxUnavailable: See `run_program`.
        TransientError: See `run_program`.
        ValueError: See `run_program`.
    """
    workers = workers or len(os.sched_getaffinity(0))
    waiting: deque[Future[Outcome]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="sandbox")
    try:
        for program in programs:
            waiting.append(
                pool.submit(
                    _run,
                    program,
                    limits=limits,
                    allow_unisolated=allow_unisolated,
                    using=using,
                )
            )
            if len(waiting) >= 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
