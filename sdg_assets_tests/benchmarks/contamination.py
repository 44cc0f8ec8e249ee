"""Planted leaks found, clean rows lost, rows a second and memory of the contamination gate.

python -m sdg_assets_tests.benchmarks.contamination [--rows 120000] [--leaks 400] [--show 0]

Leaks are real held-out rows, changed in one way; clean rows are the training rows of the same
datasets, which repeat a few held-out ones: those that a look at the rows themselves shows to be
equal are counted apart.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path

import polars as pl

from sdg_assets.answers.wording import normalized
from sdg_assets.catalog import SubtaskSpec, load_catalog, load_protected
from sdg_assets.errors import AbsentError, CatalogError, SeedSourceError
from sdg_assets.examples import AnswerKind, Example, Seed, Source
from sdg_assets.gates.base import Batch, batches
from sdg_assets.gates.contamination import Contamination
from sdg_assets.heldout.index import HeldoutIndex
from sdg_assets.heldout.tables import ATTACHMENTS, HeldoutTables
from sdg_assets.sources import DirectorySource
from sdg_assets.stages.heldout import HeldoutRows
from sdg_assets.stages.normalized import normalize
from sdg_assets.stages.seeds import collect_seeds
from sdg_assets.thresholds import overridden
from sdg_assets_tests.builders import MIRROR

SOURCE = DirectorySource("mirror", MIRROR)
DIGITS = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
Change = Callable[[Example, random.Random], Example | None]


def subtasks() -> Iterator[SubtaskSpec]:
    """Those whose rows lie in the mirror."""
    for task in load_catalog(allow_canary=()).enabled():
        for key in task.enabled_subtasks():
            spec = task.resolve(key)
            try:
                if spec.split in SOURCE.splits(spec):
                    yield spec
            except SeedSourceError:
                continue


def heldout_tables() -> dict[str, HeldoutTables]:
    """Everything held out that the mirror has: 30 subtasks' splits and 12 benchmarks."""
    tables = {}
    for spec in subtasks():
        rows = HeldoutRows()
        for split in spec.heldout_splits:
            rows.add(spec, split, SOURCE)
        tables[f"{spec.task}/{spec.key}"] = rows.tables()
    for benchmark in load_protected():
        rows = HeldoutRows()
        try:
            for spec in benchmark.specs(SOURCE.configs):
                rows.add(spec, spec.split, SOURCE)
        except AbsentError:
            pass  # more datasets than the mirror has
        if len((found := rows.tables()).rows):
            tables[benchmark.name] = found
    return tables


def examples(spec: SubtaskSpec, split: str) -> Iterator[Example]:
    """The rows of a split as a stage sees them; none of one that is absent or hides its answers."""
    if split not in SOURCE.splits(spec):
        return
    seeds = (
        Seed(source=_source(spec, split, at), row=row)
        for at, row in enumerate(SOURCE.rows(spec, split))
    )
    every = spec.model_copy(update={"parallel_with": []})
    with suppress(CatalogError):
        yield from (row for row in normalize(every, seeds) if isinstance(row, Example))


def _source(spec: SubtaskSpec, split: str, row: int) -> Source:
    return Source(
        dataset=spec.dataset, config=spec.config, split=split, row=row, revision="r", license="x"
    )


def verbatim(row: Example, _: random.Random) -> Example:
    return row


def edited(share: float) -> Change:
    """Words of the question, numbers aside, are replaced, dropped or joined by another."""

    def change(row: Example, chance: random.Random) -> Example:
        spaced = " " in row.question
        words = row.question.split() if spaced else list(row.question)
        open_to = [at for at, word in enumerate(words) if not any(c.isdigit() for c in word)]
        for at in chance.sample(open_to, k=min(len(open_to), max(1, round(share * len(words))))):
            other = (
                f"{chance.choice('bdfgklmnprst')}{chance.choice('aeiou')}{chance.choice('lmnrst')}o"
            )
            words[at] = chance.choice([other, "", f"{words[at]} {other}"])
        return row.model_copy(update={"question": (" " if spaced else "").join(words)})

    return change


def answer_changed(row: Example, chance: random.Random) -> Example:
    """The question stands, the answer is another one."""
    if row.choices:
        others = [choice for choice in row.choices if choice != row.answer]
        return row.model_copy(update={"answer": chance.choice(others or ["none"])})
    return row.model_copy(update={"answer": f"{row.answer}7", "aliases": []})


def digits_translated(row: Example, _: random.Random) -> Example | None:
    """Question and answer in Arabic-Indic digits; None for rows without digits."""
    if not any(c.isdigit() for c in row.question):
        return None
    update = {"question": row.question.translate(DIGITS), "answer": row.answer.translate(DIGITS)}
    return row.model_copy(update=update)


def choices_reordered(row: Example, chance: random.Random) -> Example | None:
    """None for rows whose choices are not their own."""
    if row.answer_kind is not AnswerKind.MULTIPLE_CHOICE:
        return None
    return row.model_copy(update={"choices": chance.sample(row.choices, k=len(row.choices))})


def other_numbers(row: Example, chance: random.Random) -> Example | None:
    """No leak: the same words about other numbers, with another answer."""
    if row.answer_kind is not AnswerKind.NUMERIC or not any(c.isdigit() for c in row.question):
        return None
    swap = dict(zip("123456789", chance.sample("123456789", k=9), strict=True))
    question = "".join(swap.get(c, c) for c in row.question)
    if normalized(question) == normalized(row.question):
        return None
    return row.model_copy(update={"question": question, "answer": f"{row.answer}3"})


CHANGES: dict[str, Change] = {
    "verbatim": verbatim,
    "edited 10%": edited(0.10),
    "edited 25%": edited(0.25),
    "answer": answer_changed,
    "digits": digits_translated,
    "choices": choices_reordered,
    "numbers": other_numbers,
}


def refused(gate: Contamination, rows: list[Example]) -> dict[str, str]:
    """Id → reason."""
    found = {}
    for batch in batches(rows):
        for place, refusal in gate.refusals(Batch(batch)).items():
            found[batch[place].id] = refusal.reason
    return found


def leaks(index: HeldoutIndex, specs: list[SubtaskSpec], count: int) -> None:
    """Share of planted leaks that is refused, a subtask a line, a change a column."""
    print("\nshare refused of planted leaks (numbers: no leak, should be 0)")
    print(f"{'subtask':<36}{''.join(f'{name:>12}' for name in CHANGES)}")
    total: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for spec in specs:
        chance, own = random.Random(spec.key), f"{spec.task}/{spec.key}"
        rows = [row for split in spec.heldout_splits for row in examples(spec, split)]
        rows = chance.sample(rows, k=min(count, len(rows)))
        cells = []
        for name, change in CHANGES.items():
            planted = [c for row in rows if (c := change(row, chance)) is not None]
            hit = len(refused(Contamination(index, overridden(spec.gates), own), planted))
            total[name] += len(planted)
            found[name] += hit
            cells.append(f"{hit / len(planted):>12.3f}" if planted else f"{'–':>12}")
        print(f"{spec.key:<36}{''.join(cells)}", flush=True)
    shares = "".join(f"{found[n] / total[n]:>12.3f}" if total[n] else f"{'–':>12}" for n in CHANGES)
    print(f"{'all':<36}{shares}")


def clean(index: HeldoutIndex, specs: list[SubtaskSpec], show: int) -> None:
    """Training rows that are refused, equal ones apart."""
    print("\ntraining rows refused")
    print(f"{'subtask':<36}{'rows':>8}{'equal':>8}{'near':>8}{'near %':>8}  suspicious, reasons")
    for spec in specs:
        gate = Contamination(index, overridden(spec.gates), f"{spec.task}/{spec.key}")
        rows = [r for r in normalize(spec, collect_seeds(spec, SOURCE)) if isinstance(r, Example)]
        reasons = refused(gate, rows)
        near = [row for row in rows if reasons.get(row.id, "exact")[:5] != "exact"]
        print(
            f"{spec.key:<36}{len(rows):>8}{len(reasons) - len(near):>8}{len(near):>8}"
            f"{len(near) / len(rows):>8.2%}  {gate.report.suspicious}, {dict(gate.report.reasons)}",
            flush=True,
        )
        for row in random.Random(1).sample(near, k=min(show, len(near))):
            print(f"      {reasons[row.id]}: {row.question[:200]!r} {row.choices} → {row.answer!r}")


def speed(directory: Path, copies: int, rows: int) -> None:
    """Prints rows a second and the peak memory of a process that does nothing but gate rows."""
    tables = {
        f"{place.name}#{copy}": _copy(HeldoutTables.from_bytes(partial(_bytes, place)), copy)
        for place in sorted(directory.iterdir())
        for copy in range(copies)
    }
    index = HeldoutIndex(tables)
    del tables
    gate = Contamination(index, overridden())
    stream = islice(_stream(), rows)
    seconds, done = 0.0, 0
    for batch in batches(stream):
        start = time.process_time()
        gate.refusals(Batch(batch))
        seconds += time.process_time() - start
        done += len(batch)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{len(index):>12,}{done:>10,}{done / seconds:>10,.0f}{peak:>10.2f}")


def _bytes(place: Path, file: str) -> bytes:
    return (place / file).read_bytes()


def _stream() -> Iterator[Example]:
    while True:
        for spec in subtasks():
            for row in normalize(spec, collect_seeds(spec, SOURCE)):
                if isinstance(row, Example):
                    yield row


def _copy(tables: HeldoutTables, copy: int) -> HeldoutTables:
    """The same tables with other hashes: held-out rows that no row of the mirror resembles."""
    if not copy:
        return tables
    mask = pl.lit(copy * 0x9E3779B97F4A7C15 % 2**64, dtype=pl.UInt64)
    mixed = pl.col("item", "wording", "question", "context").xor(mask)
    runs = tables.rows.select(pl.col("runs").list.explode(keep_nulls=False).xor(mask))["runs"]
    lengths = tables.rows["runs"].list.len()
    rows = tables.rows.with_columns(mixed).with_columns(runs=_regrouped(runs, lengths))
    return HeldoutTables(rows, tables.contexts.clear())


def _regrouped(values: pl.Series, lengths: pl.Series) -> pl.Series:
    frame = pl.DataFrame({"row": pl.int_range(len(lengths), eager=True), "n": lengths})
    at = frame.select(pl.col("row").repeat_by("n").list.explode(keep_nulls=False))["row"]
    grouped = pl.DataFrame({"row": at, "runs": values}).group_by("row").agg("runs")
    return frame.join(grouped, on="row", how="left", maintain_order="left")["runs"].fill_null([])


def main() -> int:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=120_000, help="for speed and memory")
    parser.add_argument("--leaks", type=int, default=400, help="planted a subtask and change")
    parser.add_argument("--show", type=int, default=0, help="near rows to look at, a subtask")
    parser.add_argument("--speed", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.speed:
        speed(Path(options.speed[0]), int(options.speed[1]), options.rows)
        return 0
    start = time.process_time()
    tables = heldout_tables()
    held = sum(len(table.rows) for table in tables.values())
    print(f"{held:,} held-out rows hashed, {held / (time.process_time() - start):,.0f} rows/s")
    index, specs = HeldoutIndex(tables), list(subtasks())
    leaks(index, specs, options.leaks)
    clean(index, specs, options.show)
    with tempfile.TemporaryDirectory() as directory:
        size = 0
        for name, table in tables.items():
            place = Path(directory) / name.replace("/", "~")
            place.mkdir()
            for file, data in table.to_bytes().items():
                assert file in ATTACHMENTS.values()
                (place / file).write_bytes(data)
                size += len(data)
        print(f"\nstored: {size / 2**20:.1f} MiB, {size / held:.0f} bytes a held-out row")
        print(f"{'held out':>12}{'rows':>10}{'rows/s':>10}{'peak GiB':>10}", flush=True)
        for copies, rows in ((1, options.rows // 10), (1, options.rows), (4, options.rows)):
            command = [sys.executable, "-m", __spec__.name, "--rows", str(rows)]
            subprocess.run([*command, "--speed", directory, str(copies)], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
