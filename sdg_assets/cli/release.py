"""`sdg release`: the releases of the store. Dagster cuts them; this looks at them and pushes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sdg_assets.cli import terminal
from sdg_assets.cli.endings import exit_codes, group
from sdg_assets.cli.options import AsJson
from sdg_assets.cli.terminal import Column
from sdg_assets.errors import PermanentError, StoreError

if TYPE_CHECKING:
    from sdg_assets.release.published import Published

Named = Annotated[
    str | None,
    typer.Argument(
        metavar="RELEASE",
        help="Its id or a unique prefix of it. Default: the latest release.",
        show_default=False,
    ),
]
RELEASES = (
    Column("release"),
    Column("version"),
    Column("published"),
    Column("rows", right=True),
    Column("commercial", right=True, spare=1),
    Column("tasks", right=True, spare=2),
    Column("MB", right=True, spare=3),
    Column(""),
)

EXPORTED = ("rows", "without such a text", "characters", "files")

app = group(
    "The releases of the store (SDG_STORE/curated): look at them, compare them, push one to the "
    "Hub. Dagster cuts them with the job `release` or the asset `curated`."
)


@app.command("list", epilog=exit_codes())
def list_releases(as_json: AsJson = False) -> int:
    """List the releases of the store, the newest first."""
    published = _all_releases()
    if as_json:
        terminal.write_json([_summary(release) for release in published])
        return 0
    terminal.write_table(RELEASES, map(_cells, published))
    if not published:
        terminal.note("there is no release; cut one with Dagster's job `release`")
    return 0


@app.command(
    "show",
    short_help="Show the content and the inputs of a release.",
    epilog=exit_codes("--verify found that the release is damaged"),
)
def show(
    release: Named = None,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Compare every file with the manifest (in a bucket, sizes)."),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Show the content and the inputs of a release. `--json` prints its manifest unchanged."""
    from sdg_assets.release.publication import is_whole

    published = _named(release)
    if as_json:
        terminal.write_json(published.manifest)
    else:
        _write(published)
    if not verify:
        return 0
    with terminal.busy("comparing every file with the manifest"):
        whole = is_whole(published.place)
    state = "whole" if whole else "DAMAGED; materialize `curated` again, which repairs it"
    terminal.note(f"{published.id} is {state}")
    return 0 if whole else 1


@app.command(
    "diff",
    short_help="Show what differs between two releases.",
    epilog=exit_codes("the releases differ"),
)
def diff(
    before: Annotated[str, typer.Argument(metavar="OLD", help="A release, as in `show`.")],
    after: Annotated[
        str | None,
        typer.Argument(metavar="NEW", help="Default: the latest.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Show what differs between two releases: rows, teachers, sources, inputs and files.

    Rows are compared by id: those added, gone and changed, by task and reason. A reason of a row
    that is gone is the gate that refused it, another writer or prompt, or the subtask that left.
    """
    from sdg_assets.release.published import changes
    from sdg_assets.release.row_changes import row_changes

    old, new = _named(before), _named(after)
    differences = list(changes(old.manifest, new.manifest))
    with terminal.busy("comparing the rows"):
        rows = row_changes(old.place, new.place)
    if as_json:
        terminal.write_json(
            {"facts": [asdict(fact) for fact in differences], "rows": [asdict(r) for r in rows]}
        )
    elif differences:
        if rows:
            columns = (Column("task"), Column("rows"), Column("", right=True), Column("reason"))
            terminal.write_table(columns, [(r.task, r.change, r.rows, r.reason) for r in rows])
            terminal.write()
        columns = (Column(""), Column("name"), Column(old.id), Column(new.id))
        terminal.write_table(columns, [(d.what, d.name, d.before, d.after) for d in differences])
    else:
        terminal.write(f"{old.id} and {new.id} do not differ")
    return 1 if differences else 0


@app.command(
    "export",
    short_help="Write a release's texts for training.",
    epilog=exit_codes(),
)
def export(
    to: Annotated[Path, typer.Argument(metavar="DIRECTORY", help="An empty or new directory.")],
    release: Named = None,
    variant: Annotated[
        str, typer.Option(help="Which text: answer_only, with_reasoning or with_context.")
    ] = "with_context",
    commercial: Annotated[
        bool, typer.Option("--commercial", help="Only rows that may be used commercially.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Shuffles the rows.")] = 0,
    shard_mb: Annotated[int, typer.Option(min=1, help="Megabytes of a shard.")] = 256,
) -> int:
    """Write one text a row as shuffled JSON lines, a folder for each family.

    Megatron, NeMo and `datasets` read the files: {"text": …, "id": …, "task": …, "license": …}.
    The mixture of families is yours to choose. The same release and seed give the same bytes.
    """
    from sdg_assets.release.export import export as write_texts
    from sdg_assets.texts import VARIANTS

    if variant not in VARIANTS:
        raise PermanentError(f"--variant {variant}: must be one of {', '.join(VARIANTS)}")
    published = _named(release)
    with terminal.busy("writing texts"):
        written = write_texts(
            published.place,
            to,
            variant=variant,
            commercial=commercial,
            seed=seed,
            bytes_per_shard=shard_mb * 1_000_000,
        )
    columns = (Column("family"), *(Column(name, right=True) for name in EXPORTED))
    terminal.write_table(
        columns,
        [
            (e.family, f"{e.rows:,}", f"{e.without:,}", f"{e.characters:,}", len(e.files))
            for e in written
        ],
    )
    return 0


@app.command("push", short_help="Upload a release to the Hub.", epilog=exit_codes())
def push(
    release: Named = None,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="ORGANIZATION/NAME",
            help="The dataset repository. Default: SDG_PUSH_TO.",
            show_default=False,
        ),
    ] = None,
) -> int:
    """Upload a release to the Hub as one commit, and print its URL.

    The commit gets the release's version as its tag, such as v1.2.0. A missing repository is
    created as a private one. Files of an earlier release are removed. The token comes from
    HF_TOKEN. A damaged release is refused.
    """
    from sdg_assets.release import push as hub
    from sdg_assets.release.publication import is_whole
    from sdg_assets.settings import settings

    repository = to or settings().push_to
    if not repository:
        raise PermanentError(
            "push: name the Hub repository, organization/name, with --to or in SDG_PUSH_TO"
        )
    published = _named(release)
    with terminal.busy("comparing every file with the manifest"):
        whole = is_whole(published.place)
    if not whole:
        raise StoreError(
            f"{published.place}: is damaged, so it is not pushed; materialize `curated` again, "
            "which repairs it"
        )
    terminal.write(hub.push(published.place, repository))
    return 0


def _all_releases() -> list[Published]:
    from sdg_assets.release.published import releases
    from sdg_assets.settings import settings
    from sdg_assets.store.partitions import Store

    with terminal.busy("reading the store"):
        return releases(Store(settings().store).root)


def _named(name: str | None) -> Published:
    from sdg_assets.release.published import release_named
    from sdg_assets.settings import settings
    from sdg_assets.store.partitions import Store

    with terminal.busy("reading the store"):
        return release_named(Store(settings().store).root, name)


def _cells(release: Published) -> tuple[object, ...]:
    return (
        release.id,
        release.version,
        f"{release.published:%Y-%m-%d %H:%M} UTC",
        f"{release.rows:,}",
        f"{release.manifest.get('commercial_rows', 0):,}",
        len(release.manifest.get("tasks", {})),
        f"{release.size / 1e6:,.1f}",
        "latest" if release.is_latest else "",
    )


def _summary(release: Published) -> dict[str, Any]:
    return {
        "release": release.id,
        "version": release.version,
        "path": str(release.place),
        "published": release.published.isoformat(timespec="seconds"),
        "latest": release.is_latest,
        "rows": release.rows,
        "commercial_rows": release.manifest.get("commercial_rows", 0),
        "tasks": sorted(release.manifest.get("tasks", {})),
        "bytes": release.size,
    }


def _write(release: Published) -> None:
    manifest = release.manifest
    splits = manifest.get("heldout_splits", {})
    not_compared = sum(splits.get("not_compared", {}).values())
    latest = ", the latest" if release.is_latest else ""
    terminal.write(f"release {release.id}{latest}\n  {release.place}")
    terminal.write(f"  version {release.version}")
    terminal.write(f"  published {release.published:%Y-%m-%d %H:%M} UTC")
    terminal.write(f"  by version {manifest.get('code_version', 'unknown')} of sdg-assets")
    terminal.write(f"  {len(manifest.get('files', {}))} files, {release.size / 1e6:,.1f} MB")
    terminal.write(
        f"  compared with {splits.get('compared', 0)} held-out splits, not with {not_compared}"
        f" (see {splits.get('file', 'its card')})"
    )
    sizes = manifest.get("tokens", {})
    tokens = {name: size["tokens"] for name, size in sizes.get("variants", {}).items()}
    if reason := sizes.get("not_counted"):
        terminal.write(f"  tokens not counted: {reason}")
    families = {**manifest.get("rows", {}), "commercial use": manifest.get("commercial_rows", 0)}
    _section("rows", families.items())
    counter = sizes.get("tokenizer", {}).get("model", "")
    _section(f"tokens of {counter}", tokens.items())
    tasks = manifest.get("tasks", {})
    _section("seed tasks", ((task, figures["rows"]) for task, figures in tasks.items()))
    _section("teachers", _named_rows(manifest, "teachers", _teacher))
    _section("sources", _named_rows(manifest, "sources", _source))
    _section("licences", manifest.get("licences", {}).items())
    _section("refused by the release itself", manifest.get("rejected", {}).items())


def _teacher(entry: Mapping[str, Any]) -> str:
    return f"{entry['role']}: {entry['model']} at {entry['revision']}"


def _source(entry: Mapping[str, Any]) -> str:
    return f"{entry['dataset']} at {entry['revision']}, {entry['license']}"


def _named_rows(
    manifest: Mapping[str, Any], field: str, name: Callable[[Mapping[str, Any]], str]
) -> list[tuple[str, int]]:
    return [(name(entry), entry["rows"]) for entry in manifest.get(field, ())]


def _section(title: str, rows: Iterable[tuple[str, int]]) -> None:
    entries = [(name, f"{count:,}") for name, count in rows]
    if entries:
        terminal.write(f"\n{title}")
        terminal.write_table((Column(""), Column("", right=True)), entries)
