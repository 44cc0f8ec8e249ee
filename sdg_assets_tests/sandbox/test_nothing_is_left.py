"""A program leaves nothing behind: no process, and nothing for the next program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from sdg_assets.sandbox import Isolation, Program, run_programs
from sdg_assets_tests.sandbox.running import (
    NAMED,
    processes_named,
    run,
    wait_until_gone,
)


def test_daemons_end_with_the_program(mode: Isolation, token: str) -> None:
    code = (
        f"{NAMED}\n"
        "import signal\n"
        "def f():\n"
        "    if not os.fork():\n"
        "        os.setsid()\n"
        "        for s in range(1, 32):\n"
        "            try: signal.signal(s, signal.SIG_IGN)\n"
        "            except (OSError, ValueError): pass\n"
        "        if os.fork(): os._exit(0)\n"
        f"        rename({token!r})\n"
        "        os.closerange(0, 64)\n"
        "        time.sleep(60)\n"
        "    time.sleep(0.2)\n"
        "    pids = [name for name in os.listdir('/proc') if name.isdigit()]\n"
        "    return [open(f'/proc/{pid}/comm').read().strip() for pid in pids]"
    )
    assert run(mode, code, f"assert {token!r} in f()").passed
    assert not wait_until_gone(token)


def test_sandbox_ends_with_a_killed_host(mode: Isolation, token: str) -> None:
    program = f"{NAMED}\nrename({token!r})\ntime.sleep(60)"
    script = (
        "from sdg_assets.sandbox import *\n"
        f"run_program({program!r}, ['assert True'], using=Isolation({str(mode)!r}),"
        " limits=Limits(seconds=60))"
    )
    path = os.pathsep.join(filter(None, sys.path))
    with subprocess.Popen(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": path}
    ) as host:
        deadline = time.monotonic() + 10
        while not processes_named(token):
            assert time.monotonic() < deadline, "it never started"
            time.sleep(0.02)
        host.send_signal(signal.SIGKILL)
    assert not wait_until_gone(token)


def test_programs_cannot_leave_each_other_anything(mode: Isolation) -> None:
    leave = "import sys\nopen('/tmp/left', 'w').write('x')\nsys.modules['left'] = sys"
    find = "import os, sys\ndef f(): return os.path.exists('/tmp/left') or 'left' in sys.modules"
    left, found = run_programs(
        [Program(leave, ["assert True"]), Program(find, ["assert not f()"])], workers=1, using=mode
    )
    assert left.passed
    assert found.passed
