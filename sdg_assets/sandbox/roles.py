"""The program and its examiner: two processes that meet over pipes.

Child side: runs inside the sandbox, from the standard library alone.
"""

from __future__ import annotations

import builtins
import json
import os
import sys
from types import CodeType, ModuleType

from sdg_assets.sandbox.wire import CALL_ONLY, OPERATIONS, Peer, Remote

TYPE_CHECKING = False  # importing `typing` would cost every sandbox 5 ms
if TYPE_CHECKING:
    from typing import IO, Any

_LONGEST_REASON = 500


def play(source: dict[str, str], incoming: IO[bytes], outgoing: IO[bytes]) -> None:
    """Be the program: run it, then answer what the tests ask."""
    module = ModuleType("program")
    sys.modules["program"] = module
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(fd, mode, buffering=1, closefd=False) for fd, mode in enumerate("rww")
    )

    def start(names: list[str]) -> dict[str, Any]:
        for part in ("code", "setup"):
            exec(compile(source[part], f"<{part}>", "exec"), module.__dict__)  # noqa: S102
        return {name: module.__dict__[name] for name in names if name in module.__dict__}

    def modules(names: list[str]) -> dict[str, str]:
        found = {name: module.__dict__.get(name) for name in names}
        return {n: value.__name__ for n, value in found.items() if isinstance(value, ModuleType)}

    operations = {**OPERATIONS, "start": start, "modules": modules}
    Peer(incoming, outgoing, operations, trusting=True).serve()


def examine(tests: list[str], incoming: IO[bytes], outgoing: IO[bytes], report: int) -> None:
    """Be the examiner: run the tests against the program's answers, and report."""
    peer = Peer(incoming, outgoing, CALL_ONLY, trusting=False)
    reason = _first_failure(tests, peer)
    if peer.gone:  # whatever a test made of the exception
        reason = peer.gone
    os.write(report, json.dumps((reason is None, reason or "passed")).encode())


def _first_failure(tests: list[str], peer: Peer) -> str | None:
    running = ""
    try:
        compiled = [compile(test, "<test>", "exec") for test in tests]
        names = sorted(set().union(*map(_names, compiled)))
        namespace = _namespace(names, peer)
        for running, code in zip(tests, compiled, strict=True):  # noqa: B007 - named on failure
            exec(code, namespace)  # noqa: S102
    except MemoryError:
        return "memory"
    except BaseException as error:  # noqa: BLE001 - whatever it is, the test did not hold
        text = str(error) or (running.strip() if isinstance(error, AssertionError) else "")
        return f"failed: {type(error).__name__}: {text}"[:_LONGEST_REASON].rstrip(": ")
    return None


def _names(code: CodeType) -> set[str]:
    inner = (_names(constant) for constant in code.co_consts if isinstance(constant, CodeType))
    return {*code.co_names}.union(*inner)


def _namespace(names: list[str], peer: Peer) -> dict[str, Any]:
    """What the tests may name: the program's globals, and the modules it imports.

    A program must not pass by redefining `set` or `math` for its tests. It may still be *called*
    `sum`: its own name for a builtin counts where the tests name nothing else of the program.
    """
    asked = [name for name in names if not name.startswith("__")]  # never `__builtins__`
    told = peer.ask("start", asked)
    modules = peer.ask("modules", asked)
    imported = {name: modules[name] for name in asked if name in modules}
    theirs = {name: told[name] for name in asked if name in told and name not in imported}
    builtin = {name for name in theirs if hasattr(builtins, name)}
    library = {
        name
        for name, value in theirs.items()
        if name in sys.stdlib_module_names and isinstance(value, Remote)
    }
    if theirs.keys() - builtin - library:
        for name in builtin | library:
            del theirs[name]
        imported.update({name: name for name in library})
    for name, module in imported.items():
        if module.partition(".")[0] in sys.stdlib_module_names:
            __import__(module)
            theirs[name] = sys.modules[module]
    return theirs
