"""The exit codes of `sdg`, and its one-line error messages."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from sdg_assets.errors import CANNOT_BE_DONE, SdgError


def exit_codes(one: str = "", more: str = "") -> str:
    """The line of a command's help that explains its exit codes.

    Args:
        one: The meaning of 1; empty for a command that never exits with 1.
        more: Further codes and their meanings.
    """
    codes = [
        "0 done",
        *([f"1 {one}"] if one else []),
        f"{CANNOT_BE_DONE} cannot be done; a message says why",
        *([more] if more else []),
    ]
    return f"Exit codes: {'; '.join(codes)}."


class Command(TyperGroup):
    """The command `sdg` with all its subcommands.

    A subcommand returns its exit code. An `SdgError` or a wrong command line prints one line on
    stderr and exits with `CANNOT_BE_DONE`. A closed pipe (`sdg … | head`) is not an error.
    """

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        *_: Any,  # noqa: ANN401 – as typer declares it
        **extra: Any,  # noqa: ANN401
    ) -> NoReturn:
        """Runs a command line and exits.

        Args:
            args: The arguments; None for those of this process.
            prog_name: The command's name in usage texts.
            *_: Ignored.
            **extra: Passed to the command's context.
        """
        extra["standalone_mode"] = False
        try:
            status = super().main(args, prog_name, **extra)
            sys.stdout.flush()
        except SdgError as error:
            sys.exit(_cannot_be_done(str(error)))
        except typer.TyperException as error:
            context = getattr(error, "ctx", None)
            command = context.command_path if context else "sdg"
            sys.exit(_cannot_be_done(f"{error.format_message()} See `{command} --help`."))
        except BrokenPipeError:
            sys.exit(_pipe_closed())
        except SystemExit as ended:
            # typer and rich turn a closed pipe into a SystemExit of their own.
            if isinstance(ended.__context__, BrokenPipeError):
                sys.exit(_pipe_closed())
            raise
        sys.exit(status if isinstance(status, int) else 0)


def group(about: str) -> typer.Typer:
    """A command with subcommands. Without a subcommand, it prints its help.

    Args:
        about: The help text of the command.
    """
    app = typer.Typer(help=about, invoke_without_command=True)
    app.callback()(help_if_alone)
    return app


def help_if_alone(context: typer.Context) -> None:
    """Prints a command's help if no subcommand was given."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def unless_stopped(work: Callable[[], int]) -> int:
    """Does work that Ctrl-C or SIGTERM may end, with all answers of teachers kept.

    Args:
        work: The work; returns the command's exit code.

    Returns:
        The exit code of the work, or 128 + the signal that ended it.
    """
    from sdg_assets.teacher import stopping

    # Dagster handles signals only during a run. Outside of runs they must end this process, too.
    stopping.listen()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return work()
    except (KeyboardInterrupt, stopping.StoppedError):
        received = stopping.received() or signal.SIGINT
        sys.stderr.write(
            f"ended by {stopping.REASONS[received]}: nothing else is started, and all answers so "
            "far are kept; the same command continues from there\n"
        )
        return 128 + received


def _cannot_be_done(message: str) -> int:
    sys.stderr.write(f"error: {' '.join(message.split())}\n")
    return CANNOT_BE_DONE


def _pipe_closed() -> int:
    # Python flushes stdout at exit, and would report the closed pipe again.
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno())  # type: ignore[union-attr]
    return 0
