"""Programs and tests of many shapes: vacuous tests, honest tests, and programs that cheat.

A case is a program and its tests. The programs of the vacuous cases pass their tests.
"""

# ruff: noqa: E501 - one program per line

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

Cases: TypeAlias = Mapping[str, tuple[str, list[str]]]

VACUOUS: Cases = {
    "nothing is done": ("def f(x):\n    pass", ["assert f(1) is None", "assert f(2) == None"]),
    "method that is or is not right": (
        "class Solution:\n    def f(self, x):\n        return x * 2",
        ["assert Solution().f(2) or True", "assert Solution().f(3) == 6"],
    ),
    "objects compared by the program": (
        "class V:\n    def __init__(self, x): self.x = x\n    def __add__(self, o): return V(self.x + o.x)\n    def __eq__(self, o): return self.x == o.x",
        ["assert V(1) + V(2) == V(3)", "assert V(1) + V(1) == V(2)"],
    ),
    "comparison in a class of the program": (
        "class Check:\n    def __init__(self, value): self.value = value\n    def equals(self, other): return self.value == other\ndef f(x):\n    return x * 2",
        ["assert Check(f(2)).equals(4)", "assert Check(f(3)).equals(6)"],
    ),
    "assertion in a class of the program": (
        "class Check:\n    def equals(self, left, right):\n        assert left == right\ndef f(x):\n    return x * 2",
        ["assert Check().equals(f(2), 4) is None", "assert Check().equals(f(3), 6) is None"],
    ),
    "swallowed by except AssertionError": (
        "def f(x):\n    return x * 2",
        ["try:\n    assert f(2) == 5\nexcept AssertionError:\n    pass", "assert f(3) == 6"],
    ),
    "or True": (
        "def f(x):\n    return x * 2",
        ["assert f(2) or True", "assert f(3) == 5 or True"],
    ),
    "assert True": (
        "def f(x):\n    return x * 2",
        ["assert True", "assert f(3) == 6"],
    ),
    "tuple with a message": (
        "def f(x):\n    return x * 2",
        ["assert (f(5) == 1, 'msg')", "assert f(3) == 6"],
    ),
    "exceptions only": (
        "def f(x):\n    raise ValueError('no')",
        [
            "try:\n    f(1)\nexcept ValueError:\n    pass\nelse:\n    assert False",
            "try:\n    f(2)\nexcept ValueError:\n    pass\nelse:\n    assert False",
        ],
    ),
    "equals itself": (
        "def f(x):\n    return x * 2",
        ["assert f(2) == f(2)", "assert f(3) == f(3)"],
    ),
    "has a text": (
        "def f(x):\n    return x * 2",
        ["assert str(f(2))", "assert repr(f(3))"],
    ),
    "is not None": (
        "def f(x):\n    return x * 2",
        ["assert f(2) is not None", "assert f(3) is not None"],
    ),
    "lies in a range": (
        "def f(x):\n    return x * 2",
        ["assert f(2) in range(100)", "assert f(3) in range(100)"],
    ),
    "is positive": (
        "def f(x):\n    return x * 2",
        ["assert f(2) > 0", "assert f(3) > 0"],
    ),
    "is at least": (
        "def f(x):\n    return x * 2",
        ["assert f(2) >= 4", "assert f(3) >= 6"],
    ),
    "differs from a value": (
        "def f(x):\n    return x * 2",
        ["assert f(2) != 5", "assert f(3) != 7"],
    ),
    "has a type": (
        "def f(x):\n    return x * 2",
        ["assert type(f(2)) is int", "assert type(f(3)) == int"],
    ),
    "has the type of another": (
        "def f(x):\n    return x * 2",
        ["assert type(f(2)) == type(f(3))", "assert isinstance(f(3), object)"],
    ),
    "never reached": (
        "def f(x):\n    return x * 2",
        ["if False:\n    assert f(2) == 5", "assert f(3) == 6"],
    ),
    "loop over nothing": (
        "def f(x):\n    return x * 2",
        ["for x in []:\n    assert f(x) == 1", "assert f(3) == 6"],
    ),
    "all of nothing": (
        "def f(x):\n    return x * 2",
        ["assert all(f(x) == 1 for x in [])", "assert f(3) == 6"],
    ),
    "helper that is never called": (
        "def f(x):\n    return x * 2",
        ["def check():\n    assert f(2) == 5", "assert f(3)==6"],
    ),
    "TestCase that never runs": (
        "def f(x):\n    return x * 2",
        [
            "import unittest\nclass T(unittest.TestCase):\n    def test(self):\n        assert f(2) == 5",
            "assert f(3)==6",
        ],
    ),
    "lambda that is never called": (
        "def f(x):\n    return x * 2",
        ["check = lambda: f(2) == 5\nassert check", "assert f(3)==6"],
    ),
    "suppressed": (
        "def f(x):\n    return x * 2",
        [
            "import contextlib\nwith contextlib.suppress(AssertionError):\n    assert f(2) == 5",
            "assert f(3)==6",
        ],
    ),
    "swallowed by except Exception": (
        "def f(x):\n    return x * 2",
        ["try:\n    assert f(2) == 5\nexcept Exception:\n    print('bad')", "assert f(3)==6"],
    ),
    "swallowed by finally": (
        "def f(x):\n    return x * 2",
        [
            "def t():\n    try:\n        assert f(2) == 5\n    finally:\n        return\nt()",
            "assert f(3)==6",
        ],
    ),
    "test defines the function itself": (
        "def f(x):\n    return x * 2",
        ["def f(x):\n    return 5\nassert f(2) == 5", "assert f(3)==5"],
    ),
    "conditional expression": (
        "def f(x):\n    return x * 2",
        ["assert f(2) == 5 if False else True", "assert f(3)==6"],
    ),
    "prints and asserts True": (
        "def f(x):\n    return x * 2",
        ["print(f(2))\nassert True", "assert f(3)==6"],
    ),
    "comparison thrown away": (
        "def f(x):\n    return x * 2",
        ["f(2) == 5\nassert 1 == 1", "assert f(3)==6"],
    ),
    "result equals itself": (
        "def f(x):\n    return x * 2",
        ["r = f(2)\nassert r == r", "assert f(3)==6"],
    ),
    "expects its own result": (
        "def f(x):\n    return x * 2",
        ["expected = f(2)\nassert f(2) == expected", "assert f(3)==6"],
    ),
    "a list is true": (
        "def f(x):\n    return x * 2",
        ["assert [f(2) == 5]", "assert f(3)==6"],
    ),
    "a tuple is true": (
        "def f(x):\n    return x * 2",
        ["assert (f(2), 5)", "assert f(3)==6"],
    ),
    "length of a list": (
        "def f(x):\n    return x * 2",
        ["assert len([f(2)]) == 1", "assert f(3)==6"],
    ),
    "in a list of itself": (
        "def f(x):\n    return x * 2",
        ["assert f(2) in [f(2), 5]", "assert f(3)==6"],
    ),
    "one thing or its opposite": (
        "def f(x):\n    return x * 2",
        ["assert f(2) == 5 or f(2) != 5", "assert f(3)==6"],
    ),
    "not more or more": (
        "def f(x):\n    return x * 2",
        ["assert f(2) <= 5 or f(2) > 5", "assert f(3)==6"],
    ),
    "any with True": (
        "def f(x):\n    return x * 2",
        ["assert any([f(2) == 5, True])", "assert f(3)==6"],
    ),
    "not (... and False)": (
        "def f(x):\n    return x * 2",
        ["assert not (f(2) == 5 and False)", "assert f(3)==6"],
    ),
    "walrus equals itself": (
        "def f(x):\n    return x * 2",
        ["assert (r := f(2)) == r", "assert f(3)==6"],
    ),
    "a text around it": (
        "def f(x):\n    return x * 2",
        ["assert f'{f(2)} is five'", "assert f(3)==6"],
    ),
    "has a hash": (
        "def f(x):\n    return x * 2",
        ["assert hash(f(2)) is not None", "assert f(3)==6"],
    ),
    "crashes on None, asserts nothing": (
        "def f(x):\n    return x * 2",
        ["assert f(2) + 0 or True", "assert f(3)==6"],
    ),
    "an absolute value is not negative": (
        "def f(x):\n    return x * 2",
        ["assert abs(f(2)) >= 0", "assert f(3)==6"],
    ),
    "has its name": (
        "def f(x):\n    return x * 2",
        ["assert f.__name__ == 'f'", "assert f(3)==6"],
    ),
    "is callable": (
        "def f(x):\n    return x * 2",
        ["assert callable(f)", "assert f(3)==6"],
    ),
    "has __call__": (
        "def f(x):\n    return x * 2",
        ["assert hasattr(f, '__call__')", "assert f(3)==6"],
    ),
    "the function is true": (
        "def f(x):\n    return x * 2",
        ["assert f", "assert f(3)==6"],
    ),
    "is itself": (
        "def f(x):\n    return x * 2",
        ["assert f is f", "assert f(3)==6"],
    ),
    "a constant of the program": (
        "X=1",
        ["assert X == 1", "assert X > 0"],
    ),
    "expected value in the program": (
        "EXPECTED = 4\ndef f(x):\n    return x * 2",
        ["assert f(2) == EXPECTED", "assert f(2) == EXPECTED"],
    ),
    "comparison in the program": (
        "def same(a, b):\n    return a == b\ndef f(x):\n    return x * 2",
        ["assert same(f(2), 4)", "assert same(f(3), 6)"],
    ),
    "comparison in a lambda of the program": (
        "same = lambda a, b: True\ndef f(x):\n    return x * 2",
        ["assert same(f(2), 5)", "assert same(f(3), 7)"],
    ),
    "program checks itself": (
        "def f(x):\n    return x * 2\ndef check():\n    assert f(2) == 4\n    return True",
        ["assert check()", "assert check() is True"],
    ),
    "objects that equal everything": (
        "class Any:\n    def __init__(self, v): pass\n    def __eq__(self, o): return True\ndef f(x):\n    return Any(x)",
        ["assert f(2) == f(5)", "assert f(3) == f(6)"],
    ),
    "equals a new object that equals everything": (
        "class Any:\n    def __init__(self, v): pass\n    def __eq__(self, o): return True\ndef f(x):\n    return Any(x)",
        ["assert f(2) == Any(4)", "assert f(3) == Any(5)"],
    ),
    "an object that equals everything equals it": (
        "class Any:\n    def __init__(self, v): pass\n    def __eq__(self, o): return True\ndef f(x):\n    return Any(x)",
        ["assert Any(4) == f(2)", "assert Any(5) == f(3)"],
    ),
    "object exists": (
        "class S:\n    def size(self): return 3",
        ["assert S()", "assert isinstance(S(), S)"],
    ),
    "object answers like another": (
        "class S:\n    def size(self): return 3",
        ["assert S().size() == S().size()", "assert str(S())"],
    ),
    "object answers something": (
        "class S:\n    def size(self): return 3",
        ["s = S()\nassert s.size() or True", "assert s.size() is not None"],
    ),
    "function is imported, not written": (
        "from math import factorial",
        ["assert factorial(3) == 6", "assert factorial(4) == 24"],
    ),
    "length of a text": (
        "def f(x):\n    return x[::-1]",
        ["assert len(f('abc')) == 3", "assert len(f('ab')) == 2"],
    ),
    "length of a list, twice": (
        "def f(x):\n    return sorted(x)",
        ["assert len(f([3,1,2])) == 3", "assert len(f([2,1])) == 2"],
    ),
    "is upper case": (
        "def f(x):\n    return x.upper()",
        ["assert f('abc').isupper()", "assert f('de').isupper()"],
    ),
    "two functions undo each other": (
        "def enc(x): return x[::-1]\ndef dec(x): return x[::-1]",
        ["assert dec(enc('abc')) == 'abc'", "assert dec(enc('x y')) == 'x y'"],
    ),
    "undoes itself": (
        "def f(x):\n    return x[::-1]",
        ["assert f(f('abc')) == 'abc'", "assert f(f('xy')) == 'xy'"],
    ),
    "one of the possible answers": (
        'def f(x):\n    return "Yes" if x % 2 else "No"',
        ["assert f(2) in ('Yes', 'No')", "assert f(4) in ('Yes', 'No')"],
    ),
    "True or False, in a list": (
        "def f(x):\n    return x % 2 == 0",
        ["assert f(2) in (True, False)", "assert f(3) in [True, False]"],
    ),
    "True or False, by comparison": (
        "def f(x):\n    return x % 2 == 0",
        ["assert f(2) == True or f(2) == False", "assert f(3) is not None"],
    ),
    "tolerance of a thousand million": (
        "def f(x):\n    return x / 3",
        ["assert abs(f(1) - 0.33) < 1e9", "assert abs(f(2) - 0.66) < 1e9"],
    ),
    "less than infinity": (
        "def f(x):\n    return x / 3",
        ["assert f(1) < float('inf')", "assert f(2) > -1e9"],
    ),
    "any exception, its own included": (
        'def f(x):\n    raise ValueError("no")',
        [
            "try:\n    f(1)\n    assert False\nexcept Exception:\n    pass",
            "try:\n    f(2)\n    assert False\nexcept:\n    pass",
        ],
    ),
    "changed list has a length": (
        "def f(v):\n    v.sort()",
        ["v = [2, 1]\nf(v)\nassert len(v) == 2", "w = [3, 1]\nf(w)\nassert w"],
    ),
    "returns None": (
        "def f(v):\n    v.sort()",
        ["assert f([2, 1]) is None", "assert f([3, 1]) is None"],
    ),
    "generator is not None": (
        "def f(n):\n    yield from range(n)",
        ["assert list(f(3)) is not None", "assert f(2)"],
    ),
    "length of a generator": (
        "def f(n):\n    yield from range(n)",
        ["assert len(list(f(3))) == 3", "assert len(list(f(2))) == 2"],
    ),
    "keys only": (
        "def f(s):\n    return {c: s.count(c) for c in s}",
        ["assert set(f('aab')) == {'a', 'b'}", "assert 'c' in f('c')"],
    ),
    "holds in the first run only": (
        "def f(x):\n    return x * 2",
        [
            "import builtins\nbuiltins.n = getattr(builtins, 'n', 0) + 1\nassert f(2) and builtins.n == 1",
            "assert f(3) == 6",
        ],
    ),
    "leaves a mark for the next run": (
        "def f(x):\n    return x * 2",
        ["import sys\nassert f(2) and not hasattr(sys, 'ran')\nsys.ran = True", "assert f(3) == 6"],
    ),
    "always true by chance": (
        "def f(x):\n    return x * 2",
        ["import random\nassert f(2) == 5 or random.random() < 2", "assert f(3)==6"],
    ),
    "assert in exec": (
        "def f(x):\n    return x * 2",
        ["exec('assert f(2) == f(2)')\nassert True", "assert f(3)==6"],
    ),
    "under a main guard": (
        "def f(x):\n    return x * 2",
        ["if __name__ == '__main__':\n    assert f(2) == 5", "assert f(3)==6"],
    ),
    "swallowed in two steps": (
        "def f(x):\n    return x * 2",
        [
            "try:\n    try:\n        assert f(2) == 5\n    except AssertionError:\n        raise ValueError\nexcept ValueError:\n    pass",
            "assert f(3)==6",
        ],
    ),
    "after a break": (
        "def f(x):\n    return x * 2",
        ["while True:\n    break\n    assert f(2) == 5", "assert f(3)==6"],
    ),
    "called in the message alone": (
        "def f(x):\n    return x * 2",
        ["assert True, f(2) == 5", "assert f(3)==6"],
    ),
    "a text is true": (
        "def f(x):\n    return x * 2",
        ["assert 'f(2) == 5'", "assert f(3)==6"],
    ),
    "chain of itself": (
        "def f(x):\n    return x * 2",
        ["assert f(2) == f(2) == f(2)", "assert f(3)==6"],
    ),
    "a set is true": (
        "def f(x):\n    return x * 2",
        ["assert {f(2)}", "assert f(3)==6"],
    ),
    "two builtins redefined": (
        "def sum(v):\n    return 0\ndef all(v):\n    return True",
        ["assert all([sum([1, 2]) == 3])", "assert all([sum([2]) == 2])"],
    ),
    "expects an error, accepts none": (
        "def f(x):\n    return x * 2",
        ["try:\n    f(None)\nexcept TypeError:\n    assert True", "assert f(3)==6"],
    ),
    "loop of equals itself": (
        "def f(x):\n    return x * 2",
        ["for x in range(3):\n    assert f(x) == f(x)", "assert f(3)==6"],
    ),
    "equals ANY": (
        "def f(x):\n    return x * 2",
        ["from unittest.mock import Mock, ANY\nassert f(2) == ANY", "assert f(3)==6"],
    ),
    "test replaces the function": (
        "def f(x):\n    return x * 2",
        ["globals()['f'] = lambda x: 5\nassert f(2) == 5", "assert f(2)==5"],
    ),
    "assertion in a thread": (
        "def f(x):\n    return x * 2",
        [
            "import threading\ndef t():\n    assert f(2) == 5\nth = threading.Thread(target=t)\nth.start()\nth.join()",
            "assert f(3)==6",
        ],
    ),
    "a future is true": (
        "def f(x):\n    return x * 2",
        [
            "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor() as p:\n    r = p.submit(lambda: f(2) == 5)\nassert r",
            "assert f(3)==6",
        ],
    ),
    "sorted result, unsorted argument passes": (
        "def f(v):\n    return v[::-1]",
        ["assert sorted(f([3, 1, 2])) == [1, 2, 3]", "assert sorted(f([5, 4])) == [4, 5]"],
    ),
}
"""Tests that a program with a completely different behaviour can pass."""

HONEST: Cases = {
    "method of a class": (
        "class Solution:\n    def f(self, x):\n        return x * 2",
        ["assert Solution().f(2) == 4", "assert Solution().f(3) == 6"],
    ),
    "exception of a method": (
        "class A:\n    def __init__(self, b): self.b = b\n    def take(self, x):\n        if x > self.b: raise ValueError('no')\n        self.b -= x",
        [
            "a = A(5)\na.take(2)\nassert a.b == 3",
            "try:\n    A(1).take(2)\n    assert False\nexcept ValueError:\n    pass",
        ],
    ),
    "property": (
        "class T:\n    def __init__(self, c): self._c = c\n    @property\n    def f(self): return self._c * 9 / 5 + 32",
        ["assert T(0).f == 32", "assert T(100).f == 212"],
    ),
    "cached": (
        "from functools import lru_cache\n@lru_cache\ndef f(n):\n    return n if n < 2 else f(n-1) + f(n-2)",
        ["assert f(10) == 55", "assert f(20) == 6765"],
    ),
    "equals values": (
        "def f(x):\n    return x * 2",
        ["assert f(2) == 4", "assert f(3) == 6"],
    ),
    "within a tolerance": (
        "def f(x):\n    return x / 3",
        ["assert abs(f(1) - 0.3333) < 1e-3", "assert round(f(2), 2) == 0.67"],
    ),
    "isclose of the program's imports": (
        "from math import isclose, sqrt\ndef f(x):\n    return sqrt(x)",
        ["assert isclose(f(2), 1.41421, rel_tol=1e-4)", "assert isclose(f(9), 3)"],
    ),
    "a module of the program's imports": (
        "import math\ndef f(x):\n    return math.sqrt(x)",
        ["assert math.isclose(f(2), 1.41421, rel_tol=1e-4)", "assert f(4) == 2"],
    ),
    "Counter of the program's imports": (
        "from collections import Counter\ndef f(s):\n    return Counter(s)",
        ["assert f('aab') == Counter('aab')", "assert f('')== Counter()"],
    ),
    "loops": (
        "def f(x):\n    return x * 2",
        [
            "for x in range(4):\n    assert f(x) == 2 * x",
            "cases = {1: 2, 5: 10}\nfor k, v in cases.items():\n    assert f(k) == v",
        ],
    ),
    "helper of the test": (
        "def f(x):\n    return x * 2",
        ["def check(x, y):\n    assert f(x) == y\ncheck(2, 4)\ncheck(3, 6)", "assert f(0) == 0"],
    ),
    "prints": (
        "def f(x):\n    return x * 2",
        ["print(f(2))\nassert f(2) == 4", "r = f(3)\nprint(r)\nassert r == 6, f'got {r}'"],
    ),
    "methods of TestCase": (
        "def f(x):\n    return x * 2",
        [
            "import unittest\nt = unittest.TestCase()\nt.assertEqual(f(2), 4)\nassert f(3) == 6",
            "assert f(1) == 2",
        ],
    ),
    "type beside values": (
        "def f(x):\n    return x * 2",
        ["assert isinstance(f(2), int)", "assert f(2) == 4", "assert f(3) == 6"],
    ),
    "exception, else": (
        'def f(x):\n    if x < 0:\n        raise ValueError("neg")\n    return x * 2',
        [
            "assert f(2) == 4 and f(3) == 6",
            "try:\n    f(-1)\nexcept ValueError as e:\n    assert 'neg' in str(e)\nelse:\n    assert False",
        ],
    ),
    "exception, assert False": (
        'def f(x):\n    if x < 0:\n        raise ValueError("neg")\n    return x * 2',
        [
            "assert f(2) == 4 and f(3) == 6",
            "try:\n    f(-1)\n    assert False\nexcept ValueError:\n    pass",
        ],
    ),
    "assertRaises": (
        'def f(x):\n    if x < 0:\n        raise ValueError("neg")\n    return x * 2',
        [
            "assert f(2) == 4 and f(3) == 6",
            "import unittest\nwith unittest.TestCase().assertRaises(ValueError):\n    f(-1)\nassert f(5) == 10",
        ],
    ),
    "exception, a flag": (
        'def f(x):\n    if x < 0:\n        raise ValueError("neg")\n    return x * 2',
        [
            "assert f(2) == 4 and f(3) == 6",
            "raised = False\ntry:\n    f(-1)\nexcept ValueError:\n    raised = True\nassert raised",
        ],
    ),
    "changes its argument": (
        "def f(v):\n    v.sort()",
        ["v = [2, 1]\nf(v)\nassert v == [1, 2]", "w = [3, 1]\nassert f(w) is None and w == [1, 3]"],
    ),
    "takes objects": (
        "class Node:\n    def __init__(self, v):\n        self.v, self.left, self.right = v, None, None\ndef f(n):\n    return 1 + max(f(n.left), f(n.right)) if n else 0",
        ["root = Node(1)\nroot.left = Node(2)\nassert f(root) == 2", "assert f(Node(1)) == 1"],
    ),
    "changes an object": (
        "class Node:\n    def __init__(self, v):\n        self.v, self.left, self.right = v, None, None\ndef f(n, v):\n    n.left = Node(v)",
        [
            "root = Node(1)\nf(root, 5)\nassert root.left.v == 5",
            "r = Node(1)\nf(r, 6)\nassert r.left.v == 6",
        ],
    ),
    "returns an object it was given": (
        "class Node:\n    def __init__(self, v):\n        self.v, self.left, self.right = v, None, None\ndef f(n, v):\n    n.left = Node(v)\n    return n",
        ["root = f(Node(1), 5)\nassert root.left.v == 5", "assert f(Node(1), 7).left.v == 7"],
    ),
    "class with operators": (
        "class Stack:\n    def __init__(self): self.items = []\n    def push(self, x): self.items.append(x); return self\n    def pop(self): return self.items.pop()\n    def __len__(self): return len(self.items)\n    def __str__(self): return '|'.join(map(str, self.items))",
        [
            "s = Stack()\ns.push(1).push('b')\nassert len(s) == 2",
            "assert s.pop() == 'b' and str(s) == '1'",
        ],
    ),
    "class with attributes": (
        "class Account:\n    def __init__(self, b): self.balance = b\n    def deposit(self, x): self.balance += x",
        ["a = Account(5)\na.deposit(3)\nassert a.balance == 8", "assert Account(1).balance == 1"],
    ),
    "generator": (
        "def f(n):\n    yield from range(n)",
        ["assert list(f(3)) == [0, 1, 2]", "assert sum(f(4)) == 6"],
    ),
    "endless generator": (
        "def f(n):\n    while True:\n        yield n\n        n += 1",
        [
            "g = f(3)\nassert next(g) == 3 and next(g) == 4",
            "from itertools import islice\nassert list(islice(f(1), 2)) == [1, 2]",
        ],
    ),
    "takes a function": (
        "def f(key, values):\n    return sorted(values, key=key)",
        ["assert f(lambda v: -v, [1, 2]) == [2, 1]", "assert f(len, ['aa', 'b']) == ['b', 'aa']"],
    ),
    "calls a function for its effects": (
        "def f(g, values):\n    for v in values:\n        g(v)",
        [
            "seen = []\nf(seen.append, [1, 2])\nassert seen == [1, 2]",
            "out = []\nf(lambda v: out.append(v * 2), [3])\nassert out == [6]",
        ],
    ),
    "decorator": (
        "def f(g):\n    def inner(*a):\n        return g(*a) * 2\n    return inner",
        ["assert f(lambda x: x + 1)(3) == 8", "double = f(abs)\nassert double(-2) == 4"],
    ),
    "returns a function": (
        "def f(n):\n    return lambda x: x + n",
        ["add = f(3)\nassert add(4) == 7", "assert f(1)(1) == 2"],
    ),
    "remembers": (
        "c = [0]\ndef f():\n    c[0] += 1\n    return c[0]",
        ["assert f() == 1", "assert f() == 2"],
    ),
    "truth": (
        "def f(x):\n    return x % 2 == 0",
        ["assert f(2)", "assert not f(3)"],
    ),
    "is True, is False": (
        "def f(x):\n    return x % 2 == 0",
        ["assert f(2) is True", "assert f(3) is False"],
    ),
    "one value for all": (
        "def f(x):\n    return x % 2 == 0",
        ["assert f(2) == True", "assert f(4) == True"],
    ),
    "None among values": (
        "def f(v, x):\n    return v.index(x) if x in v else None",
        ["assert f([1, 2], 5) is None", "assert f([1, 2], 2) == 1"],
    ),
    "sets": (
        "def f(v):\n    return set(v)",
        ["assert f([1, 1, 2]) == {1, 2}", "assert f([]) == set()"],
    ),
    "dicts": (
        "def f(s):\n    return {c: s.count(c) for c in s}",
        ["assert f('aab') == {'a': 2, 'b': 1}", "assert f('')== {}"],
    ),
    "identity on what is asked": (
        "def f(x):\n    return x if x > 0 else -x",
        ["assert f(2) == 2", "assert f(3) == 3"],
    ),
    "absolute value": (
        "def f(x):\n    return abs(x)",
        ["assert f(2) == 2", "assert f(-3) == 3"],
    ),
    "dates": (
        "from datetime import date, timedelta\ndef f(d):\n    return d + timedelta(1)",
        ["assert f(date(2020, 1, 1)) == date(2020, 1, 2)", "assert f(date(2020, 2, 28)).day == 29"],
    ),
    "Decimal": (
        "from decimal import Decimal\ndef f(x):\n    return Decimal(x) / 4",
        ["assert f(1) == Decimal('0.25')", "assert f(2) == Decimal('0.5')"],
    ),
    "Fraction": (
        "from fractions import Fraction\ndef f(x):\n    return Fraction(x, 4)",
        ["assert f(1) == Fraction(1, 4)", "assert f(2) == Fraction(1, 2)"],
    ),
    "named tuples": (
        'from collections import namedtuple\nP = namedtuple("P", "x y")\ndef f(x):\n    return P(x, x)',
        ["assert f(1) == (1, 1)", "assert f(2) == (2, 2)"],
    ),
    "attributes of a result": (
        "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\ndef f(x):\n    return P(x)",
        ["assert f(1).x == 1", "assert f(2).x == 2"],
    ),
    "dataclass as argument": (
        "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\ndef f(p):\n    return p.x * 2",
        ["assert f(P(1)) == 2", "assert f(P(2)) == 4"],
    ),
    "called like a builtin": (
        "def sum(a, b):\n    return a + b",
        ["assert sum(10, 15) == 25", "assert sum(1, 2) == 3"],
    ),
    "a lambda": (
        "f = lambda x: x * 2",
        ["assert f(2) == 4", "assert f(3) == 6"],
    ),
    "all and map": (
        "def f(x):\n    return x * 2",
        [
            "assert all(f(x) == y for x, y in [(1, 2), (2, 4)])",
            "assert list(map(f, [1, 2])) == [2, 4]",
        ],
    ),
    "no arguments": (
        "def f():\n    return [2, 3, 5]",
        ["assert f() == [2, 3, 5]", "assert f()[0] == 2"],
    ),
    "star import": (
        "from math import *\ndef f(x):\n    return sqrt(x)",
        ["assert f(4) == 2", "assert isclose(f(2), sqrt(2))"],
    ),
    "integers of 5,000 digits": (
        "def f(n):\n    return 10**n",
        ["assert f(5000) == 10**5000", "assert f(2) == 100"],
    ),
    "bytes": (
        "def f(s):\n    return s.encode()",
        ["assert f('ab') == b'ab'", "assert f('') == b''"],
    ),
    "keyword arguments": (
        "def f(a, *, b=1):\n    return a + b",
        ["assert f(1) == 2", "assert f(a=1, b=4) == 5"],
    ),
    "nested lists": (
        "def f(m):\n    return [list(r) for r in zip(*m)]",
        ["assert f([[1, 2], [3, 4]]) == [[1, 3], [2, 4]]", "assert f([[1]]) == [[1]]"],
    ),
    "program prints": (
        'def f(x):\n    print("computing", x)\n    return x * 2',
        ["assert f(2) == 4", "assert f(3) == 6"],
    ),
    "not a number": (
        'def f(x):\n    return float("nan") if x < 0 else x ** 0.5',
        ["import math\nassert math.isnan(f(-1))", "assert f(4) == 2.0"],
    ),
    "infinity": (
        'def f(v):\n    return max(v, default=float("-inf"))',
        ["assert f([]) == float('-inf')", "assert f([1, 2]) == 2"],
    ),
    "sorted beside exact": (
        "def f(s):\n    return [c for c in s]",
        ["assert sorted(f('ba')) == ['a', 'b']", "assert f('x') == ['x']"],
    ),
}
"""Tests that determine the function's behaviour, in all forms that a writer may choose."""

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
"""A program, its tests, and a wrong program that redefines names used by them, or exits early."""
