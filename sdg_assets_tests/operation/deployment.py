"""A Dagster deployment like a user's: code server, webserver and daemon as processes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from sdg_assets.dagster_internals import NOT_FINISHED_STATUSES, BulkActionStatus

ROOT = Path(__file__).parents[2]
# The unchanged daemon, except that it does not wait 30 s between two checks of backfills, nor 5 s
# between two looks at the sensors.
IMPATIENT_DAEMON = """
from dagster._daemon import controller, sensor
controller.DEFAULT_DAEMON_INTERVAL_SECONDS = 3
sensor.MIN_INTERVAL_LOOP_TIME = 1
from dagster._daemon.cli import main
main()
"""
REPOSITORY = {"repositoryLocationName": "sdg_assets", "repositoryName": "__repository__"}


class Deployment:
    """A running deployment and its instance."""

    def __init__(self, home: Path, instance: dg.DagsterInstance, port: int) -> None:
        self.home = home
        self.instance = instance
        self.url = f"http://127.0.0.1:{port}"

    def graphql(self, query: str, **variables: Any) -> dict[str, Any]:
        """Sends a query of the UI to the webserver.

        Raises:
            AssertionError: It refused.
        """
        request = urllib.request.Request(
            f"{self.url}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer["errors"]
        (result,) = answer["data"].values()
        assert "message" not in result, result
        return dict(result)

    def reload(self) -> None:
        """The UI's button "Reload"."""
        self.graphql(
            """mutation { reloadRepositoryLocation(repositoryLocationName: "sdg_assets") {
                 ... on WorkspaceLocationEntry { locationOrLoadError {
                   ... on RepositoryLocation { name } ... on PythonError { message } } }
                 ... on PythonError { message } } }"""
        )
        time.sleep(3)  # the daemon checks once a second whether the code server has changed

    @contextmanager
    def switched_on(self, sensor: str) -> Iterator[None]:
        """Runs the sensor during the block."""
        selector = {**REPOSITORY, "sensorName": sensor}
        started = self.graphql(
            """mutation ($s: SensorSelector!) { startSensor(sensorSelector: $s) {
                 ... on Sensor { id } ... on PythonError { message } } }""",
            s=selector,
        )
        try:
            yield
        finally:
            self.graphql(
                """mutation ($id: String!) { stopSensor(id: $id) {
                     ... on StopSensorMutationResult { __typename }
                     ... on PythonError { message } } }""",
                id=started["id"],
            )

    def materialize(self, *keys: Sequence[str]) -> str:
        """Launches a run of unpartitioned assets, or an observation, and returns its id."""
        return self._launch("__ASSET_JOB", {"assetSelection": [{"path": key} for key in keys]})

    def run_job(self, name: str, **ops: Any) -> str:
        """Launches a job, with the config of its ops, and returns the run's id."""
        config = {"ops": {op: {"config": values} for op, values in ops.items()}}
        return self._launch(name, {}, runConfigData=config)

    def _launch(self, job: str, selection: dict[str, Any], **parameters: Any) -> str:
        launched = self.graphql(
            """mutation ($p: ExecutionParams!) { launchPipelineExecution(executionParams: $p) {
                 ... on LaunchRunSuccess { run { runId } }
                 ... on PythonError { message }
                 ... on RunConfigValidationInvalid { errors { message } } } }""",
            p={
                "selector": {**REPOSITORY, "pipelineName": job, **selection},
                "mode": "default",
                **parameters,
            },
        )
        return str(launched["run"]["runId"])

    def re_execute_from_failure(self, run_id: str) -> str:
        """The UI's button "Re-execute from failure"; returns the new run's id."""
        launched = self.graphql(
            """mutation ($p: ReexecutionParams!) { launchRunReexecution(reexecutionParams: $p) {
                 ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }""",
            p={"parentRunId": run_id, "strategy": "FROM_FAILURE"},
        )
        return str(launched["run"]["runId"])

    def wait(self, until: Callable[[], object], seconds: float = 400) -> None:
        """Waits until a condition is true.

        Raises:
            AssertionError: It is not; tells how the runs went.
        """
        patience = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < patience, self.runs()
            time.sleep(0.2)

    def runs(self) -> list[str]:
        """One line per run, oldest first."""
        return [
            f"{run.run_id[:8]} {run.status.value} "
            + " ".join(sorted(key.to_user_string() for key in run.asset_selection or ()))
            + f" {partitions_of(run)}"
            for run in reversed(self.instance.get_runs())
        ]

    def idle(self) -> bool:
        """Whether no run and no backfill is under way."""
        runs = self.instance.get_runs(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES))
        waiting = [run for run in self.instance.get_runs() if run.is_complete_and_waiting_to_retry]
        backfills = self.instance.get_backfills(status=BulkActionStatus.REQUESTED)
        return not (runs or waiting or backfills)


def partitions_of(run: dg.DagsterRun) -> str:
    """The partitions of a run: one, or first and last."""
    first = run.tags.get("dagster/asset_partition_range_start")
    last = run.tags.get("dagster/asset_partition_range_end")
    return run.tags.get("dagster/partition") or f"{first}..{last}"


def worker_of(deployment: Deployment, asset: str) -> int:
    """The process that executes the asset's run."""
    runs = deployment.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    (run,) = [r for r in runs if {k.to_user_string() for k in r.asset_selection or ()} == {asset}]
    logs = deployment.instance.all_logs(run.run_id)
    matches = [re.search(r"\(pid: (\d+)\)", entry.message) for entry in logs]
    return int(next(match for match in matches if match)[1])


@contextmanager
def deployed(home: Path, environment: dict[str, str]) -> Iterator[Deployment]:
    """Starts an impatient deployment on free ports, and ends it after the block.

    Args:
        home: DAGSTER_HOME; gets the repository's own dagster.yaml, with shorter waits.
        environment: SDG_* of all processes.
    """
    home.mkdir()
    config = yaml.safe_load((ROOT / "dagster.yaml").read_text("utf-8"))
    config["run_monitoring"] |= {"poll_interval_seconds": 1, "free_slots_after_run_end_seconds": 1}
    (home / "dagster.yaml").write_text(yaml.safe_dump(config), "utf-8")
    seconds = {"DAGSTER_EVENT_LOG_CONSUMER_DAEMON_INTERVAL_SECONDS": "1"}
    with started(home, environment | seconds, ["-c", IMPATIENT_DAEMON]) as deployment:
        yield deployment


@contextmanager
def started(
    home: Path, environment: dict[str, str], daemon: Sequence[str] = ("-m", "dagster._daemon")
) -> Iterator[Deployment]:
    """Starts code server, webserver and daemon on free ports, and ends them after the block.

    Args:
        home: DAGSTER_HOME, with a dagster.yaml; gets workspace.yaml and a log of each process.
        environment: SDG_* of all three.
        daemon: Arguments of Python that start the daemon.
    """
    code_port, web_port = free_port(), free_port()
    server = {"host": "127.0.0.1", "port": code_port, "location_name": "sdg_assets"}
    workspace = home / "workspace.yaml"
    workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}), "utf-8")
    env = {
        **os.environ,
        **environment,
        "DAGSTER_HOME": str(home),
        "PYTHONWARNINGS": "ignore",
    }
    module = ["-m", "sdg_assets.definitions", "--location-name", "sdg_assets"]
    where = ["-h", "127.0.0.1", "-p"]
    commands = {
        "code": ["-m", "dagster", "code-server", "start", *module, *where, str(code_port)],
        "web": ["-m", "dagster_webserver", "-w", str(workspace), *where, str(web_port)],
        "daemon": [*daemon, "run", "-w", str(workspace)],
    }
    with dg.DagsterInstance.from_config(str(home)) as instance, processes(home, env) as start:
        start("code", commands["code"])
        wait_for_port(code_port)
        start("web", commands["web"])
        start("daemon", commands["daemon"])
        wait_for_port(web_port)
        yield Deployment(home, instance, web_port)


@contextmanager
def processes(
    folder: Path, environment: dict[str, str]
) -> Iterator[Callable[[str, list[str]], None]]:
    """Starts Python processes that log to files in the folder, and ends them after the block."""
    started: list[subprocess.Popen[bytes]] = []

    def start(name: str, arguments: list[str]) -> None:
        with (folder / f"{name}.log").open("wb") as log:
            started.append(
                subprocess.Popen(
                    [sys.executable, *arguments],
                    cwd=ROOT,
                    env=environment,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )

    try:
        yield start
    finally:
        for process in reversed(started):
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process and all its children."""
    for number in (signal.SIGINT, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=20)
        except (subprocess.TimeoutExpired, ProcessLookupError):
            continue


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, seconds: float = 120) -> None:
    patience = time.monotonic() + seconds
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < patience, f"nothing listens at port {port}"
        time.sleep(0.1)
