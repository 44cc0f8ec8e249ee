"""`sdg quickstart`: runs a few subtasks through all stages, in Dagster.

It materializes the same assets as the UI, in the same instance and store.
"""

from __future__ import annotations

import itertools
import os
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sdg_assets.cli import terminal
from sdg_assets.cli.endings import exit_codes, unless_stopped
from sdg_assets.cli.fetching import fetch_meanwhile, wait_for
from sdg_assets.cli.funnel import write_funnel
from sdg_assets.cli.options import one_selected
from sdg_assets.errors import PermanentError

if TYPE_CHECKING:
    import dagster as dg

    from sdg_assets.catalog import SubtaskSpec
    from sdg_assets.gates import Gate
    from sdg_assets.records import EnrichedExample, Record
    from sdg_assets.store.partitions import Store

# Three kinds of answers that a small teacher can write: a choice, a number, a yes or no.
SUBTASKS = ("arc/arc_easy", "gsm8k/gsm8k", "boolq/boolq")
SEEDS = 4
"""Seeds of each subtask on two cores with bfloat16: six took 13 minutes on a busy day."""
SLOW_SUBTASKS, SLOW_SEEDS = SUBTASKS[:2], 2
"""On two cores with AVX2 only, which read 40 tokens a second and make a step in 0.7 s. The rows of
boolq were 30 to 40 % of the tokens: with them a first run took 11 minutes on a busy day, and the
environment 3."""
EXIT_CODES = exit_codes(
    "a run failed, or nothing was accepted; one subtask without an accepted row is only noted",
    "128 + the signal when Ctrl-C or SIGTERM ended it: all answers are kept, and the same command "
    "continues from there",
)
LOGGERS = {"loggers": {"console": {"config": {"log_level": "INFO"}}}}


def quickstart(
    subtasks: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TASK/SUBTASK",
            help=f"The subtasks. Default: {' '.join(SUBTASKS)}; {' '.join(SLOW_SUBTASKS)} if the "
            "teacher runs on a CPU without an instruction for bfloat16.",
            show_default=False,
        ),
    ] = None,
    max_seeds: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=f"Seeds of each subtask. Default: {SEEDS}, or {SLOW_SEEDS} on such a CPU.",
            show_default=False,
        ),
    ] = None,
) -> int:
    """Run a few subtasks through all stages with the configured teacher, and cut a release.

    The teacher works on all subtasks at once; the first accepted row is shown as soon as it is
    there. Runs the same assets as the UI, in the same Dagster instance (DAGSTER_HOME) and store
    (SDG_STORE); `make ui` shows the runs afterwards. At the end it prints the funnel, accepted
    examples and the paths of the files. The first run downloads the embedded teacher (1.1 GB). It
    runs on the CPU, which takes some minutes.
    """
    from sdg_assets.settings import settings
    from sdg_assets.store.partitions import Store

    started = time.monotonic()
    store = Store(settings().store)
    chosen = [one_selected(name) for name in subtasks or ()]
    _need_instance()

    def made() -> int:
        is_slow = _number_format() == "float32"
        names = SLOW_SUBTASKS if is_slow else SUBTASKS
        specs = chosen or [one_selected(name) for name in names]
        seeds = max_seeds or (SLOW_SEEDS if is_slow else SEEDS)
        outcome = _run_all(specs, seeds, store, started, is_slow=is_slow)
        return _summarized(specs, store, started, outcome)

    return unless_stopped(made)


@dataclass
class Outcome:
    """The subtasks whose runs failed.

    Attributes:
        barren: Those that failed because the gates refused all rows.
        failed: The others, and the release.
    """

    barren: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def _summarized(specs: list[SubtaskSpec], store: Store, started: float, outcome: Outcome) -> int:
    """Prints what came out; the exit code."""
    from sdg_assets.settings import settings

    accepted = _write_results(specs, store)
    minutes = (time.monotonic() - started) / 60
    terminal.write(
        f"\n{accepted} accepted rows in {minutes:.1f} minutes, teacher {settings().teacher}."
    )
    if outcome.barren:
        terminal.note(
            f"no row was accepted of {', '.join(outcome.barren)}: the log above says why. That "
            "happens with few seeds and a small teacher; --max-seeds takes more seeds, and "
            "SDG_TEACHER a stronger teacher"
        )
    if outcome.failed:
        terminal.note(f"failed: {', '.join(outcome.failed)}; the log above says why")
    return 1 if outcome.failed or not accepted else 0


def materialize(
    keys: list[dg.AssetKey], subtask: str | None, max_seeds: int | None
) -> dg.ExecuteInProcessResult:
    """Runs assets in this process, as one Dagster run of the instance in DAGSTER_HOME.

    Args:
        keys: The assets.
        subtask: The partition; None for unpartitioned assets.
        max_seeds: Maximum number of seeds per subtask.

    Returns:
        How the run ended. If it failed, the log on stderr says why.

    Raises:
        KeyboardInterrupt: A signal ended the run, so the caller must not start another one.
    """
    import dagster as dg

    from sdg_assets.definitions import defs  # reads the settings; wrong ones raise here
    from sdg_assets.records import Stage
    from sdg_assets.teacher import stopping

    assets = [asset for asset in defs.assets or () if isinstance(asset, dg.AssetsDefinition)]
    seeds = [key for key in keys if key.path[-1] == Stage.SEEDS]
    ops = {"__".join(key.path): {"config": {"max_seeds": max_seeds}} for key in seeds}
    with warnings.catch_warnings():
        # "varying BackfillPolicies" is intended, see `partitions_per_run` in stages/stage.py.
        warnings.simplefilter("ignore", UserWarning)
        result = dg.materialize(
            assets,
            selection=keys,
            partition_key=subtask,
            instance=dg.DagsterInstance.get(),
            run_config={**LOGGERS, "ops": ops},
            raise_on_error=False,
        )
    if stopping.received():
        raise KeyboardInterrupt
    return result


def _is_barren(result: dg.ExecuteInProcessResult) -> bool:
    """Whether a run failed only because no row of its partition was left."""
    import dagster as dg

    from sdg_assets.checks.rows import CHECK

    broken = {
        evaluation.check_name
        for evaluation in result.get_asset_check_evaluations()
        if not evaluation.passed and evaluation.severity == dg.AssetCheckSeverity.ERROR
    }
    return broken == {CHECK.name}


def _number_format() -> str:
    """The number format in which the teacher computes on this CPU, noted; empty elsewhere."""
    from sdg_assets.records import Role
    from sdg_assets.settings import settings
    from sdg_assets.teacher.backend import TeacherSpec
    from sdg_assets.teacher.backends import backend_of
    from sdg_assets.teacher.engine.hardware import cpu_dtype, has_gpu

    spec = TeacherSpec.of(settings(), Role.WRITER)
    card = backend_of(spec).loaded(spec)
    if card is None or has_gpu():
        return ""
    dtype = {**card.engine, **spec.engine}.get("dtype", "auto")
    chosen = cpu_dtype() if dtype == "auto" else None
    terminal.note(f"teacher {spec.name} computes in {chosen or dtype}")
    return chosen.name if chosen else str(dtype)


def _need_instance() -> None:
    home = os.environ.get("DAGSTER_HOME", "")
    if not (Path(home).is_absolute() and Path(home).is_dir()):
        raise PermanentError(
            f"DAGSTER_HOME={home!r}: must be the absolute path of an existing directory, where "
            "Dagster keeps its runs; `make quickstart` sets it to .dagster of the checkout"
        )


def _write_results(specs: list[SubtaskSpec], store: Store) -> int:
    """Prints the funnel, accepted examples and file paths; returns the number of accepted rows."""
    from sdg_assets.records import EnrichedExample, Stage
    from sdg_assets.stages.funnel import funnel_row
    from sdg_assets.stages.stage import key_of

    terminal.write()
    write_funnel([funnel_row(store, spec) for spec in specs])
    keys = [key_of(spec, Stage.FILTERED) for spec in specs]
    published = [key for key in keys if store.exists(key)]
    for key in published:
        for example in itertools.islice(store.read(key, EnrichedExample), 1):
            terminal.write(f"\n--- {key.task}/{key.subtask}\n{_show(example)}")
    terminal.write("\nAccepted rows:")
    for key in published:
        terminal.write(f"  {store.path(key)}")
    terminal.write(f"Release:\n  {store.root / Stage.CURATED.value}")
    return sum(store.manifest(key).rows for key in published)


def _run_all(
    specs: list[SubtaskSpec], max_seeds: int, store: Store, started: float, *, is_slow: bool
) -> Outcome:
    """Runs all subtasks and cuts the release."""
    from sdg_assets.assets.keys import CURATED, PASSAGES, asset_key
    from sdg_assets.settings import settings
    from sdg_assets.stages.stage import TASK_STAGES, TEACHER_STAGES, key_of

    asking = TASK_STAGES.index(TEACHER_STAGES[0])
    outcome = Outcome()
    fetching = fetch_meanwhile(settings())
    for part in (TASK_STAGES[:asking], TASK_STAGES[asking:]):
        is_asking = part[0] in TEACHER_STAGES
        if is_asking:
            if settings().passages:
                materialize([PASSAGES], None, None)
            wait_for(fetching)
            _ask_together(specs, store, started, is_slow=is_slow)
        for spec in list(specs):
            keys = [asset_key(spec.task, stage) for stage in part]
            result = materialize(keys, spec.key, max_seeds)
            if not result.success:
                specs = [other for other in specs if other != spec]
                has_older_rows = store.exists(key_of(spec, part[-1]))
                is_barren = is_asking and not has_older_rows and _is_barren(result)
                names = outcome.barren if is_barren else outcome.failed
                names.append(f"{spec.task}/{spec.key}")
    if not materialize([CURATED], None, None).success:
        outcome.failed.append(CURATED.to_user_string())
    return outcome


def _ask_together(specs: list[SubtaskSpec], store: Store, started: float, *, is_slow: bool) -> None:
    """Asks for the answers of all subtasks in one batch, and shows the first accepted row.

    A failure is only noted: the runs meet it again, and Dagster then records it.
    """
    from sdg_assets.cli.together import fill_together
    from sdg_assets.errors import SdgError
    from sdg_assets.settings import settings

    first = FirstAccepted(store, started)
    try:
        fill_together(specs, store, settings(), first.look_at, is_slow=is_slow)
    except SdgError as error:
        terminal.note(f"not all answers came: {error}")


class FirstAccepted:
    """Shows the first row that passes all gates of a row."""

    def __init__(self, store: Store, started: float) -> None:
        """Waits for it.

        Args:
            store: Holds the held-out hashes.
            started: When the command began (`time.monotonic`).
        """
        self._store, self._started = store, started
        self._is_shown = False
        self._gates: dict[str, list[Gate]] = {}

    def look_at(self, spec: SubtaskSpec, row: Record) -> None:
        """Prints the row if it is the first accepted one."""
        from sdg_assets.gates import first_refusals
        from sdg_assets.records import EnrichedExample

        if self._is_shown or not isinstance(row, EnrichedExample) or not row.verified:
            return
        gates = self._gates.setdefault(spec.task, self._gates.get(spec.task) or self._of(spec))
        if first_refusals([row], gates):
            return
        self._is_shown = True
        minutes = (time.monotonic() - self._started) / 60
        terminal.write(f"\nFirst accepted row, after {minutes:.1f} minutes:\n{_show(row)}\n")

    def _of(self, spec: SubtaskSpec) -> list[Gate]:
        from sdg_assets.assets.heldout_guard import HeldoutGuard
        from sdg_assets.catalog import configured_catalog
        from sdg_assets.gates import row_gates
        from sdg_assets.heldout.protection import protection
        from sdg_assets.settings import settings
        from sdg_assets.stages.training_rows import training_rows
        from sdg_assets.thresholds import overridden

        knobs = settings()
        thresholds = overridden(knobs.gates, spec.gates)
        benchmarks, source = knobs.without_benchmarks, knobs.seed_source
        held_out = protection(self._store, configured_catalog(knobs), [spec], benchmarks, source)
        guard = HeldoutGuard(spec, held_out, thresholds, training_rows(spec, self._store))
        return row_gates(thresholds, guard.gate)


def _show(example: EnrichedExample) -> str:
    lines = [example.context, example.question]
    lines += [f"  - {choice}" for choice in example.choices]
    votes = ", ".join(f"{vote.answer} x{vote.count}" for vote in example.votes)
    lines += [f"Answer: {example.answer}   (votes: {votes})"]
    return "\n".join(line for line in lines if line)
