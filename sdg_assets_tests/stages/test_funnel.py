from __future__ import annotations

from sdg_assets.records import Rejection
from sdg_assets.stages.funnel import funnel_row
from sdg_assets.stages.generated import CONTROLLING_SEED, GATE
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets_tests.support.builders import seed_task
from sdg_assets_tests.support.records import generated


def test_a_skipped_seed_does_not_count_as_a_generated_row(store: Store) -> None:
    with store.write(PartitionKey("quiz", "generated", "quiz")) as out:
        out.accept(generated())
        for reason in (CONTROLLING_SEED, "truncated"):
            out.reject(Rejection(gate=GATE, reason=reason, row={}))

    row = funnel_row(store, seed_task().resolve("quiz"))

    assert (row.generated, row.parsed) == (2, 1)
    assert row.rejections == {f"{GATE}: {CONTROLLING_SEED}": 1, f"{GATE}: truncated": 1}
