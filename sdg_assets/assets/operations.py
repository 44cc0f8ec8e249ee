"""The `operations` asset: one page of failed, stale, incomplete and missing partitions."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import dagster as dg

from sdg_assets.assets.failures import clear_failures
from sdg_assets.assets.keys import BENCHMARKS, asset_key, asset_page, partition_page
from sdg_assets.assets.newest import materialized_partitions
from sdg_assets.assets.staleness import Made, Versions, made_of, shared_versions
from sdg_assets.catalog import Catalog, SeedTask, configured_catalog, load_protected
from sdg_assets.heldout.protection import benchmarks_to_hash
from sdg_assets.settings import settings
from sdg_assets.stages.stage import TASK_STAGES
from sdg_assets.store.partitions import Store

OPERATIONS = dg.AssetKey("operations")
SHOWN = 20
WHAT_TO_DO = {
    "failed": "Open the run: its error says what to do. Re-execute from failure computes only the "
    "failed partitions.",
    "ended": "Somebody ended the run before it made these partitions. Nothing is wrong with them. "
    "Materialize them again; the teachers' answers so far are kept.",
    "stale": "An input has changed: a teacher, its prompts, or the rows and hashes of an upstream "
    "stage. Switch on the sensor remake_stale, or launch the job everything_stale. Their "
    "downstream stages are not listed; they become stale next.",
    "incomplete": "A budget of tokens ended them. Their finished rows are published. Materialize "
    "them again without sdg/max_tokens, or with a larger one, or launch the job everything_stale: "
    "only what is missing is asked for. No sensor does so, as it would spend without a limit.",
    "missing": "Some stages are materialized, later ones are not. Launch the job one_task with "
    "only_missing, or switch on the sensor fill_missing.",
    "left": "No longer in the catalog, or switched off. Their data stays in the store, but no "
    "release contains it. Delete it there when nobody needs it.",
}


# A successful run has made its partitions.
ENDED_WITHOUT_SUCCESS = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


@dataclass(frozen=True)
class Attempt:
    """A run that should have made a partition, but failed or was ended by a person."""

    run: str
    has_failed: bool


@dataclass
class State:
    """Partitions as `task/stage/subtask`, by their problem."""

    failed: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    """Not made, because a person ended the run."""
    stale: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)
    """Published without the rows that the budget of their run did not pay for."""
    missing: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    """Materialized, but no longer in the catalog or disabled."""
    materialized: int = 0
    not_begun: int = 0
    """Number of enabled subtasks without any materialized stage."""
    runs: dict[str, str] = field(default_factory=dict)
    """Failed or ended partition → the run that should have made it."""
    changed: dict[str, list[str]] = field(default_factory=dict)
    """Stale partition → the inputs that have changed."""

    def add(self, name: str, attempt: Attempt) -> None:
        """Lists a partition that was not made."""
        (self.failed if attempt.has_failed else self.ended).append(name)
        self.runs[name] = attempt.run

    @property
    def broken(self) -> dict[str, list[str]]:
        """The lists that are not empty and that a person should look at, by problem."""
        lists = {
            "failed": self.failed, "ended": self.ended,
            "stale": self.stale, "incomplete": self.incomplete, "missing": self.missing,
        }  # fmt: skip
        return {name: keys for name, keys in lists.items() if keys}


def state_of(instance: dg.DagsterInstance, catalog: Catalog, to_hash: Iterable[str] = ()) -> State:
    """The state of every partition, including partitions that left the catalog.

    A partition is stale if the version of an input has changed since it was made. Only directly
    stale partitions are listed, not their downstream stages. For an unfinished subtask only the
    first failed or missing stage is listed.

    Args:
        instance: The Dagster instance.
        catalog: The seed tasks.
        to_hash: Names of the protected benchmarks that still must be hashed before any task is
            normalized.
    """
    state = State()
    tasks = list(catalog.enabled())
    made = made_of(instance, tasks)
    shared = shared_versions(instance)
    for task, partitions in zip(tasks, made, strict=True):
        _add_task(state, instance, task, partitions, shared)
    _add_benchmarks(state, instance, to_hash)
    keys = [k for k in instance.get_asset_keys() if len(k.path) == 2 and k.path[1] in TASK_STAGES]
    for key, materialized in materialized_partitions(instance, keys).items():
        left = sorted(materialized - _current_partitions(key, catalog))
        state.left += [_name(key, subtask) for subtask in left]
    return state


def _current_partitions(key: dg.AssetKey, catalog: Catalog) -> set[str]:
    """The partitions that the catalog defines for an asset now."""
    if key == BENCHMARKS:
        return {benchmark.name for benchmark in load_protected()}
    task = catalog.tasks.get(key.path[0])
    return set(task.enabled_subtasks() if task else ())


def _add_task(
    state: State, instance: dg.DagsterInstance, task: SeedTask, made: Made, shared: Versions
) -> None:
    keys = {stage: asset_key(task.task, stage) for stage in TASK_STAGES}
    attempts = {stage: _attempts(instance, key) for stage, key in keys.items()}
    state.materialized += sum(map(len, made.tags.values()))
    for subtask in task.enabled_subtasks():
        names = {stage: _name(key, subtask) for stage, key in keys.items()}
        unmade = {names[s]: attempts[s][subtask] for s in TASK_STAGES if subtask in attempts[s]}
        missing = [names[stage] for stage in TASK_STAGES if subtask not in made.tags[stage]]
        if unmade:
            # The first failed stage; if none failed, the first that a person ended.
            name = min(unmade, key=lambda name: not unmade[name].has_failed)
            state.add(name, unmade[name])
        elif len(missing) == len(TASK_STAGES):
            state.not_begun += 1
        elif missing:
            state.missing.append(missing[0])
        for stage, changed in made.stale_stages(subtask, shared).items():
            if names[stage] not in state.runs:
                state.stale.append(names[stage])
                state.changed[names[stage]] = [key.to_user_string() for key in changed]
        incomplete = [names[stage] for stage in made.incomplete_stages(subtask)]
        state.incomplete += [name for name in incomplete if name not in state.runs]


def _add_benchmarks(state: State, instance: dg.DagsterInstance, to_hash: Iterable[str]) -> None:
    attempts = _attempts(instance, BENCHMARKS)
    for benchmark in to_hash:
        name = _name(BENCHMARKS, benchmark)
        if attempt := attempts.get(benchmark):
            state.add(name, attempt)
        elif state.materialized:  # on a fresh instance a missing benchmark is no problem
            state.missing.append(name)


def _attempts(instance: dg.DagsterInstance, key: dg.AssetKey) -> dict[str, Attempt]:
    """Partition → its newest run, if that run ended without making the partition."""
    log = instance.event_log_storage
    newest = log.get_latest_asset_partition_materialization_attempts_without_materializations(key)
    if not newest:
        return {}
    ids = sorted({run_id for run_id, _ in newest.values()})
    ended = dg.RunsFilter(run_ids=ids, statuses=ENDED_WITHOUT_SUCCESS)
    status = {run.run_id: run.status for run in instance.get_runs(ended)}
    return {
        partition: Attempt(run, status[run] is dg.DagsterRunStatus.FAILURE)
        for partition, (run, _) in newest.items()
        if run in status
    }


def _name(key: dg.AssetKey, partition: str) -> str:
    return f"{key.to_user_string()}/{partition}"


def operations_asset() -> dg.AssetsDefinition:
    """The `operations` asset with a check that never blocks."""

    @dg.asset(
        key=OPERATIONS,
        group_name="operations",
        owners=settings().owners,
        kinds={"dagster"},
        check_specs=[
            dg.AssetCheckSpec(
                "nothing_is_broken",
                asset=OPERATIONS,
                description="No partition is failed, stale, incomplete or missing. Never blocks.",
            )
        ],
        description="Failed, stale, incomplete and missing partitions of all seed tasks, and what "
        "to do. Made daily, and after each observation of the teachers.",
    )
    def operations(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        with clear_failures():
            current_settings = settings()
            store = Store(current_settings.store)
            to_hash = benchmarks_to_hash(
                store, current_settings.without_benchmarks, current_settings.seed_source
            )
            state = state_of(context.instance, configured_catalog(current_settings), to_hash)
        url = current_settings.browse_url  # its first page has the rows and yields of all subtasks
        broken = {name: len(keys) for name, keys in state.broken.items()}
        counts = ", ".join(f"{count} {name}" for name, count in broken.items())
        yield dg.MaterializeResult(
            metadata={
                "page": dg.MetadataValue.md(page(state)),
                **({"browse": dg.MetadataValue.url(url)} if url else {}),
                "failed": len(state.failed),
                "ended": len(state.ended),
                "stale": len(state.stale),
                "incomplete": len(state.incomplete),
                "missing": len(state.missing),
                "materialized": state.materialized,
                "not_begun": state.not_begun,
                "left": len(state.left),
            },
            check_results=[
                dg.AssetCheckResult(
                    passed=not broken,
                    severity=dg.AssetCheckSeverity.WARN,
                    description=f"{counts}: the page says what to do" if counts else "nothing",
                    metadata={"page": dg.MetadataValue.md(page(state))},
                )
            ],
        )

    return operations


def page(state: State) -> str:
    """The state as Markdown: the count and the first `SHOWN` of each list, and what to do.

    Each entry links to its partition, to its run if that failed or was ended, and to the inputs
    that have changed if it is stale.
    """
    parts = []
    for name, keys in {**state.broken, **({"left": state.left} if state.left else {})}.items():
        entries = "\n".join(f"- {_entry(key, state, name)}" for key in keys[:SHOWN])
        parts.append(f"### {len(keys)} {name}\n{WHAT_TO_DO[name]}\n\n{entries}{_rest(keys)}")
    return "\n\n".join(parts) or "Nothing is broken."


def _entry(name: str, state: State, kind: str) -> str:
    asset, _, partition = name.rpartition("/")
    if kind == "left":  # the UI has no page for this partition any more
        return f"[{name}]({asset_page(asset)})"
    entry = f"[{name}]({partition_page(asset, partition)})"
    if run := state.runs.get(name):
        entry += f" – [run {run[:8]}](/runs/{run})"
    if kind == "stale" and (changed := state.changed.get(name)):
        entry += f" – {', '.join(_input(each, asset, partition) for each in changed)}"
    return entry


def _input(changed: str, asset: str, partition: str) -> str:
    """A link to a changed input: a stage of the same subtask, or an asset that all tasks share."""
    is_of_task = changed.partition("/")[0] == asset.partition("/")[0]
    page_of_input = partition_page(changed, partition) if is_of_task else asset_page(changed)
    return f"[{changed}]({page_of_input})"


def _rest(names: Sequence[str]) -> str:
    """A line about the partitions after the first `SHOWN`, with links to their assets."""
    rest = names[SHOWN:]
    if not rest:
        return ""
    assets = list(dict.fromkeys(name.rpartition("/")[0] for name in rest))
    links = ", ".join(f"[{asset}]({asset_page(asset)}?view=partitions)" for asset in assets[:SHOWN])
    others = " …" if len(assets) > SHOWN else ""
    return f"\n- and {len(rest)} more, of {links}{others}"
