"""`sdg tune`: finds faster engine settings for this machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from sdg_assets.cli import terminal
from sdg_assets.cli.endings import exit_codes
from sdg_assets.cli.options import AsJson, OneSubtask, one_selected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdg_assets.cli.tuning import Change, Trial

EXIT_CODES = exit_codes("the engine ran with none of the settings")


def tune(
    subtask: OneSubtask = "gsm8k/gsm8k",
    seconds: Annotated[
        float,
        typer.Option(
            min=1, help="Least time for each trial, without loading the model and settling."
        ),
    ] = 60,
    tries: Annotated[
        list[str] | None,
        typer.Option(
            "--try",
            metavar="JSON",
            help="Engine arguments to try instead of the usual ones. May be repeated.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Try engine settings on a subtask's own prompts, and print the fastest.

    Runs the configured teacher (SDG_TEACHER, SDG_ENGINE) on this machine, with each setting for a
    minute: batch sizes, prefix caching, quantization, speculative decoding, and how it is spread
    over GPUs. Each is tried on top of the best so far. The last line is the setting to paste.

    Requests are those of a partition: to each draft, the votes on a question, if the writer is the
    solver, too. The minute begins once as many answers are finished as are under way, and becomes
    as long as that took. A line says if ten minutes are too short for it: raise --seconds for a
    teacher that thinks for longer.

    "rows/s" are drafts that parse and pass the gates for drafts: where it falls while tokens/s
    rise, the answers have become worse. Quantization changes the teacher's identity, so answers
    that are already logged are asked for again.
    """
    from sdg_assets.cli.tuning import alternatives, best_of
    from sdg_assets.cli.tuning import tune as tuned
    from sdg_assets.settings import settings
    from sdg_assets.stages.speed import recording_teacher
    from sdg_assets.teacher.engine.hardware import gpu_count
    from sdg_assets.teacher.models import card_of_model

    one_selected(subtask)
    knobs = settings()
    teacher = recording_teacher(knobs)  # wrong settings end the command before the first trial
    model = teacher.identity.stamp.model
    kinds = (
        [[_engine_arguments(text) for text in tries]]
        if tries
        else alternatives(card_of_model(model, catalog=knobs.catalog), gpu_count())
    )
    trials: list[Trial] = []
    for trial in tuned(subtask, seconds, kinds, knobs.engine):
        trials.append(trial)
        if not as_json:
            terminal.write(_line(trial))
    best = best_of(trials)
    if as_json:
        terminal.write_json(_numbers(trials))
    elif best:
        terminal.write(f"\nfastest:\nSDG_ENGINE='{json.dumps(dict(best.engine))}'")
    if best is None:
        terminal.note("the engine ran with none of these settings; each line says why")
    return 0 if best else 1


def _engine_arguments(text: str) -> Change:
    from sdg_assets.errors import PermanentError

    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise PermanentError(f"--try {text}: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise PermanentError(f'--try {text}: write engine arguments, like {{"max_num_seqs": 128}}')
    return value


def _line(trial: Trial) -> str:
    engine = json.dumps(dict(trial.engine))
    if trial.rate is None:
        return f"     –  {engine}: {trial.failure}"
    accepted = trial.rate.accepted_per_second
    still = "" if trial.rate.settled else ", not settled"
    rows = "no answer finished" if accepted is None else f"{accepted:.2f} accepted rows/s"
    return (
        f"{trial.rate.tokens_per_second:6.0f} tokens/s, {rows}, "
        f"{trial.rate.capacity} under way{still}  {engine}"
    )


def _numbers(trials: Sequence[Trial]) -> list[dict[str, object]]:
    return [
        {
            "engine": trial.engine,
            **({"failure": trial.failure} if trial.rate is None else vars(trial.rate)),
        }
        for trial in trials
    ]
