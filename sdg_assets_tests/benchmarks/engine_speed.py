"""Output tokens per second of the `generated` stage, and the engine's own offline throughput.

Both run in one process on one engine with the same prompts and greedy sampling, so that the lengths
are equal. The prefix cache is emptied in between. `--no-prefix-caching` measures without prefix
caching, in a second run, because that takes another engine.

    python -m sdg_assets_tests.benchmarks.engine_speed --teacher smollm2-135m --requests 64
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from sdg_assets.catalog import SubtaskSpec, load_catalog
from sdg_assets.records import Example, Role
from sdg_assets.sources.source import open_source
from sdg_assets.stages.generated import WriterKnobs, write
from sdg_assets.stages.normalized import normalize
from sdg_assets.stages.seeds import collect_seeds
from sdg_assets.teacher.backends.engine import EngineTeacher
from sdg_assets.teacher.conversation import Desk, Usage, converse
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.models import resolve
from sdg_assets.teacher.requests import Request


class RecordingTeacher(EngineTeacher):
    """The real engine, which records its requests."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.requests: list[Request] = []

    def submit(self, request: Request) -> None:
        self.requests.append(request)
        super().submit(request)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--teacher", default="smollm2-135m")
    parser.add_argument("--subtask", default="gsm8k/gsm8k")
    parser.add_argument("--source", default="samples", help="samples, hub or mirror:<dir>")
    parser.add_argument("--requests", type=int, default=64)
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--no-prefix-caching", action="store_true")
    arguments = parser.parse_args()

    spec = load_catalog().subtask(*arguments.subtask.split("/"))
    raw = collect_seeds(spec, open_source(arguments.source), max_seeds=arguments.requests)
    seeds = [row for row in normalize(spec, raw) if isinstance(row, Example)]
    each = max(1, arguments.requests // len(seeds))
    knobs = WriterKnobs(examples_per_seed=each, temperature=0.0, max_tokens=arguments.max_tokens)
    overrides = {"enable_prefix_caching": not arguments.no_prefix_caching}
    teacher = RecordingTeacher(resolve(arguments.teacher), **overrides)
    _warm_up(teacher, spec, seeds[:1])

    usage = Usage()
    with (
        tempfile.TemporaryDirectory() as folder,
        CompletionLog(Path(folder) / "log.jsonl") as log,
    ):
        work = write(spec, seeds, teacher, knobs)
        desks = {Role.WRITER: Desk(teacher, log)}
        rows = sum(1 for _ in converse(work, desks, usage, concurrency=arguments.concurrency))

    llm = teacher.llm
    llm.reset_prefix_cache()
    prompts = [teacher.prompt(request) for request in teacher.requests]
    parameters = [teacher.parameters(request) for request in teacher.requests]
    began = time.monotonic()
    outputs = llm.write(prompts, parameters, use_tqdm=False)
    seconds = time.monotonic() - began
    tokens = sum(len(output.outputs[0].token_ids) for output in outputs)

    engine_speed = tokens / seconds
    figures = {
        "teacher": arguments.teacher,
        "rows": rows,
        "prefix_caching": not arguments.no_prefix_caching,
        "stage_tokens_per_second": round(usage.tokens_per_second, 1),
        "engine_tokens_per_second": round(engine_speed, 1),
        "ratio": round(usage.tokens_per_second / engine_speed, 3),
        "prefix_cache_hit_rate": round(usage.cache_hit_rate, 3),
        "stage_tokens": usage.output_tokens,
        "engine_tokens": tokens,
    }
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")


def _warm_up(teacher: RecordingTeacher, spec: SubtaskSpec, seeds: list[Example]) -> None:
    """Starts the engine and compiles the grammar, so that neither side pays for it."""
    with tempfile.TemporaryDirectory() as folder, CompletionLog(Path(folder) / "log") as log:
        work = write(spec, seeds, teacher, WriterKnobs(max_tokens=8, temperature=0.5))
        list(converse(work, {Role.WRITER: Desk(teacher, log)}, Usage()))
    teacher.llm.reset_prefix_cache()
    teacher.requests.clear()


if __name__ == "__main__":
    main()
