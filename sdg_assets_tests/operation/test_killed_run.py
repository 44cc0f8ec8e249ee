"""`kill -9` while the real engine generates; then the same run again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets_tests.conftest import Configure, on_disk
from sdg_assets_tests.support.runs import failures, run

KEY = PartitionKey("arc", "generated", "arc_easy")
SEEDS = 16
GENERATE = """
import json
import dagster as dg
from sdg_assets_tests.support.runs import checks, failures, run
with dg.DagsterInstance.ephemeral() as instance:
    result = run("arc", ["generated"], instance=instance)
    refused = checks(result, "generated", "arc_easy")["rows"].metadata["refused_rows"].value
print("TOLD", json.dumps({"failures": failures(result), "refused": refused}))
"""


def finished(store: Store) -> list[str]:
    """Ids of the requests whose completions are on disk."""
    logs = list(on_disk(store.completions_dir("arc", "arc_easy")).glob("writer-*.jsonl"))
    lines = [line for log in logs for line in log.read_bytes().splitlines(keepends=True)]
    return [json.loads(line)["request_id"] for line in lines if line.endswith(b"\n")]


@pytest.mark.engine
def test_what_was_finished_before_a_kill_is_not_asked_again(
    store: Store, tmp_path: Path, configure: Configure, instance: dg.DagsterInstance
) -> None:
    # Few tokens: the drafts are cut off, so that none is published in the end.
    configure(teacher="smollm2-135m", writer_max_tokens=16, concurrency=2)
    prepared = run("arc", ["seeds", "normalized"], instance=instance)
    assert prepared.success, failures(prepared)

    errors = tmp_path / "stderr"
    with errors.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-c", GENERATE], stdout=out, stderr=out)
    patience = time.monotonic() + 300
    while len(finished(store)) < 3 and time.monotonic() < patience:
        assert process.poll() is None, errors.read_text("utf-8")[-3000:]
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    survived = finished(store)
    assert 3 <= len(survived) < SEEDS
    assert not store.exists(KEY)

    again = subprocess.run([sys.executable, "-c", GENERATE], capture_output=True, text=True)
    assert again.returncode == 0, again.stderr[-3000:]
    (line,) = [x for x in again.stdout.splitlines() if x.startswith("TOLD ")]
    report = json.loads(line.removeprefix("TOLD "))

    (message,) = report["failures"]
    assert f"0 of {SEEDS} rows are left. Most frequent reasons: generation: truncated" in message
    assert finished(store)[: len(survived)] == survived
    assert len(set(finished(store))) == len(finished(store)) == SEEDS, "a request was sent twice"
    rows = [json.loads(line) for line in Path(report["refused"]).read_bytes().splitlines()]
    assert {row["row"]["completion"]["request_id"] for row in rows} == set(finished(store))
