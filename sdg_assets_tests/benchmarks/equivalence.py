"""How well do word overlap and a verifier tell whether two free-form answers mean the same?

    python -m sdg_assets_tests.benchmarks.equivalence
    python -m sdg_assets_tests.benchmarks.equivalence --verifier http://host:8000

Makes labelled pairs from a mirror in the Hub's layout at $SDGTEST_HUB or ../shared/hub: aliases,
wrong entities, paraphrases (labelled by people, MRPC), negations, units and partial answers. Prints
precision and recall of "the same" and the accuracy of each class for word overlap, the pipeline's
own comparison without a judge, and with `--verifier` for the model behind that server. Also reads
replies in every form in which verifiers reply.

Exits with 1 if a goal is missed, naming it: all replies are read right, there are at least 500
pairs, each class has at least 40 pairs of either label, and a model is better than word overlap
and than the same answer to all pairs.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from sdg_assets.answers import answer_format
from sdg_assets.answers.wording import normalized
from sdg_assets.enrichment import verifiers
from sdg_assets.enrichment.comparison import comparison_request, verdict_of
from sdg_assets.enrichment.judge import Judge
from sdg_assets.records import AnswerKind, Example, Role
from sdg_assets.settings import Settings
from sdg_assets.teacher import open_teacher
from sdg_assets.teacher.requests import Completion
from sdg_assets_tests.benchmarks.goals import Goal, exit_code
from sdg_assets_tests.support.builders import MIRROR
from sdg_assets_tests.support.records import example

PAIRS, PAIRS_OF_A_LABEL = 500, 40
EACH = 50
"""Pairs of each label that a class takes, if its data has as many."""
REPLIES = Path(__file__).parents[1] / "enrichment" / "verifier_replies.yaml"
AUXILIARY = re.compile(r"\b(is|are|was|were|can|will|has|have|should|would|could|must)\b")
DENIED = re.compile(r"\b(no|not|never|nothing|nobody|none|cannot)\b|n't\b", re.IGNORECASE)
SHORT = {" is not ": " isn't ", " are not ": " aren't ", " was not ": " wasn't ",
         " were not ": " weren't ", " has not ": " hasn't ", " have not ": " haven't ",
         " should not ": " shouldn't ", " would not ": " wouldn't ",
         " could not ": " couldn't ", " will not ": " won't ", " can not ": " can't ",
         " must not ": " mustn't "}  # fmt: skip
# Unit → how many of a smaller unit it is, that unit, and a unit that means another answer.
UNITS = {
    "hours": (60, "minutes", "days"),
    "minutes": (60, "seconds", "hours"),
    "days": (24, "hours", "weeks"),
    "weeks": (7, "days", "months"),
    "years": (12, "months", "weeks"),
    "years old": (12, "months old", "months old"),
    "dollars": (100, "cents", "cents"),
    "feet": (12, "inches", "yards"),
    "yards": (3, "feet", "miles"),
    "meters": (100, "centimeters", "kilometers"),
    "centimeters": (10, "millimeters", "meters"),
    "pounds": (16, "ounces", "tons"),
    "kilograms": (1000, "grams", "grams"),
    "miles": (5280, "feet", "inches"),
}


@dataclass(frozen=True)
class Pair:
    """A question, its answer, another answer, and whether both mean the same."""

    kind: str
    question: str
    answer: str
    other: str
    same: bool

    @property
    def example(self) -> Example:
        """The question with its answer, as a row of prose."""
        return example(answer_kind=AnswerKind.FREE_FORM, question=self.question, answer=self.answer)


@dataclass(frozen=True)
class Figures:
    """How often a comparison is right."""

    pairs: int
    accuracy: float
    precision: float
    recall: float

    @classmethod
    def of(cls, labels: Sequence[bool], said: Sequence[bool]) -> Figures:
        """The figures of a comparison that says `said` where `labels` is right."""
        both = sum(a and b for a, b in zip(labels, said, strict=True))
        right = sum(a == b for a, b in zip(labels, said, strict=True))
        return cls(
            len(labels), right / len(labels), both / (sum(said) or 1), both / (sum(labels) or 1)
        )

    def __str__(self) -> str:
        return f"{self.precision:.2f} | {self.recall:.2f} | {self.accuracy:.2f}"


def main() -> int:
    """Measures everything."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--verifier", metavar="URL", help="server of an answer-equivalence model")
    parser.add_argument("--judge", metavar="URL", help="server of a chat model, asked as a judge")
    options = parser.parse_args()
    if not MIRROR.is_dir():
        print(f"no mirror of the Hub at {MIRROR}: set SDGTEST_HUB", file=sys.stderr)
        return 1
    goals = [_parsing()]
    pairs = list(all_pairs())
    labels = [pair.same for pair in pairs]
    goals += _enough(pairs)
    overlap = [by_overlap(pair) for pair in pairs]
    _print("word overlap", pairs, overlap)
    for api, url in (("verifier", options.verifier), ("rubric", options.judge)):
        if url:
            said, model = by_model(pairs, Settings(judge=url, judge_api=api))
            _print(f"{api}: {model}", pairs, said)
            right = Figures.of(labels, said).accuracy
            baseline = max(
                Figures.of(labels, other).accuracy
                for other in (overlap, [True] * len(pairs), [False] * len(pairs))
            )
            goals.append(
                Goal(
                    f"{model} is more accurate than word overlap and than one answer to all",
                    f"{right:.2f} and {baseline:.2f}",
                    right > baseline,
                )
            )
    return exit_code(goals)


def by_overlap(pair: Pair) -> bool:
    """The pipeline's comparison of prose without a judge."""
    prose = answer_format(AnswerKind.FREE_FORM)
    return prose.same(pair.other, pair.answer, pair.example)


def by_model(pairs: Sequence[Pair], settings: Settings) -> tuple[list[bool], str]:
    """The verdicts of a served model, asked as the pipeline asks it, and the model's name."""
    teacher = open_teacher(settings, Role.JUDGE)
    judge = Judge(teacher, settings.judge_api)
    requests = [comparison_request(judge, pair.example, pair.other) for pair in pairs]
    places = {request.id: place for place, request in enumerate(requests)}
    for request in requests:
        teacher.submit(request)
    said, left = [False] * len(pairs), len(requests)
    while left:
        for outcome in teacher.poll():
            if not isinstance(outcome, Completion):
                raise outcome.error
            said[places[outcome.request_id]] = verdict_of(judge, outcome) == "correct"
            left -= 1
    return said, teacher.identity.stamp.model


def all_pairs() -> Iterator[Pair]:
    """The pairs of all classes, at most `EACH` of either label in each."""
    for kind, made in MAKERS.items():
        counts = {True: 0, False: 0}
        seen: set[tuple[str, str, str]] = set()
        for question, answer, other, same in made():
            key = question, answer, other
            is_new = key not in seen and normalized(answer) != normalized(other)
            if is_new and counts[same] < EACH:
                counts[same] += 1
                seen.add(key)
                yield Pair(kind, question, answer, other, same)


Made = Iterator[tuple[str, str, str, bool]]


def aliases() -> Made:
    """Longer names of one thing, and names of other things that share a word."""
    rows = [(q, a) for q, a in _open_questions() if len(a) > 1]
    names = [answer for _, answers in rows for answer in answers if len(answer.split()) > 1]
    for question, answers in rows:
        for other in answers[1:]:
            words, others = ({*normalized(a).split()} for a in (answers[0], other))
            if words != others and (words < others or others < words):
                yield question, f"It is {answers[0]}.", f"That is {other}.", True
        own = normalized(answers[0]).split()
        for name in names:
            its = normalized(name).split()
            is_contained = {*own} <= {*its} or {*its} <= {*own}
            if name not in answers and its[-1:] == own[-1:] and not is_contained:
                yield question, f"It is {answers[0]}.", f"It is {name}.", False
                break


def entities() -> Made:
    """The same entity in another sentence, and another entity in the same sentence."""
    rows = list(_open_questions())
    for place, (question, answers) in enumerate(rows):
        same_word = [o for q, o in rows[place + 1 :] if q.split()[0] == question.split()[0]]
        yield question, f"The answer is {answers[0]}.", f"It must have been {answers[0]}", True
        if same_word and not {*map(normalized, answers)} & {*map(normalized, same_word[0])}:
            other = same_word[0][0]
            yield question, f"The answer is {answers[0]}.", f"The answer is {other}.", False


def paraphrases() -> Made:
    """Sentences from the news that people labelled as equivalent or not (MRPC)."""
    for row in _rows("nyu-mll/glue/mrpc/train"):
        yield "What was reported?", row["sentence1"], row["sentence2"], row["label"] == 1


def negations() -> Made:
    """A statement and its denial, and a denial in its long and its short form."""
    for row in _rows("truthfulqa/truthful_qa/generation/validation"):
        answer = row["best_answer"]
        if DENIED.search(answer) or len(AUXILIARY.findall(answer)) != 1:
            continue
        denied = AUXILIARY.sub(r"\1 not", answer)
        yield row["question"], answer, denied, False
        short = denied
        for long_form, short_form in SHORT.items():
            short = short.replace(long_form, short_form)
        if short != denied:
            yield row["question"], denied, short, True


def units() -> Made:
    """A quantity in another unit, and the same number of another unit."""
    for row in _rows("EleutherAI/asdiv/default/validation"):
        match = re.fullmatch(r"(\d+) \(([a-z ]+)\)", row["answer"])
        if not match or match[2] not in UNITS:
            continue
        number, unit = int(match[1]), match[2]
        factor, smaller, wrong = UNITS[unit]
        question = f"{row['body']} {row['question']}"
        yield question, f"It is {number} {unit}.", f"It is {number * factor} {smaller}.", True
        yield question, f"It is {number} {unit}.", f"It is {number} {wrong}.", False


def parts() -> Made:
    """A list in another order, and a list without its last members."""
    for row in _rows("stanfordnlp/web_questions/default/train"):
        names = row["answers"]
        if not 2 <= len(names) <= 5:
            continue
        question = f"{row['question']} Name all."
        yield question, _listed(names), _listed(names[::-1]), True
        yield question, _listed(names), _listed(names[: len(names) // 2]), False


MAKERS: dict[str, Callable[[], Made]] = {
    "aliases": aliases,
    "wrong entity": entities,
    "paraphrases": paraphrases,
    "negations": negations,
    "units": units,
    "partial answers": parts,
}


def _open_questions() -> Iterator[tuple[str, list[str]]]:
    for row in _rows("google-research-datasets/nq_open/default/validation"):
        yield row["question"], row["answer"]


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) + "."


def _rows(path: str) -> Iterable[dict[str, Any]]:
    return pl.read_parquet(MIRROR / f"{path}-*.parquet").iter_rows(named=True)


def _parsing() -> Goal:
    cases = [
        (family, case["reply"], case["verdict"])
        for family, cases in yaml.safe_load(REPLIES.read_text("utf-8")).items()
        for case in cases
    ]
    wrong = [c for c in cases if verifiers.VERIFIERS[c[0]].read(c[1]) != c[2]]
    for family, reply, verdict in wrong:
        print(f"{family} replies {reply!r}: not read as {verdict}", file=sys.stderr)
    verdicts = {verdict for _, _, verdict in cases}
    read = len(cases) - len(wrong)
    is_whole = verdicts == {"correct", "incorrect", "invalid", "unreadable"}
    return Goal("all replies are read right", f"{read} of {len(cases)}", is_whole and not wrong)


def _enough(pairs: Sequence[Pair]) -> list[Goal]:
    fewest = min(
        sum(pair.kind == kind and pair.same == same for pair in pairs)
        for kind in MAKERS
        for same in (True, False)
    )
    return [
        Goal(f"at least {PAIRS} pairs", str(len(pairs)), len(pairs) >= PAIRS),
        Goal(
            f"at least {PAIRS_OF_A_LABEL} pairs of either label in each class",
            f"{fewest} in the smallest",
            fewest >= PAIRS_OF_A_LABEL,
        ),
    ]


def _print(name: str, pairs: Sequence[Pair], said: Sequence[bool]) -> None:
    print(f"\n| {name} | pairs | precision | recall | accuracy |\n|---|---:|---:|---:|---:|")
    for kind in (*MAKERS, "all"):
        places = [p for p, pair in enumerate(pairs) if kind in (pair.kind, "all")]
        figures = Figures.of([pairs[p].same for p in places], [said[p] for p in places])
        print(f"| {kind} | {figures.pairs} | {figures} |")


if __name__ == "__main__":
    sys.exit(main())
