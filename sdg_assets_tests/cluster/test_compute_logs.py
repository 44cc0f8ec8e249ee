"""The output of a step is in the store, where another process reads it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
import yaml

from sdg_assets.dagster_internals import ComputeLogManager
from sdg_assets_tests.cluster.manifests import K8S
from sdg_assets_tests.conftest import Configure

# What a step's pod does, for each instance: run, print, end.
POD = """
import json, os, sys, dagster as dg

@dg.op
def speak(context):
    print("said on stdout")
    os.write(2, "gesagt auf stderr: ü\\n".encode())
    context.log.info("logged")

@dg.job
def speaking():
    speak()

for home, store in map(str.split, sys.argv[1:]):
    os.environ["SDG_STORE"] = store
    with dg.DagsterInstance.from_config(home) as instance:
        result = speaking.execute_in_process(instance=instance)
        (captured,) = [e for e in result.all_events if e.event_type_value == "LOGS_CAPTURED"]
        with open(os.path.join(home, "captured"), "w") as file:
            json.dump([result.run_id, captured.logs_captured_data.file_key], file)
"""


@contextmanager
def logs_of(home: Path) -> Iterator[ComputeLogManager]:
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance.compute_log_manager


def test_another_process_reads_the_output_of_a_step_that_is_over(
    bucket: str, tmp_path: Path, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = yaml.safe_load((K8S / "base" / "dagster.yaml").read_text("utf-8"))
    stores = {"volume": str(tmp_path / "store"), "bucket": bucket}
    for name in stores:
        (tmp_path / name).mkdir()
        config = yaml.safe_dump({"compute_logs": given["compute_logs"]})
        (tmp_path / name / "dagster.yaml").write_text(config, "utf-8")
    scratch = tmp_path / "scratch of the pod"
    scratch.mkdir()
    arguments = [f"{tmp_path / name} {store}" for name, store in stores.items()]
    environment = {**os.environ, "TMPDIR": str(scratch)}
    done = subprocess.run(
        [sys.executable, "-c", POD, *arguments], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    for name, store in stores.items():
        configure(store=store)
        run_id, file_key = json.loads((tmp_path / name / "captured").read_text())
        with logs_of(tmp_path / name) as manager:
            key = manager.build_log_key_for_run(run_id, file_key)
            data = manager.get_log_data(key)
            assert manager.is_capture_complete(key), name
            assert data.stdout == b"said on stdout\n", name
            assert "gesagt auf stderr: ü\n" in (data.stderr or b"").decode(), name
            assert b"logged" in (data.stderr or b""), name
            with manager.open_log_stream(["a", "sensor", "1"], None) as stream:  # type: ignore[arg-type]
                assert stream is None  # nothing is kept of ticks

            manager.delete_logs(prefix=[run_id])  # as `forget_old_runs` does
        with logs_of(tmp_path / name) as manager:
            assert not manager.is_capture_complete(key), name
    assert not any((tmp_path / "store" / ".logs").rglob("*.out"))
