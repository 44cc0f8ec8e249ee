from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Callable, Collection, Iterator
from functools import cache
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import settings as properties
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from sdg_assets.catalog import Catalog, cached_catalog, load_catalog, loader
from sdg_assets.settings import settings
from sdg_assets.store.partitions import Store
from sdg_assets.store.places import Place
from sdg_assets_tests.support.object_server import BUCKET, ObjectServer, object_server

# Variables that say where models are cached; they depend on the machine, not on the test.
MACHINE_VARIABLES = {"SDG_CACHE", "SDG_TEACHER_SOURCE"}
# On a busy machine the threads of an engine mostly wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A shell starts commands in the background with SIGINT ignored, and programs that tests interrupt
# would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Warnings of Dagster about its own internals, repeated for each asset.
IGNORED_WARNINGS = (
    "ignore::dagster.BetaWarning",
    "ignore::dagster.PreviewWarning",
    "ignore:Asset job __ephemeral_asset_job__ materializes assets with varying:UserWarning",
    "ignore:The `__fields__` attribute is deprecated",
    "ignore:Property `OpDefinition.version` is deprecated",
)
Configure = Callable[..., None]
# The same examples in every run, and no time limit, as test machines may be slow.
properties.register_profile("sdg", deadline=None, derandomize=True, database=None)
properties.load_profile("sdg")


# Tests that use a core or much memory for long, one of each group at a time: those with an engine
# of their own, those with a served model, and those with a set of services, which mostly wait. They
# come first, so that no process is left with them alone at the end.
GROUPS = {
    "engine": ("test_end_to_end", "operation/test_stopped", "stages/test_speed"),
    "server": ("teacher/backends/", "teacher/engine/"),
    "services": ("cluster/", "browser/"),
}  # fmt: skip
# Whole deployments that are killed, restarted and clicked through, Spark, and an engine's speed: up
# to five minutes a test. With them the default run took 29 minutes. Each file is a group.
LONG = (
    "browser/test_browser.py", "cluster/test_cluster_run", "cluster/test_cluster_slots",
    "cluster/test_fill_jobs", "cluster/test_preempted_steps",
    "operation/test_daemon", "operation/test_killed",
    "signatures/test_release.py::test_spark_finds", "soak/",
    "stages/test_speed.py::test_both_sides_write_the_same", "teacher/test_nothing_is_lost",
)  # fmt: skip


def group_of(nodeid: str) -> str:
    """The tests that run in one process, one after the other: a group, else those of a file."""
    name = _name(nodeid)
    groups = {} if name.startswith(LONG) else GROUPS
    file = name.partition("::")[0]
    return next((group for group, paths in groups.items() if name.startswith(paths)), file)


def _name(nodeid: str) -> str:
    """The test's file in this package, and its name."""
    return nodeid.partition("sdg_assets_tests/")[2]


@pytest.hookimpl(tryfirst=True)  # before pytest leaves out what `-m` does not select
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _name(item.nodeid).startswith(LONG):
            item.add_marker(pytest.mark.long)
    ranks = {name: rank for rank, name in enumerate(GROUPS)}
    items.sort(key=lambda item: ranks.get(group_of(item.nodeid), len(ranks)))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Distributes whole groups; the `loadgroup` of pytest-xdist 3.8 does nothing in pytest 9.2."""

    class Groups(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return Groups(config, log)


def pytest_configure(config: pytest.Config) -> None:
    for line in IGNORED_WARNINGS:
        config.addinivalue_line("filterwarnings", line)


def forget_settings() -> None:
    """Clears the caches of settings and catalog, so that the next use reads them again."""
    settings.cache_clear()
    cached_catalog.cache_clear()


@cache
def built_in_catalog(allow_canary: frozenset[str]) -> Catalog:
    """The built-in catalog, read once a test run: it takes half a second."""
    return load_catalog(None, allow_canary)


def load_once(directory: Path | None = None, allow_canary: Collection[str] = ()) -> Catalog:
    """`load_catalog`; of catalogs that tests write, anew each time."""
    if directory is None:
        return built_in_catalog(frozenset(allow_canary))
    return load_catalog(directory, allow_canary)


@pytest.fixture(scope="session", autouse=True)
def catalog_is_read_once() -> Iterator[None]:
    """Tests that forget the settings, all of them, still share the built-in catalog."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loader, "load_catalog", load_once)
        yield


@pytest.fixture(autouse=True)
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Configure]:
    """Each test starts with the defaults and its own store; `configure(votes=5)` sets more."""
    for name in [n for n in os.environ if n.startswith("SDG_") and n not in MACHINE_VARIABLES]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)

    def set_variables(**values: object) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"SDG_{name.upper()}", str(value))
        forget_settings()

    set_variables(store=tmp_path / "store", without_benchmarks="all")
    yield set_variables
    forget_settings()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture(scope="session")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    """An object store for the whole test run."""
    with object_server(tmp_path_factory.mktemp("objects")) as server:
        yield server


@pytest.fixture
def bucket(objects: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """Address of an empty prefix in a bucket; the environment contains its key and endpoint."""
    for name, value in objects.environment().items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/{secrets.token_hex(8)}"


def on_disk(place: Place) -> Path:
    """Narrows the type of a place in a store that is a directory."""
    assert isinstance(place, Path)
    return place


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """A Dagster instance in memory, for one test."""
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral
