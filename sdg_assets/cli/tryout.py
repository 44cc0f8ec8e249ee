"""`sdg try`: a few rows through all stages with the real teachers, before a backfill."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sdg_assets.cli import terminal
from sdg_assets.cli.endings import exit_codes
from sdg_assets.cli.options import AsJson, one_selected
from sdg_assets.errors import PermanentError, StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdg_assets.catalog import SubtaskSpec
    from sdg_assets.gates import Gate
    from sdg_assets.records import Example, Stage
    from sdg_assets.settings import Settings
    from sdg_assets.stages.tryout import Tryout
    from sdg_assets.stages.tryout_heldout import TryoutProtection
    from sdg_assets.store.partitions import Store
    from sdg_assets.teacher.conversation import Usage
    from sdg_assets.thresholds import Thresholds

EXIT_CODES = exit_codes("no row was accepted")
MARKER = ".sdg-try"
"""The file by which a directory is known to be a scratch store."""


def tryout(
    subtask: Annotated[
        str, typer.Argument(metavar="TASK/SUBTASK", help="The subtask to try, like arc/arc_easy.")
    ],
    rows: Annotated[int, typer.Option(min=1, help="Rows to try.")] = 10,
    into: Annotated[
        Path | None,
        typer.Option(
            help="Directory of the scratch store, which is kept: `sdg browse` shows it, and the "
            "same command asks for nothing twice. Default: a temporary one.",
            show_default=False,
        ),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(
            help="File of the page. Default: try-TASK-SUBTASK.html, here or in --into.",
            show_default=False,
        ),
    ] = None,
    tokens_per_second: Annotated[
        float | None,
        typer.Option(
            min=1,
            help="Output tokens per second of one GPU at full batch. Default: those of these rows.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Take a few rows through all stages with the configured teachers, into a scratch store.

    Prints what became of each row, and what all seeds would cost. The page shows every
    intermediate: seed, normalized question, prompts, raw completions, draft, votes, background, and
    what each gate said. The store (SDG_STORE) is only read. The rows are those that a run with
    SDG_MAX_SEEDS=10 would take.
    """
    from sdg_assets.browse.tryout_page import tryout_page
    from sdg_assets.cli.tryout_report import as_numbers, write_report
    from sdg_assets.settings import settings
    from sdg_assets.stages.extrapolation import extrapolated
    from sdg_assets.store.disk import clear_errors

    knobs, spec = settings(), one_selected(subtask)
    file = _page_file(page, into, spec)
    with _scratch_store(into, knobs) as scratch:
        tried = _Trying(spec, knobs, scratch, rows).run()
        cost = extrapolated(tried.tryout, tried.seeds, knobs.examples_per_seed)
        speed = tokens_per_second or tried.tokens_per_second
        logs = scratch.completions_dir(spec.task, spec.key)
        text = tryout_page(tried.tryout, cost, speed, tried.notes, logs)
        with clear_errors(file, "--page"):
            file.write_text(text, "utf-8")
    if as_json:
        terminal.write_json(as_numbers(tried.tryout, cost, speed, tried.notes, file))
    else:
        is_measured = tokens_per_second is None
        write_report(tried.tryout, cost, speed, tried.notes, is_measured=is_measured)
        terminal.write(f"\nEvery intermediate: {file}")
    return 0 if any(row.is_accepted for row in tried.tryout.rows) else 1


@dataclass(frozen=True)
class Tried:
    """The tried rows.

    Attributes:
        tryout: The rows, after the last stage.
        seeds: Number of the subtask's normalized examples.
        tokens_per_second: Output tokens per second of one GPU; None if all answers were in the log.
        notes: Where the seeds were counted, what the rows were compared with, and with what not, as
            sentences.
    """

    tryout: Tryout
    seeds: int
    tokens_per_second: float | None
    notes: Sequence[str]


class _Trying:
    """Opens what the stages need, and runs them."""

    def __init__(self, spec: SubtaskSpec, settings: Settings, scratch: Store, rows: int) -> None:
        from sdg_assets.catalog import configured_catalog
        from sdg_assets.store.partitions import Store
        from sdg_assets.thresholds import overridden

        self._spec, self._settings, self._scratch, self._rows = spec, settings, scratch, rows
        self._store = Store(settings.store)
        self._catalog = configured_catalog(settings)
        self._thresholds: Thresholds = overridden(settings.gates, spec.gates)

    def run(self) -> Tried:
        """Runs all stages; raises what they raise."""
        from sdg_assets.sandbox.policy import unisolated_programs
        from sdg_assets.stages.plan import gpus_of_a_replica, seeds_of

        with terminal.busy("reading seeds and held-out rows"):
            seeds, count, origin = seeds_of(self._spec, self._settings)
            heldout = self._heldout()
            guard = self._guards(heldout, seeds)
            tryout = self._normalized(seeds, guard())
        with unisolated_programs(allowed=self._settings.allow_unsandboxed_code):
            self._ask(tryout)
            passed_in, more_notes = self._paraphrases(heldout)
            tryout.filter(self._row_gates(guard(), passed_in))
        tryout.keep(self._scratch)
        usages = tryout.usages.values()
        seconds = sum(usage.seconds for usage in usages if usage.output_tokens)
        tokens = sum(usage.output_tokens for usage in usages)
        gpus = max(1, gpus_of_a_replica(self._settings))
        speed = tokens / seconds / gpus if seconds and tokens else None
        counted = f"{count:,} seeds, counted in {origin}."
        return Tried(tryout, count, speed, [counted, *heldout.notes, *more_notes])

    def _heldout(self) -> TryoutProtection:
        from sdg_assets.stages.tryout_heldout import tryout_protection

        return tryout_protection(
            self._spec, self._catalog, self._store, self._scratch, self._settings
        )

    def _guards(self, heldout: TryoutProtection, seeds: Sequence[Example]) -> Callable[[], Gate]:
        """Makes equal contamination gates, each with a report of its own."""
        from sdg_assets.assets.heldout_guard import HeldoutGuard
        from sdg_assets.stages.training_rows import evenly

        sample = evenly(seeds, len(seeds))
        guard = HeldoutGuard(self._spec, heldout.protection, self._thresholds, sample)
        return guard.separate_gate

    def _normalized(self, seeds: Sequence[Example], heldout: Gate) -> Tryout:
        """The first rows by rank, as `normalized` has them."""
        from sdg_assets.gates import seed_gates
        from sdg_assets.sources.source import open_source
        from sdg_assets.stages.overlaps import seeded_elsewhere
        from sdg_assets.stages.seeds import collect_seeds
        from sdg_assets.stages.tryout import Tryout, normalized_rows

        spec, source = self._spec, open_source(self._settings.seed_source)
        most = min(self._rows, self._settings.max_seeds or self._rows)
        raw = list(collect_seeds(spec, source, most))
        if not raw:
            raise StoreError(f"{spec.task}/{spec.key}: {source.name} has no row of it to try")
        task = self._catalog.task(spec.task)
        elsewhere = seeded_elsewhere(task, self._catalog, source) if task.overlaps else None
        gates = seed_gates(self._thresholds, heldout)
        rows = normalized_rows(spec, raw, self._rows, gates, elsewhere)
        return Tryout(spec, rows, seeds, self._thresholds)

    def _ask(self, tryout: Tryout) -> None:
        """Runs `generated` and `enriched`, each with its own teachers: both may not fit a GPU."""
        from sdg_assets.assets.desks import desks_of, played, probe_of
        from sdg_assets.assets.knobs import SolverConfig, WriterConfig
        from sdg_assets.assets.partition_context import PartitionInputs
        from sdg_assets.records import GeneratedExample, Stage
        from sdg_assets.stages.seed_index import SeedsById
        from sdg_assets.stages.stage import STAGES

        spec, settings = self._spec, self._settings
        inputs = PartitionInputs(spec=spec, store=self._store, settings=settings)
        writer_knobs = inputs.writer_knobs(WriterConfig())
        solver_knobs = inputs.solver_knobs(SolverConfig())
        roles = played(STAGES[Stage.GENERATED].roles, settings)
        with (
            desks_of(self._scratch, spec, roles, settings) as desks,
            _progress(Stage.GENERATED, len(tryout.rows)) as advance,
        ):
            tryout.write(desks, writer_knobs, settings.concurrency, advance)
        drafts = [row for row in tryout.rows if isinstance(row.draft, GeneratedExample)]
        if not drafts:
            return
        roles = played(STAGES[Stage.ENRICHED].roles, settings)
        with (
            desks_of(self._scratch, spec, roles, settings) as desks,
            _progress(Stage.ENRICHED, len(drafts)) as advance,
        ):
            judge = inputs.judge(desks, SeedsById(tryout.seeds))
            probe = probe_of(desks, settings)
            tryout.solve(desks, solver_knobs, judge, probe, settings.concurrency, advance)

    def _paraphrases(self, heldout: TryoutProtection) -> tuple[list[Gate], list[str]]:
        """The gate that compares embeddings, if there is an embedder; or a note why it is left out.

        It needs the embeddings of the store: to make them for a few rows would take minutes.
        """
        from sdg_assets.gates.paraphrases import NAME, Paraphrases, ParaphraseThresholds
        from sdg_assets.heldout.embeddings import embedded
        from sdg_assets.teacher.embedder import embedder_of

        embedder, name = embedder_of(self._settings), f"{self._spec.task}/{self._spec.key}"
        if embedder is None:
            return [], []
        if not heldout.is_in_store:
            return [], [
                f"The gate {NAME} is left out: the held-out questions of {name} are not embedded "
                f"in {self._store.root}; materialize {self._spec.task}/heldout first."
            ]
        try:
            index = embedded(self._store, heldout.protection.against, name, embedder.name)
        except StoreError as error:
            return [], [f"The gate {NAME} is left out: {error}."]
        return [Paraphrases(index, embedder, self._thresholds.of(ParaphraseThresholds))], []

    def _row_gates(self, heldout: Gate, passed_in: list[Gate]) -> list[Gate]:
        from sdg_assets.gates import row_gates

        return row_gates(self._thresholds, heldout, passed_in=passed_in)


@contextmanager
def _progress(stage: Stage, total: int) -> Iterator[Callable[[int, Usage], None]]:
    """A bar over the rows of a stage; yields what `Feed` calls."""
    with terminal.bar(stage.value, total) as advance:
        yield lambda done, usage: advance(1)


def _page_file(page: Path | None, into: Path | None, spec: SubtaskSpec) -> Path:
    """The file of the page, checked before teachers are asked.

    Raises:
        PermanentError: It could not be written.
    """
    file = page or (into or Path()) / f"try-{spec.task}-{spec.key}.html"
    folder = file.parent
    if page is None and into is not None:
        return file  # the directory is made with the scratch store
    if not folder.is_dir() or not os.access(folder, os.W_OK) or file.is_dir():
        raise PermanentError(f"--page {file}: cannot be written; name a file in another directory")
    return file


@contextmanager
def _scratch_store(into: Path | None, settings: Settings) -> Iterator[Store]:
    """The scratch store; a temporary one is deleted after the block.

    Raises:
        PermanentError: The directory may be something else than a scratch store.
    """
    from sdg_assets.store.disk import clear_errors
    from sdg_assets.store.partitions import Store
    from sdg_assets.store.places import scratch

    if into is None:
        with scratch() as folder:
            yield Store(folder)
        return
    folder = into.resolve()
    real = settings.store.resolve() if isinstance(settings.store, Path) else None
    if real and (real == folder or real in folder.parents or folder in real.parents):
        raise PermanentError(
            f"--into {into}: that is in, or around, the store {settings.store}, and tried rows may "
            "not get there; name another directory"
        )
    if folder.exists() and not folder.is_dir():
        raise PermanentError(f"--into {into}: is a file; name a directory")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARKER).exists():
        raise PermanentError(
            f"--into {into}: holds files that `sdg try` did not write; name a new directory"
        )
    with clear_errors(folder, "--into"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARKER).touch()
    yield Store(folder)
