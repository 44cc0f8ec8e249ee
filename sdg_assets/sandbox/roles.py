"""The program and its examiner: two processes that meet over pipes.

Child side: runs inside the sandbox, from the standard library alone.
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

    operations = {**OPERATIONS, "start": start}
    Peer(incoming, outgoing, operations, trusting=True).serve()


def examine(
    spec: dict[str, Any], incoming: IO[bytes], outgoing: IO[bytes], report: int, seal: str
) -> None:
    """Be the examiner: run the tests against the program's answers, and report.

    Args:
        spec: See `Trial`; and `prove`: whether mutants are tried.
        incoming: Where the program writes.
        outgoing: Where the program reads.
        report: Where the warden reads the verdict.
        seal: By which the warden knows the verdict from what a test may write there.
    """
    witness = Witness(incoming, outgoing)
    trial = Trial(spec, witness)
    reason = trial.first_failure()
    proof = trial.proof() if spec["prove"] and reason is None and not witness.gone else None
    if witness.gone:  # whatever a test made of the exception
        reason = witness.gone
    verdict = {"passed": reason is None, "reason": reason or "passed", "proof": proof}
    verdict["seal"] = seal
    os.write(report, dumps(verdict).encode())
