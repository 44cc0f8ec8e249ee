"""How `sdg` ends: with an exit code, and with one line for an error that we raise."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from sdg_assets.errors import SdgError

CANNOT_BE_DONE = 2


def exit_codes(one: str = "", more: str = "") -> str:
    """The line of a command's help that says what its exit codes mean.

    Args:
        one: What 1 means; empty for a command that never ends with 1.
        more: Further codes.
    """
    codes = [
        "0 done",
        *([f"1 {one}"] if one else []),
        f"{CANNOT_BE_DONE} cannot be done, and a line says why",
        *([more] if more else []),
    ]
    return f"Exit codes: {'; '.join(codes)}."


class Command(TyperGroup):
    """`sdg` with all its subcommands.

    A subcommand returns its exit code. An error that we raise, and a wrong command line, end with
    one line on stderr and `CANNOT_BE_DONE`; a reader that has gone (`sdg … | head`) is no failure.
    """

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        *_: Any,  # noqa: ANN401 – as typer declares it
        **extra: Any,  # noqa: ANN401
    ) -> NoReturn:
        """Runs a command line and ends the process.

        Args:
            args: The command line; None for the process's own.
            prog_name: How usage texts name the command.
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
            where = context.command_path if context else "sdg"
            sys.exit(_cannot_be_done(f"{error.format_message()} See `{where} --help`."))
        except BrokenPipeError:
            sys.exit(_nobody_reads())
        except SystemExit as ended:
            # What typer and rich make of a closed pipe themselves.
            if isinstance(ended.__context__, BrokenPipeError):
                sys.exit(_nobody_reads())
            raise
        sys.exit(status if isinstance(status, int) else 0)


def group(about: str) -> typer.Typer:
    """Several subcommands under one name; the name alone prints their help.

    Args:
        about: What they are about.
    """
    app = typer.Typer(help=about, invoke_without_command=True)
    app.callback()(help_if_alone)
    return app


def help_if_alone(context: typer.Context) -> None:
    """Prints the help of a command whose subcommand is not named."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _cannot_be_done(message: str) -> int:
    sys.stderr.write(f"error: {' '.join(message.split())}\n")
    return CANNOT_BE_DONE


def _nobody_reads() -> int:
    # Python writes what is left as it ends, and would complain of the closed pipe once more.
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno())  # type: ignore[union-attr]
    return 0
