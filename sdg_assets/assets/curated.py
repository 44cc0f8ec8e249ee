"""The `curated` asset: one release of all published `filtered` partitions."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial

import dagster as dg
from pydantic import Field

from sdg_assets.assets.check_specs import check_specs
from sdg_assets.assets.endings import INTERRUPTS, StepEnd
from sdg_assets.assets.keys import CURATED, asset_key
from sdg_assets.assets.lineage import release_lineage
from sdg_assets.assets.operations import state_of
from sdg_assets.assets.release_page import (
    current_licences,
    freshness,
    heldout_compared,
    release_metadata,
)
from sdg_assets.assets.retries import retries
from sdg_assets.browse.links import rows_url
from sdg_assets.catalog import Catalog, SubtaskSpec, configured_catalog
from sdg_assets.catalog.citations import citations
from sdg_assets.catalog.taxonomy import load_taxonomy
from sdg_assets.cluster.pods import pod_tags
from sdg_assets.errors import PermanentError, SdgError
from sdg_assets.gates import Gate
from sdg_assets.gates.licence import Terms, strictest_terms
from sdg_assets.heldout.coverage import coverage
from sdg_assets.heldout.protection import protection
from sdg_assets.records import EnrichedExample, Stage, content_id
from sdg_assets.release import Cut, Release, write_release
from sdg_assets.release.comparison import Comparison
from sdg_assets.release.embedded import embedded_comparison
from sdg_assets.release.push import push
from sdg_assets.settings import Settings, settings
from sdg_assets.signatures.release import duplicates_across
from sdg_assets.signatures.thresholds import DuplicateThresholds
from sdg_assets.stages.cost import PriceList
from sdg_assets.stages.curated import curate
from sdg_assets.stages.funnel import funnel_row
from sdg_assets.stages.gate_refusals import GateRefusals, Partition
from sdg_assets.stages.matrix import matrix_of
from sdg_assets.stages.relicensed import CurrentLicences
from sdg_assets.stages.stage import STAGES, key_of
from sdg_assets.store.disk import clear_refusals
from sdg_assets.store.notes import notes_of
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets.store.places import Place
from sdg_assets.teacher.models import ByModel, TeacherCard, teacher_cards
from sdg_assets.teacher.tokenizer import NoTokenizer, Tokenizer, tokenizer_of
from sdg_assets.thresholds import Thresholds, overridden


class ReleaseConfig(dg.Config):
    """Knobs of `curated`."""

    tasks: list[str] = Field(default=[], description="seed tasks to release; empty for all")
    push: bool = Field(
        default=False, description="upload the release to the Hub repository SDG_PUSH_TO"
    )


def curated_asset(catalog: Catalog) -> dg.AssetsDefinition:
    """The release asset, downstream of every enabled task's last stage."""
    row = STAGES[Stage.CURATED]

    @dg.asset(
        key=CURATED,
        group_name=Stage.CURATED.value,
        deps=[
            dg.AssetDep(asset_key(task.task, above), partition_mapping=dg.AllPartitionMapping())
            for task in catalog.enabled()
            for above in row.inputs
        ],
        kinds={"polars", "parquet", "huggingface"},
        check_specs=check_specs(Stage.CURATED, CURATED),
        description=row.description,
        retry_policy=retries(),
        op_tags=pod_tags(Stage.CURATED),
        freshness_policy=_freshness_policy(),
    )
    def curated(
        context: dg.AssetExecutionContext, config: ReleaseConfig
    ) -> Iterator[dg.MaterializeResult[None]]:
        end = StepEnd(context)
        try:
            current_settings = settings()
            store = Store(current_settings.store)
            with (
                clear_refusals(current_settings.store),
                release_lineage(context, store) as report_lineage,
            ):
                release, keys, cut = _release(config, current_settings)
                report_lineage(release, _subtasks(keys, current_settings))
            stale = _stale(context.instance, keys, current_settings)
            if stale:
                context.log.warning(
                    f"{len(stale)} stale inputs, e.g. {', '.join(stale[:3])}: some rows of the "
                    "release were made from old inputs"
                )
            address = _pushed(release, current_settings) if config.push else ""
        except INTERRUPTS:
            raise end.interruption() from None
        except SdgError as error:
            permanent = isinstance(error, PermanentError)
            raise dg.Failure(str(error), allow_retries=not permanent) from error
        metadata = release_metadata(release, len(keys), stale)
        if current_settings.browse_url:
            page = rows_url(current_settings.browse_url, release.id)
            metadata["browse"] = dg.MetadataValue.url(page)
        if address:
            metadata["hub"] = dg.MetadataValue.url(address)
        checks = [
            freshness(stale),
            current_licences(cut.relicensed),
            heldout_compared(cut.coverage),
        ]
        yield dg.MaterializeResult(metadata=metadata, check_results=checks)

    return curated


def _freshness_policy() -> dg.FreshnessPolicy | None:
    """When Dagster's UI shows the release as too old; None: never."""
    days = settings().release_max_age_days
    if days is None:
        return None
    return dg.FreshnessPolicy.time_window(fail_window=timedelta(days=days))


def _subtasks(keys: Sequence[PartitionKey], current_settings: Settings) -> list[SubtaskSpec]:
    catalog = configured_catalog(current_settings)
    return [catalog.subtask(key.task, key.subtask) for key in keys]


def _stale(
    instance: dg.DagsterInstance, keys: Sequence[PartitionKey], current_settings: Settings
) -> list[str]:
    """The stale and incomplete partitions of the release's subtasks, as `task/stage/subtask`."""
    released = {(key.task, key.subtask) for key in keys}
    state = state_of(instance, configured_catalog(current_settings))
    names = dict.fromkeys([*state.stale, *state.incomplete])
    return [name for name in names if (name.split("/")[0], name.split("/")[2]) in released]


def _release(
    config: ReleaseConfig, current_settings: Settings
) -> tuple[Release[Place], list[PartitionKey], Cut]:
    store, catalog = Store(current_settings.store), configured_catalog(current_settings)
    tasks = [catalog.task(name) for name in sorted(set(config.tasks))] or catalog.enabled()
    specs = [task.resolve(key) for task in tasks for key in task.enabled_subtasks()]
    filtered = [key_of(spec, Stage.FILTERED) for spec in specs]
    store = store.pinned(filtered)  # so that verdicts, rows and hashes are of one version
    published = store.manifests(filtered)
    specs = [spec for spec in specs if key_of(spec, Stage.FILTERED) in published]
    if not specs:
        wanted = ", ".join(config.tasks) or "any task"
        raise PermanentError(
            f"nothing to release: no `{Stage.FILTERED}` partition of {wanted} is in {store.root}; "
            "materialize some first"
        )
    keys = [key_of(spec, Stage.FILTERED) for spec in specs]

    def partitions() -> Iterator[Partition]:
        for key in keys:
            yield str(key), store.read(key, EnrichedExample)

    cards = list(teacher_cards(current_settings.catalog).values())
    of_models = partial(ByModel, catalog=current_settings.catalog)
    licences = CurrentLicences(
        {spec.key: spec.license for spec in specs},
        of_models({card.model: card.license for card in cards}, lambda card: card.license),
    )
    terms = of_models(strictest_terms((card.model, _terms(card)) for card in cards), _terms)
    guard = protection(
        store, catalog, specs, current_settings.without_benchmarks, current_settings.seed_source
    )
    named = {str(key): spec for key, spec in zip(keys, specs, strict=True)}
    comparison = Comparison(guard, named, store)

    def thresholds(name: str) -> Thresholds:
        return overridden(current_settings.gates, named[name].gates)

    def gates(name: str) -> Sequence[Gate]:
        return comparison.gates_of(name, thresholds(name))

    def similarities(name: str) -> DuplicateThresholds:
        return thresholds(name).of(DuplicateThresholds)

    by_gates = GateRefusals(partitions(), gates)
    engine = current_settings.duplicate_search
    copies = duplicates_across(store, keys, similarities, engine, by_gates.places)
    rows = curate(
        partitions(),
        copies.refusals,
        by_gates.of,
        {spec.key: spec.commercial_use for spec in specs},
        terms,
        current_settings.text_style,
        share_alike=current_settings.commercial_share_alike,
        licences=licences,
    )
    cut = Cut(
        inputs={str(key): published[key].sha256 for key in keys},
        catalog=content_id([spec.model_dump(mode="json") for spec in specs]),
        name=current_settings.release_name,
        funnels=[funnel_row(store, spec) for spec in specs],
        citations=citations(),
        compared_with=guard.against,
        audit=comparison.audit,
        embedded=embedded_comparison(published[key].info for key in keys),
        terms=of_models({card.model: card.terms for card in cards}, lambda card: card.terms),
        relicensed=licences.rows,
        prices=PriceList.of(current_settings),
        tokenizer=_tokenizer(current_settings),
        coverage=coverage(
            store, catalog, current_settings.without_benchmarks, current_settings.seed_source
        ),
        notes=[note for spec in specs for note in notes_of(store, spec.task, spec.key)],
        # The subtasks of the release only: others may be enabled later without a change to it.
        matrix=partial(
            matrix_of,
            specs,
            taxonomy=load_taxonomy(current_settings.catalog),
            minimum=current_settings.coverage_minimum,
            share=current_settings.coverage_share,
        ),
    )
    return write_release(store.root, cut, rows), keys, cut


def _terms(card: TeacherCard) -> Terms:
    return Terms(card.commercial_use, card.outputs_may_train)


def _tokenizer(current_settings: Settings) -> Tokenizer | NoTokenizer:
    """The tokenizer that counts the release's tokens; one that is named must be at hand."""
    name = current_settings.tokenizer
    tokenizer = tokenizer_of(name or current_settings.teacher, current_settings.catalog)
    if name and isinstance(tokenizer, NoTokenizer):
        raise PermanentError(
            f"SDG_TOKENIZER={name}: {tokenizer.reason}; put it there, or name another"
        )
    return tokenizer


def _pushed(release: Release[Place], current_settings: Settings) -> str:
    if not current_settings.push_to:
        raise PermanentError("push: set SDG_PUSH_TO to the Hub repository, organization/name")
    return push(release.path, current_settings.push_to)
