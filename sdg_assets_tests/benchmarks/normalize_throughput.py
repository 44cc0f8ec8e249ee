"""Rows per second of `normalized`, compared with lm-eval's rendering of the rows; and peak memory.

python -m sdg_assets_tests.benchmarks.normalize_throughput [--rows 1000000]
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from sdg_assets.catalog import SubtaskSpec, load_catalog
from sdg_assets.errors import SeedSourceError
from sdg_assets.mapping.lm_eval import declared_rendering
from sdg_assets.records import Seed
from sdg_assets.sources.source import DirectorySource
from sdg_assets.stages.normalized import normalize
from sdg_assets.stages.seeds import collect_seeds
from sdg_assets_tests.support.builders import MIRROR, seed_task

LARGEST = 10
GIB = 2**30


def largest_splits(source: DirectorySource) -> list[tuple[SubtaskSpec, list[Seed]]]:
    """The largest seed splits of the subtasks for which lm-eval has a leaf."""
    splits = []
    for task in load_catalog(allow_canary=()).enabled():
        for key in task.enabled_subtasks():
            spec = task.resolve(key)
            try:
                if spec.lm_eval and spec.split in source.splits(spec):
                    splits.append((spec, list(collect_seeds(spec, source))))
            except SeedSourceError:
                continue
    return sorted(splits, key=lambda pair: -len(pair[1]))[:LARGEST]


def lm_eval_task(leaf: str) -> Any:
    """lm-eval's task object with its own rendering methods, but without dataset and metrics."""
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.config.task import TaskConfig

    task = object.__new__(ConfigurableTask)
    task._config = TaskConfig(task=leaf, **declared_rendering(leaf, "benchmark"))
    task.prompt = None
    return task


def lm_eval_rendering(task: Any, rows: list[dict[str, Any]]) -> int:
    """Renders each row as lm-eval does before it asks a model; returns the number of rows."""
    import datasets

    docs = rows
    if task.config.process_docs is not None:
        docs = task.config.process_docs(datasets.Dataset.from_list(rows))
    rendered = 0
    for doc in docs:
        task.features = doc.keys()
        task.doc_to_text(doc)
        task.doc_to_target(doc)
        if task.config.doc_to_choice is not None:
            task.doc_to_choice(doc)
        rendered += 1
    return rendered


def compare() -> Iterator[str]:
    """Compares both, one line per split."""
    for spec, seeds in largest_splits(DirectorySource("mirror", MIRROR)):
        start = time.perf_counter()
        for _ in normalize(spec, seeds):
            pass
        ours = len(seeds) / (time.perf_counter() - start)
        task = lm_eval_task(str(spec.lm_eval))
        sample = [seed.row for seed in seeds[:2000]]
        start = time.perf_counter()
        theirs = lm_eval_rendering(task, sample) / (time.perf_counter() - start)
        yield f"{spec.key:<28} {len(seeds):>7,} {ours:>9,.0f} {theirs:>9,.0f} {ours / theirs:>7.1f}"


def write_split(root: Path, rows: int) -> None:
    """Writes a split of distinct rows, in row groups like the Hub's."""
    file = root / "org" / "quiz" / "main" / "train-00000-of-00001.parquet"
    file.parent.mkdir(parents=True)
    schema = pyarrow.schema(
        {"question": pyarrow.string(), "choices": pyarrow.list_(pyarrow.string()), "label": "int64"}
    )
    with pyarrow.parquet.ParquetWriter(file, schema) as writer:
        for start in range(0, rows, 10_000):
            writer.write_table(
                pyarrow.Table.from_pylist(
                    [
                        {
                            "question": f"{'Of all that is known about it, ' * 8} what is {i}?",
                            "choices": [f"the {word} of {i}" for word in ("sum", "half", "root")],
                            "label": i % 3,
                        }
                        for i in range(start, min(start + 10_000, rows))
                    ],
                    schema,
                )
            )


def normalize_split(root: Path) -> None:
    """Reads, normalizes and writes a split as the assets do; prints rows and peak memory."""
    spec = seed_task().resolve("quiz")
    seeds = collect_seeds(spec, DirectorySource("split", root))
    count = 0
    with (root / "normalized.jsonl").open("w", encoding="utf-8") as file:
        for row in normalize(spec, seeds):
            file.write(row.model_dump_json() + "\n")
            count += 1
    print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def peak_memory(rows: int) -> int:
    """Peak memory in bytes of a process that normalizes a split of this many rows."""
    with tempfile.TemporaryDirectory() as directory:
        write_split(Path(directory), rows)
        done = subprocess.run(
            [sys.executable, "-m", __spec__.name, "--normalize", directory],
            capture_output=True,
            text=True,
            check=True,
        )
    count, peak = map(int, done.stdout.split())
    assert count == rows
    return peak


def main() -> int:
    """Prints the figures; returns 1 if the largest split needs 2 GiB or more."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the split for its memory")
    parser.add_argument("--normalize", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.normalize:
        normalize_split(options.normalize)
        return 0
    print(f"{'subtask':<28} {'rows':>7} {'rows/s':>9} {'lm-eval':>9} {'ratio':>7}")
    for line in compare():
        print(line, flush=True)
    peak = 0
    for rows in (options.rows // 10, options.rows):
        peak = peak_memory(rows)
        print(f"peak memory over {rows:,} rows: {peak / GIB:.2f} GiB", flush=True)
    return int(peak >= 2 * GIB)


if __name__ == "__main__":
    sys.exit(main())
