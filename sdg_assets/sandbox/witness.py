"""The tests' end of the connection: records the program's answers, or lets a mutant answer.

Child side: runs inside the sandbox, with only the standard library.
"""
# A value of a program is anything.
# ruff: noqa: ANN401

from __future__ import annotations

from sdg_assets.sandbox.mutants import MutantError, alike
from sdg_assets.sandbox.values import exception, follow
from sdg_assets.sandbox.wire import CALL_ONLY, Peer, Remote

TYPE_CHECKING = False  # importing `typing` would cost every sandbox 5 ms
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import IO, Any

    from sdg_assets.sandbox.mutants import Mutant
    from sdg_assets.sandbox.wire import Reply

_TYPED = {"len": int, "bool": bool, "str": str, "repr": str, "int": int, "float": float}
"""Operations whose result must have a certain type in Python."""

_KEPT = ("hash", "index", "iter", "setattr", "setitem", "delitem")
"""Operations whose result is independent of what the program computes; mutants do not change it."""

_AMONG_THEMSELVES = {"eq": True, "ne": False}
"""The answer of a mutant about two objects of the program: they are equal. Tests that check nothing
else must not detect a mutant, because a program whose own `==` is always true would pass them."""

_SPARE_QUESTIONS = 1000


class Runaway(BaseException):
    """A test asks a mutant endlessly."""


class _Notes:
    """The program's answers during one test."""

    def __init__(self) -> None:
        self.calls: list[Reply] = []
        self.others: list[tuple[str, Reply]] = []
        self.opinions: list[bool] = []
        """Truth values from objects that the tests built, such as the arguments of a call."""
        self.was_called = False


class Witness(Peer):
    """The end in the process of the tests.

    It *watches* calls of the function under test, and every operation on objects that the function
    returned. If classes are under test, it watches every operation on them and on their objects.

    Attributes:
        differs: Whether the current mutant has given any answer that differs from the program's.
        was_given: Whether a watched call had an argument.
    """

    def __init__(self, incoming: IO[bytes], outgoing: IO[bytes]) -> None:
        """Open the end.

        Args:
            incoming: The stream that the program writes to.
            outgoing: The stream that the program reads from.
        """
        super().__init__(incoming, outgoing, CALL_ONLY, trusting=False)
        self.differs = False
        self.was_given = False
        self._functions: set[int] = set()
        self._objects_watched: set[int] = set()
        self._notes: list[_Notes] = []
        self._mutant: Mutant | None = None
        self._literals: Sequence[Any] = ()
        self._now = _Notes()
        self._called = self._done = self._asked = self._opined = self._serving = 0

    def watch(self, functions: Iterable[Any], classes: Iterable[Any]) -> None:
        """Set the objects of the program that are under test."""
        self._functions = {f._reference for f in functions if isinstance(f, Remote)}
        self._objects_watched = {c._reference for c in classes if isinstance(c, Remote)}

    def become(self, mutant: Mutant | None) -> None:
        """From now on, let a mutant answer; None: the program itself."""
        self._mutant = mutant
        self.differs = False

    def turn_to(self, test: int, literals: Sequence[Any]) -> None:
        """Start the next test.

        Args:
            test: The test's number. Without a mutant, tests must come in order.
            literals: The constants in the test's source.
        """
        if self._mutant is None:
            self._notes[test:] = [_Notes()]
        self._now, self._literals = self._notes[test], literals
        self._called = self._done = self._asked = self._opined = 0

    def calls_of(self, test: int) -> bool:
        """Whether a test called the function or class under test."""
        return self._notes[test].was_called

    def first_value(self) -> Any:
        """The first plain value among the program's answers; None if there is none."""
        for notes in self._notes:
            for reply in [*notes.calls, *(reply for _, reply in notes.others)]:
                if reply and reply[0] == "done" and reply[1] is not None:
                    value = self._decode(reply[1])
                    if not isinstance(value, Remote):
                        return value
        return None

    def ask(self, operation: str, *args: Any, **kwargs: Any) -> Any:
        """Ask the program to perform an operation, or the mutant in its place."""
        target = args[0]._reference if args and isinstance(args[0], Remote) else None
        is_call = operation == "call" and target in self._functions
        if self._serving or target is None or operation == "instancecheck":
            return super().ask(operation, *args, **kwargs)
        if not (is_call or target in self._objects_watched):
            return self._opinion(operation, args, kwargs)
        if self._mutant is None:
            return self._noted(operation, args, kwargs, is_call=is_call)
        self._asked += 1
        if self._asked > _SPARE_QUESTIONS + 10 * len(self._now.calls + self._now.others):
            raise Runaway
        if is_call:
            return self._call(self._mutant, args, kwargs)
        if self._mutant.answer:  # the tests built this object: such a mutant returns none
            return super().ask(operation, *args, **kwargs)
        return self._changed(self._mutant, operation, self._noted_before(operation), args)

    def _answer(self, operation: str, args: list[Any], kwargs: dict[str, Any]) -> None:
        self._serving += 1
        try:
            super()._answer(operation, args, kwargs)
        finally:
            self._serving -= 1

    def _opinion(self, operation: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """The answer of an object that the tests built.

        A program must not check itself through its own class, as in `Check(f(2)).equals(4)`. So
        under every mutant, such an object repeats the truth values that it gave before, and its
        methods raise nothing.
        """
        try:
            result = super().ask(operation, *args, **kwargs)
        except Exception:
            if self._mutant is None or operation != "call":
                raise
            return None
        if isinstance(result, bool):
            if self._mutant is None:
                self._now.opinions.append(result)
            elif opinions := self._now.opinions:
                result = opinions[min(self._opined, len(opinions) - 1)]
                self._opined += 1
        return result

    def _noted(
        self, operation: str, args: Sequence[Any], kwargs: Mapping[str, Any], *, is_call: bool
    ) -> Any:
        self._now.was_called |= is_call or (not self._functions and operation not in _KEPT)
        self.was_given |= len(args) > 1 or bool(kwargs)
        reply = self._exchange(operation, args, kwargs)
        if is_call:
            self._now.calls.append(reply)
        else:
            self._now.others.append((operation, reply))
        if reply[0] == "done":
            self._objects_watched.update(_references(reply[1]))
        return self._taken(reply, args)

    def _noted_before(self, operation: str) -> Reply:
        """The program's recorded reply to the same operation, in the order of the questions."""
        others = self._now.others
        for place in range(self._done, len(others)):
            if others[place][0] == operation:
                self._done = place + 1
                return others[place][1]
        again = [reply for asked, reply in others if asked == operation]
        if not again:
            raise MutantError("a test takes a way that it does not take with the program")
        return again[-1]

    def _call(self, mutant: Mutant, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        place, calls = self._called, self._now.calls
        self._called += 1
        reply = calls[min(place, len(calls) - 1)] if calls else ["done", None, []]
        if not mutant.answer:
            return self._changed(mutant, "call", reply, args)
        self.differs |= place >= len(calls) or reply[0] != "done" or bool(reply[2])
        try:
            value = mutant.answer([*args[1:], *kwargs.values()])
        except MutantError:
            self.differs = True
            raise
        self.differs = self.differs or not alike(self._decode(reply[1]), value)
        return value

    def _changed(self, mutant: Mutant, operation: str, reply: Reply, args: Sequence[Any]) -> Any:
        kind, *rest = reply
        if kind == "raised":
            if operation == "call" and mutant.name == "none":  # doing nothing raises nothing
                self.differs = True
                return None
            raise exception(*rest)
        result, changed = rest
        for index, wire in changed:
            follow(args[index], self._other(mutant, "", wire))
        return self._other(mutant, operation, result)

    def _other(self, mutant: Mutant, operation: str, wire: Any) -> Any:
        value = self._decode(wire)
        if mutant.change is None or isinstance(value, Remote) or operation in _KEPT:
            return value
        try:
            other = mutant.change(value, self._literals)
        except MutantError:
            self.differs = True
            raise
        if operation in _TYPED and type(other) is not _TYPED[operation]:
            other = value
        elif operation == "len":
            other = max(other, 0)
        if mutant.name != CONTROL:
            other = _AMONG_THEMSELVES.get(operation, other)
        self.differs = self.differs or not alike(value, other)
        return other


CONTROL = "control"
"""The name of the control: it answers like the program, so it is no real mutant."""


def _references(wire: Any) -> Iterable[int]:
    """The references to objects of the program in a message."""
    if isinstance(wire, list):
        if wire[:1] == ["mine"]:
            yield wire[1]
        else:
            for part in wire:
                yield from _references(part)
