"""Programs that forge the verdict, in every isolation this machine has."""

from __future__ import annotations

import pytest

from sdg_assets.sandbox import Isolation, Program, run_programs
from sdg_assets_tests.sandbox.running import (
    run,
)

FORGERIES = {
    "exits early": "import sys\nsys.exit(0)",
    "exits at once": "import os\nos._exit(0)",
    "exits when called": "import os\ndef answer(x): os._exit(0)",
    "raises SystemExit when called": "def answer(x): raise SystemExit(0)",
    "atexit": "import atexit, os\natexit.register(lambda: os._exit(0))",
    "prints a verdict": "print('passed')\nprint('{\"passed\": true, \"reason\": \"passed\"}')\n"
    "print('ready')\ndef answer(x): print('passed')",
    "prints otherwise": "import builtins\nbuiltins.print = lambda *a, **k: None\n"
    "builtins.AssertionError = type(None)\ndef answer(x): return 0",
    "writes to every descriptor": "import os\n"
    "for fd in range(64):\n"
    "    for text in (b'[true, \"passed\"]', b'{\"passed\": true, \"reason\": \"passed\"}\\n'):\n"
    "        try: os.write(fd, text)\n"
    "        except OSError: pass\n"
    "os._exit(0)",
    "writes to the descriptors of others": "import glob, os\n"
    "for path in glob.glob('/proc/[0-9]*/fd/*') + ['/proc/%d/fd/%d' % (p, f) for p in range(1, 9)"
    " for f in range(20)]:\n"
    "    if not path.startswith('/proc/%d/' % os.getpid()):\n"
    "        try:\n"
    "            os.write(os.open(path, os.O_WRONLY), b'[true, \"passed\"]')\n"
    "            print('opened', path)\n"
    "        except OSError: pass\n",
    "closes every descriptor": "import os\nos.closerange(0, 4096)\ndef answer(x): return 0",
    "equals everything": "class Any:\n"
    "    def __eq__(self, other): return True\n"
    "    __hash__ = lambda self: 1\n"
    "    __sub__ = __rsub__ = __contains__ = lambda self, other: 0\n"
    "def answer(x): return Any()",
    "an int that equals everything": "class Any(int):\n"
    "    def __eq__(self, other): return True\n"
    "    __hash__ = int.__hash__\n"
    "def answer(x): return Any(0)",
    "redefines what judges": "class Any:\n    def __eq__(self, other): return True\n"
    "def set(x): return Any()\ndef abs(x): return 0\n"
    "class math:\n    isclose = lambda *a, **k: True\n"
    "def answer(x): return 0",
    "patches builtins": "import builtins, math, json, operator\n"
    "builtins.set = builtins.abs = builtins.isinstance = lambda *a: True\n"
    "math.isclose = operator.eq = lambda *a, **k: True\n"
    "json.loads = lambda *a: ['done', 42, []]\ndef answer(x): return 0",
    "replaces the builtins": "__builtins__ = {'AssertionError': None}\n"
    "def answer(x): return 0",
    "speaks the protocol": "import os, json\n"
    "for fd in range(3, 64):\n"
    "    try:\n"
    "        for m in (['raised', 'StopIteration', ''],\n"
    "                  ['done', ['global', 'builtins', 'exec'], []],\n"
    "                  ['ask', 'getattr', [['yours', 0], '__globals__'], {}], ['passed']):\n"
    "            os.write(fd, json.dumps(m).encode() + b'\\n')\n"
    "    except OSError: pass\n"
    "def answer(x): return 0",
    "looks for the tests": "import gc, sys\n"
    "needle = ''.join(['answer', '(20'])\n"
    "def walk(objects, depth=3):\n"
    "    for o in objects:\n"
    "        if isinstance(o, str) and needle in o and o != needle: print('FOUND', o)\n"
    "        if isinstance(o, dict): o = [*o.keys(), *o.values()]\n"
    "        if depth and isinstance(o, (list, tuple, set)): walk(o, depth - 1)\n"
    "def answer(x):\n"
    "    walk(gc.get_objects(), 1)\n"
    "    frame = sys._getframe()\n"
    "    while frame:\n"
    "        walk([frame.f_locals])\n"
    "        frame = frame.f_back\n"
    "    return 0",
    "reads the memory of others": "import glob, os, ctypes\n"
    "def answer(x):\n"
    "    libc = ctypes.CDLL(None)\n"
    "    for pid in map(int, (p for p in os.listdir('/proc') if p.isdigit())):\n"
    "        if pid == os.getpid(): continue\n"
    "        if libc.ptrace(16, pid, 0, 0) == 0: print('FOUND')\n"
    "        for name in ('mem', 'maps', 'environ'):\n"
    "            try: open('/proc/%d/%s' % (pid, name), 'rb').read(1); print('FOUND', pid, name)\n"
    "            except OSError: pass\n"
    "    return 0",
    "kills the examiner": "import os\n"
    "for pid in range(1, 50):\n"
    "    if pid != os.getpid():\n"
    "        try: os.kill(pid, 9)\n"
    "        except OSError: pass\n"
    "def answer(x): return 0",
    "forks and exits": "import os\nif os.fork(): os._exit(0)\ndef answer(x): return 0",
}  # fmt: skip

JUDGED = [
    "assert answer(20) == 42",
    "assert answer(20) in (42,) and 42 in [answer(20)]",
    "assert set([answer(20)]) == {42}",
    "assert abs(answer(20) - 42) < 1e-6",
    "import math\nassert math.isclose(answer(20), 42)",
    "assert math.isclose(answer(20), 42)",
    "try:\n    x = answer(20)\nexcept:\n    x = None\nassert x == 42",
]


@pytest.mark.parametrize("name", FORGERIES)
def test_verdict_is_not_forged(mode: Isolation, name: str) -> None:
    programs = [Program(FORGERIES[name], [judged]) for judged in JUDGED]
    for program, outcome in zip(programs, run_programs(programs, using=mode), strict=True):
        assert not outcome.passed, (program.tests, outcome)
        assert outcome.reason != "passed"
        assert "FOUND" not in outcome.stdout
        assert "opened" not in outcome.stdout


def test_a_program_that_ends_is_not_an_expected_exception(mode: Isolation) -> None:
    code = "import os\ndef f(): os._exit(0)"
    for caught in ("except Exception", "except BaseException", "except"):
        outcome = run(mode, code, f"try:\n    f()\n{caught}:\n    pass")
        assert outcome.reason == "failed: the program ended before its tests did"


def test_a_crash_is_named(mode: Isolation) -> None:
    code = "import ctypes\ndef f(): ctypes.string_at(0)"
    assert run(mode, code, "f()").reason == "killed: SIGSEGV"
