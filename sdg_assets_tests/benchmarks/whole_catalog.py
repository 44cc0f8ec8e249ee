"""What a deployment costs when every partition of every stage is materialized.

    python -m sdg_assets_tests.benchmarks.whole_catalog [--storage postgresql]

Fills a Dagster instance with the history of more than 700 subtasks through all stages, starts code
server, webserver and daemon as `make ui` does, and switches both sensors on. Prints how long their
ticks take, how much the database grows at rest, how long pages of the UI take in a real browser,
and how long it takes from a new writer to the first run that is requested for it. No requested run
is started. The instance lies in SQLite files, or in a PostgreSQL server that the benchmark starts.
Exits 1 and names the goals that are missed.
"""

from __future__ import annotations

import argparse
import shutil
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import yaml
from playwright.sync_api import Request, sync_playwright
from sqlalchemy import Engine, NullPool, create_engine, event, text

from sdg_assets.assets.operations import OPERATIONS
from sdg_assets.catalog import cached_catalog
from sdg_assets.records import Role
from sdg_assets_tests.operation.deployment import ROOT, Deployment, started
from sdg_assets_tests.support.builders import write_catalog
from sdg_assets_tests.support.history import History
from sdg_assets_tests.support.postgresql import postgresql

SENSORS = ("remake_stale", "fill_missing")
# Tasks that are switched off, but have more subtasks than any that is switched on.
LARGE = ("sib200", "tmmluplus")
LARGEST = "sib200"
STORAGES = ("sqlite", "postgresql")
PATIENCE = 120
TICKS_AT_REST = 3
GOALS = {
    "the first tick, s": 20.0,
    "a tick at rest, s": 5.0,
    "growth a tick at rest, KiB": 16.0,
    "graph of all assets, s": 10.0,
    "status of all groups in view, s": 20.0,
    "status of the largest task, s": 10.0,
    "partitions of the largest task, s": 10.0,
    "new writer to first run, s": 90.0,
    "a tick after a new writer, s": 10.0,
    "backfills for the new writer": 1,
    "making operations, s": 30.0,
    "operations page, s": 10.0,
    "peak memory of the daemon, MiB": 512.0,
}
"""The largest figure that meets the goal."""


def environment(place: Path) -> dict[str, str]:
    """The settings of the deployment."""
    return {
        "SDG_CATALOG": str(place / "catalog"),
        "SDG_STORE": str(place / "store"),
        "SDG_WITHOUT_BENCHMARKS": "all",
    }


def prepare(place: Path, storage: str) -> int:
    """Writes a catalog and an instance in which all of it is made; returns its partitions."""
    built_in = cached_catalog()
    for task in built_in.tasks.values():
        keys = list(task.subtasks) if task.task in LARGE else task.enabled_subtasks()
        if keys and (task.enabled or task.task in LARGE):
            subtasks = {key: {"config": key} for key in keys}
            fields = {"task": task.task, "domain": task.domain, "subtasks": subtasks}
            write_catalog(place / "catalog", fields)
    with (
        stored(place, storage),
        unsynced(),
        dg.DagsterInstance.from_config(str(place / "home")) as instance,
    ):
        return History(instance).make_all(cached_catalog(place / "catalog").enabled(), "one")


@contextmanager
def stored(place: Path, storage: str) -> Iterator[Callable[[], int]]:
    """Writes the instance's dagster.yaml, and runs its database server if it has one.

    Args:
        place: Gets the folder `home`, and `postgresql` for a server's data.
        storage: One of `STORAGES`.

    Yields:
        A function that returns the bytes of all that the instance keeps.
    """
    home = place / "home"
    home.mkdir(exist_ok=True)
    config = yaml.safe_load((ROOT / "dagster.yaml").read_text("utf-8"))
    # Runs that a backfill requests stay queued: only their requests are measured.
    limit = {"key": "dagster/backfill", "limit": 0}
    config["concurrency"]["runs"]["tag_concurrency_limits"] = [limit]
    with ExitStack() as stack:
        if storage == "postgresql":
            url = stack.enter_context(postgresql(place / "postgresql"))
            config["storage"] = {"postgres": {"postgres_url": url}}
            measure = partial(database_size, url)
        else:
            measure = partial(size, home)
        (home / "dagster.yaml").write_text(yaml.safe_dump(config), "utf-8")
        yield measure


@contextmanager
def unsynced() -> Iterator[None]:
    """Lets the database not wait for the disk, which would take longer than all else."""

    def connected(connection: Any, _record: object) -> None:
        is_sqlite = isinstance(connection, sqlite3.Connection)
        command = "PRAGMA synchronous=OFF" if is_sqlite else "SET synchronous_commit TO off"
        connection.cursor().execute(command)
        connection.commit()

    event.listen(Engine, "connect", connected)
    try:
        yield
    finally:
        event.remove(Engine, "connect", connected)


class Memory(threading.Thread):
    """The largest resident set of the daemon, looked at twice a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        (self._process,) = [
            child for child in psutil.Process().children() if "dagster._daemon" in child.cmdline()
        ]

    def run(self) -> None:
        while self._process.is_running():
            self.peak = max(self.peak, self._process.memory_info().rss)
            time.sleep(0.5)


def ticks(deployment: Deployment, sensor: str) -> list[float]:
    """The seconds of the sensor's finished ticks, the oldest first."""
    states = [s for s in deployment.instance.all_instigator_state() if s.name == sensor]
    finished = [
        tick
        for state in states
        for tick in deployment.instance.get_ticks(state.instigator_origin_id, state.selector_id)
        if tick.is_completed
    ]
    for tick in finished:
        assert not tick.is_failure, tick.error
    return [(tick.end_timestamp or 0) - tick.timestamp for tick in reversed(finished)]


def wait_for_ticks(deployment: Deployment, more: int) -> dict[str, list[float]]:
    """Waits until each sensor has made so many more ticks; returns the seconds of these."""
    before = {sensor: len(ticks(deployment, sensor)) for sensor in SENSORS}
    while True:
        new = {sensor: ticks(deployment, sensor)[count:] for sensor, count in before.items()}
        if all(len(seconds) >= more for seconds in new.values()):
            return new
        time.sleep(0.5)


def size(home: Path) -> int:
    """The bytes of the instance's files, without the logs of the processes."""
    files = (f for f in home.rglob("*") if f.is_file() and f.suffix != ".log")
    return sum(file.stat().st_size for file in files)


def database_size(url: str) -> int:
    """The bytes of a PostgreSQL database, with indexes and what is not yet vacuumed."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        return int(
            connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one()
        )


def at_rest(deployment: Deployment, measure: Callable[[], int]) -> Iterator[tuple[str, float]]:
    """Ticks while nothing is stale or missing, and what they leave in the database."""
    first = wait_for_ticks(deployment, 1)
    yield "the first tick, s", max(max(seconds) for seconds in first.values())
    before, begun = measure(), len(ticks(deployment, SENSORS[0]))
    rest = wait_for_ticks(deployment, TICKS_AT_REST)
    for sensor, seconds in rest.items():
        print(f"  {sensor}: " + ", ".join(f"{s:.1f}" for s in [*first[sensor], *seconds]) + " s")
    yield "a tick at rest, s", max(max(seconds) for seconds in rest.values())
    made = len(ticks(deployment, SENSORS[0])) - begun
    yield "growth a tick at rest, KiB", (measure() - before) / made / 1024


def pages(deployment: Deployment) -> Iterator[tuple[str, float]]:
    """Seconds until pages of the UI show what a person came for, each in a fresh browser."""
    group = f"/locations/sdg_assets/asset-groups/{LARGEST}"
    partitions = f"/assets/{LARGEST}/filtered?view=partitions"
    shown, complete = opened(deployment, "/asset-groups", "protected")
    yield "graph of all assets, s", shown
    yield "status of all groups in view, s", complete
    yield "status of the largest task, s", max(opened(deployment, group, "enriched"))
    yield (
        "partitions of the largest task, s",
        max(opened(deployment, partitions, "Materialized (203)")),
    )


def opened(deployment: Deployment, path: str, text: str) -> tuple[float, float]:
    """Opens a page of the UI.

    Args:
        deployment: Where the webserver runs.
        path: The page's path.
        text: What it must show.

    Returns:
        Seconds until the page shows the text, and until it has the status of all assets in view.
    """
    chromium = shutil.which("chromium")
    assert chromium, "no chromium: install Debian's package chromium"
    asked, answered = set[str](), set[str]()

    def note(request: Request) -> None:
        body: dict[str, Any] = (request.post_data_json if request.post_data else None) or {}
        keys = body.get("variables", {}).get("assetKeys", ())
        names = {"/".join(key["path"]) for key in keys}
        if names and body["operationName"] == "AssetGraphLiveQuery":
            answered.update(names)
        asked.update(names)

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 800})
        page.on("requestfinished", note)
        began = time.monotonic()
        page.goto(deployment.url + path)
        page.get_by_text(text).first.wait_for(timeout=PATIENCE * 1000)
        shown = time.monotonic() - began
        while not asked or asked - answered:
            page.wait_for_timeout(50)
            assert time.monotonic() < began + PATIENCE, f"no status of {sorted(asked - answered)}"
        complete = time.monotonic() - began
        browser.close()
    return shown, complete


def new_writer(deployment: Deployment) -> Iterator[tuple[str, float]]:
    """From the observation of another writer to the runs that are requested for it."""
    instance = deployment.instance
    History(instance).observe("two", Role.WRITER)
    began = time.monotonic()
    before = {sensor: len(ticks(deployment, sensor)) for sensor in SENSORS}
    deployment.wait(lambda: requested(instance))
    yield "new writer to first run, s", time.monotonic() - began
    wait_for_ticks(deployment, 2)
    seconds = [s for sensor, count in before.items() for s in ticks(deployment, sensor)[count:]]
    print("  ticks: " + ", ".join(f"{s:.1f}" for s in seconds) + " s")
    yield "a tick after a new writer, s", max(seconds)
    yield "backfills for the new writer", len(instance.get_backfills())
    print(f"  {len(requested(instance))} runs requested after {time.monotonic() - began:.0f} s")


def requested(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """The runs that backfills have requested."""
    return [run for run in instance.get_runs() if "dagster/backfill" in run.tags]


def operations(deployment: Deployment) -> Iterator[tuple[str, float]]:
    """The page of what is broken: making it, and reading it."""
    run_id = deployment.materialize(OPERATIONS.path)
    deployment.wait(lambda: deployment.instance.get_run_by_id(run_id).is_finished)  # type: ignore[union-attr]
    record = deployment.instance.get_run_record_by_id(run_id)
    assert record
    assert record.dagster_run.is_success
    yield "making operations, s", (record.end_time or 0) - (record.start_time or 0)
    yield (
        "operations page, s",
        max(opened(deployment, "/assets/operations?view=overview", " stale")),
    )


def figures(place: Path, storage: str) -> Iterator[tuple[str, float]]:
    """Measures everything, one figure after the other."""
    with ExitStack() as stack:
        measure = stack.enter_context(stored(place, storage))
        deployment = stack.enter_context(started(place / "home", environment(place)))
        memory = Memory()
        memory.start()
        for sensor in SENSORS:
            stack.enter_context(deployment.switched_on(sensor))
        yield from at_rest(deployment, measure)
        yield from pages(deployment)
        yield from new_writer(deployment)
        yield from operations(deployment)
        yield "peak memory of the daemon, MiB", memory.peak / 2**20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument(
        "--prepared", type=Path, help="folder of the filled instance; it is filled once and copied"
    )
    parser.add_argument("--storage", choices=STORAGES, default=STORAGES[0])
    options = parser.parse_args()
    prepared: Path | None = options.prepared
    missed = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)  # the user of a database server must reach its data
        place = Path(folder) / "place"
        filled = prepared or place
        if not filled.exists():
            filled.mkdir(parents=True)
            began = time.monotonic()
            partitions = prepare(filled, options.storage)
            print(f"{partitions} partitions filled in {time.monotonic() - began:.0f} s", flush=True)
        if filled is not place:
            shutil.copytree(filled, place)
        for name, figure in figures(place, options.storage):
            is_met = figure <= GOALS[name]
            verdict = "" if is_met else "   MISSED"
            print(f"{name:<36}{figure:9.1f}   goal {GOALS[name]:g}{verdict}", flush=True)
            if not is_met:
                missed.append(name)
    for name in missed:
        print(f"missed: {name}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
