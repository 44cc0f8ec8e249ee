"""Disturbs runs for half an hour and compares their results with those of an undisturbed run.

python -m sdg_assets_tests.benchmarks.soak [--minutes 30] [--seed 1] [--short]

Rounds on this machine (kills, signals, a full disk, a server that is down or answers oddly)
alternate with rounds on the emulated cluster (pods killed, evicted and refused, nodes lost, run
workers killed, runs terminated). Exits 1 and names the goal if one is missed: every published byte
equals the undisturbed run's; no answered request is paid for twice (beyond those in flight); a
terminated run ends within 5 seconds (10 on a cluster); and there are 100 faults in 30 minutes.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from sdg_assets_tests.soak.faulty_teacher import FaultyTeacher
from sdg_assets_tests.soak.local import Findings, LocalRounds
from sdg_assets_tests.soak.on_cluster import ClusterRounds, SumTeacher
from sdg_assets_tests.support.teacher_server import teacher_server

FAULTS_PER_MINUTE = 100 / 30
# Server faults that do not fail a run.
PASSING = ("status 503", "connection dropped", "answer cut in half", "empty body")
# Set if the process may mount a file system: it is then root in its own namespaces.
OWN_ROOT = "SOAK_OWN_ROOT"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1, help="of the moments and the faults")
    parser.add_argument("--short", action="store_true", help="one small round on this machine")
    options = parser.parse_args()
    if OWN_ROOT not in os.environ:
        module = [sys.executable, "-m", "sdg_assets_tests.benchmarks.soak", *sys.argv[1:]]
        unshare = ["unshare", "--user", "--map-root-user", "--mount", *module]
        os.execvpe("unshare", unshare, {**os.environ, OWN_ROOT: "1"})
    random, findings = Random(options.seed), Findings()
    compared = short(random, findings) if options.short else soak(options.minutes, random, findings)
    return report(findings, compared, 0 if options.short else options.minutes)


def short(random: Random, findings: Findings) -> int:
    """A round with two terminations on this machine; returns how many files were compared."""
    teacher = FaultyTeacher(random)
    with tempfile.TemporaryDirectory() as place, teacher_server(teacher):
        local = LocalRounds(Path(place), teacher, random, findings)
        local.round(("SIGKILL", "disk full"), PASSING)
    findings.faults.update(teacher.faults_met)
    return len(local.reference)


def soak(minutes: float, random: Random, findings: Findings) -> int:
    """Runs rounds until time is up, at least one; returns the number of files each one compared."""
    teacher, summing = FaultyTeacher(random), SumTeacher(random)
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place,
        teacher_server(teacher),
        teacher_server(summing),
    ):
        local = LocalRounds(Path(place), teacher, random, findings)
        cluster = ClusterRounds(Path(place), summing, random, findings)
        begun = time.monotonic()
        while True:
            local.round()
            if not findings.broken:
                cluster.round(findings.rounds)
            spent = (time.monotonic() - begun) / 60
            print(f"{spent:.1f} min, round {findings.rounds}: {dict(findings.faults)}", flush=True)
            if findings.broken or spent >= minutes:
                break
    findings.faults.update(teacher.faults_met)
    return len(local.reference) + len(cluster.reference)


def report(findings: Findings, compared: int, minutes: float) -> int:
    """Prints the counts and the missed goals; returns the exit code."""
    for fault, count in sorted(findings.faults.items()):
        print(f"  {fault:24} {count:6}")
    print(
        f"{findings.faults.total()} faults in {findings.rounds} rounds of {findings.attempts} "
        f"attempts; slowest stop {findings.slowest_stop:.1f} s; "
        f"{findings.asked_again} answers paid for twice; "
        f"{compared} files compared each round"
    )
    if findings.faults.total() < FAULTS_PER_MINUTE * minutes:
        findings.broken.append("too few faults")
    for goal in findings.broken:
        print(f"missed: {goal}")
    return 1 if findings.broken else 0


if __name__ == "__main__":
    sys.exit(main())
