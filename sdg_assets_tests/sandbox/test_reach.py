"""What a program can see and touch: each break-out is tried for real, in every isolation."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
from pathlib import Path

import pytest

from sdg_assets.sandbox import Isolation
from sdg_assets_tests.sandbox.running import (
    run,
)


def test_network_is_denied(mode: Isolation) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        code = (
            "import socket, ctypes, struct\n"
            "def connect(port):\n"
            "    try: socket.create_connection(('127.0.0.1', port), timeout=1)\n"
            "    except OSError as e: return type(e).__name__\n"
            "def raw(port):\n"
            "    libc = ctypes.CDLL(None)\n"
            "    fd = libc.socket(2, 1, 0)\n"
            "    return libc.connect(fd, struct.pack('!H', 2)[::-1] + struct.pack('!H', port)"
            " + bytes([127, 0, 0, 1]) + bytes(8), 16)\n"
            "def families():\n"
            "    return [f for f in range(50) if ctypes.CDLL(None).socket(f, 1, 0) >= 0]"
        )
        tests = [
            f"assert connect({port}) == 'PermissionError'",
            f"assert raw({port}) == -1",
            "assert families() == []",
        ]
        outcome = run(mode, code, *tests)
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
        assert outcome.passed, outcome


def test_environment_is_not_to_be_read(
    mode: Isolation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret = secrets.token_hex(16)
    monkeypatch.setenv("HF_TOKEN", secret)
    code = (
        "import glob, os\n"
        "print(dict(os.environ))\n"
        "for path in sorted(glob.glob('/proc/*/*') + glob.glob('/proc/*/task/*/*')):\n"
        "    try:\n"
        "        if path.rsplit('/')[-1] in ('environ', 'cmdline', 'comm', 'mountinfo'):\n"
        "            print(path, open(path, 'rb').read()[:2000])\n"
        "    except OSError: pass\n"
        "def environments():\n"
        "    found = []\n"
        "    for path in glob.glob('/proc/[0-9]*/environ'):\n"
        "        try: found.append(open(path, 'rb').read())\n"
        "        except OSError: found.append(None)\n"
        "    return found\n"
        "def variables(): return sorted(os.environ)\n"
        "def processes(): return len(glob.glob('/proc/[0-9]*'))"
    )
    tests = [
        "assert set(variables()) <= {'LC_CTYPE', 'PWD'}, variables()",
        "assert environments() and not any(environments()), environments()",
        "assert processes() <= 4",
    ]
    with subprocess.Popen(
        ["sleep", "60"], env={"HF_TOKEN": secret, "PATH": os.environ["PATH"]}
    ) as host:
        outcome = run(mode, code, *tests)
        host.kill()
    assert outcome.passed, outcome
    assert "/proc/1/cmdline" in outcome.stdout
    assert secret not in outcome.stdout


def test_host_files_are_neither_read_nor_written(mode: Isolation, tmp_path: Path) -> None:
    secret = secrets.token_hex(16)
    name = f".sdg-{secrets.token_hex(5)}"
    repository = Path(__file__).resolve().parents[2]
    shared = (Path("/dev/shm"), Path("/var/tmp"))
    candidates = dict.fromkeys([Path.home(), Path.cwd(), repository, tmp_path, *shared])
    places = [place for place in candidates if os.access(place, os.W_OK)]
    code = (
        "import os\n"
        "def read(path):\n"
        "    try: return open(path).read()\n"
        "    except OSError: return None\n"
        "def write(path):\n"
        "    try: os.makedirs(os.path.dirname(path), exist_ok=True)\n"
        "    except OSError: pass\n"
        "    try: return open(path, 'w').write('owned')\n"
        "    except OSError: return 0"
    )
    own = Path(__file__).read_bytes()
    for place in places:
        (place / name).write_text(secret)
    try:
        tests = [f"assert read({str(place / name)!r}) is None" for place in places]
        tests += [f"write({str(place / (name + 'w'))!r})" for place in places]
        tests += [f"write({str(place / name)!r})" for place in places]
        tests += ["assert read('/etc/passwd') is None", "assert write('/usr/lib/x') == 0"]
        tests += [f"assert write({os.__file__!r}) == 0", f"write({__file__!r})"]
        outcome = run(mode, code, *tests)
        assert outcome.passed, outcome
        assert Path(__file__).read_bytes() == own
        assert all((place / name).read_text() == secret for place in places)
        assert not any((place / (name + "w")).exists() for place in places)
    finally:
        for place in places:
            (place / name).unlink()


def test_other_processes_are_out_of_reach(mode: Isolation) -> None:
    with subprocess.Popen(["sleep", "60"]) as host:
        code = (
            "import os, signal\n"
            "def kill(pid):\n"
            "    try: os.kill(pid, signal.SIGKILL)\n"
            "    except OSError as e: return type(e).__name__\n"
        )
        tests = [f"assert kill({pid}) == 'ProcessLookupError'" for pid in (host.pid, os.getpid())]
        assert run(mode, code, *tests).passed
        everything = "import os\nos.kill(1, 9)\nos.kill(1, 2)\nos.kill(1, 19)\nos.kill(-1, 9)"
        assert run(mode, everything, "assert True").reason == "killed"
        assert host.poll() is None
        host.kill()


def test_no_privileges(mode: Isolation) -> None:
    code = (
        "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "def status():\n"
        "    lines = open('/proc/self/status').read().splitlines()\n"
        "    return dict(line.split(':\\t') for line in lines if ':\\t' in line)\n"
        "def attempts():\n"
        "    return [\n"
        "        libc.unshare(0x10000000), libc.mount(b'none', b'/tmp', b'tmpfs', 0, 0),\n"
        "        libc.umount2(b'/proc', 2), libc.chroot(b'/tmp'), libc.setuid(0),\n"
        "        libc.ptrace(16, 1, 0, 0), libc.syscall(425, 1, 0), libc.syscall(435, 0, 0)]\n"
        "def ids(): return os.getuid(), os.getgid(), os.getgroups()"
    )
    tests = [
        "s = status()",
        "assert {int(s[c], 16) for c in ('CapEff', 'CapPrm', 'CapInh', 'CapAmb')} == {0}",
        "assert (s['NoNewPrivs'], s['Seccomp']) == ('1', '2')",
        "assert set(attempts()) == {-1}",
        "assert 0 not in ids()[:2]",
    ]
    outcome = run(mode, code, *tests)
    assert outcome.passed, outcome
