"""The protocol between tests and program: plain values by copy, all others by reference.

Child side: runs inside the sandbox, in both processes, with only the standard library. No code of
the program ever runs in the process of the tests. The program's answers are decoded here into plain
values, so an object that claims to equal everything equals nothing.
"""
# A value of a program is anything.
# ruff: noqa: ANN401

from __future__ import annotations

import builtins
import operator
import sys

from sdg_assets.sandbox.codec import dumps, loads
from sdg_assets.sandbox.values import (
    CONTAINERS,
    COPIED,
    ProgramError,
    described,
    exception,
    follow,
    full_name,
    home,
    is_global,
    is_harmless,
)

TYPE_CHECKING = False  # importing `typing` would cost every sandbox 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import IO, Any, NoReturn, TypeAlias

    Reply: TypeAlias = list[Any]

LINE_LIMIT = 16 * 1024 * 1024
"""Longest message in bytes, so that an answer cannot fill the memory of the examiner."""

ENDED = "failed: the program ended before its tests did"
TOO_LONG = "failed: an answer is too large"

_DECIMAL_BITS = 10_000  # CPython refuses to print longer integers in base ten

_BUILTIN = "len iter next bool str repr hash int float".split()  # noqa: SIM905 - read as words
_OWN = "getitem setitem delitem index neg pos invert abs".split()  # noqa: SIM905
_SHARED = (  # noqa: SIM905
    "eq ne lt le gt ge add sub mul truediv floordiv mod pow and or xor matmul lshift rshift"
).split()


def _call(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    return function(*args, **kwargs)


CALL_ONLY: Mapping[str, Callable[..., Any]] = {"call": _call}
"""What the program may do with an object of the tests: call a function that it was passed."""

OPERATIONS: Mapping[str, Callable[..., Any]] = {
    **CALL_ONLY,
    "getattr": getattr,
    "setattr": setattr,
    "instancecheck": lambda cls, instance: isinstance(instance, cls),
    **{name: getattr(builtins, name) for name in _BUILTIN},
    **{name: getattr(operator, f"__{name}__") for name in (*_OWN, *_SHARED)},
}
"""What the tests may do with an object of the program."""


class Gone(BaseException):
    """The other side ended. A BaseException, so that no `except Exception` in a test catches it."""


class Remote:
    """An object on the other side; every use of it becomes a question to that side."""

    __slots__ = ("_peer", "_reference")

    def __init__(self, peer: Peer, reference: int) -> None:
        object.__setattr__(self, "_peer", peer)
        object.__setattr__(self, "_reference", reference)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the object on the other side."""
        return self._peer.ask("call", self, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return self._peer.ask("getattr", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._peer.ask("setattr", self, name, value)


def _forwarded(operation: str) -> Callable[..., Any]:
    def method(self: Remote, *args: Any) -> Any:
        return self._peer.ask(operation, self, *args)

    return method


def _among_themselves(operation: str) -> Callable[..., Any]:
    def method(self: Remote, other: Any) -> Any:
        # The program decides how two of its own objects compare or add up. It must not decide
        # whether one of them equals a value of the tests, or what their difference is.
        if isinstance(other, Remote):
            return self._peer.ask(operation, self, other)
        return NotImplemented

    return method


for _name in ("instancecheck", *_BUILTIN, *_OWN):
    setattr(Remote, f"__{_name}__", _forwarded(_name))
for _name in _SHARED:
    setattr(Remote, f"__{_name}__", _among_themselves(_name))


class Peer:
    """One end of the connection.

    Both ends can ask. While an end waits for an answer, it serves the questions of the other end.

    Attributes:
        gone: Why the connection has ended; None while it is open.
    """

    def __init__(
        self,
        incoming: IO[bytes],
        outgoing: IO[bytes],
        operations: Mapping[str, Callable[..., Any]],
        *,
        trusting: bool,
    ) -> None:
        """Open one end.

        Args:
            incoming: The stream that the other side writes to.
            outgoing: The stream that the other side reads from.
            operations: The operations that the other side may ask for, by name.
            trusting: Whether the other side may name any global of the standard library.
        """
        self.gone: str | None = None
        self._incoming = incoming
        self._outgoing = outgoing
        self._operations = operations
        self._trusting = trusting
        self._objects: list[Any] = []
        self._references: dict[int, int] = {}

    def ask(self, operation: str, *args: Any, **kwargs: Any) -> Any:
        """Ask the other side to perform an operation.

        Returns:
            The result. Lists, dicts and sets among the arguments are changed as the other side
            changed its copies.

        Raises:
            Gone: The other side ended.
            Exception: The other side raised an exception; this is the nearest builtin one.
        """
        return self._taken(self._exchange(operation, args, kwargs), args)

    def _exchange(self, operation: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Reply:
        """Send a question and wait for its reply; meanwhile serve the other side's questions."""
        named = {name: self._encode(value) for name, value in kwargs.items()}
        self._send(["ask", operation, [self._encode(value) for value in args], named])
        while (message := self._receive())[0] == "ask":
            self._answer(*message[1:])
        return message

    def _taken(self, reply: Reply, args: Sequence[Any]) -> Any:
        """The result in a reply. Also applies to the arguments the changes of their copies."""
        kind, *rest = reply
        if kind == "raised":
            raise exception(*rest)
        result, changed = rest
        for index, wire in changed:
            follow(args[index], self._decode(wire))
        return self._decode(result)

    def serve(self) -> None:
        """Answer questions until the other side ends.

        Raises:
            Gone: The other side ended.
        """
        while True:
            self._answer(*self._receive()[1:])

    def _answer(self, operation: str, args: list[Any], kwargs: dict[str, Any]) -> None:
        try:
            values = [self._decode(wire) for wire in args]
            named = {name: self._decode(wire) for name, wire in kwargs.items()}
            result = self._encode(self._operations[operation](*values, **named))
            changed = [
                [index, now]
                for index, value in enumerate(values)
                if type(value) in (list, dict, set) and (now := self._encode(value)) != args[index]
            ]
            reply = ["done", result, changed]
        except Gone:
            raise
        except BaseException as error:  # noqa: BLE001 - the other side decides what it means
            reply = ["raised", *described(error)]
        self._send(reply)

    def _send(self, message: list[Any]) -> None:
        try:
            self._outgoing.write(dumps(message).encode() + b"\n")
            self._outgoing.flush()
        except OSError:
            self._leave(ENDED)

    def _receive(self) -> list[Any]:
        line = self._incoming.readline(LINE_LIMIT)
        if not line.endswith(b"\n"):
            self._leave(TOO_LONG if len(line) == LINE_LIMIT else ENDED)
        message: list[Any] = loads(line)
        return message

    def _leave(self, reason: str) -> NoReturn:
        self.gone = reason
        raise Gone(reason)

    def _encode(self, value: Any) -> Any:
        if isinstance(value, int) and value.bit_length() > _DECIMAL_BITS:
            return ["int", hex(value)]
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, bytes):
            return ["bytes", value.hex()]
        if isinstance(value, dict):
            return ["dict", [[self._encode(key), self._encode(v)] for key, v in value.items()]]
        for tag in CONTAINERS:
            if isinstance(value, getattr(builtins, tag)):
                return [tag, [self._encode(item) for item in value]]
        if isinstance(value, Remote):
            return ["yours", value._reference]
        if (arguments := COPIED.get(full_name(type(value)))) is not None:
            copied = [self._encode(argument) for argument in arguments(value)]
            return ["new", full_name(type(value)), copied]
        if self._may_name(value):
            return ["global", *home(value)]
        if id(value) not in self._references:
            self._references[id(value)] = len(self._objects)
            self._objects.append(value)
        return ["mine", self._references[id(value)]]

    def _may_name(self, value: Any) -> bool:
        # The trusting side is the program, which the other side does not trust.
        return is_global(value) and (not self._trusting or is_harmless(*home(value)))

    def _decode(self, wire: Any) -> Any:
        if not isinstance(wire, list):
            return wire
        tag, *rest = wire
        if tag in CONTAINERS:
            return CONTAINERS[tag](self._decode(item) for item in rest[0])
        if tag == "dict":
            return {self._decode(key): self._decode(value) for key, value in rest[0]}
        if tag == "int":
            return int(rest[0], 16)
        if tag == "bytes":
            return bytes.fromhex(rest[0])
        if tag == "yours":
            return self._objects[rest[0]]
        if tag == "mine":
            return Remote(self, rest[0])
        if tag == "new" and rest[0] in COPIED:
            module, name = rest[0].split(".")
            return getattr(__import__(module), name)(*(self._decode(item) for item in rest[1]))
        if tag == "global" and (self._trusting or is_harmless(*rest)):
            __import__(rest[0])
            return getattr(sys.modules[rest[0]], rest[1])
        raise ProgramError(f"a value that cannot be passed: {tag}")
