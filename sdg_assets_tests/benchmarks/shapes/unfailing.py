"""Tests with an assertion that no result of the program can fail."""

# ruff: noqa: E501 - a program on a line each

from __future__ import annotations

from sdg_assets_tests.benchmarks.shapes.case import Cases

UNFAILING: Cases = {
    "method that is or is not right": (
        "class Solution:\n    def f(self, x):\n        return x * 2",
        ["assert Solution().f(2) or True", "assert Solution().f(3) == 6"],
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
    "equals itself": (
        "def f(x):\n    return x * 2",
        ["assert f(2) == f(2)", "assert f(3) == f(3)"],
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
    "crashes on None, asserts nothing": (
        "def f(x):\n    return x * 2",
        ["assert f(2) + 0 or True", "assert f(3)==6"],
    ),
    "the function is true": (
        "def f(x):\n    return x * 2",
        ["assert f", "assert f(3)==6"],
    ),
    "is itself": (
        "def f(x):\n    return x * 2",
        ["assert f is f", "assert f(3)==6"],
    ),
    "True or False, in a list": (
        "def f(x):\n    return x % 2 == 0",
        ["assert f(2) in (True, False)", "assert f(3) in [True, False]"],
    ),
    "True or False, by comparison": (
        "def f(x):\n    return x % 2 == 0",
        ["assert f(2) == True or f(2) == False", "assert f(3) is not None"],
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
}
"""Assertions that never run, whose failure is swallowed, or that are true by themselves."""
