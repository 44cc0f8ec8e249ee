"""Starts a sandbox: the isolation, the visible part of the file system, and the child's code."""

from __future__ import annotations

import json
import marshal
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import IO, Any

from sdg_assets.errors import TransientError
from sdg_assets.sandbox.namespaces import DEVICES, NOBODY
from sdg_assets.sandbox.privileges import MIB
from sdg_assets.sandbox.warden import PATIENCE
from sdg_assets.store.disk import SCRATCH

# Each module comes after those that it imports.
_CHILD_MODULES = (
    *("linux", "privileges", "namespaces", "codec", "values", "wire"),
    *("mutants", "witness", "trial", "roles", "warden"),
)
_GRACE_SECONDS = 20.0
"""Seconds that a sandbox gets beyond its time limit to end by itself, before it is killed."""

_LIBRARIES = ("/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib64")
_DATA = ("/etc/ld.so.cache", "/usr/share/zoneinfo")

_BOOTSTRAP = """
import marshal, os, sys
frame = os.read(0, int.from_bytes(os.read(0, 8), "big"))
for name, code in marshal.loads(frame):
    sys.modules[name] = module = type(sys)(name)
    exec(code, module.__dict__)
module.main()
"""


class Isolation(StrEnum):
    """How a program is isolated from the machine."""

    bubblewrap = "bubblewrap"
    namespaces = "namespaces"
    none = "none"


@dataclass(frozen=True)
class Limits:
    """Resource limits of one program together with its tests.

    Attributes:
        seconds: Wall-clock time, and also the processor time of each process. On a busy machine
            the wall-clock limit grows up to `warden.PATIENCE` times.
        memory_mib: Address space of each process, and memory of all of them together, in MiB.
        processes: Number of processes and threads.
        output_kib: Standard output and standard error together, in KiB.
        file_mib: Size of the scratch directory, and of each file, in MiB.
    """

    seconds: float = 10
    memory_mib: int = 512
    processes: int = 16
    output_kib: int = 64
    file_mib: int = 16


def launch(
    isolation: Isolation, limits: Limits, program: dict[str, str], trial: dict[str, Any]
) -> dict[str, Any]:
    """Run a program and its tests in a new sandbox.

    Args:
        isolation: How to isolate them.
        limits: Their resource limits.
        program: The program's `code`, and the `setup` that runs after it.
        trial: The tests, in the form that `trial.Trial` takes, and whether to `prove` them.

    Returns:
        The warden's report: `passed`, `reason`, `proof`, `stdout`, `stderr`.

    Raises:
        TransientError: The sandbox could not be started; the message says why.
    """
    uid = _spare_uid() if isolation is not Isolation.none else None
    config = {
        "isolation": isolation,
        "uid": uid,
        "limits": asdict(limits),
        "other_tasks": _own_tasks() if isolation is Isolation.none else 0,
        "root": dict(zip(("binds", "links"), _visible_paths(), strict=True)),
    }
    messages = [_child_code(), *(json.dumps(part).encode() for part in (config, program, trial))]
    scratch: AbstractContextManager[str] = nullcontext("/")
    if isolation is Isolation.none:
        scratch = tempfile.TemporaryDirectory(prefix=SCRATCH)
    with tempfile.TemporaryFile() as job, scratch as cwd:
        for message in messages:
            job.write(len(message).to_bytes(8, "big") + message)
        job.seek(0)
        command = [_interpreter(), "-I", "-S", "-E", "-X", "utf8", "-c", _BOOTSTRAP]
        if isolation is Isolation.bubblewrap:
            command = [*_bubblewrap(limits, as_root=uid is not None), *command]
        out, err = _run(command, job, cwd, PATIENCE * limits.seconds + _GRACE_SECONDS)
    ready, _, report = out.partition(b"\n")
    if ready != b"ready":
        detail = err.decode(errors="replace").strip().rpartition("\n")[2]
        raise TransientError(f"sandbox ({isolation}) did not start: {detail or 'no message'}")
    try:
        outcome: dict[str, Any] = json.loads(report)
    except ValueError:
        # After `ready`, only code inside the sandbox can have ended it. That is an outcome of the
        # program; a retry would not help.
        outcome = dict.fromkeys(("stdout", "stderr"), "")
        outcome |= {"passed": False, "reason": "killed", "proof": None}
    return outcome


def _run(command: list[str], job: IO[bytes], cwd: str, seconds: float) -> tuple[bytes, bytes]:
    process = subprocess.Popen(  # noqa: S603 - no shell, and the program is no argument
        command,
        stdin=job,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={},
        cwd=cwd,
        start_new_session=True,
    )
    with process:  # closes the pipes on exit, which ends a warden that no signal can reach
        try:
            # Only the warden writes to these pipes, so the output is small.
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired as error:
            out, err = error.stdout or b"", b"no answer in time"
        finally:
            # Until the process is waited for, no other group can have its number.
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
    return out, err


@cache
def _child_code() -> bytes:
    package = Path(__file__).parent
    modules = []
    for name in _CHILD_MODULES:
        file = package / f"{name}.py"
        code = compile(file.read_text(encoding="utf-8"), file.name, "exec", dont_inherit=True)
        modules.append((f"{__package__}.{name}", code))
    return marshal.dumps(modules)


@cache
def _interpreter() -> str:
    # The base interpreter: the virtual environment is not visible in the sandbox, nor needed there.
    return str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())


@cache
def _visible_paths() -> tuple[list[str], dict[str, str]]:
    """The paths to bind, and the links (name → target), that an interpreter needs."""
    binds: list[str] = []
    links = {"/dev/shm": "/tmp"}  # noqa: S108 - `multiprocessing` keeps its locks there
    prefixes = {Path(prefix).resolve() for prefix in (sys.base_prefix, sys.base_exec_prefix)}
    python = [str(prefix / name) for prefix in prefixes for name in ("lib", "lib64")]
    for path in map(Path, sorted({*_LIBRARIES, *_DATA, *python, _interpreter()})):
        if path.is_symlink():
            links[str(path)] = str(path.readlink())
        elif path.exists() and not any(path.is_relative_to(bound) for bound in binds):
            binds.append(str(path))
    return binds, links


def _bubblewrap(limits: Limits, *, as_root: bool) -> list[str]:
    binds, links = _visible_paths()
    command = [
        shutil.which("bwrap") or "bwrap",
        *("--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"),
        *("--unshare-cgroup-try", "--die-with-parent", "--new-session", "--as-pid-1"),
        *("--cap-drop", "ALL"),
    ]
    if as_root:  # the warden then changes to an unused user id
        command += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        command += ["--unshare-user", "--uid", str(NOBODY), "--gid", str(NOBODY)]
    devices = [f"/dev/{name}" for name in DEVICES]
    # Created here, because bubblewrap would make these directories accessible only to their owner.
    above = {str(parent) for path in (*binds, *devices) for parent in Path(path).parents}
    for path in sorted(above - {"/"}):
        command += ["--dir", path]
    for path in binds:
        command += ["--ro-bind", path, path]
    for path in devices:
        command += ["--dev-bind", path, path]
    for name, target in links.items():
        command += ["--symlink", target, name]
    command += ["--proc", "/proc", "--perms", "1777", "--size", str(limits.file_mib * MIB)]
    return [*command, "--tmpfs", "/tmp", "--remount-ro", "/", "--chdir", "/tmp", "--"]  # noqa: S108


def _spare_uid() -> int | None:
    """An unused user id if this process is root (root has no process limit); otherwise None."""
    if os.geteuid() != 0:
        return None
    first, _, count = map(int, Path("/proc/self/uid_map").read_text().split()[-3:])
    unused = min(count // 2, 100_000)
    return first + count - 1 - secrets.randbelow(unused) if unused >= 1000 else None


def _own_tasks() -> int:
    """The number of running tasks of this user, which count towards the user's process limit."""
    tasks = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.stat().st_uid == os.getuid():
                tasks += len(list((process / "task").iterdir()))
        except OSError:
            continue  # the process has ended meanwhile
    return tasks
