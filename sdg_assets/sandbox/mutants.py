"""Trivial mutants of a program: answers that need no attempt to solve the task.

Child side: runs inside the sandbox, with only the standard library.

A mutant is not a second program. It replaces the program's answers to the tests' calls, which were
recorded when the program ran. A mutant with `answer` computes its answer from the arguments alone
and has no side effects. A mutant with `change` replaces the program's answer with a wrong value of
the same type and size; it also changes the values in arguments that the program modified.
"""
# A value of a program is anything.
# ruff: noqa: ANN401

from __future__ import annotations

from sdg_assets.sandbox.wire import Remote

TYPE_CHECKING = False  # importing `typing` would cost every sandbox 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

_LETTERS = ("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789")
_EMPTIED = (
    *("bool", "int", "float", "complex", "str", "bytes", "list", "tuple", "set", "frozenset"),
    *("dict", "bytearray", "deque", "Decimal", "Fraction", "timedelta"),
)
"""Types that return their empty value when called without arguments."""
_ROUNDING = 1e-6
"""Relative difference up to which two numbers count as equal."""
_NEAR = 0.1
"""Relative difference up to which a literal of a test may be the rounded value."""
_FAR_DAYS = 400
"""Days by which a mutant moves a date: more than any likely tolerance of a test."""


class MutantError(Exception):
    """The exception of the mutant `error`: no test can know it by name."""


class Mutant:
    """One kind of wrong answer.

    Attributes:
        name: One word.
        says: What the function under test does instead, as the end of a sentence.
        answer: Arguments of a call → result; None for a mutant with `change`.
        change: The program's answer and the literals of the test → another value; None for a
            mutant with `answer`.
    """

    def __init__(
        self,
        name: str,
        says: str,
        answer: Callable[[Sequence[Any]], Any] | None = None,
        change: Callable[[Any, Sequence[Any]], Any] | None = None,
    ) -> None:
        self.name = name
        self.says = says
        self.answer = answer
        self.change = change


def mutants_of_function(first: Any) -> Iterator[Mutant]:
    """The mutants of a function.

    Args:
        first: The result of the function's first call.
    """
    yield Mutant("none", "returns None", answer=lambda arguments: None)
    yield Mutant("argument", "returns its first argument", answer=_first)
    yield Mutant("neutral", "returns the empty value of its argument's type", answer=_neutral)
    yield Mutant("error", "raises an exception", answer=_fail)
    yield Mutant("constant", "always returns its first result", answer=lambda arguments: first)
    yield from _of_the_right_type()


def mutants_of_class(first: Any) -> Iterator[Mutant]:
    """The mutants of a class: they change every plain value that its objects return.

    Args:
        first: The first such value.
    """
    yield Mutant("none", "returns None", change=lambda value, literals: None)
    yield Mutant("error", "raises an exception", change=_fail)
    # Methods that return None are called for their side effects; tests need not check the None.
    yield Mutant(
        "constant",
        "always returns its first result",
        change=lambda value, literals: value if value is None else first,
    )
    yield from _of_the_right_type()


def _of_the_right_type() -> Iterator[Mutant]:
    wrong = "returns wrong values of the right type and size"
    yield Mutant("zero", "returns the empty value of the right type", change=_emptied)
    yield Mutant("larger", wrong, change=lambda value, literals: moved(value, 1))
    yield Mutant("smaller", wrong, change=lambda value, literals: moved(value, -1))
    yield Mutant("listed", "returns another value that the test names", change=_listed)


def _first(arguments: Sequence[Any]) -> Any:
    return arguments[0] if arguments else None


def _neutral(arguments: Sequence[Any]) -> Any:
    return _emptied(_first(arguments), ())


def _fail(*_: Any) -> Any:
    raise MutantError("a mutant raises this")


def _emptied(value: Any, _: Sequence[Any]) -> Any:
    return type(value)() if type(value).__name__ in _EMPTIED else value


def _listed(value: Any, literals: Sequence[Any]) -> Any:
    others = (item for item in literals if type(item) is type(value) and _far(item, value))
    return next(others, value)


def _far(item: Any, value: Any) -> bool:
    """Whether a literal cannot be a rounded form of the value."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        far: bool = abs(item - value) > _NEAR * max(abs(item), abs(value))
        return far
    different: bool = item != value
    return different


def moved(value: Any, sign: int) -> Any:
    """Another value of the same type and size; the value itself if its type is not supported.

    Args:
        value: Any value.
        sign: 1 or -1: the direction, for types with an order.
    """
    move = _MOVES.get(type(value).__name__)
    return move(value, sign) if move else value


def _number(value: Any, sign: int) -> Any:
    # Beyond zero, or beyond twice the value: no tolerance and no one-sided bound accepts both.
    return value + sign * (abs(value) + 1) if value - value == 0 else type(value)(0)


def _text(value: str, sign: int) -> str:
    return "".join(_letter(letter, sign) for letter in value) or "x"


def _letter(letter: str, sign: int) -> str:
    """Another letter of the same case, another digit, or another symbol; spaces are kept."""
    for letters in _LETTERS:
        if letter in letters:
            return letters[(letters.index(letter) + sign) % len(letters)]
    if letter.isspace():
        return letter
    return "#" if letter != "#" else "%"


def _bytes(value: Any, sign: int) -> Any:
    return type(value)((byte + sign) % 256 for byte in value) or type(value)(b"x")


def _items(value: Any, sign: int) -> Any:
    return type(value)([moved(item, sign) for item in value] or [0])


def _set(value: Any, sign: int) -> Any:
    others = _items(value, sign)
    # {True, False} would become itself.
    return type(value)(list(value)[1:]) if others == value else others


def _dict(value: dict[Any, Any], sign: int) -> dict[Any, Any]:
    return {key: moved(item, sign) for key, item in value.items()} or {0: 0}


def _day(value: Any, sign: int) -> Any:
    import datetime

    return value + sign * datetime.timedelta(_FAR_DAYS)


def _range(value: range, sign: int) -> range:
    step = value.step * sign * (len(value) + 1)
    return range(value.start + step, value.stop + step, value.step) if value else range(1)


_MOVES: Mapping[str, Callable[[Any, int], Any]] = {
    "NoneType": lambda value, sign: 0,
    "bool": lambda value, sign: not value,
    **dict.fromkeys(("int", "float", "Decimal", "Fraction"), _number),
    "complex": lambda value, sign: value + sign * (abs(value) + 1),
    "str": _text,
    **dict.fromkeys(("bytes", "bytearray"), _bytes),
    **dict.fromkeys(("list", "tuple", "deque"), _items),
    **dict.fromkeys(("set", "frozenset"), _set),
    "dict": _dict,
    "range": _range,
    **dict.fromkeys(("date", "datetime"), _day),
    "timedelta": _day,
    "time": lambda value, sign: value.replace(minute=(value.minute + 7 * sign) % 60),
}


def alike(left: Any, right: Any) -> bool:
    """Whether two values are equal, or equal up to rounding, so that tests cannot distinguish them.

    This does not ask the program: an object of the program is alike only to itself.
    """
    if isinstance(left, Remote) or isinstance(right, Remote):
        return left is right
    if isinstance(left, (int, float)) and isinstance(right, (int, float)):
        both_nan = left != left and right != right
        return left == right or both_nan or abs(left - right) <= _ROUNDING * abs(left)
    if type(left) is not type(right):
        return False
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(alike, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(alike(left[k], right[k]) for k in left)
    return bool(left == right)
