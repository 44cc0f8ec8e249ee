"""`sdg preview`: which rows the gates would drop, before a run applies them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sdg_assets.cli import terminal
from sdg_assets.cli.options import AsJson, OneTask, selected
from sdg_assets.cli.terminal import Column
from sdg_assets.errors import PermanentError, StoreError

if TYPE_CHECKING:
    from sdg_assets.catalog import Catalog, SubtaskSpec
    from sdg_assets.gates.contamination import Contamination
    from sdg_assets.stages.preview import Preview, Sighting
    from sdg_assets.store.partitions import Store
    from sdg_assets.thresholds import Thresholds

COLUMNS = (Column("rows", right=True), Column("share", right=True), Column("gate: reason"))


def preview(
    task: OneTask,
    gate: Annotated[
        str | None, typer.Option(help="Run only this gate.", show_default=False)
    ] = None,
    examples: Annotated[int, typer.Option(min=0, help="Rows to show for each reason.")] = 2,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A threshold to try; the value is JSON: question_chars=[20,500]. May be repeated.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Show which stored rows each gate would drop, without writing anything.

    The rows come from the last materialized stage before the gates. The thresholds are those of a
    run (SDG_GATES and the task's own), changed by `--set`.
    """
    from sdg_assets.catalog import configured_catalog
    from sdg_assets.settings import settings
    from sdg_assets.stages.preview import named, partition_of, tried, with_rows
    from sdg_assets.stages.preview import preview as previewed
    from sdg_assets.store.partitions import Store

    knobs, only = settings(), named(gate)
    catalog, store = configured_catalog(knobs), Store(knobs.store)
    changes = dict(_assignment(text) for text in assignments or ())
    previews = []
    for spec in with_rows(selected(catalog, [task]), store):
        thresholds = tried([knobs.gates, spec.gates, changes])
        rows = store.manifest(partition_of(store, spec)).rows
        with terminal.bar(f"{spec.task}/{spec.key}", rows) as advance:
            heldout = _contamination(store, catalog, spec, thresholds)
            result = previewed(store, spec, thresholds, only, examples, heldout, advance)
        if as_json:
            previews.append(_as_json(result))
        else:
            _write(result)
    if as_json:
        terminal.write_json(previews)
    return 0


def _contamination(
    store: Store, catalog: Catalog, spec: SubtaskSpec, thresholds: Thresholds
) -> Contamination | None:
    """The contamination gate; None if held-out hashes are missing, with a note on stderr."""
    from sdg_assets.gates.contamination import Contamination
    from sdg_assets.gates.repeats import ContaminationThresholds
    from sdg_assets.heldout.protection import protection
    from sdg_assets.settings import settings
    from sdg_assets.stages.training_rows import training_rows

    knobs = settings()
    try:
        guard = protection(store, catalog, [spec], knobs.without_benchmarks, knobs.seed_source)
        background = guard.index.background(training_rows(spec, store))
        own = thresholds.of(ContaminationThresholds)
        return Contamination(guard.index, own, f"{spec.task}/{spec.key}", background)
    except StoreError as error:
        terminal.note(f"contamination is left out: {error}")
        return None


def _assignment(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise PermanentError(f"--set {text}: write it as NAME=VALUE")
    try:
        return name.strip(), json.loads(value)
    except json.JSONDecodeError:
        return name.strip(), value


def _write(result: Preview) -> None:
    """Prints a preview: thresholds, a table of reasons, and example rows."""
    terminal.write(f"{result.key}: {result.rows} rows")
    for name, value, default in result.thresholds:
        mark = "" if value == default else f"  (default {_plain(default)})"
        terminal.write(f"  {name} = {_plain(value)}{mark}")
    if not result.alone:
        terminal.write("no gate would drop a row")
        return
    terminal.write()
    terminal.write_table(COLUMNS, _lines(result))
    share = result.kept / result.rows
    terminal.write(f"\n{result.kept} of {result.rows} rows ({share:.1%}) would be left")


def _lines(result: Preview) -> Iterator[tuple[str, str, str]]:
    """Yields the table: per reason a count and examples, per gate the rows that it drops first."""
    from sdg_assets.gates import order

    for gate in order():
        reasons = [(key, count) for key, count in result.alone.most_common() if key[0] == gate]
        for (_, reason), count in reasons:
            yield str(count), f"{count / result.rows:.2%}", f"{gate}: {reason}"
            for sighting in result.sightings.get((gate, reason), ()):
                yield "", "", f"    {_line(sighting)}"
        if reasons and result.only_reports(gate):
            yield "", "", f"  {gate} only reports them"
        elif reasons:
            first = result.in_order[gate]
            yield "", "", f"  {gate} drops {first} that no gate before it does"


def _as_json(result: Preview) -> dict[str, Any]:
    return {
        "partition": str(result.key),
        "rows": result.rows,
        "left": result.kept,
        "thresholds": {name: _json(value) for name, value, _ in result.thresholds},
        "refusals": [
            {
                "gate": gate,
                "reason": reason,
                "rows": count,
                "only_reported": result.only_reports(gate),
                "examples": [
                    {
                        "id": sighting.row.id,
                        "question": sighting.row.question,
                        "answer": sighting.row.answer,
                        "detail": sighting.refusal.detail,
                    }
                    for sighting in result.sightings.get((gate, reason), ())
                ],
            }
            for (gate, reason), count in result.alone.most_common()
        ],
        "dropped_first_by": {gate: count for gate, count in result.in_order.items() if count},
    }


def _json(value: object) -> object:
    return sorted(value) if isinstance(value, frozenset) else value


def _line(sighting: Sighting) -> str:
    row, refusal = sighting.row, sighting.refusal
    detail = f" [{_short(refusal.detail, 60)}]" if refusal.detail else ""
    return f"{row.id[:8]} {_short(row.question, 70)!r} → {_short(row.answer, 30)!r}{detail}"


def _short(text: str, length: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1] + "…"


def _plain(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(map(str, value)) + "]"
    return ", ".join(sorted(value)) or "none" if isinstance(value, frozenset) else str(value)
