from __future__ import annotations

import gc
import weakref

from sdg_assets.gates import first_refusals
from sdg_assets.heldout.index import HeldoutIndex
from sdg_assets.heldout.protection import Protection
from sdg_assets.records import Stage
from sdg_assets.release.comparison import Comparison
from sdg_assets.stages.stage import key_of
from sdg_assets.store.partitions import Store
from sdg_assets.thresholds import Thresholds
from sdg_assets_tests.support.builders import seed_task
from sdg_assets_tests.support.heldout import hashed
from sdg_assets_tests.support.records import enriched

HELD_OUT = "Which of the bridges over the river did the engineer build first?"


def test_of_a_partition_that_was_compared_only_the_counts_are_kept(store: Store) -> None:
    spec = seed_task().resolve("quiz")
    with store.write(key_of(spec, Stage.FILTERED)) as out:
        out.put(enriched(question=HELD_OUT))
    rows = [{"question": HELD_OUT, "choices": ["the old one", "the new one"], "label": 0}]
    protection = Protection(HeldoutIndex({"quiz/quiz": hashed(rows)}), {"quiz/quiz": "sha"}, {}, [])
    comparison = Comparison(protection, {"one": spec}, store)

    (gate,) = comparison.gates_of("one", Thresholds())
    assert first_refusals([enriched(question=HELD_OUT)], [gate])
    kept = weakref.ref(gate)
    del gate
    gc.collect()

    assert kept() is None
    (compared,) = comparison.audit()
    assert (compared.name, compared.refused) == ("quiz/quiz", 1)
