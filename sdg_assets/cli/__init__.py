"""The command `sdg`, with one module per subcommand.

A subcommand imports heavy modules only when it runs, so that `sdg --help` starts fast.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from sdg_assets.cli import (
    audit,
    bench,
    browse,
    catalog,
    cover,
    fill,
    funnel,
    plan,
    preview,
    quickstart,
    records,
    release,
    teacher,
    tryout,
    tune,
)
from sdg_assets.cli.endings import Command, exit_codes, help_if_alone

ABOUT = """Task-seeded synthetic Q&A for language-model pretraining.

New here? `sdg quickstart` runs three subtasks through all stages with a small teacher on the CPU;
`sdg funnel` then shows how many rows each stage accepted, and why the others were refused.
Everything else is done in the Dagster UI (`make ui`).

Settings come from the environment: SDG_STORE, SDG_SEED_SOURCE, SDG_TEACHER and the others that
docs/operations.md lists."""
HELP = ["-h", "--help"]


def build(*, rich_help: bool) -> typer.Typer:
    """Builds the command.

    Args:
        rich_help: Whether help texts have colours and boxes, for a terminal.
    """
    app = typer.Typer(
        name="sdg",
        cls=Command,
        help=ABOUT,
        epilog=exit_codes("something failed or differs"),
        context_settings={"help_option_names": HELP},
        invoke_without_command=True,
        add_completion=False,
        rich_markup_mode="markdown" if rich_help else None,
        pretty_exceptions_enable=False,
    )
    app.callback()(_sdg)
    app.command(
        "quickstart",
        short_help="Run three subtasks through all stages.",
        epilog=quickstart.EXIT_CODES,
    )(quickstart.quickstart)
    app.command(
        "plan", short_help="Estimate the cost of a run before it starts.", epilog=exit_codes()
    )(plan.plan)
    app.command("try", short_help="Take a few rows through all stages.", epilog=tryout.EXIT_CODES)(
        tryout.tryout
    )
    app.command(
        "cover", short_help="Show what would fill the holes of coverage.", epilog=exit_codes()
    )(cover.cover)
    app.command(
        "fill", short_help="Ask for a stage's answers, on many GPUs.", epilog=fill.EXIT_CODES
    )(fill.fill)
    app.command(
        "funnel", short_help="Show how many rows each stage accepted.", epilog=exit_codes()
    )(funnel.funnel)
    app.command(
        "browse", short_help="Look at rows in the browser, and note verdicts.", epilog=exit_codes()
    )(browse.browse)
    app.command("audit", short_help="Draw rows by strata for people to read.", epilog=exit_codes())(
        audit.audit
    )
    app.command("preview", short_help="Show which rows each gate would drop.", epilog=exit_codes())(
        preview.preview
    )
    app.add_typer(catalog.app, name="catalog", short_help="Look at, check and add seed tasks.")
    app.add_typer(release.app, name="release", short_help="Look at, compare and push releases.")
    app.command("records", short_help="Describe every field of every record.", epilog=exit_codes())(
        records.records
    )
    app.add_typer(teacher.app, name="teacher", short_help="Compare teacher models, download them.")
    app.command(
        "tune", short_help="Find faster engine settings for this machine.", epilog=tune.EXIT_CODES
    )(tune.tune)
    app.command(
        "bench", short_help="Compare a stage's speed with the engine's.", epilog=bench.EXIT_CODES
    )(bench.bench)
    return app


def main() -> None:
    """Runs `sdg` with the command line of this process, and exits."""
    build(rich_help=sys.stdout.isatty())(prog_name="sdg")


def _sdg(
    context: typer.Context,
    show_version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.")
    ] = False,
) -> None:
    if show_version:
        from importlib.metadata import version

        typer.echo(version("sdg-assets"))
        raise typer.Exit
    help_if_alone(context)
