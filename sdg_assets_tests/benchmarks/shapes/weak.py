"""Tests that look at the result and pass a program that does something else."""

# ruff: noqa: E501 - a program on a line each

from __future__ import annotations

from sdg_assets_tests.benchmarks.shapes.case import Cases

WEAK: Cases = {
    "nothing is done": ("def f(x):\n    pass", ["assert f(1) is None", "assert f(2) == None"]),
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
    "exceptions only": (
        "def f(x):\n    raise ValueError('no')",
        [
            "try:\n    f(1)\nexcept ValueError:\n    pass\nelse:\n    assert False",
            "try:\n    f(2)\nexcept ValueError:\n    pass\nelse:\n    assert False",
        ],
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
    "has a hash": (
        "def f(x):\n    return x * 2",
        ["assert hash(f(2)) is not None", "assert f(3)==6"],
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
    "expects an error, accepts none": (
        "def f(x):\n    return x * 2",
        ["try:\n    f(None)\nexcept TypeError:\n    assert True", "assert f(3)==6"],
    ),
    "sorted result, unsorted argument passes": (
        "def f(v):\n    return v[::-1]",
        ["assert sorted(f([3, 1, 2])) == [1, 2, 3]", "assert sorted(f([5, 4])) == [4, 5]"],
    ),
}
"""Assertions on a property of the result, or on values that the program itself judges."""
