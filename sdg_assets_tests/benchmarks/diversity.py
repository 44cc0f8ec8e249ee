"""Do drawn topics keep a small writer from repeating itself, and at which cost?

A writer makes items after each of a few seeds, with the same number of requests once with topics
and once without. The rows are gated, and a solver votes on them. Prints a table; exits with 1 if
topics miss a goal on the mean of all subtasks, naming it: near-duplicates at least halved, mean
self-similarity at least 25 % lower, share of verified rows at most 5 points lower.

Two rows are as similar as the content words that they share: stems without common words. A writer
that returns to farmers and apples words each item anew, so the bigrams of `release.diversity`,
which the table gives too, hardly see it: what they share is mostly "what is the" and "how many".

    python -m sdg_assets_tests.benchmarks.diversity --seeds 1 --items 20

Completions are kept in `--log`: a run that was stopped goes on, and a second one asks nothing.
Similarity is compared within the rows of one seed. With few rows, one row more or less moves a
figure by points: the table gives the numbers of rows.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from statistics import fmean

from sdg_assets.catalog import SubtaskSpec, load_catalog
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.passages.words import stems
from sdg_assets.records import EnrichedExample, Example, GeneratedExample, Rejection, Role
from sdg_assets.release.diversity import measure
from sdg_assets.settings import settings
from sdg_assets.sources.source import open_source
from sdg_assets.stages.generated import WriterKnobs
from sdg_assets.stages.normalized import normalize
from sdg_assets.stages.seeds import collect_seeds
from sdg_assets.teacher import open_teacher
from sdg_assets.teacher.conversation import Desk
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets_tests.support.conversations import enriched_with, written_by

SUBTASKS = ("gsm8k/gsm8k", "arc/arc_easy", "commonsense_qa/commonsense_qa")
NEAR = 0.3
"""Share of their content words that two rows have in common from which on they are near."""
NEAR_RATIO, SIMILARITY_RATIO, LOST_YIELD = 0.5, 0.75, 0.05
WITH, WITHOUT = "with topics", "without"
LABELS = (WITHOUT, WITH)


@dataclass
class Arm:
    """What became of the requests of one subtask, with topics or without.

    Attributes:
        requests: Number of requests to the writer.
        questions: Questions of the rows that passed the gates, by seed.
        verified: Rows whose answer the solver's majority gave.
        refused: Reason → number of the writer's answers that were refused.
    """

    requests: int
    questions: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    verified: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    @property
    def rows(self) -> int:
        """Rows that passed the gates."""
        return sum(map(len, self.questions.values()))

    @property
    def verified_share(self) -> float:
        """Verified rows by requests."""
        return self.verified / self.requests

    @property
    def nearest(self) -> list[float]:
        """Similarity of each row to the nearest row of its seed, by content words, 0 to 1."""
        return [value for questions in self.questions.values() for value in _nearest(questions)]

    @property
    def near(self) -> float:
        """Share of rows that are near another row of their seed."""
        return fmean(value >= NEAR for value in self.nearest) if self.questions else 0.0

    @property
    def similarity(self) -> float:
        """Mean similarity of a row to the nearest row of its seed."""
        return fmean(self.nearest) if self.questions else 0.0

    @property
    def bigram_similarity(self) -> float:
        """The same by the bigrams of all words, as a release's card has it."""
        by_seed = [measure(questions) for questions in self.questions.values()]
        return fmean(figures.self_similarity for figures in by_seed) if by_seed else 0.0


def _nearest(questions: Sequence[str]) -> list[float]:
    words = [frozenset(stems(question)) for question in questions]
    return [
        max((_shared(own, other) for j, other in enumerate(words) if i != j), default=0.0)
        for i, own in enumerate(words)
    ]


def _shared(left: frozenset[str], right: frozenset[str]) -> float:
    """Jaccard similarity of two sets of words."""
    return len(left & right) / max(1, len(left | right))


def main() -> int:
    """Runs both arms on all subtasks and judges the means."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("subtasks", nargs="*", default=SUBTASKS, help="task/subtask")
    parser.add_argument("--teacher", default="qwen2.5-coder-1.5b")
    parser.add_argument("--source", default="samples", help="as SDG_SEED_SOURCE")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of each subtask")
    parser.add_argument("--items", type=int, default=20, help="requests for each seed")
    parser.add_argument("--votes", type=int, default=1, help="votes on each row; 0: no solver")
    parser.add_argument("--log", type=Path, default=Path(tempfile.gettempdir()) / "diversity-log")
    parser.add_argument("--rows", type=Path, help="file for the questions, to be read")
    options = parser.parse_args()
    os.environ |= {"SDG_TEACHER": options.teacher, "SDG_SEED_SOURCE": options.source}
    settings.cache_clear()
    arms: dict[str, dict[str, Arm]] = {}
    print(f"{options.teacher}, {options.seeds} seeds × {options.items} items a subtask\n")
    print("| subtask | arm | requests | rows | near | similarity | bigrams | verified | refused |")
    print("|---|---|---:|---:|---:|---:|---:|---:|---|", flush=True)
    with CompletionLog(options.log) as log:
        desk = Desk(open_teacher(settings(), Role.WRITER), log)
        for name in options.subtasks:
            spec = load_catalog().subtask(*name.split("/"))
            seeds = seeds_of(spec, options.seeds)
            arms[name] = {
                WITHOUT: arm_of(desk, _without_topics(spec), seeds, options.items, options.votes),
                WITH: arm_of(desk, spec, seeds, options.items, options.votes),
            }
            print_arms(name, arms[name])
    if options.rows:
        options.rows.write_text(questions_to_read(arms), "utf-8")
    missed = missed_goals(arms, has_votes=options.votes > 0)
    print("".join(f"\nMISSED: {goal}" for goal in missed) or "\nAll goals are met.")
    return 1 if missed else 0


def seeds_of(spec: SubtaskSpec, count: int) -> list[Example]:
    """The first normalized seeds of a subtask."""
    raw = collect_seeds(spec, open_source(settings().seed_source))
    examples = (seed for seed in normalize(spec, raw) if isinstance(seed, Example))
    return list(islice(examples, count))


def arm_of(desk: Desk, spec: SubtaskSpec, seeds: Sequence[Example], items: int, votes: int) -> Arm:
    """Asks for items after each seed, gates them and has them voted on."""
    arm = Arm(len(seeds) * items)
    rows: list[GeneratedExample] = []
    for row in written_by(desk, spec, seeds, WriterKnobs(examples_per_seed=items)):
        if isinstance(row, Rejection):
            arm.refused[row.reason] += 1
        else:
            rows.append(row)
            arm.questions[row.seed_ids[0]].append(row.question)
    if votes:
        knobs = SolverKnobs(votes=votes, with_knowledge=False)
        solved = enriched_with({Role.SOLVER: desk}, rows, knobs)
        arm.verified = sum(isinstance(row, EnrichedExample) and row.verified for row in solved)
    return arm


def _without_topics(spec: SubtaskSpec) -> SubtaskSpec:
    return spec.model_copy(update={"topics": False})


def print_arms(name: str, both: dict[str, Arm]) -> None:
    """One line for each arm of a subtask, as soon as it is done."""
    for label, arm in both.items():
        refused = ", ".join(f"{n} {reason}" for reason, n in arm.refused.most_common(3))
        print(
            f"| {name} | {label} | {arm.requests} | {arm.rows} | {arm.near:.0%} "
            f"| {arm.similarity:.2f} | {arm.bigram_similarity:.2f} | {arm.verified_share:.0%} "
            f"| {refused or 'none'} |",
            flush=True,
        )


def missed_goals(arms: dict[str, dict[str, Arm]], *, has_votes: bool) -> list[str]:
    """The goals that the means over all subtasks miss, in words."""
    near, similarity, verified = (
        {label: fmean(getattr(both[label], figure) for both in arms.values()) for label in LABELS}
        for figure in ("near", "similarity", "verified_share")
    )
    print()
    for title, figures in (("near", near), ("self-similarity", similarity), ("verified", verified)):
        print(f"mean {title}: {figures[WITHOUT]:.3f} without, {figures[WITH]:.3f} with topics")
    missed = []
    if not near[WITHOUT]:
        missed.append("without topics no row is near another: there is nothing to halve")
    elif near[WITH] > NEAR_RATIO * near[WITHOUT]:
        missed.append("near-duplicates are not halved")
    if similarity[WITH] > SIMILARITY_RATIO * similarity[WITHOUT]:
        missed.append("mean self-similarity is not 25 % lower")
    if has_votes and verified[WITH] < verified[WITHOUT] - LOST_YIELD:
        missed.append("the share of verified rows is more than 5 points lower")
    return missed


def questions_to_read(arms: dict[str, dict[str, Arm]]) -> str:
    """All questions as Markdown."""
    lines: list[str] = []
    for name, both in arms.items():
        for label, arm in both.items():
            lines += ["", f"## {name}, {label}", ""]
            lines += [f"- {question}" for own in arm.questions.values() for question in own]
    return "\n".join(lines).lstrip() + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
