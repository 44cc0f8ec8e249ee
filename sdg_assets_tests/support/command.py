"""Runs `sdg`: in this process, as a program with pipes, or as one in a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from contextlib import suppress

from typer.testing import CliRunner, Result

from sdg_assets.cli import build

PROGRAM = (sys.executable, "-c", "from sdg_assets.cli import main; main()")
"""The command line of the console script `sdg`, also if it is not installed."""


def sdg(*arguments: str) -> Result:
    """Runs a command line in this process; unexpected errors are raised."""
    done = CliRunner().invoke(build(rich_help=False), arguments, prog_name="sdg")
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def program(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a command line as a program, its output in pipes."""
    return subprocess.run(
        [*PROGRAM, *arguments], env={**os.environ, **environment}, capture_output=True, text=True
    )


def in_terminal(*arguments: str, width: int, **environment: str) -> str:
    """Runs a command line in a terminal `width` characters wide; returns its output."""
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    screen, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    process = subprocess.Popen(
        [*PROGRAM, *arguments],
        env={**kept, "TERM": "xterm-256color", **environment},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    output = b""
    with suppress(OSError):  # EIO: the program has ended
        while data := os.read(screen, 1 << 16):
            output += data
    os.close(screen)
    assert process.wait() == 0, output.decode()
    return output.decode().replace("\r\n", "\n")
