"""Made-up rows, their signatures, and a teacher that answers at once: for large partitions."""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.records import Record, Role, Stage, TeacherStamp
from sdg_assets.signatures.table import Signatures, concatenated
from sdg_assets.sources.source import Row
from sdg_assets.stages.normalized import normalize
from sdg_assets.stages.seeds import collect_seeds
from sdg_assets.stages.stage import STAGES
from sdg_assets.teacher.control_tokens import ControlTokens
from sdg_assets.teacher.requests import Completion, FailedRequest, Request, TeacherIdentity
from sdg_assets_tests.benchmarks.duplicates_at_scale import drawn
from sdg_assets_tests.support.records import enriched

UNDER_WAY = 1024
THINGS = [
    "bridge", "harbour", "lantern", "orchard", "engine", "violin", "glacier", "market", "compass",
    "needle", "ladder", "kettle", "meadow", "tunnel", "anchor", "statue", "pencil", "mirror",
    "valley", "candle", "feather", "hammer", "island", "journal",
]  # fmt: skip
KINDS = [
    "small", "old", "green", "quiet", "heavy", "narrow", "bright", "distant", "wooden", "broken",
    "hidden", "famous",
]  # fmt: skip


class InstantTeacher:
    """Answers at once: as the writer with a new question, as the solver with the right answer."""

    max_model_len = 32_768
    gpus = None
    capacity = UNDER_WAY

    def __init__(self) -> None:
        self.identity = TeacherIdentity(TeacherStamp(model="instant", revision="1", license="MIT"))
        self.control_tokens = ControlTokens(())
        self._open: deque[Completion] = deque()

    def submit(self, request: Request) -> None:
        text = self._text(request)
        self._open.append(
            Completion(
                request_id=request.id,
                text=text,
                finish_reason="stop",
                prompt_tokens=400,
                output_tokens=len(text) // 4,
            )
        )

    def poll(self, *, wait: bool = True) -> list[Completion | FailedRequest]:
        return [self._open.popleft() for _ in range(min(64, len(self._open)))]

    def _text(self, request: Request) -> str:
        if request.role is Role.WRITER:
            made = fields(random.Random(request.id), int(request.id[:12], 16))
            right, *wrong = made["choices"]
            answers = {"answer": right, "wrong_answers": wrong}
            return json.dumps({"question": made["question"], **answers})
        if request.prompt_version.startswith("knowledge/"):
            return (
                "People of that time kept records of what they made. Such records say which "
                "metal was used, because metals had very different prices at the market."
            )
        reasoning = "The records say which metal was dear at that time, so it must be that one."
        assert request.json_schema, "a small solver votes in JSON"
        options = request.json_schema["properties"]["answer"]["enum"]
        answer = next(option for option in options if option.endswith("gold"))
        return json.dumps({"reasoning": reasoning, "answer": answer})


class MadeUpSource:
    """A split of made-up rows, each different."""

    name = "made-up"

    def __init__(self, rows: int) -> None:
        self._rows = rows

    def revision(self, spec: SubtaskSpec) -> str:
        return "1"

    def rows(self, spec: SubtaskSpec, split: str) -> Iterator[Row]:
        return (fields(random.Random(number), number) for number in range(self._rows))

    def splits(self, spec: SubtaskSpec) -> list[str]:
        return ["train"]

    def configs(self, dataset: str) -> list[str]:
        return ["main"]


def fields(rng: random.Random, number: int) -> Row:
    """A question of about sixty words; its number makes it another one than all others."""
    kinds, things = rng.choices(KINDS, k=9), rng.choices(THINGS, k=9)
    seen = ", ".join(f"a {kind} {thing}" for kind, thing in zip(kinds[2:], things[2:], strict=True))
    return {
        "question": f"In the diary number {number} the traveller says that there were {seen}, and "
        f"that the {kinds[0]} {things[0]} of the town was the work of her family. Of what was the "
        f"{kinds[1]} {things[1]} that they were given for it?",
        "choices": [f"It was made of {metal}" for metal in ("gold", "iron", "tin", "stone")],
        "label": 0,
    }


def made_up_rows(spec: SubtaskSpec, stage: Stage, rows: int) -> Iterator[Record]:
    """Rows of a stage, each different, and other questions than the seeds from `generated` on."""
    seeds = collect_seeds(spec, MadeUpSource(rows))
    if stage is Stage.SEEDS:
        yield from seeds
        return
    (first,) = normalize(spec, collect_seeds(spec, MadeUpSource(1)))
    record = STAGES[stage].record
    values = {**dict(enriched()), **dict(first)}
    template = record(**{name: values[name] for name in record.model_fields})
    is_seed = stage is Stage.NORMALIZED
    for number in range(rows):
        question = fields(random.Random(number), number)["question"]
        changes: dict[str, Any] = {
            "id": _id(number),
            "question": question if is_seed else f"{question} ({number + rows})",
            "source": values["source"].model_copy(update={"row": number}),
        }
        # A copy, because validation takes most of the time.
        yield template.model_copy(
            update=changes if is_seed else changes | {"seed_ids": [_id(number)]}
        )


def made_up_signatures(rows: int) -> Signatures:
    """Signatures drawn at random, some of copies; see `duplicates_at_scale`."""
    rng = np.random.default_rng(6)
    originals = drawn(rng, 0, rows // 10, None)
    return concatenated([originals, drawn(rng, 1, rows - rows // 10, originals)])


def _id(number: int) -> str:
    return f"{(number + 1) * 0x9E3779B97F4A7C15F39D % (1 << 80):020x}"
