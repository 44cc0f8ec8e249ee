"""Process 1 of a sandbox: starts the program and its tests as separate processes; watches both.

Child side: runs inside the sandbox, with only the standard library. There are three processes, each
less trusted than the one before:

- the *warden* enforces the limits and reports the outcome; it runs no code that a model wrote;
- the *examiner* runs the tests; only the examiner can tell the warden that they passed;
- the *program* runs the code under test and answers calls. It is started before the tests are read,
  so its memory does not contain them. It has no influence on how its answers are checked.
"""
# Importing pathlib, contextlib or signal (for its `enum`) would cost every sandbox 5 ms each.
# ruff: noqa: PTH123, PTH208, SIM105

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import os
import select
import time

from sdg_assets.sandbox.codec import dumps, loads
from sdg_assets.sandbox.linux import die_with_parent, prctl
from sdg_assets.sandbox.namespaces import enter_namespaces
from sdg_assets.sandbox.privileges import MIB, limit, renounce
from sdg_assets.sandbox.roles import examine, play
from sdg_assets.sandbox.wire import ENDED

TYPE_CHECKING = False  # importing `typing` would cost every sandbox 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, NoReturn

OWN_TASKS = 3
"""The sandbox's own processes, which count towards the process limit of its user."""

PATIENCE = 3
"""Factor by which a program's time limit grows if the machine is too busy to run it: a teacher that
uses every core may keep a process waiting for many seconds."""

_PR_SET_CHILD_SUBREAPER = 36
_TICK_MS = 20
_PAGE, _TICKS_A_SECOND = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")
_MOST_FILES = 4096


def main() -> NoReturn:
    """Run the job on standard input; write a line `ready`, then the outcome, to standard output.

    The input is three messages, each eight bytes of length (big-endian) followed by JSON of that
    length: the isolation settings, the program (`code`, `setup`), and its tests, in the form that
    `trial.Trial` takes.
    """
    die_with_parent()
    _die_first()
    config = _frame()
    limits = config["limits"]
    if config["isolation"] == "namespaces":
        enter_namespaces(config["root"], limits["file_mib"], config["uid"])
    prctl(_PR_SET_CHILD_SUBREAPER, 1)
    tasks = limits["processes"] + OWN_TASKS + config["other_tasks"]
    renounce(config["uid"])
    die_with_parent()  # again, because a change of user clears this setting
    _signal.signal(_signal.SIGINT, _signal.SIG_IGN)  # the one signal that reaches process 1
    outcome = _Warden(limits, tasks).run()
    os.write(1, dumps(outcome).encode() + b"\n")
    _quit()


def _die_first() -> None:
    # If the machine runs out of memory, the kernel kills this process before the model's.
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    except OSError:
        pass


def _frame() -> Any:  # noqa: ANN401 - JSON
    # Unbuffered: this process must not hold a later message, the tests, when it starts the program.
    return loads(os.read(0, int.from_bytes(os.read(0, 8), "big")))


def _quit() -> NoReturn:
    # If this is process 1 of its namespace, the kernel kills all others when it ends. Without
    # namespaces, they are killed here.
    while os.getpid() != 1:
        with open(f"/proc/self/task/{os.getpid()}/children") as children:
            for pid in children.read().split():
                os.kill(int(pid), _signal.SIGKILL)
        try:
            os.wait()
        except ChildProcessError:
            break
    os._exit(0)


class _Warden:
    def __init__(self, limits: dict[str, Any], tasks: int) -> None:
        self._limits = limits
        self._tasks = tasks
        self._statuses: dict[int, int] = {}
        self._tails: dict[int, bytes] = {}
        self._seal = ""

    def run(self) -> dict[str, Any]:
        null = os.open(os.devnull, os.O_RDWR)
        out, program_out = os.pipe()
        err, program_err = os.pipe()
        questions, ask = os.pipe()
        answers, answer = os.pipe()
        streams = (null, program_out, program_err)
        source = _frame()
        os.write(1, b"ready\n")

        def be_program() -> None:
            play(source, os.fdopen(questions, "rb"), os.fdopen(answer, "wb"))

        program = self._spawn(be_program, streams, (questions, answer))
        spec = _frame()
        verdict, report = os.pipe()
        # Tests do not know the seal, so none can fake a verdict by writing to all descriptors.
        self._seal = os.urandom(16).hex()

        def be_examiner() -> None:
            examine(spec, os.fdopen(answers, "rb"), os.fdopen(ask, "wb"), report, self._seal)

        self._spawn(be_examiner, streams, (answers, ask, report))
        for fd in (*streams, questions, ask, answers, answer, report):
            os.close(fd)
        outcome = self._watch(out, err, verdict)
        if outcome["reason"] == ENDED:
            outcome["reason"] = self._end_of(program)
        stdout, stderr = (self._tail(fd) for fd in (out, err))
        return {**outcome, "stdout": stdout, "stderr": stderr}

    def _spawn(
        self, role: Callable[[], None], streams: Iterable[int], others: Iterable[int]
    ) -> int:
        pid = os.fork()
        if pid:
            return pid
        try:
            for target, fd in enumerate(streams):
                os.dup2(fd, target)
            kept = [2, *sorted(others)]
            for low, high in zip(kept, [*kept[1:], 4096], strict=True):
                os.closerange(low + 1, high)
            limit(self._limits, self._tasks)
            role()
        except BaseException:  # noqa: BLE001, S110 - a child must not go on as a second warden
            pass
        finally:
            os._exit(0)

    def _watch(self, out: int, err: int, verdict: int) -> dict[str, Any]:
        self._tails = {out: b"", err: b""}
        seen = 0
        started = time.monotonic()
        poll = select.poll()
        for fd in (out, err, verdict):
            poll.register(fd, select.POLLIN)
        # Reports when the host stops reading. The host's end alone does not end this process under
        # bubblewrap: a bubblewrap run by root may not signal the user of this process.
        poll.register(1, 0)
        while True:
            for fd, _ in poll.poll(_TICK_MS):
                if fd == 1:
                    _quit()
                data = os.read(fd, 65536)
                if fd == verdict:
                    return _read_verdict(data, self._seal)
                if not data:
                    poll.unregister(fd)
                seen += len(data)
                self._tails[fd] = (self._tails[fd] + data)[-self._limits["output_kib"] * 1024 :]
            self._reap()
            if seen > self._limits["output_kib"] * 1024:
                return _failed("output")
            processes, memory, starved = _usage(elapsed := time.monotonic() - started)
            if elapsed > self._limits["seconds"] * (PATIENCE if starved else 1):
                return _failed("timeout")
            if processes > self._tasks:
                return _failed("processes")
            if memory > self._limits["memory_mib"] * MIB:
                return _failed("memory")
            if os.getpid() == 1 and _files() > _MOST_FILES:
                return _failed("files")

    def _reap(self) -> None:
        try:
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                self._statuses[ended[0]] = ended[1]
        except ChildProcessError:
            pass

    def _end_of(self, pid: int) -> str:
        for _ in range(20):
            self._reap()
            if pid in self._statuses:
                break
            time.sleep(0.005)
        code = os.waitstatus_to_exitcode(self._statuses.get(pid, 0))
        if code == -_signal.SIGXCPU:
            return "timeout"
        if code < 0:
            import signal

            return f"killed: {signal.Signals(-code).name}"
        return ENDED

    def _tail(self, fd: int) -> str:
        os.set_blocking(fd, False)
        try:
            self._tails[fd] += os.read(fd, 65536)
        except BlockingIOError:
            pass
        return self._tails[fd][-self._limits["output_kib"] * 1024 :].decode(errors="replace")


def _read_verdict(data: bytes, seal: str) -> dict[str, Any]:
    try:
        verdict = loads(data)
        if verdict.pop("seal") != seal:
            raise ValueError("not the examiner's")
        proof = verdict["proof"]
        kinds = {"mutants": int, "killed": int, "alike": list, "fault": str}
        if proof is not None:
            proof = {key: kind(proof[key]) for key, kind in kinds.items()}
        passed, reason = verdict["passed"] is True, str(verdict["reason"])
    except (ValueError, TypeError, KeyError, AttributeError):
        return _failed("killed")  # the examiner ended, or was killed, without a verdict
    return {"passed": passed, "reason": reason, "proof": proof}


def _failed(reason: str) -> dict[str, Any]:
    return {"passed": False, "reason": reason, "proof": None}


def _usage(elapsed: float) -> tuple[int, int, bool]:
    """The resources that all processes of the sandbox use together.

    The kernel limits each process. But it does not count the processes of a root user that cannot
    change to another user, and it does not limit the memory of all processes together.

    Returns:
        The number of processes, their memory in bytes, and whether one of them is runnable although
        they had a processor for less than half of the elapsed time.
    """
    processes = memory = ticks = 0
    runnable = False
    for name in os.listdir("/proc") if os.getpid() == 1 else ():
        if not name.isdecimal():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue  # the process has ended meanwhile
        processes += 1
        memory += int(fields[21]) * _PAGE
        if name != "1":
            ticks += int(fields[11]) + int(fields[12])
            runnable = runnable or fields[0] == b"R"
    return processes, memory, runnable and ticks / _TICKS_A_SECOND < elapsed / 2


def _files() -> int:
    scratch = os.statvfs("/tmp")  # noqa: S108 - the sandbox's own
    return scratch.f_files - scratch.f_ffree
