"""Permanently drops privileges of a process, and limits its system calls and resources.

Child side: runs inside the sandbox, with only the standard library.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource

from sdg_assets.sandbox.linux import (
    NEW_NAMESPACES,
    NEW_USER,
    REFUSED_EVERYWHERE,
    check,
    libc,
    machine,
    prctl,
)

TYPE_CHECKING = False  # importing `typing` would cost every sandbox 5 ms
if TYPE_CHECKING:
    from typing import Any

MIB = 1024 * 1024
PR_SET_DUMPABLE = 4
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 22, 38
_CLONE3 = 435


def become(uid: int) -> None:
    """Change to another user, permanently."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def renounce(uid: int | None) -> None:
    """Drop all privileges, and block the system calls that no verified program needs.

    Args:
        uid: The user id to change to if this process is root.

    Raises:
        OSError: The kernel refuses a step.
    """
    if uid is not None and os.geteuid() == 0:
        become(uid)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    check(libc.capset(ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)())), "capset")
    prctl(_PR_SET_NO_NEW_PRIVS, 1)
    # These processes cannot open each other's memory or descriptors.
    prctl(PR_SET_DUMPABLE, 0)
    _filter_system_calls()


def _filter_system_calls() -> None:
    load, equal, at_least, any_bit, give = 0x20, 0x15, 0x35, 0x45, 0x06
    kill, allow, refuse = 0x80000000, 0x7FFF0000, 0x00050000
    here = machine()
    program = [
        (load, 0, 0, 4),  # the architecture
        (equal, 1, 0, here.audit),
        (give, 0, 0, kill),
        (load, 0, 0, 0),  # the number of the call
        (at_least, 0, 1, 0x40000000),  # x32: the same calls under other numbers
        (give, 0, 0, kill),
        (equal, 0, 1, _CLONE3),  # a filter cannot read its flags; libc falls back to clone
        (give, 0, 0, refuse | errno.ENOSYS),
    ]
    for number in (*here.refused, *REFUSED_EVERYWHERE):
        program += [(equal, 0, 1, number), (give, 0, 0, refuse | errno.EPERM)]
    program += [
        (equal, 0, 3, here.clone),
        (load, 0, 0, 16),  # its flags
        (any_bit, 0, 1, NEW_NAMESPACES | NEW_USER),
        (give, 0, 0, refuse | errno.EPERM),
        (give, 0, 0, allow),
    ]
    instructions = b"".join(
        code.to_bytes(2, "little") + bytes((yes, no)) + value.to_bytes(4, "little")
        for code, yes, no, value in program
    )
    buffer = ctypes.create_string_buffer(instructions, len(instructions))
    header = (ctypes.c_uint64 * 2)(len(program), ctypes.addressof(buffer))
    result = libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(2), ctypes.byref(header), 0, 0)
    check(result, "seccomp")


def limit(limits: dict[str, Any], tasks: int) -> None:
    """Set resource limits for this process and each of its descendants.

    Args:
        limits: The fields of `Limits`.
        tasks: The most processes and threads, including the sandbox's own.
    """
    seconds = int(limits["seconds"]) + 1
    for resource_id, maximum in (
        (resource.RLIMIT_AS, limits["memory_mib"] * MIB),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, limits["file_mib"] * MIB),
        (resource.RLIMIT_NPROC, tasks),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
    ):
        _, hard = resource.getrlimit(resource_id)
        bound = maximum if hard == resource.RLIM_INFINITY else min(maximum, hard)
        resource.setrlimit(resource_id, (bound, bound))
