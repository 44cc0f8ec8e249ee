"""The program and its examiner: two processes that communicate over pipes.

Child side: runs inside the sandbox, with only the standard library.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType

from sdg_assets.sandbox.codec import dumps
from sdg_assets.sandbox.trial import Trial
from sdg_assets.sandbox.wire import OPERATIONS, Peer
from sdg_assets.sandbox.witness import Witness

TYPE_CHECKING = False  # importing `typing` would cost every sandbox 5 ms
if TYPE_CHECKING:
    from typing import IO, Any


def play(source: dict[str, str], incoming: IO[bytes], outgoing: IO[bytes]) -> None:
    """Act as the program: run its code, then answer the questions of the tests."""
    module = ModuleType("program")
    sys.modules["program"] = module
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(fd, mode, buffering=1, closefd=False) for fd, mode in enumerate("rww")
    )

    def start(names: list[str]) -> dict[str, Any]:
        for part in ("code", "setup"):
            exec(compile(source[part], f"<{part}>", "exec"), module.__dict__)  # noqa: S102
        return {name: module.__dict__[name] for name in names if name in module.__dict__}

    operations = {**OPERATIONS, "start": start}
    Peer(incoming, outgoing, operations, trusting=True).serve()


def examine(
    spec: dict[str, Any], incoming: IO[bytes], outgoing: IO[bytes], report: int, seal: str
) -> None:
    """Act as the examiner: run the tests against the program's answers, and report the verdict.

    Args:
        spec: See `Trial`; and `prove`: whether to try mutants.
        incoming: The stream that the program writes to.
        outgoing: The stream that the program reads from.
        report: The descriptor from which the warden reads the verdict.
        seal: A secret by which the warden distinguishes the verdict from the output of a test.
    """
    witness = Witness(incoming, outgoing)
    trial = Trial(spec, witness)
    reason = trial.first_failure()
    proof = trial.proof() if spec["prove"] and reason is None and not witness.gone else None
    if witness.gone:  # also if a test caught the exception
        reason = witness.gone
    verdict = {"passed": reason is None, "reason": reason or "passed", "proof": proof}
    verdict["seal"] = seal
    os.write(report, dumps(verdict).encode())
