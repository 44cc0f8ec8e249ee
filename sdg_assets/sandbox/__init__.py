"""Programs a model wrote, run against their tests where they can do no harm.

Every program gets a sandbox of its own, started for it and gone with it: no network, no sight of
the host's files, processes or environment, a scratch directory in memory, and limits on time,
memory, processes, files and output. The tests run in a process apart from the program, so a
program passes by answering rightly and in no other way. What the tests can tell is found out by
running them on trivial mutants of the program (see `trial`).
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
    """No isolation works on this machine, and running without was not asked for."""


@dataclass(frozen=True)
class Program:
    """A program under test.

    Attributes:
        code: Source text.
        tests: Statements that must hold, usually asserts. They may name the program's globals and
            what it imports from the standard library.
        setup: Statements that build what the tests use from what the program defines. They run
            after the code, in the program's process: what judges belongs into the tests.
        takes: Which names the tests take from the program, where they were written for another
            one; by default those of this one.
        prove: Whether to try the tests on trivial mutants of the program, once it has passed.
    """

    code: str
    tests: Sequence[str]
    setup: str = ""
    takes: Interface | None = None
    prove: bool = False


@dataclass(frozen=True)
class Mutants:
    """What the tests make of trivial mutants of a program that passes them; see `trial`.

    Attributes:
        mutants: How many were tried.
        killed: How many of them fail at least one test.
        alike: Names of those that answered all that the tests asked as the program did.
        fault: Why the tests prove nothing, as one sentence that names the test; empty if they do.
    """

    mutants: int
    killed: int
    alike: list[str]
    fault: str


@dataclass(frozen=True)
class Outcome:
    """What became of a program.

    Attributes:
        passed: Every test held.
        reason: `passed`, `timeout`, `memory`, `processes`, `output`, `files`,
            `killed[: SIGNAL]`, or
            `failed: <exception>: <its text, or the test that did not hold>`.
        proof: What the tests make of its mutants, where they were tried.
        stdout: The end of what it printed.
        stderr: The end of what it printed there.
    """

    passed: bool
    reason: str
    proof: Mutants | None = None
    stdout: str = ""
    stderr: str = ""


@cache
def obstacle(candidate: Isolation) -> str | None:
    """Try an isolation, once a process, by running a program that looks for ways out.

    Returns:
        Why it does not work on this machine; None where it does.
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
    """The best isolation that works on this machine; `none` where none does."""
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
        limits: What it may take; the defaults of `Limits` where not given.
        allow_unisolated: Run it even where nothing isolates it.
        using: An isolation other than the best.

    Returns:
        Its outcome. Whatever the program does is an outcome, never an exception.

    Raises:
        SandboxUnavailable: Nothing isolates it, and that was not allowed.
        TransientError: A sandbox that works on this machine could not be started.
        ValueError: There are no tests.
    """
    program = Program(code, tests, setup, takes, prove)
    return _run(program, limits=limits, allow_unisolated=allow_unisolated, using=using)


def _run(
    program: Program, *, limits: Limits | None, allow_unisolated: bool, using: Isolation | None
) -> Outcome:
    if not program.tests:
        raise ValueError("a program without tests verifies nothing")
    chosen = using or isolation()
    if chosen is Isolation.none and not allow_unisolated:
        tried = "; ".join(f"{candidate}: {obstacle(candidate) or 'works'}" for candidate in _SAFE)
        raise SandboxUnavailable(
            f"nothing isolates the programs a model wrote from this machine ({tried}). Install "
            "bubblewrap (apt-get install bubblewrap) or allow unprivileged user namespaces; or, "
            "on a machine with nothing to lose, set SDG_ALLOW_UNSANDBOXED_CODE=1"
        )
    report = launch(chosen, limits or Limits(), *_job(program))
    proof = Mutants(**report.pop("proof")) if report["proof"] else None
    return Outcome(**{"proof": proof, **report})


def _job(program: Program) -> tuple[dict[str, str], dict[str, Any]]:
    """What the program's process reads, and what the examiner's does."""
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
    """Run a stream of programs, several at a time; takes no more of it than is under way.

    Args:
        programs: What to run.
        workers: How many at a time; as many as there are cores where not given.
        limits: See `run_program`.
        allow_unisolated: See `run_program`.
        using: See `run_program`.

    Yields:
        Their outcomes, in their order.

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
