"""Does `cover` fill the holes of a matrix with few requests, though it knows no yields?

Subtasks with different yields, which only the stub teacher knows, share the cells of a matrix. Some
have rows already, so the matrix has planted holes. The rounds of `cover` are planned and written
with the real code, gates included. Prints a table; exits with 1 if a cell stays below its minimum,
or if the writer was asked for more than 1.5 times the examples that a plan with the true yields
needs.

    python -m sdg_assets_tests.benchmarks.cover

With `--live` it shows instead that rounds follow each other by themselves: a deployment with a
daemon is asked once for rows of a subtask that has none, and its sensor launches the rounds until
they are there, and no further (two minutes; the writer is a stub server).
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import dagster as dg

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.records import Role, Stage
from sdg_assets.stages.cover import Supply, plan_round
from sdg_assets.stages.generated import WriterKnobs
from sdg_assets.stages.matrix import AGREEMENT_BANDS
from sdg_assets.stages.stage import key_of
from sdg_assets.stages.target import Target, TargetReport, write_until
from sdg_assets.stages.wishes import ROUNDS, Wish, of_every_cell
from sdg_assets.store.partitions import Store
from sdg_assets.teacher.conversation import Desk, Feed, Usage
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.requests import Request
from sdg_assets.teacher.stream import fill
from sdg_assets.thresholds import Thresholds
from sdg_assets_tests.benchmarks.made_up import fields
from sdg_assets_tests.operation.deployment import deployed
from sdg_assets_tests.support.builders import seed_task, write_catalog
from sdg_assets_tests.support.records import example
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher
from sdg_assets_tests.support.teacher_server import TeacherServer, teacher_server

MOST = 1.5
YIELDS = (0.1, 0.2, 0.35, 0.5, 0.7, 0.9)
BEHAVIOURS = ("apply_knowledge", "reason_in_steps", "weigh_alternatives")
SKILLS = ("arithmetic", "algebra", "geometry", "logic", "recall_law", "probability", "code")
SEEDS = [example(question=f"What is the capital of land {number}?") for number in range(60)]
MOST_PER_SEED = 20
EARLIER_ROWS = 25
LIVE_ROWS, LIVE_ROUNDS = 20, 3
VOTES = SolverKnobs(votes=1, with_knowledge=False)


@dataclass
class Writing:
    """A subtask, the teacher that alone knows its yield, and what it has written.

    Attributes:
        spec: The subtask.
        accepted_share: Its true yield.
        folder: Where its completion logs are.
        supply: What `cover` knows of it.
        teacher: Writes, and agrees with the true share of what it wrote.
    """

    spec: SubtaskSpec
    accepted_share: float
    folder: Path
    supply: Supply
    teacher: ScriptedTeacher = field(init=False)

    def __post_init__(self) -> None:
        draws, numbers = random.Random(self.spec.key), count(1)
        passes: dict[int, bool] = {}

        def answer(request: Request) -> str:
            if request.role is Role.WRITER:
                number = next(numbers)
                passes[number] = draws.random() < self.accepted_share
                question = f"Which river has the number {number} in the list?"
                wrong = ["Rhine", "Volga", "Po"]
                return json.dumps({"question": question, "answer": "Nile", "wrong_answers": wrong})
            number = int(request.messages[-1].content.split("number ")[1].split()[0])
            return f"Answer: {'Nile' if passes[number] else 'Po'}"

        self.teacher = ScriptedTeacher(answer, per_poll=8)

    @property
    def requests(self) -> int:
        """Examples that the writer was asked for."""
        return sum(request.role is Role.WRITER for request in self.teacher.requests)

    def write(self, target: Target) -> None:
        """Carries out a target, as a run of `generated` does."""
        report = TargetReport(target.rows)
        with (
            CompletionLog(self.folder / f"{self.spec.key}-writer") as writer,
            CompletionLog(self.folder / f"{self.spec.key}-solver") as solver,
        ):
            desks = {
                Role.WRITER: Desk(self.teacher, writer),
                Role.SOLVER: Desk(self.teacher, solver),
            }
            works = write_until(
                self.spec,
                SEEDS,
                {role: desk.teacher for role, desk in desks.items()},
                WriterKnobs(),
                VOTES,
                Thresholds(),
                report,
                expected_yield=target.expected_yield,
                most_written=target.most_written,
            )
            (feed,) = fill([Feed(works, desks, Usage())])
            assert feed.error is None, feed.error
        self.supply = supply_of(self.spec, report.accepted, report.written)


def supply_of(spec: SubtaskSpec, accepted: int = 0, written: int = 0) -> Supply:
    """What `cover` knows of a subtask."""
    easiest = AGREEMENT_BANDS[0][0]
    return Supply(spec, {easiest: accepted}, written, written, len(SEEDS) * MOST_PER_SEED)


def planted(subtasks: int, seed: int, folder: Path) -> list[Writing]:
    """Subtasks with drawn cells and yields, of which every fourth has rows already."""
    draws = random.Random(seed)
    fields = {
        f"s{seed}_{number}": {
            "behaviours": draws.sample(BEHAVIOURS, draws.choice((1, 2))),
            "skills": draws.sample(SKILLS, draws.choice((1, 2, 3))),
        }
        for number in range(subtasks)
    }
    task = seed_task(subtasks=fields)
    writings = []
    for number, key in enumerate(fields):
        spec = task.resolve(key)
        writings.append(Writing(spec, draws.choice(YIELDS), folder, supply_of(spec)))
        if number % 4 == 0:
            writings[-1].write(Target(EARLIER_ROWS))
    return writings


def rounds_of(writings: Sequence[Writing], wishes: Sequence[Wish]) -> tuple[int, int]:
    """Plans and writes rounds until all wishes are met.

    Returns:
        The number of rounds, and of wishes that are not met.
    """
    by_name = {writing.supply.name: writing for writing in writings}
    for number in range(ROUNDS + 1):
        plan = plan_round(wishes, [w.supply for w in writings], max(1, ROUNDS - number))
        unmet = sum(not goal.is_met for goal in plan.goals)
        if not unmet or number == ROUNDS:
            return number, unmet
        for name, target in plan.targets.items():
            by_name[name].write(target)
    raise AssertionError


def perfect_requests(writings: Sequence[Writing], wishes: Sequence[Wish]) -> int:
    """Examples that a plan with the true yields expects to need."""
    yields: Mapping[str, float] = {w.supply.name: w.accepted_share for w in writings}
    return plan_round(wishes, [w.supply for w in writings], yields=yields).requests


class Traveller(TeacherServer):
    """Writes another question whenever it is asked, so that none is a duplicate."""

    def write(self, body: dict[str, Any]) -> dict[str, Any]:
        content = json.dumps(body, sort_keys=True)
        made = fields(random.Random(f"{self.asked[content]} {content}"), self.asked.total())
        return {"question": made["question"], "answer": "Oslo", "wrong_answers": ["Rome"]}


def live(place: Path) -> list[str]:
    """Has a deployment cover a wish; returns the goals that are missed."""
    spec = seed_task(task="live", subtasks={"cities": {"config": "cities"}}).resolve("cities")
    write_catalog(place / "catalog", {"task": "live", "subtasks": {"cities": {"config": "cities"}}})
    rows = place / "mirror" / spec.dataset / "cities" / "train.jsonl"
    rows.parent.mkdir(parents=True)
    seeds = [
        {"question": f"Which city is it, {n}?", "choices": ["Oslo", "Rome"], "label": n % 2}
        for n in range(8)
    ]
    rows.write_text("".join(json.dumps(seed) + "\n" for seed in seeds), "utf-8")
    with teacher_server(Traveller()) as teacher:
        environment = {
            "SDG_CATALOG": str(place / "catalog"),
            "SDG_SEED_SOURCE": f"mirror:{place / 'mirror'}",
            "SDG_STORE": str(place / "store"),
            "SDG_TEACHER": teacher.url,
            "SDG_SENSOR_SECONDS": "2",
            "SDG_WITHOUT_BENCHMARKS": "all",
        }
        with deployed(place / "home", environment) as deployment:
            wish = {"rows": LIVE_ROWS, "domain": spec.domain}
            deployment.run_job("cover", launch_cover={"wishes": [wish], "rounds": LIVE_ROUNDS})
            runs = dg.RunsFilter(job_name="cover")
            deployment.wait(lambda: len(deployment.instance.get_runs(runs)) == LIVE_ROUNDS)
            deployment.wait(deployment.idle)
            time.sleep(10)  # in which the sensor looks again
            is_idle = deployment.idle()
            titles = [b.title for b in deployment.instance.get_backfills()]
        asked = [n for content, n in teacher.asked.items() if "You write new" in content]
    accepted = Store(place / "store").manifest(key_of(spec, Stage.FILTERED)).rows
    print(f"{len(titles)} backfills, {accepted} of {LIVE_ROWS} rows, {sum(asked)} requests")
    goals = {
        f"two backfills, and nothing to launch in the third round: {titles}": len(titles) == 2,
        "nothing follows once the wish is met": is_idle,
        f"{LIVE_ROWS} accepted rows": accepted >= LIVE_ROWS,
        f"at most {MOST} requests a row": sum(asked) <= MOST * LIVE_ROWS,
    }
    return [goal for goal, is_met in goals.items() if not is_met]


def main() -> int:
    """Covers a few matrices, and judges each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--subtasks", type=int, nargs="*", default=[12, 24, 36])
    parser.add_argument("--minimum", type=int, default=60, help="rows of each cell")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--live", action="store_true", help="by a deployment with a daemon")
    options = parser.parse_args()
    missed = list[str]()
    if options.live:
        with tempfile.TemporaryDirectory() as folder:
            return judged(live(Path(folder)))
    print("| subtasks | cells | holes | rounds | perfect | requests | ratio |")
    print("|---:|---:|---:|---:|---:|---:|---:|", flush=True)
    for subtasks in options.subtasks:
        with tempfile.TemporaryDirectory() as folder:
            writings = planted(subtasks, options.seed, Path(folder))
            wishes = of_every_cell([w.spec for w in writings], options.minimum)
            plan = plan_round(wishes, [w.supply for w in writings])
            holes = sum(not goal.is_met for goal in plan.goals)
            perfect = perfect_requests(writings, wishes)
            before = sum(w.requests for w in writings)
            rounds, unmet = rounds_of(writings, wishes)
            requests = sum(w.requests for w in writings) - before
        ratio = requests / perfect
        line = (subtasks, len(wishes), holes, rounds, perfect, requests, f"{ratio:.2f}")
        print("| " + " | ".join(map(str, line)) + " |", flush=True)
        if unmet:
            missed.append(f"{subtasks} subtasks: {unmet} cells stay below {options.minimum} rows")
        if ratio > MOST:
            missed.append(f"{subtasks} subtasks: {ratio:.2f} times the requests, not {MOST}")
    return judged(missed)


def judged(missed: Sequence[str]) -> int:
    """Prints the goals that are missed; returns the exit code."""
    print("".join(f"\nMISSED: {goal}" for goal in missed) or "\nAll goals are met.")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
