"""Plans a round of `cover` from what the store holds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from sdg_assets.catalog import Catalog, SubtaskSpec, configured_catalog
from sdg_assets.catalog.taxonomy import load_taxonomy
from sdg_assets.errors import PermanentError
from sdg_assets.records import Stage
from sdg_assets.settings import Settings
from sdg_assets.stages.cover import Plan, Supply, plan_round
from sdg_assets.stages.funnel import examples_written
from sdg_assets.stages.matrix import difficulties_in
from sdg_assets.stages.stage import key_of
from sdg_assets.stages.wishes import CoverRequest, checked, with_cells
from sdg_assets.store.partitions import Store

_READ = (Stage.NORMALIZED, Stage.GENERATED, Stage.FILTERED)


def planned(request: CoverRequest, settings: Settings) -> Plan:
    """The plan of the next round.

    Args:
        request: What there should be.
        settings: The settings that name the catalog and the store.

    Raises:
        PermanentError: A wish or a number of the request cannot be.
        CatalogError: The request names a task or subtask that does not exist or is switched off.
        StoreError: A partition is damaged.
    """
    for name in ("rounds", "most_per_seed"):
        if (value := getattr(request, name)) < 1:
            raise PermanentError(f"{name}={value}: must be at least 1")
    catalog, store = configured_catalog(settings), Store(settings.store)
    specs = [task.resolve(key) for task in catalog.enabled() for key in task.enabled_subtasks()]
    wishes = with_cells(
        checked(request.wishes, specs, load_taxonomy(settings.catalog)),
        specs,
        request.minimum,
        settings.coverage_minimum,
    )
    names = {f"{spec.task}/{spec.key}" for spec in specs}
    writers = _named(catalog, request.writers) or names
    supplies = supplies_of(
        store, specs, request.most_per_seed, writers - _named(catalog, request.without)
    )
    return plan_round(wishes, supplies, request.rounds)


def _named(catalog: Catalog, names: Iterable[str]) -> set[str]:
    """The subtasks, as `task/subtask`, that are named so or by their task."""
    subtasks = set()
    for name in names:
        task, _, subtask = name.partition("/")
        keys = [subtask] if subtask else catalog.task(task).enabled_subtasks()
        subtasks |= {f"{task}/{catalog.subtask(task, key).key}" for key in keys}
    return subtasks


def supplies_of(
    store: Store,
    specs: Sequence[SubtaskSpec],
    most_per_seed: int,
    writers: Collection[str],
) -> list[Supply]:
    """What each subtask has, and what it can still write.

    Args:
        store: The store.
        specs: The enabled subtasks: the accepted rows of all of them count.
        most_per_seed: The most examples after one seed, those of earlier runs included.
        writers: The subtasks that may write, as `task/subtask`.

    Raises:
        StoreError: A partition is damaged; see `Store.read`.
    """
    accepted = difficulties_in(store, specs)
    published = store.manifests(key_of(spec, stage) for spec in specs for stage in _READ)
    supplies = []
    for spec in specs:
        normalized, generated, filtered = (published.get(key_of(spec, s)) for s in _READ)
        written = examples_written(generated) if generated else 0
        # Rows of `filtered` that are older than the examples are the verdict on earlier ones.
        is_judged = generated and filtered and filtered.written_at >= generated.written_at
        capacity = normalized.rows * most_per_seed if normalized else None
        may_write = f"{spec.task}/{spec.key}" in writers
        supplies.append(
            Supply(
                spec=spec,
                accepted=accepted.get(spec.key, {}),
                written=written,
                judged=written if is_judged else 0,
                capacity=capacity if may_write else 0,
            )
        )
    return supplies
