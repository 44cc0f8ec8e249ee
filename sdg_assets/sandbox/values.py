"""What a value is on its way between the tests and the program.

Child side: runs inside the sandbox, from the standard library alone.
"""
# A value of a program is anything.
# ruff: noqa: ANN401

from __future__ import annotations

import builtins
import sys

TYPE_CHECKING = False  # importing `typing` would cost every sandbox 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


def _reduced(value: Any) -> tuple[Any, ...]:
    arguments: tuple[Any, ...] = value.__reduce__()[1]
    return arguments


COPIED: Mapping[str, Callable[[Any], tuple[Any, ...]]] = {
    "builtins.complex": lambda value: (value.real, value.imag),
    "builtins.range": lambda value: (value.start, value.stop, value.step),
    "builtins.bytearray": lambda value: (bytes(value),),
    "collections.deque": lambda value: (list(value), value.maxlen),
    "decimal.Decimal": _reduced,
    "fractions.Fraction": _reduced,
    "datetime.date": _reduced,
    "datetime.datetime": _reduced,
    "datetime.time": _reduced,
    "datetime.timedelta": _reduced,
    "datetime.timezone": _reduced,
}
"""Values that travel as their class's name and arguments, beside the literals."""

CONTAINERS: Mapping[str, Callable[[Any], Any]] = {
    "list": list,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
}

_HARMLESS_TYPES = frozenset(
    ("bool", "int", "float", "complex", "str", "bytes", "list", "tuple", "set", "dict", "range")
)
"""The builtins a program may hand to the tests; `eval`, say, would run its next answer there."""


class ProgramError(Exception):
    """The program raised something that has no builtin exception for a base."""


def full_name(cls: type) -> str:
    """Module and name of a class, as `COPIED` spells it."""
    return f"{cls.__module__}.{cls.__qualname__}"


def home(value: Any) -> tuple[Any, Any]:
    """Module and name that a function or class says it has."""
    return getattr(value, "__module__", None), getattr(value, "__qualname__", None)


def is_harmless(module: str, name: str) -> bool:
    """Whether the program may hand this global to the tests."""
    return (module == "builtins" and name in _HARMLESS_TYPES) or f"{module}.{name}" in COPIED


def is_global(value: Any) -> bool:
    """Whether a value can be found again by `home`, in the standard library."""
    module, name = home(value)
    if not callable(value) or not isinstance(module, str) or not isinstance(name, str):
        return False
    stdlib = module.partition(".")[0] in sys.stdlib_module_names
    return stdlib and getattr(sys.modules.get(module), name, None) is value


def follow(old: Any, new: Any) -> None:
    """Do to an argument what was done to its copy on the other side."""
    if type(old) is not type(new):
        return
    if isinstance(old, list):
        old[:] = new
    elif isinstance(old, (dict, set)):
        old.clear()
        old.update(new)


def described(error: BaseException) -> tuple[str, str]:
    """The nearest builtin class of an exception, and its text."""
    cls = type(error)
    base = next(parent for parent in cls.__mro__ if parent.__module__ == "builtins")
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - the text is the program's own code
        text = ""
    return base.__name__, text if base is cls else f"{cls.__name__}: {text}"


def exception(name: str, text: str) -> Exception:
    """What `described` described; a `ProgramError` where no builtin exception fits."""
    cls = getattr(builtins, name, None)
    if isinstance(cls, type) and issubclass(cls, Exception):
        try:
            return cls(text)
        except TypeError:  # UnicodeDecodeError, say, wants more than a text
            pass
    return ProgramError(f"{name}: {text}")
