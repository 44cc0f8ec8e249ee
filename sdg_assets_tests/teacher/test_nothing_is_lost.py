"""Five SIGKILLs in one partition, with a real vLLM server that counts its requests."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sdg_assets import catalog
from sdg_assets.records import GeneratedExample
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets.teacher.requests import Completion
from sdg_assets_tests.support.vllm_server import finished_requests

pytestmark = pytest.mark.engine

KEY = PartitionKey("arc", "generated", "arc_easy")
# The definitions of the whole catalog take seconds to load, in each of seven processes.
FILE = Path(catalog.__file__).parent / "knowledge" / "arc.yaml"
KILLS = 5
CONCURRENCY = 4
RUN = """
import dagster as dg
from sdg_assets.definitions import defs
from sdg_assets_tests.support.stages import TASK_ASSETS

stages = [dg.AssetKey(["arc", stage]) for stage in TASK_ASSETS[:4]]
assets = [asset for asset in defs.assets if isinstance(asset, dg.AssetsDefinition)]
dg.materialize(assets, selection=stages, partition_key="arc_easy")
"""


@pytest.fixture(scope="module")
def small_catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog of this task alone."""
    folder = tmp_path_factory.mktemp("catalog")
    (folder / FILE.parent.name).mkdir()
    shutil.copy(FILE, folder / FILE.parent.name)
    return folder


def _start(store: Path, url: str, small: Path) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "SDG_STORE": str(store),
        "SDG_CATALOG": str(small),
        "SDG_TEACHER": url,
        "SDG_SEED_SOURCE": "samples",
        "SDG_MAX_SEEDS": "8",
        "SDG_EXAMPLES_PER_SEED": "3",
        "SDG_WRITER_TEMPERATURE": "0",
        "SDG_WRITER_MAX_TOKENS": "128",
        "SDG_CONCURRENCY": str(CONCURRENCY),
    }
    quiet = subprocess.DEVNULL
    return subprocess.Popen(
        [sys.executable, "-c", RUN], env=environment, stdout=quiet, stderr=quiet
    )


def _log(store: Path) -> bytes:
    logs = list((store / "arc" / "completions" / "arc_easy").glob("writer-*.jsonl"))
    whole = logs[0].read_bytes() if logs else b""
    return whole[: whole.rfind(b"\n") + 1]


def _texts(store: Path) -> dict[str, str]:
    completions = map(Completion.model_validate_json, _log(store).splitlines())
    return {completion.request_id: completion.text for completion in completions}


def _rows(store: Path) -> list[GeneratedExample]:
    return list(Store(store).read(KEY, GeneratedExample))


def test_after_five_kills_the_result_is_an_undisturbed_runs_and_nothing_finished_is_asked_again(
    server: str, small_catalog: Path, tmp_path: Path
) -> None:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    assert _start(undisturbed, server, small_catalog).wait(timeout=300) == 0
    requests = _log(undisturbed).count(b"\n")
    before = finished_requests(server)

    moments = random.Random(7)
    for number in range(KILLS):
        kept = _log(killed)
        process = _start(killed, server, small_catalog)
        goal = kept.count(b"\n") + moments.randint(1, max(1, requests // (KILLS + 2)))
        while _log(killed).count(b"\n") < goal and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not Store(killed).exists(KEY), f"kill {number} came too late to disturb anything"
        assert _log(killed).startswith(kept), "the log of earlier runs must be unchanged"
    assert _start(killed, server, small_catalog).wait(timeout=300) == 0

    assert _log(killed).count(b"\n") == requests
    # Only requests in flight, or not yet written at a kill, may have been sent again.
    answered = finished_requests(server) - before
    assert requests <= answered <= requests + KILLS * CONCURRENCY
    assert _texts(killed) == _texts(undisturbed)
    assert [row.id for row in _rows(killed)] == [row.id for row in _rows(undisturbed)]
