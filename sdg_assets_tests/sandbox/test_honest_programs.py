"""Programs that answer honestly, in every isolation this machine has."""

from __future__ import annotations

import pytest

from sdg_assets.sandbox import Isolation, Outcome
from sdg_assets_tests.sandbox.running import (
    run,
)

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


def test_setup_builds_inputs_from_what_the_program_defines(mode: Isolation) -> None:
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


def test_what_it_prints_is_kept(mode: Isolation) -> None:
    code = "import sys\nprint('out')\nprint('err', file=sys.stderr)"
    outcome = run(mode, code, "assert True")
    assert (outcome.stdout, outcome.stderr) == ("out\n", "err\n")
