"""Tests that prove something."""

# ruff: noqa: E501 - a program on a line each

from __future__ import annotations

from sdg_assets_tests.benchmarks.shapes.case import Cases

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
"""Tests that pin what the function does, in all forms that a writer may choose."""
