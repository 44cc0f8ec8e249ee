"""A release of mirrored subtasks for benchmarks: cut by the real asset from published partitions.

No teacher is asked. Real training rows stand in for a teacher's output, with three votes of three
for their answers. So sizes, licences, languages, held-out splits and refusals are real, and what
the rows say about their teachers is made up.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import dagster as dg

from sdg_assets.assets.curated import curated_asset
from sdg_assets.catalog import SubtaskSpec, cached_catalog
from sdg_assets.gates.duplicates import Duplicates
from sdg_assets.heldout.protection import heldout_key
from sdg_assets.heldout.publication import heldout_rows, publish_hashes
from sdg_assets.records import EnrichedExample, Example, Stage, TeacherStamp, Vote, content_id
from sdg_assets.release import Cut, write_release
from sdg_assets.settings import settings
from sdg_assets.signatures.table import ATTACHMENT
from sdg_assets.stages.curated import curate
from sdg_assets.stages.normalized import normalize
from sdg_assets.stages.seeds import collect_seeds
from sdg_assets.stages.stage import key_of
from sdg_assets.store.partitions import Store
from sdg_assets_tests.benchmarks.mirror import SOURCE
from sdg_assets_tests.support.builders import MIRROR
from sdg_assets_tests.support.records import enriched

SUBTASKS = (
    "anli/anli_r3", "arc/arc_challenge", "arc/arc_easy", "boolq/boolq",
    "commonsense_qa/commonsense_qa", "gsm8k/gsm8k",
    "hendrycks_math/hendrycks_math_prealgebra", "jglue_reasoning/ja_leaderboard_jcommonsenseqa",
    "mbpp/mbpp", "openbookqa/openbookqa", "webqs/webqs", "winogrande/winogrande",
)  # fmt: skip
APACHE = TeacherStamp(model="Qwen/Qwen3-32B", revision="r1", license="Apache-2.0")
GEMMA = TeacherStamp(model="google/gemma-3-12b-it", revision="r1", license="LicenseRef-Gemma")
LLAMA = TeacherStamp(
    model="meta-llama/Llama-3.3-70B-Instruct", revision="r1", license="LicenseRef-Llama-3.3"
)
NEW = TeacherStamp(model="Qwen/Qwen3-235B-A22B-Instruct-2507", revision="r2", license="Apache-2.0")
WRITERS = (APACHE, GEMMA, LLAMA)


def fill_store(root: Path, rows: int) -> int:
    """Publishes `heldout`, `normalized` and `filtered` of `SUBTASKS`, by `WRITERS` in turn.

    Args:
        root: The store. What it has already is made anew.
        rows: The seeds of a subtask at most; half of them stand in for what its writer wrote.

    Returns:
        The number of rows in `filtered`.
    """
    store, count = Store(root), 0
    for number, spec in enumerate(specs()):
        _hold_out(store, spec)
        with store.write(key_of(spec, Stage.NORMALIZED)) as out:
            for example in _training_rows(spec, rows):
                out.accept(example)
        count += _filtered(store, spec, rows, WRITERS[number % len(WRITERS)])
    return count


def change_writer(root: Path, rows: int) -> list[str]:
    """Makes `filtered` of every third subtask anew, as if `NEW` had written it.

    Returns:
        The subtasks. They have the other half of the seeds, as a new writer writes new rows.
    """
    changed = specs()[2 :: len(WRITERS)]
    for spec in changed:
        _filtered(Store(root), spec, rows, NEW)
    return [f"{spec.task}/{spec.key}" for spec in changed]


def texts_only(root: Path, names: Sequence[str], rows: int) -> Path:
    """Cuts a release of a few subtasks that is compared with nothing; returns its folder.

    Args:
        root: The store, which also gets the `normalized` partitions.
        names: The subtasks, as `task/subtask`.
        rows: The rows of a subtask at most.
    """
    store, inputs, partitions = Store(root), {}, []
    for spec in map(spec_of, names):
        examples = list(_training_rows(spec, rows))
        with store.write(key_of(spec, Stage.NORMALIZED)) as out:
            for example in examples:
                out.accept(example)
        inputs[str(key_of(spec, Stage.FILTERED))] = content_id([e.id for e in examples])
        partitions.append((spec.key, [_stand_in(example, APACHE) for example in examples]))
    curated = curate(partitions, lambda _name: {}, lambda _name: {}, {}, {})
    return write_release(root, Cut(inputs), curated).path


def specs() -> list[SubtaskSpec]:
    """The subtasks of the release."""
    return [spec_of(name) for name in SUBTASKS]


def spec_of(name: str) -> SubtaskSpec:
    """A subtask of the catalog, by `task/subtask`."""
    task, subtask = name.split("/")
    return cached_catalog().task(task).resolve(subtask)


def cut(root: Path, tokenizer: str = "") -> Path:
    """Materializes `curated`; returns the release's folder."""
    os.environ |= {
        "SDG_STORE": str(root),
        "SDG_SEED_SOURCE": f"mirror:{MIRROR}",
        "SDG_WITHOUT_BENCHMARKS": "all",
        **({"SDG_TOKENIZER": tokenizer} if tokenizer else {}),
    }
    settings.cache_clear()
    tasks = sorted({name.split("/")[0] for name in SUBTASKS})
    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize(
            [curated_asset(cached_catalog())],
            instance=instance,
            run_config={
                "loggers": {"console": {"config": {"log_level": "ERROR"}}},
                "ops": {"curated": {"config": {"tasks": tasks}}},
            },
        )
    (event,) = done.get_asset_materialization_events()
    return Path(str(event.materialization.metadata["path"].value))


def _hold_out(store: Store, spec: SubtaskSpec) -> None:
    key, rows = heldout_key(spec.task, spec.key), heldout_rows(spec, SOURCE)
    publish_hashes(store, key, rows, f"mirror:{MIRROR}")


def _training_rows(spec: SubtaskSpec, rows: int) -> Iterator[Example]:
    seeds = collect_seeds(spec, SOURCE, rows)
    return (row for row in normalize(spec, seeds) if isinstance(row, Example))


def _filtered(store: Store, spec: SubtaskSpec, rows: int, writer: TeacherStamp) -> int:
    duplicates, count = Duplicates(), 0
    with store.write(key_of(spec, Stage.FILTERED)) as out:
        for example in list(_training_rows(spec, rows))[writer is NEW :: 2]:
            row = _stand_in(example, writer)
            duplicates.add([row])
            out.accept(row)
            count += 1
        write_signatures = duplicates.signatures().write_parquet
        out.attachments[ATTACHMENT] = partial(write_signatures, str(key_of(spec, Stage.FILTERED)))
    return count


def _stand_in(example: Example, writer: TeacherStamp) -> EnrichedExample:
    return enriched(
        **dict(example) | {"seed_ids": [example.id]},
        teacher=writer,
        solver=APACHE,
        reasoning=example.solution,
        knowledge="",
        votes=[Vote(answer=example.answer, count=3)],
    )
