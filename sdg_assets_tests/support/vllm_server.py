"""A real vLLM server on loopback, with the quick teacher."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from sdg_assets.teacher.models import resolve

START_SECONDS = 240
COMPACT = {"backend": "xgrammar", "disable_any_whitespace": True}
"""So small a model fills its JSON with white space until it is cut off."""


@contextmanager
def vllm_server(log: Path, model: Path | None = None, *arguments: str) -> Iterator[str]:
    """Starts the server and stops it at the end; yields its URL.

    Args:
        log: Where it writes.
        model: What it serves, under its directory's name; by default the quick teacher.
        *arguments: More arguments of the server's command line.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    quick = resolve("smollm2-135m")
    served = (str(model), model.name) if model else (quick.path_or_id, quick.card.model)
    command = [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server",
        "--model", served[0], "--served-model-name", served[1],
        "--host", "127.0.0.1", "--port", str(port), "--enforce-eager",
        # In bfloat16 a greedy answer depends on rounding, and rounding on the rest of the batch.
        "--dtype", "float32", "--max-model-len", "2048",
        "--kv-cache-memory-bytes", str(1 << 29),
        "--structured-outputs-config", json.dumps(COMPACT), *arguments,
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
    with log.open("wb") as out:
        # In its own session: the server's engine is a child that outlives a killed parent.
        process = subprocess.Popen(
            command, stdout=out, stderr=out, env=environment, start_new_session=True
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(process, url, log)
            yield url
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def finished_requests(url: str) -> int:
    """Number of requests that the server has answered since it started."""
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    success = [line for line in lines if line.startswith("vllm:request_success_total")]
    return int(sum(float(line.rsplit(" ", 1)[1]) for line in success if "abort" not in line))


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text(errors="replace")[-3000:]
        try:
            if httpx.get(f"{url}/health", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.5)
    raise AssertionError(log.read_text(errors="replace")[-3000:])
