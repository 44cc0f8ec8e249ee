"""Moves a process to new namespaces, with a minimal root file system.

Child side: runs inside the sandbox, with only the standard library.
"""
# Importing pathlib would cost every sandbox 5 ms.
# ruff: noqa: PTH102, PTH103, PTH112, PTH120, PTH123, PTH211

from __future__ import annotations

import ctypes
import os

from sdg_assets.sandbox.linux import (
    NEW_NAMESPACES,
    NEW_USER,
    check,
    die_with_parent,
    libc,
    machine,
    prctl,
)
from sdg_assets.sandbox.privileges import PR_SET_DUMPABLE, become

TYPE_CHECKING = False  # importing `typing` would cost every sandbox 5 ms
if TYPE_CHECKING:
    from typing import Any

NOBODY = 65534
DEVICES = ("null", "zero", "full", "random", "urandom")

_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_RDONLY = 2, 4, 8, 1
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_MNT_DETACH = 2
_MOUNT_SETATTR = 442  # the same number on every architecture
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000


def _mount(source: str, target: str, kind: str | None, flags: int, data: str = "") -> None:
    texts = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    result = libc.mount(*texts, ctypes.c_ulong(flags), os.fsencode(data))
    check(result, f"mount {kind or source} on {target}")


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def enter_namespaces(root: dict[str, Any], scratch_mib: int, uid: int | None) -> None:
    """Continue as process 1 of new namespaces, with a root file system of only the given paths.

    This forks: the child continues, and the calling process waits for it and ends with it.

    Args:
        root: `binds` (paths visible read-only) and `links` (name → target).
        scratch_mib: Size of the scratch directory, in MiB.
        uid: The user id to change to if this process is root.

    Raises:
        OSError: The kernel refuses a step; the message names it.
    """
    _unshare(uid)
    die_with_parent()  # again, because a change of user clears this setting
    child = os.fork()
    if child:
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF)
    die_with_parent()
    _build_root(root, scratch_mib)


def _unshare(uid: int | None) -> None:
    if os.geteuid() == 0 and libc.unshare(NEW_NAMESPACES) == 0:
        return
    if os.geteuid() == 0 and uid is not None:
        # Root in a container without CAP_SYS_ADMIN has no advantage over other users, but process
        # limits do not apply to root.
        become(uid)
        prctl(PR_SET_DUMPABLE, 1)  # otherwise /proc/self/uid_map belongs to root
    uid, gid = os.geteuid(), os.getegid()
    check(libc.unshare(NEW_NAMESPACES | NEW_USER), "unshare")
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/gid_map", f"{NOBODY} {gid} 1")
    _write("/proc/self/uid_map", f"{NOBODY} {uid} 1")


def _build_root(root: dict[str, Any], scratch_mib: int) -> None:
    # Built over /sys: every machine has this directory, and the sandbox needs nothing from it.
    new = "/sys"
    _mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    _mount("tmpfs", new, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=0755,size=1m")
    for source in (*root["binds"], *(f"/dev/{name}" for name in DEVICES)):
        target = new + source
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.isdir(source):
            os.mkdir(target)
        else:
            _write(target, "")
        _mount(source, target, None, _MS_BIND | _MS_REC)
    for name, target in root["links"].items():
        os.makedirs(os.path.dirname(new + name), exist_ok=True)
        os.symlink(target, new + name)
    for name in ("/proc", "/tmp"):  # noqa: S108 - the sandbox's own
        os.mkdir(new + name)
    # One call covers all mounts below, also those inside a bound directory.
    attributes = (ctypes.c_uint64 * 4)(_MS_RDONLY | _MS_NOSUID, 0, 0, 0)
    path, size = os.fsencode(new), ctypes.c_size_t(ctypes.sizeof(attributes))
    result = libc.syscall(
        _MOUNT_SETATTR, _AT_FDCWD, path, _AT_RECURSIVE, ctypes.byref(attributes), size
    )
    check(result, "mount_setattr")
    closed = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    _mount("proc", new + "/proc", "proc", closed | _MS_RDONLY, "subset=pid")
    size_option = f"mode=1777,size={scratch_mib}m"
    _mount("tmpfs", new + "/tmp", "tmpfs", closed, size_option)  # noqa: S108
    os.chdir(new)
    check(libc.syscall(machine().pivot_root, b".", b"."), "pivot_root")
    check(libc.umount2(b".", _MNT_DETACH), "umount2")
    os.chdir("/tmp")  # noqa: S108 - the sandbox's own
