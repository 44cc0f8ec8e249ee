"""The selected rows as a file: JSON lines as they are stored, or Parquet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sdg_assets.browse.columns import REFUSED
from sdg_assets.browse.rows import lines_at
from sdg_assets.browse.selection import Selection
from sdg_assets.records import polars_schema
from sdg_assets.stages.stage import STAGES
from sdg_assets.store.places import scratch

LINES_PER_WRITE = 512


def json_lines(selection: Selection) -> Iterator[bytes]:
    """The stored lines in the selection's order, in pieces of `LINES_PER_WRITE`."""
    piece: list[bytes] = []
    for _, _, line in lines_at(selection.index, map(int, selection.rows)):
        piece.append(line)
        if len(piece) == LINES_PER_WRITE:
            yield b"".join(piece)
            piece = []
    yield b"".join(piece)


@contextmanager
def parquet(selection: Selection) -> Iterator[Path]:
    """A Parquet file of the selected rows, deleted after the block.

    It has the columns of the stage's record, then `gate`, `reason` and `detail`, which are null for
    accepted rows. Fields that the record does not have are left out; JSON lines keep them.
    """
    import polars as pl

    text = pl.String()
    refusal = {"gate": text, "reason": text, "detail": text}
    schema = {**polars_schema(STAGES[selection.index.table.stage].record), **refusal}
    with scratch() as folder:
        lines, file = folder / "rows.jsonl", folder / "rows.parquet"
        with lines.open("wb") as out:
            for _, part, line in lines_at(selection.index, map(int, selection.rows)):
                if part.state == REFUSED:
                    entry = json.loads(line)
                    flat = {**entry["row"], **{name: entry.get(name) for name in refusal}}
                    line = json.dumps(flat, ensure_ascii=False).encode() + b"\n"
                out.write(line)
        if lines.stat().st_size:
            pl.scan_ndjson(lines, schema=schema).sink_parquet(file)
        else:
            pl.DataFrame(schema=schema).write_parquet(file)
        yield file
