"""The main job, small: a few subtasks through all stages, in Dagster, with the configured teacher.

`python -m sdg_assets.cli.quickstart` materializes the same assets as the UI does, into the same
instance and store; `make ui` shows the runs afterwards.
"""

from __future__ import annotations

import argparse
import itertools
import signal
import sys
import time
import warnings

import dagster as dg

from sdg_assets.assets.keys import BENCHMARKS, CURATED, asset_key
from sdg_assets.catalog import Catalog, SubtaskSpec, configured_catalog, load_protected
from sdg_assets.cli.command import command
from sdg_assets.errors import CatalogError
from sdg_assets.heldout.protection import EVERY_BENCHMARK, PROTECTED, heldout_key, is_hashed
from sdg_assets.records import EnrichedExample, Stage
from sdg_assets.settings import settings
from sdg_assets.stages.funnel import funnel_row, render
from sdg_assets.stages.stage import TASK_STAGES, key_of
from sdg_assets.store.partitions import Store
from sdg_assets.teacher import stopping

# Three kinds of answers that a small teacher can write: a choice, a number, a yes or no.
SUBTASKS = ("arc/arc_easy", "gsm8k/gsm8k", "boolq/boolq")
LOGGERS = {"loggers": {"console": {"config": {"log_level": "INFO"}}}}


def materialize(
    keys: list[dg.AssetKey], partition: str | tuple[str, str] | None, max_seeds: int | None
) -> bool:
    """Runs assets in this process, as one Dagster run of the instance in DAGSTER_HOME.

    Args:
        keys: The assets.
        partition: The subtask, or the first and last of a range; None for unpartitioned assets.
        max_seeds: Cap on seeds.

    Returns:
        Whether the run succeeded; the log says why not.

    Raises:
        KeyboardInterrupt: A signal ended the run, so nothing else is to be started.
    """
    from sdg_assets.definitions import defs  # wrong settings fail here: `main` reports them

    assets = [asset for asset in defs.assets or () if isinstance(asset, dg.AssetsDefinition)]
    seeds = [key for key in keys if key.path[-1] == Stage.SEEDS]
    ops = {"__".join(key.path): {"config": {"max_seeds": max_seeds}} for key in seeds}
    with warnings.catch_warnings():
        # "varying BackfillPolicies": on purpose, see stages/stage.py.
        warnings.simplefilter("ignore", UserWarning)
        result = dg.materialize(
            assets,
            selection=keys,
            partition_key=partition if isinstance(partition, str) else None,
            tags=_range_tags(partition) if isinstance(partition, tuple) else None,
            instance=dg.DagsterInstance.get(),
            run_config={**LOGGERS, "ops": ops},
            raise_on_error=False,
        )
    if stopping.received():
        raise KeyboardInterrupt
    return result.success


def hash_benchmarks(store: Store) -> list[str]:
    """Hashes the protected benchmarks that are not hashed yet.

    Args:
        store: Where they lie.

    Returns:
        Those that could not be, and may not be missing.
    """
    without = settings().without_benchmarks
    names = [benchmark.name for benchmark in load_protected()]

    def due(name: str) -> bool:
        named = name in without or EVERY_BENCHMARK in without
        key = heldout_key(PROTECTED, name)
        return not named and not is_hashed(store, key, settings().seed_source)

    for is_due, group in itertools.groupby(names, due):
        if is_due:
            run = list(group)
            materialize([BENCHMARKS], (run[0], run[-1]), None)
    return [name for name in names if due(name)]


@command
def main(arguments: list[str] | None = None) -> int:
    """Runs the job and prints the funnel, three accepted examples and where the files are."""
    parser = argparse.ArgumentParser(
        prog="python -m sdg_assets.cli.quickstart", description=__doc__
    )
    parser.add_argument("subtasks", nargs="*", default=SUBTASKS, metavar="TASK/SUBTASK")
    parser.add_argument("--max-seeds", type=int, default=6, help="seeds a subtask (default 6)")
    chosen = parser.parse_args(arguments)
    started = time.monotonic()
    catalog = configured_catalog(settings())
    store = Store(settings().store)
    specs = [_spec(catalog, name) for name in chosen.subtasks]
    # Dagster hears of signals only while a run is under way; in between they end us as well.
    stopping.listen()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        failed = _run_all(specs, store, chosen.max_seeds)
    except KeyboardInterrupt:
        received = stopping.received() or signal.SIGINT
        sys.stderr.write(
            f"ended by {stopping.REASONS[received]}: nothing else is started, and everything "
            "answered so far is kept; the same command goes on from there\n"
        )
        return 128 + received
    out = sys.stdout.write
    out("\n" + render(funnel_row(store, spec) for spec in specs) + "\n")
    accepted = [key_of(spec, Stage.FILTERED) for spec in specs]
    accepted = [key for key in accepted if store.exists(key)]
    for key in accepted:
        for example in itertools.islice(store.read(key, EnrichedExample), 1):
            out(f"\n--- {key.task}/{key.subtask}\n{_show(example)}\n")
    out("\nAccepted rows:\n" + "".join(f"  {store.path(key)}\n" for key in accepted))
    out(f"Release:\n  {store.root / Stage.CURATED.value}\n")
    total = sum(store.manifest(key).rows for key in accepted)
    minutes = (time.monotonic() - started) / 60
    out(f"\n{total} accepted rows in {minutes:.1f} minutes, teacher {settings().teacher}.\n")
    if failed:
        sys.stderr.write(f"failed: {', '.join(failed)}; the log above says why\n")
    elif not total:
        sys.stderr.write(
            "nothing was accepted: the teacher is too weak for these tasks. The funnel shows "
            "where rows were lost; set SDG_TEACHER to a stronger model\n"
        )
    return 1 if failed else 0


def _spec(catalog: Catalog, name: str) -> SubtaskSpec:
    task, slash, subtask = name.partition("/")
    if not slash:
        raise CatalogError(f"{name!r} names no subtask; write it as task/subtask: {task}/…")
    return catalog.subtask(task, subtask)


def _run_all(specs: list[SubtaskSpec], store: Store, max_seeds: int | None) -> list[str]:
    """Hashes the benchmarks, runs each subtask and cuts the release; names what failed."""
    failed = [f"protected/heldout {name}" for name in hash_benchmarks(store)]
    for spec in specs:
        keys = [asset_key(spec.task, stage) for stage in TASK_STAGES]
        if not materialize(keys, spec.key, max_seeds):
            failed.append(f"{spec.task}/{spec.key}")
    if not materialize([CURATED], None, None):
        failed.append(CURATED.to_user_string())
    return failed


def _range_tags(partitions: tuple[str, str]) -> dict[str, str]:
    first, last = partitions
    return {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}


def _show(example: EnrichedExample) -> str:
    lines = [example.context, example.question]
    lines += [f"  - {choice}" for choice in example.choices]
    votes = ", ".join(f"{vote.answer} x{vote.count}" for vote in example.votes)
    lines += [f"Answer: {example.answer}   (votes: {votes})"]
    return "\n".join(line for line in lines if line)


if __name__ == "__main__":
    sys.exit(main())
