"""Programs that take too much, in every isolation this machine has."""

from __future__ import annotations

import time

import pytest

from sdg_assets.sandbox import Isolation, Limits
from sdg_assets_tests.sandbox.running import (
    BRIEF,
    NAMED,
    run,
    wait_until_gone,
)


@pytest.mark.parametrize("body", ["while True: pass", "import time; time.sleep(1000)"])
def test_time_is_limited(mode: Isolation, body: str, token: str) -> None:
    started = time.monotonic()
    code = f"{NAMED}\nrename({token!r})\ndef f():\n    {body}"
    assert run(mode, code, "f()", limits=BRIEF).reason == "timeout"
    assert time.monotonic() - started < 10
    assert not wait_until_gone(token)


def test_endless_test_is_limited_too(mode: Isolation) -> None:
    assert run(mode, "", "while True: pass", limits=BRIEF).reason == "timeout"


def test_memory_of_a_process_is_limited(mode: Isolation) -> None:
    code = "def f():\n    kept = []\n    while True: kept.append(bytearray(10**7))"
    assert run(mode, code, "f()", limits=Limits(memory_mib=256)).reason == "memory"


def test_memory_of_all_processes_together_is_limited(mode: Isolation) -> None:
    code = (
        "import os, time\n"
        "def f():\n"
        "    for _ in range(6):\n"
        "        if not os.fork():\n"
        "            kept = bytearray(b'x') * (150 * 2**20)\n"
        "            time.sleep(60)\n"
        "    time.sleep(60)"
    )
    assert run(mode, code, "f()", limits=Limits(memory_mib=256)).reason == "memory"


def test_memory_no_limit_counts_is_refused(mode: Isolation) -> None:
    code = (
        "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "def shm(): return libc.shmget(0, 4096, 0o1600)\n"
        "def msg(): return libc.msgget(0, 0o1600)\n"
        "def memfd():\n"
        "    try: return os.memfd_create('x')\n"
        "    except PermissionError: return -1"
    )
    assert run(mode, code, "assert [shm(), msg(), memfd()] == [-1, -1, -1]").passed


def test_fork_bomb_is_contained(mode: Isolation, token: str) -> None:
    code = (
        f"{NAMED}\nrename({token!r})\n"
        "def f():\n"
        "    while True:\n"
        "        try: os.fork()\n"
        "        except OSError: pass"
    )
    assert run(mode, code, "f()", limits=BRIEF).reason == "timeout"
    assert not wait_until_gone(token)


def test_processes_are_limited(mode: Isolation) -> None:
    code = (
        "import os, time\n"
        "def f():\n"
        "    for n in range(1000):\n"
        "        try:\n"
        "            if not os.fork(): time.sleep(60)\n"
        "        except OSError: return n\n"
        "    return n"
    )
    assert run(mode, code, "assert 6 <= f() <= 8", limits=Limits(processes=8)).passed


def test_endless_output_is_limited(mode: Isolation) -> None:
    outcome = run(mode, "def f():\n    while True: print('x' * 1000)", "f()")
    assert outcome.reason == "output"
    assert 0 < len(outcome.stdout) <= 64 * 1024


def test_files_are_limited(mode: Isolation) -> None:
    code = (
        "import os\n"
        "def one():\n"
        "    try:\n"
        "        with open('big', 'wb', buffering=0) as f:\n"
        "            while True: f.write(bytes(2**20))\n"
        "    except OSError: return os.path.getsize('big')\n"
        "def many():\n"
        "    try:\n"
        "        for n in range(100):\n"
        "            with open(str(n), 'wb', buffering=0) as f: f.write(bytes(2**20))\n"
        "    except OSError: return n"
    )
    tests = ["assert 0 < one() <= 4 * 2**20", "import os\nassert many() <= 4"]
    assert run(mode, code, *tests, limits=Limits(file_mib=4)).passed


def test_number_of_files_is_limited(mode: Isolation) -> None:
    code = "from itertools import count\ndef f():\n    for n in count(): open(str(n), 'w').close()"
    assert run(mode, code, "f()").reason in ("files", "failed: OSError: [Errno 28] No space left")
