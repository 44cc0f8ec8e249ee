"""Does a weak probe find "harder" items harder than "easier" ones?

A writer makes items after a few seeds, on the same topics once with the variation `easier` and once
with `harder`. A solver verifies them, and the probe answers the verified ones several times. Prints
the pass rates; exits with 1 if they do not differ in the right direction: the mean pass rate of
"harder" items must be lower, by more than chance would give in one of ten cases.

    python -m sdg_assets_tests.benchmarks.difficulty

Completions are kept in `--log`: a run that was stopped goes on, and a second one asks nothing.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from statistics import fmean

from sdg_assets.catalog import SubtaskSpec, load_catalog
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.enrichment.probe import Probe
from sdg_assets.records import EnrichedExample, Example, GeneratedExample, Role
from sdg_assets.settings import settings
from sdg_assets.sources.source import open_source
from sdg_assets.stages.draws import HARDER
from sdg_assets.stages.generated import WriterKnobs
from sdg_assets.stages.normalized import normalize
from sdg_assets.stages.seeds import collect_seeds
from sdg_assets.teacher import open_teachers
from sdg_assets.teacher.conversation import Desk
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets_tests.support.conversations import enriched_with, written_by

SUBTASKS = ("arc/arc_easy", "commonsense_qa/commonsense_qa", "gsm8k/gsm8k")
EASIER = "easier"
SHUFFLES, CHANCE = 10_000, 0.1


def main() -> int:
    """Writes, verifies and probes both variations, and compares their pass rates."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("subtasks", nargs="*", default=SUBTASKS, help="task/subtask")
    parser.add_argument("--teacher", default="qwen2.5-coder-1.5b", help="writer and solver")
    parser.add_argument("--probe", default="smollm2-135m")
    parser.add_argument("--source", default="samples", help="as SDG_SEED_SOURCE")
    parser.add_argument("--seeds", type=int, default=6, help="seeds of each subtask")
    parser.add_argument("--items", type=int, default=2, help="requests for each seed and variation")
    parser.add_argument("--answers", type=int, default=6, help="answers of the probe")
    parser.add_argument("--log", type=Path, default=Path(tempfile.gettempdir()) / "difficulty-log")
    options = parser.parse_args()
    os.environ |= {
        "SDG_TEACHER": options.teacher,
        "SDG_PROBE": options.probe,
        "SDG_SEED_SOURCE": options.source,
    }
    settings.cache_clear()
    teachers = open_teachers(settings(), [Role.WRITER, Role.SOLVER, Role.PROBE])
    knobs = SolverKnobs(votes=1, with_knowledge=False, probe_answers=options.answers)
    rates: dict[str, list[float]] = defaultdict(list)
    print(f"{options.teacher} writes and solves, {options.probe} answers {options.answers} times\n")
    print("| subtask | variation | requests | verified | pass rate | of the solver's votes |")
    print("|---|---|---:|---:|---:|---:|", flush=True)
    with CompletionLog(options.log) as log:
        desks = {role: Desk(teacher, log) for role, teacher in teachers.items()}
        for name in options.subtasks:
            spec = load_catalog().subtask(*name.split("/"))
            seeds = seeds_of(spec, options.seeds)
            for variation in (EASIER, HARDER):
                writing = WriterKnobs(examples_per_seed=options.items, variation=variation)
                written = written_by(desks[Role.WRITER], spec, seeds, writing)
                drafts = [row for row in written if isinstance(row, GeneratedExample)]
                solved = enriched_with(desks, drafts, knobs, probe=Probe(teachers[Role.PROBE]))
                rows = [row for row in solved if isinstance(row, EnrichedExample)]
                passed = [row.pass_rate for row in rows if row.pass_rate is not None]
                rates[variation] += passed
                print_line(name, variation, len(written), passed, rows)
    return compared(rates[EASIER], rates[HARDER])


def seeds_of(spec: SubtaskSpec, count: int) -> list[Example]:
    """The first normalized seeds of a subtask."""
    raw = collect_seeds(spec, open_source(settings().seed_source))
    return list(islice((s for s in normalize(spec, raw) if isinstance(s, Example)), count))


def print_line(
    name: str,
    variation: str,
    requests: int,
    passed: Sequence[float],
    rows: Sequence[EnrichedExample],
) -> None:
    """One line of the table, as soon as it is known."""
    rate = f"{fmean(passed):.2f}" if passed else "–"
    agreed = f"{fmean(row.vote_share for row in rows):.2f}" if rows else "–"
    cells = (name, variation, requests, len(passed), rate, agreed)
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def compared(easier: Sequence[float], harder: Sequence[float]) -> int:
    """Prints both means and how often chance alone gives such a difference; 1 if it is missed."""
    if not easier or not harder:
        print("\nMISSED: no verified items of one variation")
        return 1
    difference = fmean(easier) - fmean(harder)
    chance = chance_of(difference, easier, harder)
    print(
        f"\nmean pass rate: {fmean(easier):.3f} easier ({len(easier)} items), {fmean(harder):.3f} "
        f"harder ({len(harder)} items); difference {difference:+.3f}, by chance in {chance:.0%}"
    )
    if difference <= 0:
        print("MISSED: harder items are not harder for the probe")
    elif chance > CHANCE:
        print("MISSED: the difference has the right direction, but may be chance")
    else:
        print("All goals are met.")
    return int(difference <= 0 or chance > CHANCE)


def chance_of(difference: float, easier: Sequence[float], harder: Sequence[float]) -> float:
    """The share of random divisions of all items with at least this difference of means."""
    rng, rates = random.Random(0), [*easier, *harder]
    at_least = 0
    for _ in range(SHUFFLES):
        rng.shuffle(rates)
        left, right = rates[: len(easier)], rates[len(easier) :]
        at_least += fmean(left) - fmean(right) >= difference - 1e-9
    return at_least / SHUFFLES


if __name__ == "__main__":
    raise SystemExit(main())
