"""A teacher that thinks, in process and behind a server: are thought and answer kept apart?

A real engine and a real vLLM server run the quick teacher with the thinking tags of Qwen3 and
vLLM's own reasoning parser (`support/thinking_model.py`). Its thoughts are made to end; structured
output forces the form of its answers, which must begin only after the thought. It writes drafts of
sample tasks and votes on rows with known answers. Prints figures as JSON, and exits with 1 if a
goal is missed, naming it.

    python -m sdg_assets_tests.benchmarks.thinking --drafts 24 --rows 16
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
from transformers import AutoTokenizer

from sdg_assets.catalog import SubtaskSpec, load_catalog
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.records import (
    EnrichedExample,
    Example,
    GeneratedExample,
    Rejection,
    Role,
    TeacherStamp,
)
from sdg_assets.sources.source import open_source
from sdg_assets.stages.generated import WriterKnobs
from sdg_assets.stages.normalized import normalize
from sdg_assets.stages.seeds import collect_seeds
from sdg_assets.teacher.backend import TeacherSpec
from sdg_assets.teacher.conversation import Desk
from sdg_assets.teacher.encoding import ChatEncoder
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.models import resolve
from sdg_assets.teacher.requests import Completion, FailedRequest, Request
from sdg_assets.texts import render_texts
from sdg_assets_tests.support.conversations import enriched_with, written_by
from sdg_assets_tests.support.thinking_model import (
    CLOSE_ID,
    NAME,
    NEVER,
    PARSER,
    ThinkingEndpoint,
    ThinkingEngine,
    catalog_of,
    thinking_model,
)
from sdg_assets_tests.support.vllm_server import vllm_server

BUDGET = 96
"""Tokens of a thought."""
ANSWER_TOKENS = 256
VOTE_TOKENS = 96
WRITTEN = ("gsm8k/gsm8k", "arc/arc_easy", "boolq/boolq")
SOLVED = ("boolq/boolq", "glue_nli/rte", "arc/arc_easy", "commonsense_qa/commonsense_qa")
LEAST_VERIFIED = 8
"""Verified rows in each half. Fewer say nothing about the reasoning that such rows keep."""
TAGS = ("<think>", "</think>", "<|im_end|>")
Teacher = ThinkingEngine | ThinkingEndpoint


@dataclass
class Recorder:
    """A teacher of which all requests and completions are recorded."""

    teacher: Teacher
    requests: dict[str, Request] = field(default_factory=dict)
    completions: dict[str, Completion] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.teacher, name)

    def submit(self, request: Request) -> None:
        self.requests[request.id] = request
        self.teacher.submit(request)

    def poll(self, *, wait: bool = True) -> list[Completion | FailedRequest]:
        outcomes = self.teacher.poll(wait=wait)
        self.completions |= {o.request_id: o for o in outcomes if isinstance(o, Completion)}
        return outcomes

    def clear(self) -> None:
        self.requests.clear()
        self.completions.clear()


@dataclass(frozen=True)
class Goal:
    """A figure, and the least value that it must have."""

    name: str
    value: float
    least: float

    @property
    def is_met(self) -> bool:
        return self.value >= self.least


def main() -> None:
    """Measures both ways of running the teacher."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--drafts", type=int, default=24, help="drafts of each of three subtasks")
    parser.add_argument("--rows", type=int, default=16, help="rows of each of four subtasks")
    arguments = parser.parse_args()
    goals: list[Goal] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model = thinking_model(folder)
        catalog = catalog_of(folder / "catalog", model, BUDGET)
        engine = ThinkingEngine(resolve(NAME, catalog=catalog))
        encoder = ChatEncoder(AutoTokenizer.from_pretrained(model), NAME, engine.thinking)
        goals += _measured("engine", engine, encoder, arguments)
        engine.stop()
        log = folder / "server.log"
        with vllm_server(log, model, "--reasoning-parser", PARSER) as url:
            endpoint = ThinkingEndpoint(TeacherSpec(url, catalog=catalog))
            goals += _measured("server", endpoint, encoder, arguments)
    missed = [f"{g.name}: {g.value:.3f}, at least {g.least} wanted" for g in goals if not g.is_met]
    if missed:
        sys.exit("missed: " + "; ".join(missed))


def _measured(
    place: str,
    teacher: Teacher,
    encoder: ChatEncoder,
    arguments: argparse.Namespace,
) -> list[Goal]:
    recorder = Recorder(teacher)
    with tempfile.TemporaryDirectory() as folder, CompletionLog(Path(folder) / "log") as log:
        desk = Desk(recorder, log)
        shares: dict[str, float] = {}
        shares |= _drafts(recorder, desk, arguments.drafts)
        # A limit of tokens is no part of a request's id: the log of the drafts would answer.
        with CompletionLog(Path(folder) / "endless") as endless:
            shares |= _endless(recorder, Desk(recorder, endless), 6)
        shares |= _votes(recorder, desk, arguments.rows)
        shares |= _switched_off(recorder, desk, encoder, 6)
    figures = {place: {name: round(value, 3) for name, value in shares.items()}}
    print(json.dumps(figures, indent=1), flush=True)
    least = {
        "thought and answer apart": 1.0,
        "endless thoughts ended or named": 1.0,
        "drafts that are valid JSON": 0.99,
        "votes with thought and answer apart": 1.0,
        "verified rows": LEAST_VERIFIED,
        "verified rows with reasoning": 0.95,
        "kept thoughts in no text": 1.0,
        "thinking off is seen in the prompt": 1.0,
        "thinking off leaves no thought": 1.0,
    }
    return [Goal(f"{place}: {name}", shares[name], value) for name, value in least.items()]


def _drafts(recorder: Recorder, desk: Desk, count: int) -> dict[str, float]:
    """The writer thinks, then writes JSON."""
    recorder.clear()
    rows: list[GeneratedExample | Rejection] = []
    for name in WRITTEN:
        spec, seeds = _seeds(name, count)
        knobs = WriterKnobs(
            examples_per_seed=max(1, count // len(seeds)), thinking="on", max_tokens=ANSWER_TOKENS
        )
        rows += written_by(desk, spec, seeds, knobs)
    completions = list(recorder.completions.values())
    whole = [c for c in completions if c.finish_reason == "stop"]
    return {
        "drafts": len(completions),
        "thought and answer apart": _share(map(_is_apart, completions)),
        "drafts cut off in the answer": _share(c.finish_reason == "length" for c in completions),
        "whole drafts": len(whole),
        "drafts that are valid JSON": _share(
            _is_valid(c.text, recorder.requests[c.request_id]) for c in whole
        ),
        "tokens of a thought, mean": _mean([c.reasoning_tokens for c in completions]),
        "tokens of an answer, mean": _mean(
            [c.output_tokens - c.reasoning_tokens for c in completions]
        ),
        "drafts accepted": _share(isinstance(row, GeneratedExample) for row in rows),
    }


def _endless(recorder: Recorder, desk: Desk, count: int) -> dict[str, float]:
    """Thoughts that never end: an engine ends them at the budget; a server cuts them off."""
    recorder.clear()
    bias, recorder.teacher.bias = recorder.teacher.bias, NEVER
    spec, seeds = _seeds(WRITTEN[0], count)
    knobs = WriterKnobs(thinking="on", max_tokens=16)
    rows = written_by(desk, spec, seeds[:count], knobs)
    recorder.teacher.bias = bias
    reasons = {"truncated while thinking", "truncated"}
    named = [isinstance(row, Rejection) and row.reason in reasons for row in rows]
    ends = [
        c.reasoning_tokens <= BUDGET or (c.finish_reason == "thinking" and not c.text)
        for c in recorder.completions.values()
    ]
    return {"endless thoughts ended or named": _share([*named, *ends])}


def _votes(recorder: Recorder, desk: Desk, count: int) -> dict[str, float]:
    """The solver thinks, then reasons and answers; thoughts are kept, in a column of their own."""
    recorder.clear()
    rows = [_as_generated(seed) for name in SOLVED for seed in _seeds(name, count)[1][:count]]
    # The model guesses, so one vote verifies more rows than a majority of three.
    knobs = SolverKnobs(
        votes=1, thinking="on", with_knowledge=False, max_tokens=VOTE_TOKENS, keep_thoughts=True
    )
    solved = enriched_with({Role.SOLVER: desk}, rows, knobs)
    enriched = [row for row in solved if isinstance(row, EnrichedExample)]
    verified = [row for row in enriched if row.verified]
    completions = list(recorder.completions.values())
    return {
        "votes": len(completions),
        "votes with thought and answer apart": _share(map(_is_apart, completions)),
        "votes cut off while thinking": _share(c.finish_reason == "thinking" for c in completions),
        "verified rows": len(verified),
        "verified rows with reasoning": _share(bool(row.reasoning) for row in verified),
        "verified rows with a kept thought": _share(bool(row.thought) for row in verified),
        "kept thoughts in no text": _share(
            row.thought[:40] not in text and not any(tag in text for tag in TAGS)
            for row in verified
            if row.thought
            for text in render_texts(row).values()
        ),
    }


def _switched_off(
    recorder: Recorder, desk: Desk, encoder: ChatEncoder, count: int
) -> dict[str, float]:
    """The template's argument puts an empty thought into the prompt."""
    spec, seeds = _seeds(WRITTEN[0], count)
    seen: list[bool] = []
    thoughts: list[bool] = []
    for mode in ("on", "off"):
        recorder.clear()
        # Another temperature, so that no completion comes from the log.
        knobs = WriterKnobs(thinking=mode, temperature=0.7, max_tokens=ANSWER_TOKENS)
        written_by(desk, spec, seeds[:count], knobs)
        for completion in recorder.completions.values():
            prompt = encoder.encode(recorder.requests[completion.request_id].messages, mode)
            closed = (CLOSE_ID in prompt) is (mode == "off")
            seen.append(closed and completion.prompt_tokens == len(prompt))
            if mode == "off":
                thoughts.append(not completion.reasoning and completion.text[:1] == "{")
    return {
        "thinking off is seen in the prompt": _share(seen),
        "thinking off leaves no thought": _share(thoughts),
    }


def _seeds(name: str, count: int) -> tuple[SubtaskSpec, list[Example]]:
    spec = load_catalog().subtask(*name.split("/"))
    raw = collect_seeds(spec, open_source("samples"), max_seeds=count)
    return spec, [row for row in normalize(spec, raw) if isinstance(row, Example)]


def _as_generated(seed: Example) -> GeneratedExample:
    return GeneratedExample(
        **dict(seed),
        seed_ids=[seed.id],
        teacher=TeacherStamp(model="sample", revision="1", license="MIT"),
        prompt_version="sample",
        variation="none",
        completion_id="sample",
    )


def _is_apart(completion: Completion) -> bool:
    """Whether the thought holds no tag and no answer, and the answer no tag."""
    if any(tag in part for tag in TAGS for part in (completion.text, completion.reasoning)):
        return False
    if completion.finish_reason == "thinking":
        return not completion.text and bool(completion.reasoning)
    tokens = 0 < completion.reasoning_tokens < completion.output_tokens
    return tokens and bool(completion.text.strip()) and bool(completion.reasoning)


def _is_valid(text: str, request: Request) -> bool:
    """Whether an answer has its request's JSON schema."""
    assert request.json_schema is not None
    try:
        jsonschema.validate(json.loads(text), request.json_schema)
    except (ValueError, jsonschema.ValidationError):
        return False
    return True


def _share(facts: Iterator[bool] | Sequence[bool] | Any) -> float:
    known = [bool(fact) for fact in facts]
    return sum(known) / len(known) if known else 0.0


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers) if numbers else 0.0


if __name__ == "__main__":
    main()
