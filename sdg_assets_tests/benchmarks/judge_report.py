"""How well a judge tells sound items from damaged ones, criterion by criterion.

Real rows of a mirror are judged unchanged and with damages that each break one criterion: a wrong
answer, a question cut in half, an item of another task, a sentence in another language. Prints the
mean score of the broken criterion and the share of rows that the gate refuses.

    python -m sdg_assets_tests.benchmarks.judge_report --hub ../shared/hub --rows 8
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import fmean

from sdg_assets.catalog import load_catalog
from sdg_assets.enrichment.judge import Judge
from sdg_assets.gates import first_refusals, judge
from sdg_assets.gates.judge import JudgeThresholds
from sdg_assets.records import EnrichedExample, Example, Role
from sdg_assets.settings import settings
from sdg_assets.sources.source import DirectorySource
from sdg_assets.stages.normalized import normalize
from sdg_assets.stages.seeds import collect_seeds
from sdg_assets.teacher import open_teacher
from sdg_assets.teacher.conversation import Desk, Usage, Work
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.stream import converse
from sdg_assets_tests.support.records import enriched

REPOSITORY = Path(__file__).resolve().parents[2]
SUBTASKS = (("arc", "arc_easy"), ("gsm8k", "gsm8k"), ("commonsense_qa", "commonsense_qa"))
Damage = Callable[[Example, Example, random.Random], dict[str, object]]


def _wrong_answer(row: Example, other: Example, rng: random.Random) -> dict[str, object]:
    if row.answer_kind.selects:
        wrong = rng.choice([c for c in row.choices if c != row.answer])
        return {"answer": wrong, "answer_index": row.choices.index(wrong)}
    return {"answer": other.answer if other.answer != row.answer else f"{row.answer}1"}


def _cut(row: Example, other: Example, rng: random.Random) -> dict[str, object]:
    words = row.question.split()
    return {"question": " ".join(words[len(words) // 2 :])}


def _foreign(row: Example, other: Example, rng: random.Random) -> dict[str, object]:
    return {"question": f"{row.question} 请选择正确的答案。Bitte wählen Sie die richtige Antwort."}


NONE, OTHER_TASK = "not damaged", "of another task"
DAMAGES: dict[str, Damage] = {
    "wrong answer": _wrong_answer,
    "half a question": _cut,
    "other languages": _foreign,
}
BROKEN = {
    NONE: "score",
    "wrong answer": "one_right_answer",
    "half a question": "self_contained",
    "other languages": "right_language",
    OTHER_TASK: "same_skill",
}


def main() -> None:
    """Judges everything in one stream and prints a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hub", type=Path, default=REPOSITORY.parent / "shared" / "hub")
    parser.add_argument("--teacher", default="qwen2.5-coder-1.5b")
    parser.add_argument("--rows", type=int, default=8, help="rows per subtask")
    arguments = parser.parse_args()
    os.environ["SDG_TEACHER"] = arguments.teacher
    settings.cache_clear()
    teacher = open_teacher(settings(), Role.JUDGE)
    cases = list(_cases(arguments.hub, arguments.rows, Judge(teacher)))
    with tempfile.TemporaryDirectory() as folder, CompletionLog(Path(folder) / "log") as log:
        works = (_judged(judge_of_task, row) for _, judge_of_task, row in cases)
        judged = list(converse(works, {Role.JUDGE: Desk(teacher, log)}, usage := Usage()))
    refused = first_refusals(judged, [judge.gate(JudgeThresholds())])
    print(f"{arguments.teacher}: {usage.output_tokens / len(cases):.0f} tokens per judgement\n")
    print("| rows | criterion | sound | damaged | refused |\n|---|---|---:|---:|---:|")
    sound = [place for place, (damage, *_) in enumerate(cases) if damage == NONE]
    for name, criterion in BROKEN.items():
        places = [place for place, (damage, *_) in enumerate(cases) if damage == name]
        damaged = "" if name == NONE else _mean(judged, places, criterion)
        share = sum(place in refused for place in places) / len(places)
        print(
            f"| {len(places)} {name} | {criterion} | {_mean(judged, sound, criterion)} "
            f"| {damaged} | {share:.0%} |"
        )


def _cases(hub: Path, count: int, judge: Judge) -> Iterator[tuple[str, Judge, EnrichedExample]]:
    catalog, source = load_catalog(), DirectorySource("mirror", hub)
    rng = random.Random(0)
    rows: dict[str, list[Example]] = {}
    for task, subtask in SUBTASKS:
        spec = catalog.subtask(task, subtask)
        normalized_rows = normalize(spec, collect_seeds(spec, source, 2 * count))
        rows[subtask] = [row for row in normalized_rows if isinstance(row, Example)]
    for task, subtask in SUBTASKS:
        frame = catalog.subtask(task, subtask).frame
        seeds, items = rows[subtask][:count], rows[subtask][count:]
        for seed, item in zip(seeds, items, strict=False):
            judge_of_task = Judge(judge.teacher, frame=frame, seeds={seed.id: seed})
            yield NONE, judge_of_task, _row(item, seed)
            for name, damage in DAMAGES.items():
                yield (
                    name,
                    judge_of_task,
                    _row(item.model_copy(update=damage(item, seed, rng)), seed),
                )
            foreign = rng.choice(
                [r for key, other in rows.items() if key != subtask for r in other]
            )
            yield OTHER_TASK, judge_of_task, _row(foreign, seed)


def _row(item: Example, seed: Example) -> EnrichedExample:
    fields = dict(item) | {"seed_ids": [seed.id]}
    return enriched(**fields)


def _judged(judge: Judge, row: EnrichedExample) -> Work[EnrichedExample]:
    (completion,) = yield [judge.rating_request(row)]
    return row.model_copy(update={"judge": judge.judgement(completion)})


def _mean(rows: list[EnrichedExample], places: list[int], name: str) -> str:
    judgements = [rows[place].judge for place in places]
    scores = [
        j.score if name == "score" else getattr(j.criteria, name)
        for j in judgements
        if j and j.criteria
    ]
    return f"{fmean(scores):.2f}" if scores else "–"


if __name__ == "__main__":
    main()
