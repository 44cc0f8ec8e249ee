"""How much of a background do passages support, with and without `SDG_PASSAGES`?

A solver writes backgrounds for questions of the embedded samples, once from its memory and once
from the embedded passages. Every sentence of both is then checked against the same passages, as the
pipeline does it: by words, and where these are not certain by the solver itself, which must name a
line of a passage. "Unsupported" therefore means: not said by the passages. From memory, such
a sentence may still be true.

A person read all sentences and marked them (`grounding_marks.json`): `s` the passages say it, or
the row's own context does, `t` it is true but they do not, also if only the question says so, `f`
it is false, garbled, or contradicts them. The table gives both, and how often the check agrees with
the person. `--report` writes every background with its passages and all marks.

    python -m sdg_assets_tests.benchmarks.grounding --report report.md

Exits with 1 if a goal is missed, naming it: at least 40 rows; with passages at most half as large
a share of unsupported sentences, both by the check and by the person; at most 10 % of the sentences
in kept backgrounds unsupported for the person; the check agrees with the person on at least 80 % of
all sentences. The answers that were marked are in the repository (`grounding_answers.jsonl`), so a
run asks a model only for those that changed prompts need. Other answers need other marks.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from sdg_assets.catalog import load_catalog
from sdg_assets.enrichment.asking import together
from sdg_assets.enrichment.background import (
    ATTEMPTS,
    knowledge_fault,
    knowledge_of,
    knowledge_request,
)
from sdg_assets.enrichment.base import EnrichmentContext
from sdg_assets.enrichment.grounding import passages_for, support
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.errors import StoreError
from sdg_assets.passages.index import PassageIndex, indexed
from sdg_assets.passages.reading import EMBEDDED, read_passages
from sdg_assets.passages.support import Checked, Verdict
from sdg_assets.records import EnrichedExample, Passage, Role, content_id
from sdg_assets.settings import settings
from sdg_assets.teacher import open_teacher
from sdg_assets.teacher.conversation import Desk, Usage, Work
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.replay import replay
from sdg_assets.teacher.stream import converse
from sdg_assets_tests.benchmarks.diversity import seeds_of
from sdg_assets_tests.support.records import enriched

SUBTASKS = (
    "arc/arc_easy", "arc/arc_challenge", "openbookqa/openbookqa", "commonsense_qa/commonsense_qa",
    "boolq/boolq",
)  # fmt: skip
MARKS = Path(__file__).parent / "grounding_marks.json"
ANSWERS = Path(__file__).parent / "grounding_answers.jsonl"
MEMORY, PASSAGES, KEPT = "from memory", "from passages", "from passages, kept"
ROWS, RATIO, KEPT_UNSUPPORTED, AGREEMENT = 40, 0.5, 0.1, 0.8
Marks = Mapping[str, Mapping[str, str]]
"""Arm → id of a row and hash of the text → a letter for each sentence."""


@dataclass(frozen=True)
class Attempt:
    """A background that reads well, with the verdict on each sentence."""

    number: int
    text: str
    checked: Sequence[Checked]

    @property
    def is_kept(self) -> bool:
        """Whether no sentence is unsupported."""
        return all(each.verdict is Verdict.SUPPORTED for each in self.checked)


@dataclass(frozen=True)
class Audited:
    """A row with the backgrounds that were written for it."""

    row: EnrichedExample
    passages: Sequence[Passage]
    memory: Sequence[Attempt]
    grounded: Sequence[Attempt]


@dataclass
class Figures:
    """The sentences of some backgrounds, counted by the check and by the person."""

    texts: int = 0
    sentences: int = 0
    unsupported: int = 0
    """By the check."""
    marked: dict[str, int] = field(default_factory=lambda: dict.fromkeys("stf", 0))
    """By the person."""
    agreed: int = 0

    @property
    def unsupported_share(self) -> float:
        """Share of the sentences that the check finds unsupported."""
        return self.unsupported / max(1, self.sentences)

    @property
    def marked_share(self) -> float:
        """Share of the marked sentences that the passages do not say."""
        total = sum(self.marked.values())
        return 1 - self.marked["s"] / total if total else 0.0

    @property
    def agreement(self) -> float:
        """Share of the marked sentences on which the check agrees with the person."""
        return self.agreed / max(1, sum(self.marked.values()))


def main() -> int:
    """Asks for both backgrounds of each row, prints the figures and judges them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("subtasks", nargs="*", default=SUBTASKS, help="task/subtask")
    parser.add_argument("--teacher", default="qwen2.5-coder-1.5b")
    parser.add_argument("--rows", type=int, default=42, help="rows for which there is a passage")
    parser.add_argument("--log", type=Path, help="default: a copy of the answers in the repository")
    parser.add_argument("--concurrency", type=int, help="requests at a time; fewer: sooner kept")
    parser.add_argument(
        "--kept", action="store_true", help="only rows whose answers are all in the log; no model"
    )
    parser.add_argument("--report", type=Path, help="file for all backgrounds, to be read")
    options = parser.parse_args()
    os.environ |= {"SDG_TEACHER": options.teacher, "SDG_SEED_SOURCE": "samples"}
    settings.cache_clear()
    with tempfile.TemporaryDirectory() as folder, CompletionLog(log_in(folder, options)) as log:
        desk = Desk(open_teacher(settings(), Role.SOLVER), log)
        knobs = SolverKnobs(passages=embedded_index())
        context = EnrichmentContext({Role.SOLVER: desk.teacher}, knobs)
        rows = rows_with_passages(options.subtasks, context, options.rows)
        if options.kept:
            audited = list(kept(rows, context, log))
        else:
            works = [audit(row, context) for row in rows]
            desks = {Role.SOLVER: desk}
            audited = list(converse(works, desks, Usage(), concurrency=options.concurrency))
    marks: Marks = json.loads(MARKS.read_text("utf-8")) if MARKS.is_file() else {}
    figures = figures_of(audited, marks)
    print_table(options.teacher, len(audited), figures)
    if options.report:
        options.report.write_text(report(options.teacher, audited, marks, figures), "utf-8")
    missed = missed_goals(len(audited), figures)
    print("".join(f"\nMISSED: {goal}" for goal in missed) or "\nAll goals are met.")
    return 1 if missed else 0


def log_in(folder: str, options: argparse.Namespace) -> Path:
    """The log of the options, or a copy of the answers in the repository."""
    if options.log:
        return Path(options.log)
    copy = Path(folder) / ANSWERS.name
    if ANSWERS.is_file():
        shutil.copy(ANSWERS, copy)
    return copy


def kept(
    rows: Sequence[EnrichedExample], context: EnrichmentContext, log: CompletionLog
) -> Iterator[Audited]:
    """The rows whose answers are all in the log."""
    for row in rows:
        with suppress(StoreError):
            yield from list(replay([audit(row, context)], {Role.SOLVER: log.answers()}))


def embedded_index() -> PassageIndex:
    """The index of the embedded passages."""
    read = [each for each in read_passages(EMBEDDED, "samples") if isinstance(each, Passage)]
    return PassageIndex(read, indexed(read), EMBEDDED)


def rows_with_passages(
    subtasks: Sequence[str], context: EnrichmentContext, count: int
) -> list[EnrichedExample]:
    """Rows made of samples, whose questions some embedded passage is about, evenly by subtask."""
    by_subtask = []
    for name in subtasks:
        rows = [
            enriched(**dict(seed))
            for seed in seeds_of(load_catalog().subtask(*name.split("/")), 16)
        ]
        by_subtask.append([row for row in rows if passages_for(row, context)])
    turns = (rows[turn] for turn in range(16) for rows in by_subtask if turn < len(rows))
    return list(islice(turns, count))


def audit(row: EnrichedExample, context: EnrichmentContext) -> Work[Audited]:
    """Has a row's backgrounds written both ways, and all their sentences checked."""
    passages = passages_for(row, context) or []
    written = yield from together(
        {
            MEMORY: attempts(row, passages, context, from_memory=True),
            PASSAGES: attempts(row, passages, context, from_memory=False),
        }
    )
    return Audited(row, passages, written[MEMORY], written[PASSAGES])


def attempts(
    row: EnrichedExample,
    passages: Sequence[Passage],
    context: EnrichmentContext,
    *,
    from_memory: bool,
) -> Work[list[Attempt]]:
    """The backgrounds that read well; from memory the first one, else until one is supported."""
    solver, written = context.teachers[Role.SOLVER], list[Attempt]()
    knobs = replace(context.knobs, passages=None) if from_memory else context.knobs
    for number in range(ATTEMPTS):
        given = () if from_memory else passages
        (completion,) = yield [knowledge_request(row, number, solver, knobs, given)]
        if knowledge_fault(completion, row):
            continue
        text = knowledge_of(completion)
        checked = yield from support(text, row, passages, context)
        written.append(Attempt(number, text, checked))
        if from_memory or written[-1].is_kept:
            break
    return written


def figures_of(audited: Sequence[Audited], marks: Marks) -> dict[str, Figures]:
    """The figures of each arm."""
    arms = {MEMORY: Figures(), PASSAGES: Figures(), KEPT: Figures()}
    for each in audited:
        for arm, written in ((MEMORY, each.memory), (PASSAGES, each.grounded)):
            for attempt in written:
                letters = marks.get(arm, {}).get(key_of(each.row, attempt), "")
                _count(arms[arm], attempt, letters)
                if arm == PASSAGES and attempt.is_kept:
                    _count(arms[KEPT], attempt, letters)
    return arms


def key_of(row: EnrichedExample, attempt: Attempt) -> str:
    """The key of an attempt's marks, which hold for this text only."""
    return f"{row.id}/{content_id([attempt.text])[:8]}"


def _count(figures: Figures, attempt: Attempt, letters: str) -> None:
    figures.texts += 1
    figures.sentences += len(attempt.checked)
    figures.unsupported += sum(each.verdict is Verdict.UNSUPPORTED for each in attempt.checked)
    if len(letters) != len(attempt.checked):
        return
    for letter, each in zip(letters, attempt.checked, strict=True):
        figures.marked[letter] += 1
        figures.agreed += (letter == "s") == (each.verdict is Verdict.SUPPORTED)


def print_table(teacher: str, rows: int, figures: Mapping[str, Figures]) -> None:
    """Prints the figures as Markdown."""
    print(f"{teacher}, {rows} rows\n")
    print("\n".join(table(figures)))


def table(figures: Mapping[str, Figures]) -> Iterator[str]:
    """The lines of the table."""
    yield (
        "| backgrounds | texts | sentences | unsupported by the check | not in the passages, by "
        "the person | of these false | check agrees with the person |"
    )
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for name, arm in figures.items():
        marked = sum(arm.marked.values())
        yield (
            f"| {name} | {arm.texts} | {arm.sentences} | {arm.unsupported} "
            f"({arm.unsupported_share:.0%}) | {marked - arm.marked['s']} of {marked} "
            f"({arm.marked_share:.0%}) | {arm.marked['f']} | {arm.agreed} ({arm.agreement:.0%}) |"
        )


def missed_goals(rows: int, figures: Mapping[str, Figures]) -> list[str]:
    """The goals that the figures miss."""
    memory, grounded, kept = (figures[name] for name in (MEMORY, PASSAGES, KEPT))
    written = memory.marked["s"] + memory.marked["t"] + memory.marked["f"]
    goals: dict[str, bool] = {
        f"at least {ROWS} rows (now {rows})": rows >= ROWS,
        "every sentence is marked; mark them in grounding_marks.json": written == memory.sentences
        and sum(grounded.marked.values()) == grounded.sentences,
        f"unsupported by the check: at most {RATIO} of the share without passages": (
            grounded.unsupported_share <= RATIO * memory.unsupported_share
        ),
        f"not in the passages by the person: at most {RATIO} of the share without passages": (
            grounded.marked_share <= RATIO * memory.marked_share
        ),
        f"kept backgrounds: at most {KEPT_UNSUPPORTED:.0%} not in the passages": (
            kept.marked_share <= KEPT_UNSUPPORTED
        ),
        f"the check agrees with the person on at least {AGREEMENT:.0%} of all sentences": (
            memory.agreed + grounded.agreed
            >= AGREEMENT * (sum(memory.marked.values()) + sum(grounded.marked.values()))
        ),
    }
    return [goal for goal, is_met in goals.items() if not is_met]


def report(
    teacher: str, audited: Sequence[Audited], marks: Marks, figures: Mapping[str, Figures]
) -> str:
    """Every background with its passages, and each sentence with its marks."""
    parts = [
        f"# Backgrounds by {teacher}, from memory and from passages",
        "Made by `python -m sdg_assets_tests.benchmarks.grounding --report FILE`. Each sentence: "
        "the verdict of the check, why, and a person's mark – `s` the passages say it, `t` true "
        "but not in them, `f` false, garbled or against them.",
        "\n".join(table(figures)),
    ]
    for each in audited:
        row = each.row
        parts.append(f"## {row.subtask}: {row.question}\n\nAnswer: {row.answer}")
        own = [f"> **Context of the row** {row.context}"] if row.context else []
        parts.append("\n".join(own + [f"> **{p.title}** {p.text}" for p in each.passages]))
        for arm, written in ((MEMORY, each.memory), (PASSAGES, each.grounded)):
            if not written:
                parts.append(f"### {arm}: none that reads well")
            for attempt in written:
                fate = "" if arm == MEMORY else ", kept" if attempt.is_kept else ", refused"
                key = key_of(row, attempt)
                parts.append(f"### {arm}{fate} (`{key}`)")
                letters: Any = marks.get(arm, {}).get(key, "").ljust(len(attempt.checked), "?")
                parts.append(
                    "\n".join(
                        f"- `{letter}` {checked.verdict.value} ({checked.reason}): "
                        f"{checked.sentence}"
                        for letter, checked in zip(letters, attempt.checked, strict=False)
                    )
                )
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
