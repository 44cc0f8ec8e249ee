"""Whether tests that prove nothing are refused and honest programs accepted, and at what speed.

    python -m sdg_assets_tests.benchmarks.vacuous_tests

Reads MBPP from a mirror in the Hub's layout at $SDGTEST_HUB or ../shared/hub. Prints tables; exits
with 1 and names the goal if one is missed.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable

from sdg_assets import sandbox
from sdg_assets.answers.programs import passes, proof_of
from sdg_assets.records import AnswerKind, Example, Proof
from sdg_assets.sandbox import Isolation
from sdg_assets_tests.benchmarks.goals import Goal, exit_code
from sdg_assets_tests.benchmarks.sandbox_throughput import TARGET, mbpp, processor_seconds
from sdg_assets_tests.benchmarks.shapes import CHEATS, HONEST, VACUOUS
from sdg_assets_tests.support.builders import MIRROR
from sdg_assets_tests.support.records import example

SHAPES = 40
"""The smallest number of vacuous shapes for the goal."""
REFERENCES = 964
"""MBPP's training, test and validation rows."""


def row(program: str, tests: list[str]) -> Example:
    """A row of code with the fields that the tests need."""
    return example(answer_kind=AnswerKind.CODE, question="Write f.", answer=program, tests=tests)


def main() -> int:
    """Measures everything."""
    if sandbox.isolation() is Isolation.none:
        print("nothing here isolates programs: install bubblewrap, or allow user namespaces")
        return 1
    goals = [_vacuous(), _honest(), _cheats(), *_references()]
    return exit_code(goals)


def _vacuous() -> Goal:
    print("| vacuous shape | refused, for |\n|---|---|")
    refused = 0
    for name, (program, tests) in VACUOUS.items():
        proof = proof_of(row(program, tests))
        refused += bool(proof and proof.fault)
        reason = proof.fault or "ACCEPTED" if proof else "PROGRAM FAILS: no case"
        print(f"| {name} | {reason} |".replace("\n", "⏎"))
    enough = refused == len(VACUOUS) >= SHAPES
    return Goal(f"{SHAPES} vacuous shapes refused", f"{refused} of {len(VACUOUS)}", enough)


def _honest() -> Goal:
    return _all(
        "honest shapes accepted", HONEST, lambda name: _is_sound(proof_of(row(*HONEST[name])))
    )


def _cheats() -> Goal:
    def fails(name: str) -> bool:
        program, tests, cheat = CHEATS[name]
        honest = row(program, tests)
        return _is_sound(proof_of(honest)) and not passes(cheat, honest)

    return _all("programs that redefine what tests use fail", CHEATS, fails)


def _all(goal: str, names: Iterable[str], holds: Callable[[str], bool]) -> Goal:
    verdicts = {name: holds(name) for name in names}
    wrong = [name for name, right in verdicts.items() if not right]
    figure = f"{len(verdicts) - len(wrong)} of {len(verdicts)}"
    return Goal(goal, ", ".join([figure, *wrong]), not wrong)


def _is_sound(proof: Proof | None) -> bool:
    return proof is not None and not proof.fault


def _references() -> list[Goal]:
    programs = mbpp(prove=True)
    if len(programs) < REFERENCES:
        return [Goal(f"{REFERENCES} MBPP references accepted", f"no mirror at {MIRROR}", False)]
    started, used = time.perf_counter(), processor_seconds()
    proofs = [outcome.proof for outcome in sandbox.run_programs(programs)]
    used = processor_seconds() - used
    spent = time.perf_counter() - started
    accepted = sum(proof is not None and not proof.fault for proof in proofs)
    alike = Counter(name for proof in proofs if proof for name in proof.alike)
    killed = sum(proof.killed for proof in proofs if proof)
    tried = sum(proof.mutants for proof in proofs if proof)
    print(
        f"\nMBPP: {killed} of {tried} mutants killed; the others answer as the program does: "
        f"{dict(alike.most_common())}. {60 * len(programs) / spent:.0f} programs per minute by the "
        f"clock, {1000 * used / len(programs):.1f} ms of CPU each"
    )
    speed = 60 * len(programs) / used
    return [
        Goal(
            f"{REFERENCES} MBPP references accepted",
            f"{accepted} of {len(programs)}",
            accepted == len(programs),
        ),
        Goal(f"{TARGET} programs per minute and core", f"{speed:.0f}", speed >= TARGET),
    ]


if __name__ == "__main__":
    sys.exit(main())
