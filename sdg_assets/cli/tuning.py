"""Finds faster engine settings for this machine, by trying them (`sdg tune`).

One kind of setting is tried after the other, each on top of the best so far. Each trial has a
process of its own, so that its memory is free before the next begins.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sdg_assets.stages.speed import SETTLING, Rate
from sdg_assets.teacher.models import TeacherCard

NOTICEABLE = 1.03
"""A setting is kept if it is at least this many times as fast: less is noise."""
MODULE = "sdg_assets.cli.trial"
START_SECONDS = 1800.0
"""Seconds that a trial may take to load its model, besides its measured time."""
# The last prompt's words often come again in the answer: a draft of them costs nothing.
NGRAM = {"method": "ngram", "num_speculative_tokens": 4, "prompt_lookup_max": 4}
# Layers of the model's own that predict the token after the next one. vLLM refuses a model without
# them before it loads the weights.
MTP = {"method": "mtp", "num_speculative_tokens": 1}
Change = Mapping[str, Any]


@dataclass(frozen=True)
class Trial:
    """What came of an attempt to run the engine with certain settings.

    Attributes:
        engine: The engine arguments, beyond those of the card.
        rate: The speed; None if the engine did not run.
        failure: Why it did not run.
    """

    engine: Change
    rate: Rate | None
    failure: str = ""


def alternatives(card: TeacherCard, gpus: int) -> list[list[Change]]:
    """The settings worth trying, one list for each kind.

    Args:
        card: The teacher's card. Its own quantization stays; it names models that draft for it.
        gpus: GPUs of this machine; 0: it computes on the CPU.
    """
    sequences = (64, 512, 1024, 2048) if gpus else (16, 64)
    drafts = (NGRAM, MTP, *card.drafts) if gpus else (NGRAM,)
    batched = (4096, 16384, 32768) if gpus else (1024, 8192)
    kinds: list[list[Change]] = [
        [{"max_num_seqs": count} for count in sequences],
        [{"max_num_batched_tokens": count} for count in batched],
        [{"enable_prefix_caching": False}],
        [{"speculative_config": draft} for draft in drafts],
    ]
    if gpus and "quantization" not in card.engine:
        kinds.append([{"quantization": "fp8"}])
    if gpus > 1:
        kinds.insert(0, _spreads(gpus))
    return kinds


def _spreads(gpus: int) -> list[Change]:
    """Every split of the GPUs into replicas of equal size."""
    return [
        {"tensor_parallel_size": gpus // replicas, "data_parallel_size": replicas}
        for replicas in range(1, gpus + 1)
        if gpus % replicas == 0
    ]


def tune(
    subtask: str, seconds: float, kinds: Sequence[Sequence[Change]], engine: Change
) -> Iterator[Trial]:
    """Tries the settings as they are, then each alternative on top of the best so far.

    Args:
        subtask: `task/subtask`, whose prompts are used.
        seconds: The least time for each trial, without loading the model and settling.
        kinds: The alternatives; at most one of each list is kept.
        engine: The engine arguments of the settings.

    Yields:
        Each trial as soon as it is over.
    """
    best = attempt(subtask, seconds, engine)
    yield best
    for kind in kinds:
        base = best
        for change in kind:
            trial = attempt(subtask, seconds, {**base.engine, **change})
            yield trial
            if is_faster(trial, best):
                best = trial


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """The trial whose settings `tune` kept last; None if no engine ran."""
    best = None
    for trial in trials:
        if best is None or best.rate is None:
            best = trial if trial.rate else best
        elif is_faster(trial, best):
            best = trial
    return best


def is_faster(trial: Trial, than: Trial) -> bool:
    """Whether a trial is noticeably faster than another one.

    Before it has settled, an engine is faster than in a long run: nobody knows how fast it stays.
    """
    if trial.rate is None or than.rate is None:
        return trial.rate is not None
    if than.rate.settled and not trial.rate.settled:
        return False
    return trial.rate.tokens_per_second > NOTICEABLE * than.rate.tokens_per_second


def attempt(subtask: str, seconds: float, engine: Change) -> Trial:
    """Runs `cli/trial.py` in a process of its own.

    Args:
        subtask: `task/subtask`.
        seconds: The least time to measure.
        engine: The engine arguments, in place of `SDG_ENGINE`.
    """
    with tempfile.TemporaryDirectory() as folder:
        result, output = Path(folder) / "result", Path(folder) / "output"
        command = [sys.executable, "-m", MODULE, subtask, str(seconds)]
        environment = {**os.environ, "SDG_ENGINE": json.dumps(dict(engine))}
        with output.open("wb") as out:
            process = subprocess.Popen(  # noqa: S603 – this package's own module
                [*command, str(result), str(os.getpid())],
                env=environment,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
            try:
                status = process.wait(START_SECONDS + 2 * (SETTLING + 1) * seconds)
            except subprocess.TimeoutExpired:
                return Trial(engine, None, f"it was not done after {START_SECONDS / 60:g} min")
            finally:
                process.kill()  # the kernel then kills the engine's processes, too
                process.wait()
        if not result.exists():
            return Trial(engine, None, _last_words(status, output))
        values = json.loads(result.read_text("utf-8"))
    if "failure" in values:
        return Trial(engine, None, values["failure"])
    return Trial(engine, Rate(**values))


def write_result(path: Path, result: Rate | str) -> None:
    """Writes the result of a trial, for `attempt`.

    Args:
        path: Where `attempt` reads it.
        result: The speed, or why there is none.
    """
    values = {"failure": result} if isinstance(result, str) else asdict(result)
    path.write_text(json.dumps(values), "utf-8")


def _last_words(status: int, output: Path) -> str:
    lines = output.read_text("utf-8", "replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f"its process ended with status {status}: {last[:200]}"
