"""Which values travel between the tests and the program, and in which form.

Child side: runs inside the sandbox, with only the standard library.
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
"""Values that, like literals, travel by copy: as the name of their class, and its arguments."""

CONTAINERS: Mapping[str, Callable[[Any], Any]] = {
    "list": list,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
}

_HARMLESS_TYPES = frozenset(
    ("bool", "int", "float", "complex", "str", "bytes", "list", "tuple", "set", "dict", "range")
)
"""The builtins that a program may pass to the tests. `eval`, for example, would run the program's
next answer on the test's side."""


class ProgramError(Exception):
    """The program raised an exception without a builtin base class."""


def full_name(cls: type) -> str:
    """Module and name of a class, in the spelling of `COPIED`."""
    return f"{cls.__module__}.{cls.__qualname__}"


def home(value: Any) -> tuple[Any, Any]:
    """Module and name that a function or class claims to have."""
    return getattr(value, "__module__", None), getattr(value, "__qualname__", None)


def is_harmless(module: str, name: str) -> bool:
    """Whether the program may pass this global to the tests."""
    return (module == "builtins" and name in _HARMLESS_TYPES) or f"{module}.{name}" in COPIED


def is_global(value: Any) -> bool:
    """Whether the standard library has this value under the name that `home` returns."""
    module, name = home(value)
    if not callable(value) or not isinstance(module, str) or not isinstance(name, str):
        return False
    stdlib = module.partition(".")[0] in sys.stdlib_module_names
    return stdlib and getattr(sys.modules.get(module), name, None) is value


def follow(old: Any, new: Any) -> None:
    """Apply to an argument the changes that the other side made to its copy."""
    if type(old) is not type(new):
        return
    if isinstance(old, list):
        old[:] = new
    elif isinstance(old, (dict, set)):
        old.clear()
        old.update(new)


def described(error: BaseException) -> tuple[str, str]:
    """The name of an exception's nearest builtin class, and the exception's text."""
    cls = type(error)
    base = next(parent for parent in cls.__mro__ if parent.__module__ == "builtins")
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - the program's own code makes the text
        text = ""
    return base.__name__, text if base is cls else f"{cls.__name__}: {text}"


def exception(name: str, text: str) -> Exception:
    """The exception that `described` described; a `ProgramError` if no builtin one fits."""
    cls = getattr(builtins, name, None)
    if isinstance(cls, type) and issubclass(cls, Exception):
        try:
            return cls(text)
        except TypeError:  # UnicodeDecodeError, for example, needs more arguments than a text
            pass
    return ProgramError(f"{name}: {text}")
