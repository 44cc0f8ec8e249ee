"""A PostgreSQL server, the database of Dagster on Kubernetes."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from sdg_assets_tests.operation.deployment import free_port

USER = "dagster"


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """Runs a server on a free port of this machine during the block.

    Args:
        folder: Its data; created if it is not there. Whoever runs the server must reach it.

    Yields:
        The URL of a database.
    """
    assert shutil.which("initdb"), "no initdb: install Debian's package postgresql"
    # The server refuses to run as root; Debian's package brings this user along.
    owner = "postgres" if os.geteuid() == 0 else None
    run = partial(subprocess.run, check=True, stdout=subprocess.DEVNULL, user=owner, cwd="/")
    is_new = not folder.exists()
    folder.mkdir(mode=0o700, exist_ok=True)
    if owner:
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, owner, owner)
    if is_new:
        run(["initdb", "-D", folder, "-U", USER, "-E", "UTF8", "--locale=C", "--auth=trust"])
    port, control = free_port(), ["pg_ctl", "-D", folder, "-w"]
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''"
    run([*control, "-l", folder / "server.log", "-o", options, "start"])
    try:
        yield f"postgresql+psycopg2://{USER}@127.0.0.1:{port}/postgres"
    finally:
        run([*control, "-m", "fast", "stop"])
