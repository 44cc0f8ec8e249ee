"""What the pipeline costs outside the engine: fill, publish, and the memory of the loop.

The teacher answers at once, but tokenizes every prompt with a real tokenizer, as an engine does.
Its drafts are real rows of the same dataset, its votes end in the right answer. Figures are CPU
time of one process, so that other work on the machine does not count.

    python -m sdg_assets_tests.benchmarks.feed_overhead [--rows 2000]
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from sdg_assets.answers import answer_format
from sdg_assets.catalog import SubtaskSpec, load_catalog
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.records import Example, GeneratedExample, Rejection, Role, TeacherStamp
from sdg_assets.stages import enriched, generated
from sdg_assets.stages.generated import WriterKnobs, Written
from sdg_assets.stages.seed_index import SeedCopies
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets.teacher.conversation import Desk, Feed, ResultT, Usage, Work
from sdg_assets.teacher.encoding import ChatEncoder
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.models import resolve
from sdg_assets.teacher.replay import replay
from sdg_assets.teacher.requests import Completion, FailedRequest, Request, TeacherIdentity
from sdg_assets.teacher.stream import fill
from sdg_assets_tests.benchmarks import mirror

RowT = TypeVar("RowT", bound=Example)
SUBTASKS = (("gsm8k", "gsm8k"), ("arc", "arc_easy"), ("boolq", "boolq"))
HELD = 1024
"""Requests under way in the measurement of memory."""
GOALS = {
    "fill, ms a completion": 1.5,
    "fill, completions/s": 600.0,
    "publish, rows/s": 3000.0,
    "memory of 1,024 requests, MiB": 1024.0,
}


class InstantTeacher:
    """Tokenizes each prompt, then answers from a script."""

    max_model_len = 32_768
    capacity = HELD

    def __init__(self, encoder: ChatEncoder) -> None:
        self.identity = TeacherIdentity(TeacherStamp(model="instant", revision="1", license="MIT"))
        self.control_tokens = encoder.control_tokens
        self.drafts: Iterator[str] = iter(())
        self.answers: dict[str, str] = {}
        self.most = 0
        self._encoder = encoder
        self._open: deque[Completion] = deque()

    def submit(self, request: Request) -> None:
        tokens = len(self._encoder.encode(request.messages))
        text = next(self.drafts) if request.role is Role.WRITER else self._say(request)
        self._open.append(
            Completion(
                request_id=request.id,
                text=text,
                finish_reason="stop",
                prompt_tokens=tokens,
                output_tokens=len(text) // 4,
            )
        )
        self.most = max(self.most, len(self._open))

    def _say(self, request: Request) -> str:
        if request.prompt_version.startswith("knowledge/"):
            return "Facts of this kind are learned at school. They help with many other questions."
        lines = request.messages[-1].content.splitlines()
        answer = next(self.answers[line] for line in lines if line in self.answers)
        reasoning = "The question names what is given. From that the rest follows."
        if request.json_schema:  # the engine would enforce it
            return json.dumps({"reasoning": reasoning, "answer": answer})
        return f"{reasoning}\nAnswer: {answer}"

    def poll(self, *, wait: bool = True) -> list[Completion | FailedRequest]:
        return [self._open.popleft() for _ in range(min(32, len(self._open)))]


@dataclass
class Figures:
    """CPU seconds and counts of one stage, over all subtasks."""

    completions: int = 0
    fill_seconds: float = 0.0
    rows: int = 0
    accepted: int = 0
    publish_seconds: float = 0.0
    parts: dict[str, str] = field(default_factory=dict)

    def add(
        self,
        name: str,
        usage: Usage,
        filled: float,
        rows: Sequence[Example | Rejection],
        published: float,
    ) -> None:
        """Adds the figures of one subtask."""
        self.completions += usage.requests
        self.fill_seconds += filled
        self.rows += len(rows)
        self.accepted += sum(isinstance(row, Example) for row in rows)
        self.publish_seconds += published
        self.parts[name] = (
            f"{1000 * filled / usage.requests:.2f} ms a completion, "
            f"{len(rows) / published:,.0f} rows/s"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--teacher", default="qwen2.5-coder-1.5b", help="whose tokenizer counts")
    parser.add_argument("--rows", type=int, default=2000, help="rows of each subtask")
    arguments = parser.parse_args()
    from transformers import AutoTokenizer

    path = resolve(arguments.teacher).path_or_id
    encoder = ChatEncoder(AutoTokenizer.from_pretrained(path), path)
    writer, solver = Figures(), Figures()
    most = 0
    with tempfile.TemporaryDirectory() as folder:
        for task, subtask in SUBTASKS:
            spec = load_catalog().subtask(task, subtask)
            seeds = _seeds(spec, arguments.rows)
            # The models of the gates are loaded, and prompts compiled, once in a process.
            warm_up = InstantTeacher(encoder), Path(folder) / f"{subtask}-warm-up"
            rows = _written(spec, seeds[:8], *warm_up, Figures())
            _solved(spec, _examples(rows), *warm_up, Figures())
            teacher = InstantTeacher(encoder)
            written = _written(spec, seeds, teacher, Path(folder) / subtask, writer)
            _solved(spec, _examples(written), teacher, Path(folder) / subtask, solver)
            most = max(most, teacher.most)
    figures = {}
    for name, stage in (("writer", writer), ("solver", solver)):
        each = 1000 * stage.fill_seconds / stage.completions
        figures[f"{name}: fill, ms a completion"] = each
        figures[f"{name}: fill, completions/s"] = 1000 / each
        figures[f"{name}: publish, rows/s"] = stage.rows / stage.publish_seconds
        print(f"{name}: {stage.completions} completions, {stage.accepted} of {stage.rows} rows")
        for part, text in stage.parts.items():
            print(f"  {part}: {text}")
    figures[f"loop: memory of {HELD:,} requests, MiB"] = (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    )
    if most < HELD:
        raise SystemExit(f"only {most} requests were under way at a time, not {HELD}")
    missed = []
    for name, figure in figures.items():
        goal = GOALS[name.partition(": ")[2]]
        reached = figure >= goal if name.endswith("/s") else figure <= goal
        print(f"{name}: {figure:,.2f} (goal {goal:,g}){'' if reached else ' – missed'}")
        missed += [] if reached else [name]
    if missed:
        raise SystemExit(f"missed: {', '.join(missed)}")


def _seeds(spec: SubtaskSpec, count: int) -> list[Example]:
    """Rows of the mirror, of all splits: it holds few training rows of boolq."""
    splits = (spec.split, *spec.heldout_splits)
    rows = itertools.chain.from_iterable(mirror.examples(spec, split) for split in splits)
    return list(itertools.islice(rows, count))


def _examples(rows: list[GeneratedExample | Rejection]) -> list[GeneratedExample]:
    return [row for row in rows if isinstance(row, GeneratedExample)]


def _written(
    spec: SubtaskSpec, seeds: list[Example], teacher: InstantTeacher, folder: Path, figures: Figures
) -> list[GeneratedExample | Rejection]:
    """Every draft is another seed, with other words at its beginning."""
    kind = answer_format(spec.answer_kind)
    others = (
        seed.model_copy(update={"question": f"On day {number}, {seed.question}"})
        for number, seed in enumerate(itertools.cycle(reversed(seeds)))
    )
    drafts = [kind.draft_of(next(others)).model_dump_json() for _ in seeds]
    teacher.drafts = iter(drafts)
    works = partial(generated.write, spec, seeds, teacher, WriterKnobs())

    def publish(
        written: Iterator[Written | Rejection],
    ) -> Iterator[GeneratedExample | Rejection]:
        return generated.publish(spec, SeedCopies(seeds), written, teacher)

    return _measured(spec, works, publish, {Role.WRITER: teacher}, folder / "writer", figures)


def _solved(
    spec: SubtaskSpec,
    examples: list[GeneratedExample],
    teacher: InstantTeacher,
    folder: Path,
    figures: Figures,
) -> None:
    teacher.answers = {e.question.splitlines()[0]: e.answer for e in examples}
    knobs = SolverKnobs()
    works = partial(enriched.enrich, examples, teacher, knobs)
    publish = partial(enriched.publish, context=enriched.context_of(teacher, knobs))
    _measured(spec, works, publish, {Role.SOLVER: teacher}, folder / "solver", figures)


def _measured(
    spec: SubtaskSpec,
    works: Callable[[], Iterator[Work[ResultT]]],
    publish: Callable[[Iterator[ResultT]], Iterator[RowT | Rejection]],
    teachers: Mapping[Role, InstantTeacher],
    folder: Path,
    figures: Figures,
) -> list[RowT | Rejection]:
    folder.mkdir(parents=True)
    with CompletionLog(folder / "log.jsonl") as log:
        desks = {role: Desk(teacher, log) for role, teacher in teachers.items()}
        usage, began = Usage(), time.process_time()
        (feed,) = fill([Feed(works(), desks, usage)], concurrency=HELD)
        filled = time.process_time() - began
        if feed.error:
            raise feed.error
        began = time.process_time()
        rows = list(publish(replay(works(), dict.fromkeys(teachers, log))))
        with Store(folder / "store").write(PartitionKey(spec.task, "any", spec.key)) as out:
            for row in rows:
                out.put(row)
        published = time.process_time() - began
    figures.add(spec.key, usage, filled, rows, published)
    return rows


if __name__ == "__main__":
    main()
