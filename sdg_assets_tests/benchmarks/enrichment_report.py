"""The yield and the cost of enrichment: a funnel per answer kind, tokens, votes saved.

Materializes `seeds` to `filtered` of the given subtasks in its own store. Then it casts the votes
that were saved and compares the decisions. Prints Markdown with every accepted row, for a person to
judge.

    python -m sdg_assets_tests.benchmarks.enrichment_report --store /tmp/report \
        --source mirror:../shared/hub --rows 12 > report.md
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

SUBTASKS = (
    "arc/arc_easy", "boolq/boolq", "glue_nli/rte", "gsm8k/gsm8k", "webqs/webqs", "mbpp/mbpp",
)  # fmt: skip


def main() -> None:
    """Runs the stages, then the comparison."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("subtasks", nargs="*", default=SUBTASKS)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--source", default="samples")
    parser.add_argument("--teacher", default="qwen2.5-coder-1.5b")
    parser.add_argument("--rows", type=int, default=12, help="new examples per subtask")
    parser.add_argument("--votes", type=int, default=5)
    arguments = parser.parse_args()
    os.environ |= {
        "SDG_STORE": str(arguments.store),
        "SDG_SEED_SOURCE": arguments.source,
        "SDG_TEACHER": arguments.teacher,
        "SDG_VOTES": str(arguments.votes),
    }

    import dagster as dg

    from sdg_assets.definitions import defs
    from sdg_assets_tests.support.stages import TASK_ASSETS

    assets = [asset for asset in defs.assets or () if isinstance(asset, dg.AssetsDefinition)]
    out = sys.stdout.write
    out(f"# Enrichment by {arguments.teacher}, {arguments.votes} votes\n\n")
    out(
        "| kind | subtask | written | well-formed | agreed | judged well | accepted | tokens "
        "| tokens per accepted row | vote tokens saved | same decision as all votes |\n"
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n"
    )
    rows = []
    for name in arguments.subtasks:
        task, subtask = name.split("/")
        dg.materialize(
            assets,
            selection=[dg.AssetKey([task, stage]) for stage in TASK_ASSETS],
            partition_key=subtask,
            run_config={"ops": {f"{task}__seeds": {"config": {"max_seeds": arguments.rows}}}},
        )
        out(_line(task, subtask))
        rows.append(_accepted(task, subtask))
        sys.stdout.flush()
    out("\n" + "\n".join(rows))


def _line(task: str, subtask: str) -> str:
    from sdg_assets.assets.desks import desks_of
    from sdg_assets.assets.knobs import SolverConfig
    from sdg_assets.catalog import cached_catalog
    from sdg_assets.enrichment.votes import VotingReport
    from sdg_assets.records import EnrichedExample, GeneratedExample, Role
    from sdg_assets.settings import settings
    from sdg_assets.stages.enriched import EnrichmentReport, context_of, enrich, publish
    from sdg_assets.stages.funnel import funnel_row
    from sdg_assets.store.partitions import PartitionKey, Store
    from sdg_assets.teacher.conversation import Usage
    from sdg_assets.teacher.stream import converse

    store, spec = Store(settings().store), cached_catalog().subtask(task, subtask)
    funnel = funnel_row(store, spec)
    key = PartitionKey(task, "enriched", subtask)
    adaptive = {row.id: row for row in store.read(key, EnrichedExample)}
    manifest = store.manifest(PartitionKey(task, "filtered", subtask))
    refused = Counter[str]()
    for reason, count in manifest.rejected.items():
        refused[reason.split(":")[0]] += count
    judged = funnel.verified - refused["judge"]
    written = store.read(PartitionKey(task, "generated", subtask), GeneratedExample)
    knobs = SolverConfig().knobs(settings())
    report = EnrichmentReport(VotingReport())
    with desks_of(store, spec, [Role.SOLVER], settings()) as desks:
        everything = replace(knobs, adaptive=False, with_knowledge=False)
        solver = desks[Role.SOLVER].teacher
        results = converse(enrich(written, solver, everything), desks, Usage())
        solved = publish(results, context_of(solver, everything), report)
        fixed = {r.id: r for r in solved if isinstance(r, EnrichedExample)}
    cast = sum(row.votes_cast for row in adaptive.values())
    saved = report.voting.tokens * (1 - cast / max(1, report.voting.cast))
    same = sum(adaptive[i].outcome == fixed[i].outcome for i in adaptive)
    return (
        f"| {funnel.kind} | {subtask} | {funnel.generated} | {funnel.parsed} | {funnel.verified} "
        f"| {judged} | {funnel.accepted} | {funnel.tokens} "
        f"| {funnel.tokens / funnel.accepted if funnel.accepted else float('nan'):.0f} "
        f"| {saved / max(1, report.voting.tokens):.0%} | {same} of {len(adaptive)} |\n"
    )


def _accepted(task: str, subtask: str) -> str:
    from sdg_assets.records import EnrichedExample
    from sdg_assets.settings import settings
    from sdg_assets.store.partitions import PartitionKey, Store
    from sdg_assets.texts import render_texts

    rows = Store(settings().store).read(PartitionKey(task, "filtered", subtask), EnrichedExample)
    parts = [f"## {task}/{subtask}"]
    for row in rows:
        texts = render_texts(row)
        score = f"{row.judge.score:.2f}: {'; '.join(row.judge.reasons)}" if row.judge else "–"
        parts += [f"### {row.id} (judge {score})", f"````text\n{list(texts.values())[-1]}\n````"]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
