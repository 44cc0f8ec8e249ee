"""System calls that Python does not wrap.

Child side: runs inside the sandbox, with only the standard library.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # `signal` imports `enum`: 5 ms per sandbox
import ctypes
import errno
import os

NEW_NAMESPACES = 0x20000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x20000000 | 0x40000000
"""Mounts, cgroups, host name, IPC, processes, network."""
NEW_USER = 0x10000000

libc = ctypes.CDLL(None, use_errno=True)


class Machine:
    """The numbers of the system calls of one architecture."""

    def __init__(self, audit: int, pivot_root: int, clone: int, refused: tuple[int, ...]) -> None:
        self.audit = audit
        self.pivot_root = pivot_root
        self.clone = clone
        self.refused = refused


# Refused, in this order: sockets of any family (namespaces do not cover vsock), and memory that no
# limit counts (memfd, System V shared memory, semaphores and messages); access to other processes,
# namespaces and mounts; keys, the kernel's log, bpf, perf and userfaultfd.
_MACHINES = {
    "x86_64": Machine(
        audit=0xC000003E,
        pivot_root=155,
        clone=56,
        refused=(
            *(41, 319, 29, 64, 68),
            *(101, 310, 311, 272, 308, 165, 166, 155),
            *(248, 249, 250, 103, 321, 298, 323),
        ),
    ),
    "aarch64": Machine(
        audit=0xC00000B7,
        pivot_root=41,
        clone=220,
        refused=(
            *(198, 279, 194, 190, 186),
            *(117, 270, 271, 97, 268, 40, 39, 41),
            *(217, 218, 219, 116, 280, 241, 282),
        ),
    ),
}

REFUSED_EVERYWHERE = (425, 426, 427, 428, 429, 430, 432, 438, 442, 447)
"""io_uring, the newer mount calls, `pidfd_getfd`, `memfd_secret`."""

_PR_SET_PDEATHSIG = 1


def check(result: int, call: str) -> None:
    """Raise an exception if a system call failed.

    Raises:
        OSError: The result is not zero; the message starts with `call`.
    """
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")


def prctl(option: int, value: int) -> None:
    """Set an attribute of this process.

    Raises:
        OSError: The kernel refuses the call.
    """
    rest = (ctypes.c_ulong(number) for number in (value, 0, 0, 0))
    check(libc.prctl(option, *rest), f"prctl {option}")


def die_with_parent() -> None:
    """Make the kernel kill this process when its parent ends."""
    prctl(_PR_SET_PDEATHSIG, _signal.SIGKILL)


def machine() -> Machine:
    """The system calls of this architecture.

    Raises:
        OSError: There is no table for this architecture.
    """
    name = os.uname().machine
    if name not in _MACHINES:
        raise OSError(errno.ENOSYS, f"no table of system calls for {name}")
    return _MACHINES[name]
