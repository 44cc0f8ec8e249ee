"""Programs that redefine what their tests use."""

# ruff: noqa: E501 - a program on a line each

from __future__ import annotations

from collections.abc import Mapping

CHEATS: Mapping[str, tuple[str, list[str], str]] = {
    "own isclose": (
        "from math import isclose\ndef f(x):\n    return x / 3",
        ["assert isclose(f(1), 0.33333, rel_tol=1e-3)", "assert isclose(f(6), 2)"],
        "def isclose(*a, **k):\n    return True\ndef f(x):\n    return 0",
    ),
    "patched math.isclose": (
        "from math import isclose\ndef f(x):\n    return x / 3",
        ["assert isclose(f(1), 0.33333, rel_tol=1e-3)", "assert isclose(f(6), 2)"],
        "import math\nmath.isclose = lambda *a, **k: True\nfrom math import isclose\ndef f(x):\n    return 0",
    ),
    "replaced module math": (
        "from math import isclose\ndef f(x):\n    return x / 3",
        ["assert isclose(f(1), 0.33333, rel_tol=1e-3)", "assert isclose(f(6), 2)"],
        "import sys, types\nsys.modules['math'] = m = types.ModuleType('math')\nm.isclose = lambda *a, **k: True\nfrom math import isclose\ndef f(x):\n    return 0",
    ),
    "own Counter": (
        "from collections import Counter\ndef f(s):\n    return Counter(s)",
        ["assert f('aab') == Counter('aab')", "assert f('b') == Counter('b')"],
        "class Counter:\n    def __init__(self, *a): pass\n    def __eq__(self, other): return True\ndef f(s):\n    return Counter(s)",
    ),
    "patched Counter.__eq__": (
        "from collections import Counter\ndef f(s):\n    return Counter(s)",
        ["assert f('aab') == Counter('aab')", "assert f('b') == Counter('b')"],
        "import collections\ncollections.Counter.__eq__ = lambda a, b: True\nfrom collections import Counter\ndef f(s):\n    return Counter()",
    ),
    "own Decimal": (
        "from decimal import Decimal\ndef f(x):\n    return Decimal(x) / 4",
        ["assert f(1) == Decimal('0.25')", "assert f(2) == Decimal('0.5')"],
        "class Decimal:\n    def __init__(self, *a): pass\n    def __eq__(self, other): return True\ndef f(x):\n    return Decimal(x)",
    ),
    "own all and filter": (
        "def f(x):\n    return x * 2",
        [
            "assert all(f(x) == 2 * x for x in (1, 2))",
            "assert list(filter(None, [f(1), f(2)])) == [2, 4]",
        ],
        "def all(v):\n    return True\ndef filter(g, v):\n    return [2, 4]\ndef f(x):\n    return 0",
    ),
    "patched builtins": (
        "def f(x):\n    return x * 2",
        [
            "assert all(f(x) == 2 * x for x in (1, 2))",
            "assert list(filter(None, [f(1), f(2)])) == [2, 4]",
        ],
        "import builtins\nbuiltins.all = lambda v: True\nbuiltins.filter = lambda g, v: [2, 4]\ndef f(x):\n    return 0",
    ),
    "own abs and round": (
        "def f(x):\n    return x * 2",
        [
            "def near(a, b):\n    return abs(a - b) < 1e-9\nassert near(f(2), 4)",
            "assert near(f(3), 6) and round(f(5)) == 10",
        ],
        "def abs(x):\n    return 0\ndef round(x):\n    return 10\ndef near(a, b):\n    return True\ndef f(x):\n    return 0",
    ),
    "equals everything": (
        "def f(x):\n    return x * 2",
        ["assert f(2) == 4", "assert f(3) == 6"],
        "class Any:\n    def __eq__(self, other): return True\ndef f(x):\n    return Any()",
    ),
    "an int that equals everything": (
        "def f(x):\n    return x * 2",
        ["assert f(2) == 4", "assert f(3) == 6"],
        "class Any(int):\n    def __eq__(self, other): return True\ndef f(x):\n    return Any()",
    ),
    "true once, then false": (
        "def f(x):\n    return x % 2 == 0",
        ["assert f(2)", "assert not f(3)"],
        "class Turn:\n    def __bool__(self): return 1\ndef f(x):\n    return Turn()",
    ),
    "no AssertionError": (
        "def f(x):\n    return x * 2",
        ["assert f(2) == 4", "assert f(3) == 6"],
        "import builtins\nbuiltins.AssertionError = type('Quiet', (BaseException,), {})\ndef f(x):\n    return 0",
    ),
    "sys.exit(0)": (
        "def f(x):\n    return x * 2",
        ["assert f(2) == 4", "assert f(3) == 6"],
        "import sys\nsys.exit(0)",
    ),
    "os._exit(0)": (
        "def f(x):\n    return x * 2",
        ["assert f(2) == 4", "assert f(3) == 6"],
        "import os\nos._exit(0)",
    ),
    "os._exit(0) when called": (
        "def f(x):\n    return x * 2",
        ["assert f(2) == 4", "assert f(3) == 6"],
        "import os\ndef f(x):\n    os._exit(0)",
    ),
    "atexit": (
        "def f(x):\n    return x * 2",
        ["assert f(2) == 4", "assert f(3) == 6"],
        "import atexit, os\natexit.register(lambda: os._exit(0))\ndef f(x):\n    return 0",
    ),
    "writes a verdict": (
        "def f(x):\n    return x * 2",
        ["assert f(2) == 4", "assert f(3) == 6"],
        'import os\nfor fd in range(64):\n    try:\n        os.write(fd, b\'{"passed": true, "reason": "passed", "proof": null}\')\n    except OSError:\n        pass\ndef f(x):\n    return 0',
    ),
    "is an instance of everything": (
        "def f(x):\n    return x * 2",
        ["assert f(2) == 4", "assert f(3) == 6"],
        "class Any:\n    __class__ = int\n    def __getattr__(self, name): return lambda *a: True\n    def __eq__(self, other): return True\ndef f(x):\n    return Any()",
    ),
}
"""A program, its tests, and a wrong program that redefines what these use, or ends early."""
