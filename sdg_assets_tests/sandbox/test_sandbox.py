"""Attempts to break out, each executed for real in every isolation of this machine."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from sdg_assets import sandbox
from sdg_assets.errors import PermanentError
from sdg_assets.sandbox import Isolation, Limits, Outcome, Program, run_program, run_programs

SAFE = [mode for mode in (Isolation.bubblewrap, Isolation.namespaces) if not sandbox.obstacle(mode)]
BRIEF = Limits(seconds=1)


@pytest.fixture(params=SAFE)
def mode(request: pytest.FixtureRequest) -> Iterator[Isolation]:
    """An isolation. After each test, another program must still run in it."""
    yield request.param
    assert run_program("def f(): return 1", ["assert f() == 1"], using=request.param).passed


def run(mode: Isolation, code: str, *tests: str, **options: Any) -> Outcome:
    return run_program(code, tests, using=mode, **options)


def processes_named(name: str) -> list[str]:
    pids = []
    for comm in Path("/proc").glob("[0-9]*/comm"):
        try:
            if comm.read_text().strip() == name:
                pids.append(comm.parent.name)
        except OSError:
            continue
    return pids


def wait_until_gone(name: str) -> list[str]:
    """The processes of that name that still run after up to 3 seconds."""
    deadline = time.monotonic() + 3
    while (pids := processes_named(name)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return pids


@pytest.fixture
def token() -> str:
    """A name that a program gives its processes, so that the host can find them."""
    return f"sdg{secrets.token_hex(5)}"


NAMED = """
import ctypes, os, time
def rename(token):
    ctypes.CDLL(None).prctl(15, token.encode(), 0, 0, 0)
"""

# ---------------------------------------------------------------- honest programs

LIBRARY = "import decimal, fractions, datetime, collections"
KINDS = (
    "[1, 2.5, 1j, None, True, 'ä\\ud800', b'x', (1,), {1}, frozenset({2}), {(1, 2): 3}, range(3),"
    " 10**5000, float('inf'), decimal.Decimal('1.10'), fractions.Fraction(1, 3),"
    " datetime.datetime(2020, 1, 2, tzinfo=datetime.timezone.utc), collections.deque([1])]"
)
HONEST = {
    "values": ("def f(x): return x * 2", ["assert f(2) == 4", "assert f('a') == 'aa'"]),
    "kinds of values": (f"{LIBRARY}\ndef f(): return {KINDS}", [LIBRARY, f"assert f() == {KINDS}"]),
    "subclasses of builtins": (
        "from collections import Counter, OrderedDict, namedtuple\n"
        "P = namedtuple('P', 'x y')\n"
        "def f(s): return Counter(s), OrderedDict(a=1), P(1, 2)",
        ["assert f('aab') == ({'a': 2, 'b': 1}, {'a': 1}, (1, 2))"],
    ),
    "objects": (
        "class Stack:\n"
        "    def __init__(self): self.items = []\n"
        "    def push(self, x): self.items.append(x); return self\n"
        "    def __len__(self): return len(self.items)\n"
        "    def __getitem__(self, i): return self.items[i]\n"
        "    def __eq__(self, other): return self.items == other.items\n"
        "    def __str__(self): return '|'.join(map(str, self.items))\n",
        [
            "s = Stack()\ns.push(1).push('b')\nassert len(s) == 2 and s[1] == 'b'",
            "assert isinstance(s, Stack) and str(s) == '1|b' and list(s) == [1, 'b']",
            "assert s == Stack().push(1).push('b') and s != Stack()",
        ],
    ),
    "generators": (
        "def f(n):\n    yield from range(n)",
        ["assert list(f(3)) == [0, 1, 2]", "assert sum(f(4)) == 6", "assert 2 in f(3)"],
    ),
    "functions as arguments": (
        "def f(key, values): return sorted(values, key=key)",
        ["assert f(lambda v: -v, [1, 2]) == [2, 1]", "assert f(len, ['aa', 'b']) == ['b', 'aa']"],
    ),
    "changed arguments": (
        "def f(values, index):\n    values.sort()\n    index['n'] = len(values)",
        ["v, i = [2, 1], {}\nassert f(v, i) is None and v == [1, 2] and i == {'n': 2}"],
    ),
    "expected exceptions": (
        "class Bad(ValueError): pass\ndef f(x):\n    raise Bad('no')",
        ["try:\n    f(1)\nexcept ValueError as e:\n    assert 'no' in str(e)\nelse:\n    assert 0"],
    ),
    "imports of the program": (
        "import math\nfrom datetime import datetime\ndef f(x): return math.sqrt(x)\n"
        "def g(d): return datetime(d.year + 1, 1, 1)",
        ["assert math.isclose(f(2), 1.41421, rel_tol=1e-4)",
         "assert g(datetime(2020, 5, 5)) == datetime(2021, 1, 1)"],
    ),
    "named like a builtin": ("def sum(a, b): return a + b", ["assert sum(10, 15) == 25"]),
    "named like a module": ("def select(a): return a", ["assert select(3) == 3"]),
    "scratch files": (
        "import tempfile\ndef f():\n"
        "    with tempfile.TemporaryFile('w+') as t:\n"
        "        t.write('x'); t.seek(0); return t.read()",
        ["assert f() == 'x'"],
    ),
    "child processes": (
        "from multiprocessing.pool import ThreadPool\nimport os\n"
        "def f():\n    with ThreadPool(2) as p: return p.map(abs, [-1, -2])\n"
        "def g():\n    pid = os.fork()\n    if not pid: os._exit(7)\n"
        "    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])",
        ["assert f() == [1, 2]", "assert g() == 7"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HONEST)
def test_honest_program_passes(mode: Isolation, name: str) -> None:
    code, tests = HONEST[name]
    assert run(mode, code, *tests) == Outcome(passed=True, reason="passed")


def test_setup_builds_inputs_from_definitions_of_the_program(mode: Isolation) -> None:
    code = (
        "class Node:\n    def __init__(self, v): self.v, self.next = v, None\n"
        "def total(n): return n.v + (total(n.next) if n.next else 0)"
    )
    setup = "root = Node(1)\nroot.next = Node(2)"
    assert run(mode, code, "assert total(root) == 3", setup=setup).passed


@pytest.mark.parametrize(
    ("code", "test", "reason"),
    [
        ("def f(x): return x", "assert f(1) == 2", "failed: AssertionError: assert f(1) == 2"),
        ("def f(x): return x", "assert f(1) == 2, 'one!'", "failed: AssertionError: one!"),
        ("def f(x): return 1 / x", "assert f(0)", "failed: ZeroDivisionError: division by zero"),
        ("def f(x) return x", "assert f(1)", "failed: SyntaxError: expected ':' (<code>, line 1)"),
        ("x = 1", "assert f(1)", "failed: NameError: name 'f' is not defined"),
        ("import numpi", "assert 1", "failed: ModuleNotFoundError: No module named 'numpi'"),
        ("def f(): return f()", "f()", "failed: RecursionError: maximum recursion depth exceeded"),
        ("def f(): return 'x' * 2**25", "f()", "failed: an answer is too large"),
    ],
)
def test_wrong_program_fails_with_its_reason(
    mode: Isolation, code: str, test: str, reason: str
) -> None:
    outcome = run(mode, code, test)
    assert (outcome.passed, outcome.reason) == (False, reason)


def test_the_output_is_kept(mode: Isolation) -> None:
    code = "import sys\nprint('out')\nprint('err', file=sys.stderr)"
    outcome = run(mode, code, "assert True")
    assert (outcome.stdout, outcome.stderr) == ("out\n", "err\n")


# ---------------------------------------------------------------- limits


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


def test_memory_that_no_limit_counts_is_refused(mode: Isolation) -> None:
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


# ---------------------------------------------------------------- access to the host


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


def test_environment_cannot_be_read(
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


def test_other_processes_cannot_be_signalled(mode: Isolation) -> None:
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


# ---------------------------------------------------------------- forging the verdict

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

TESTS = [
    "assert answer(20) == 42",
    "assert answer(20) in (42,) and 42 in [answer(20)]",
    "assert set([answer(20)]) == {42}",
    "assert abs(answer(20) - 42) < 1e-6",
    "import math\nassert math.isclose(answer(20), 42)",
    "assert math.isclose(answer(20), 42)",
    "try:\n    x = answer(20)\nexcept:\n    x = None\nassert x == 42",
]


@pytest.mark.parametrize("name", FORGERIES)
def test_the_verdict_cannot_be_forged(mode: Isolation, name: str) -> None:
    programs = [Program(FORGERIES[name], [test]) for test in TESTS]
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


# ---------------------------------------------------------------- nothing remains


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
            assert time.monotonic() < deadline, "the program never started"
            time.sleep(0.02)
        host.send_signal(signal.SIGKILL)
    assert not wait_until_gone(token)


def test_a_program_leaves_nothing_to_the_next_one(mode: Isolation) -> None:
    leave = "import sys\nopen('/tmp/left', 'w').write('x')\nsys.modules['left'] = sys"
    find = "import os, sys\ndef f(): return os.path.exists('/tmp/left') or 'left' in sys.modules"
    first, second = run_programs(
        [Program(leave, ["assert True"]), Program(find, ["assert not f()"])], workers=1, using=mode
    )
    assert first.passed
    assert second.passed


# ---------------------------------------------------------------- the interface


def test_stream_is_ordered_and_bounded(mode: Isolation) -> None:
    programs_read = 0

    def endless() -> Iterator[Program]:
        nonlocal programs_read
        for number in count():
            programs_read += 1
            yield Program(f"def f(): return {number}", [f"assert f() == {number}, '{number}'"
                          if number % 2 else f"assert f() < 0, 'no {number}'"])  # fmt: skip

    outcomes = run_programs(endless(), workers=2, using=mode)
    first = [next(outcomes).reason for _ in range(6)]
    outcomes.close()  # type: ignore[attr-defined]
    expected = ["passed" if n % 2 else f"failed: AssertionError: no {n}" for n in range(6)]
    assert first == expected
    assert programs_read <= 10


def test_a_program_without_tests_is_refused() -> None:
    with pytest.raises(ValueError, match="without tests"):
        run_program("x = 1", [], allow_unisolated=True)


def test_without_isolation_it_refuses_and_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "obstacle", lambda candidate: f"no {candidate} here")
    assert sandbox.isolation() is Isolation.none
    with pytest.raises(sandbox.SandboxUnavailable) as refused:
        run_program("x = 1", ["assert x == 1"])
    assert isinstance(refused.value, PermanentError)
    for hint in ("no bubblewrap here", "install bubblewrap", "SDG_ALLOW_UNSANDBOXED_CODE=1"):
        assert hint in str(refused.value)


def test_none_runs_only_where_allowed(token: str) -> None:
    with pytest.raises(sandbox.SandboxUnavailable):
        run_program("x = 1", ["assert True"], using=Isolation.none)
    allowed: dict[str, Any] = {"allow_unisolated": True, "limits": BRIEF}
    assert run(Isolation.none, "def f(): return 1", "assert f() == 1", **allowed).passed
    daemon = (
        f"{NAMED}\nif not os.fork():\n    os.setsid()\n    rename({token!r})\n    time.sleep(60)\n"
        "def f():\n    while True: pass"
    )
    assert run(Isolation.none, daemon, "f()", **allowed).reason == "timeout"
    assert not wait_until_gone(token)
