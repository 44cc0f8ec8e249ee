"""The commands and probes of the workloads are valid, and the code location starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import grpc
import pytest
from dagster._cli import create_dagster_cli
from dagster._daemon.cli import create_dagster_daemon_cli
from dagster_webserver.cli import dagster_webserver
from grpc_health.v1 import health_pb2, health_pb2_grpc

from sdg_assets_tests.cluster.cluster import ROOT
from sdg_assets_tests.cluster.manifests import OVERLAYS, manifests, named
from sdg_assets_tests.operation.deployment import end, free_port, wait_for_port

PROGRAMS: dict[str, click.Command] = {
    "dagster": create_dagster_cli(),  # type: ignore[no-untyped-call]
    "dagster-daemon": create_dagster_daemon_cli(),
    "dagster-webserver": dagster_webserver,
}


def _container(overlay: str, name: str) -> dict[str, Any]:
    """The workload's first container."""
    deployment = named(manifests(overlay), "Deployment", name)
    return dict(deployment["spec"]["template"]["spec"]["containers"][0])


def _parse(command: list[str]) -> None:
    """Reads a command line as its program would, without running it."""
    program, arguments = PROGRAMS[command[0]], command[1:]
    while isinstance(program, click.Group):
        program, arguments = program.commands[arguments[0]], arguments[1:]
    program.make_context(command[0], arguments)


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("name", ["sdg-code", "sdg-webserver", "sdg-daemon"])
def test_a_workloads_command_and_probes_are_understood(
    overlay: str, name: str, tmp_path: Path
) -> None:
    container = _container(overlay, name)
    for file, text in named(manifests(overlay), "ConfigMap", "sdg-dagster")["data"].items():
        (tmp_path / file).write_text(text, "utf-8")
    mounted = {m["mountPath"]: m.get("subPath") for m in container["volumeMounts"]}
    home = {e["name"]: e.get("value") for e in container["env"]}["DAGSTER_HOME"]
    assert mounted[f"{home}/workspace.yaml"] == "workspace.yaml"
    _parse([argument.replace(home, str(tmp_path)) for argument in container["command"]])
    probe = container["livenessProbe"]
    if "exec" in probe:
        _parse(probe["exec"]["command"])


def test_the_code_location_starts_with_its_settings_and_answers_its_probe(tmp_path: Path) -> None:
    container = _container("trial", "sdg-code")
    port = free_port()
    command = [a.replace("--port=4000", f"--port={port}") for a in container["command"]]
    settings = named(manifests("trial"), "ConfigMap", "sdg-settings")["data"]
    program = Path(sys.executable).parent / command[0]
    environment = {**settings, "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            [program, *command[1:]],
            cwd=tmp_path,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_for_port(port)
        probe_service = container["readinessProbe"]["grpc"]["service"]
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service=probe_service),
                timeout=60,
                wait_for_ready=True,
            )
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    finally:
        end(server)
