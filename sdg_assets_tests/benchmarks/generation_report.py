"""The texts that a teacher writes: parse rate, novelty and sample rows, as Markdown for a person.

Materializes `seeds`, `normalized` and `generated` of the given subtasks in its own store and
reports on them. Novelty is the share of parsed rows that are near no seed of the whole seed split;
near means a Jaccard similarity of word trigrams of at least 0.5.

    python -m sdg_assets_tests.benchmarks.generation_report --store /tmp/report \
        --source mirror:../shared/hub --rows 20 > report.md
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from pathlib import Path

NEAR = 0.5
SUBTASKS = ("gsm8k/gsm8k", "arc/arc_easy", "boolq/boolq", "mbpp/mbpp")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("subtasks", nargs="*", default=SUBTASKS)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--source", default="samples")
    parser.add_argument("--teacher", default="qwen2.5-coder-1.5b")
    parser.add_argument("--rows", type=int, default=20, help="new examples per subtask")
    arguments = parser.parse_args()
    os.environ |= {
        "SDG_STORE": str(arguments.store),
        "SDG_SEED_SOURCE": arguments.source,
        "SDG_TEACHER": arguments.teacher,
    }

    import dagster as dg

    from sdg_assets.catalog import cached_catalog
    from sdg_assets.definitions import defs
    from sdg_assets.records import Example, GeneratedExample
    from sdg_assets.settings import settings
    from sdg_assets.sources.source import open_source
    from sdg_assets.stages.normalized import normalize
    from sdg_assets.stages.seeds import collect_seeds
    from sdg_assets.store.partitions import PartitionKey, Store

    assets = [asset for asset in defs.assets or () if isinstance(asset, dg.AssetsDefinition)]
    out = sys.stdout.write
    out(f"# What {arguments.teacher} writes\n")
    for name in arguments.subtasks:
        task, subtask = name.split("/")
        stages = [dg.AssetKey([task, stage]) for stage in ("seeds", "normalized", "generated")]
        config = {"ops": {f"{task}__seeds": {"config": {"max_seeds": arguments.rows}}}}
        dg.materialize(assets, selection=stages, partition_key=subtask, run_config=config)
        store, key = Store(arguments.store), PartitionKey(task, "generated", subtask)
        rows = list(store.read(key, GeneratedExample))
        manifest = store.manifest(key)
        spec = cached_catalog().subtask(task, subtask)
        whole = normalize(spec, collect_seeds(spec, open_source(settings().seed_source)))
        seeds = [_trigrams(seed) for seed in whole if isinstance(seed, Example)]
        new = sum(1 for row in rows if _nearest(_trigrams(row), seeds) < NEAR)
        written = len(rows) + sum(manifest.rejected.values())
        usage = manifest.info["usage"]
        out(f"\n## {name}\n\n")
        out(f"- written {written}, well-formed {len(rows)} ({_share(len(rows), written)})\n")
        out(f"- new {new} ({_share(new, len(rows))}), compared with {len(seeds)} seeds\n")
        out(f"- refused: {manifest.rejected or 'none'}\n")
        out(f"- {usage['output_tokens']} output tokens in {usage['seconds']:.0f} s\n")
        for row in rows[: arguments.rows]:
            out(f"\n**{row.variation}** {_show(row)}\n")


def _show(row: object) -> str:
    from sdg_assets.records import GeneratedExample

    assert isinstance(row, GeneratedExample)
    parts = [row.context, row.question, *(f"- {choice}" for choice in row.choices)]
    answer = f"```python\n{row.answer}\n```" if row.tests else f"→ **{row.answer}**"
    return "\n\n".join(part for part in [*parts, answer, *row.tests] if part)


def _trigrams(row: object) -> set[tuple[str, ...]]:
    from sdg_assets.answers.wording import normalized
    from sdg_assets.records import Example

    assert isinstance(row, Example)
    words = normalized(f"{row.context} {row.question}").split()
    return {tuple(words[i : i + 3]) for i in range(max(1, len(words) - 2))}


def _nearest(row: set[tuple[str, ...]], seeds: Iterable[set[tuple[str, ...]]]) -> float:
    return max((len(row & seed) / len(row | seed) for seed in seeds), default=0.0)


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f}%" if whole else "–"


if __name__ == "__main__":
    main()
