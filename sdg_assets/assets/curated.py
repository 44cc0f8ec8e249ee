"""The `curated` asset: one release over every partition that is there."""

from collections import Counter
from collections.abc import Iterator, Sequence

import dagster as dg
from pydantic import Field

from sdg_assets.catalog import Catalog, cached_catalog
from sdg_assets.catalog.citations import citations
from sdg_assets.errors import PermanentError, SdgError
from sdg_assets.examples import EnrichedExample, content_id
from sdg_assets.funnel import funnel_row
from sdg_assets.gates import Gate
from sdg_assets.heldout.protection import protection
from sdg_assets.places import Place
from sdg_assets.release import Cut, Release, write_release
from sdg_assets.release.comparison import Comparison
from sdg_assets.release.push import push
from sdg_assets.settings import settings
from sdg_assets.signatures.release import duplicates_across
from sdg_assets.stages.curated import Partition, curate
from sdg_assets.storage import PartitionKey, Store
from sdg_assets.teacher.models import teacher_cards
from sdg_assets.thresholds import overridden


class ReleaseConfig(dg.Config):
    """Knobs of `curated`."""

    tasks: list[str] = Field(default=[], description="seed tasks to release; empty for all")
    push: bool = Field(default=False, description="upload it to the Hub repository SDG_PUSH_TO")


def curated_asset(catalog: Catalog) -> dg.AssetsDefinition:
    """The release asset, downstream of every enabled task's `filtered`."""
    tasks = catalog.enabled()

    @dg.asset(
        key="curated",
        group_name="curated",
        deps=[
            dg.AssetDep(
                dg.AssetKey([task.task, "filtered"]),
                partition_mapping=dg.AllPartitionMapping(),
            )
            for task in tasks
        ],
        kinds={"polars", "parquet", "huggingface"},
        description="One release: accepted rows of all partitions, unique, with their training "
        "texts and licences, a dataset card, and the licence-compatible subset apart.",
    )
    def curated(
        context: dg.AssetExecutionContext, config: ReleaseConfig
    ) -> dg.MaterializeResult[None]:
        try:
            release, partitions = _release(config)
            address = _pushed(release) if config.push else ""
        except SdgError as error:
            permanent = isinstance(error, PermanentError)
            raise dg.Failure(str(error), allow_retries=not permanent) from error
        metadata = _metadata(release, partitions)
        if address:
            metadata["hub"] = dg.MetadataValue.url(address)
        return dg.MaterializeResult(metadata=metadata)

    return curated


def _release(config: ReleaseConfig) -> tuple[Release[Place], int]:
    store, catalog = Store(settings().store), cached_catalog(settings().catalog)
    chosen = [catalog.task(name) for name in sorted(config.tasks)] or catalog.enabled()
    specs = [task.resolve(key) for task in chosen for key in task.enabled_subtasks()]
    published = store.manifests(PartitionKey(s.task, "filtered", s.key) for s in specs)
    specs = [s for s in specs if PartitionKey(s.task, "filtered", s.key) in published]
    if not specs:
        wanted = ", ".join(config.tasks) or "any task"
        raise PermanentError(
            f"nothing to release: no `filtered` partition of {wanted} is in {store.root}; "
            "materialize some first"
        )
    keys = [PartitionKey(spec.task, "filtered", spec.key) for spec in specs]

    def partitions() -> Iterator[Partition]:
        for key in keys:
            yield str(key), store.read(key, EnrichedExample)

    cards = teacher_cards(settings().catalog).values()
    guard = protection(store, catalog, specs, settings().without_benchmarks, settings().seed_source)
    named = {str(key): spec for key, spec in zip(keys, specs, strict=True)}
    comparison = Comparison(guard, named, store)

    def gates(name: str) -> Sequence[Gate]:
        return comparison.gates_of(name, overridden(settings().gates, named[name].gates))

    thresholds = overridden(settings().gates)
    copies = duplicates_across(store, keys, thresholds, settings().duplicate_search)
    rows = curate(
        partitions(),
        copies.refusals,
        gates,
        {spec.key: spec.commercial_use for spec in specs},
        {card.model: card.commercial_use for card in cards},
        settings().text_style,
    )
    cut = Cut(
        inputs={str(key): published[key].sha256 for key in keys},
        catalog=content_id([spec.model_dump(mode="json") for spec in specs]),
        name=settings().release_name,
        funnels=[funnel_row(store, spec) for spec in specs],
        citations=citations(),
        compared_with=guard.against,
        hits=comparison.hits,
        unchecked=[*guard.without, *(s for splits in guard.missing.values() for s in splits)],
    )
    return write_release(store.root, cut, rows), len(keys)


def _pushed(release: Release[Place]) -> str:
    repository = settings().push_to
    if not repository:
        raise PermanentError("push: set SDG_PUSH_TO to the Hub repository, organization/name")
    return push(release.path, repository)


def _metadata(
    release: Release[Place], partitions: int
) -> dict[str, dg.MetadataValue | int | float | str]:
    figures = release.statistics
    sampled = [task.diversity for task in figures.tasks.values() if task.diversity]
    mean = {
        name: sum(getattr(diversity, name) for diversity in sampled) / len(sampled)
        for name in ("distinct_2", "self_similarity")
        if sampled
    }
    shown = figures.variations.most_common()
    shares = "\n".join(
        f"| {name} | {count} | {count / figures.rows:.0%} |" for name, count in shown
    )
    return {
        "rows": figures.rows,
        "rows_rejected": figures.rejected.total(),
        "partitions": partitions,
        "release": release.id,
        "path": dg.MetadataValue.path(str(release.path)),
        **{f"rows_{family}": count for family, count in figures.families.items()},
        "rows_commercial": figures.commercial,
        "answers_corrected": figures.corrected,
        "seeds_used": sum(task.anchors for task in figures.tasks.values()),
        **{f"diversity_{name}": round(value, 4) for name, value in mean.items()},
        "variations": dg.MetadataValue.md(f"| variation | rows | share |\n|---|---|---|\n{shares}"),
        "rejected": dg.MetadataValue.json(dict(_sorted(figures.rejected))),
    }


def _sorted(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
