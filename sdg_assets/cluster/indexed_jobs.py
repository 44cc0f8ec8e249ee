"""The Indexed Job that fills a step's partitions: how it is made, and how far it is.

Index `i` of `n` runs `sdg fill … --of n` and finds its number in `JOB_COMPLETION_INDEX`. Unlike a
step's own Job, the Job may start pods again by itself: `sdg fill` knows no Dagster and continues
from the completion log. `maxFailedIndexes` is not set: a failed index must not end the others,
whose partitions can be published.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from sdg_assets.catalog import Catalog
from sdg_assets.cluster.fill_report import FillReport, IndexFailure
from sdg_assets.cluster.pods import WAITS_LABEL
from sdg_assets.cluster.settings import ClusterSettings
from sdg_assets.dagster_internals import RANGE_TAGS
from sdg_assets.errors import CANNOT_BE_DONE, PermanentError
from sdg_assets.records import Stage

if TYPE_CHECKING:
    from kubernetes.client import V1Job, V1Pod

KNOBS = {
    Stage.GENERATED: ("examples_per_seed", "harder_from", "max_tokens"),
    Stage.ENRICHED: ("votes", "accept_corrections", "max_tokens"),
}
"""The knobs of each stage on which requests depend; each is an option of `sdg fill`, which refuses
those of the other stage. The runs of a backfill have the tags of all stages."""
SWITCHES = frozenset({"accept_corrections"})
"""The knobs that are true or false."""
NO_LIMIT = 2**31 - 1
"""`backoffLimit` of a Job whose retries are limited per index, as Kubernetes sets it itself."""
INDEX_ANNOTATION = "batch.kubernetes.io/job-completion-index"
FEWEST_PODS_ANNOTATION = "kueue.x-k8s.io/job-min-parallelism"
"""From how many pods at a time on Kueue admits a Job. Without it, a Job of 16 pods whose GPUs are
more than the quota waits for ever."""
PARTITION_TAG = "dagster/partition"


def fill_command(
    stage: Stage,
    task: str,
    subtasks: Iterable[str],
    of: int,
    run_tags: Mapping[str, str],
    run_config: Mapping[str, Any],
    budget: str,
) -> list[str]:
    """The command of every pod of the Job.

    Args:
        stage: The stage to fill.
        task: The seed task.
        subtasks: The partitions of the run.
        of: Number of indexes.
        run_tags: Tags `sdg/<knob>` of the run, also of other stages.
        run_config: The config of the stage's op, which overrides the tags.
        budget: Name of the budget of the run or of its backfill, which all pods share.

    Raises:
        PermanentError: A knob that is true or false has another value.
    """
    command = ["sdg", "fill", *(f"{task}/{subtask}" for subtask in subtasks)]
    command += ["--stage", stage.value, "--of", str(of)]
    for knob in KNOBS[stage]:
        value = run_config.get(knob)
        value = run_tags.get(f"sdg/{knob}", "") if value is None else value
        option = knob.replace("_", "-")
        if value == "":
            continue
        if knob in SWITCHES:
            command.append(f"--{option}" if _is_on(knob, value) else f"--no-{option}")
        else:
            command += [f"--{option}", str(value)]
    if "--max-tokens" in command:
        command += ["--budget", budget]
    return command


def _is_on(knob: str, value: object) -> bool:
    """The value of a switch, in all words that a run of the step itself understands."""
    try:
        return TypeAdapter(bool).validate_python(value)
    except ValidationError as error:
        raise PermanentError(f"{knob}={value}: {error.errors()[0]['msg']}") from error


def subtasks_of_run(catalog: Catalog, task: str, run_tags: Mapping[str, str]) -> list[str]:
    """The partitions of a run, in the catalog's order.

    Raises:
        PermanentError: The run names a partition that the catalog does not have, or none.
    """
    keys = list(catalog.task(task).enabled_subtasks())
    ends = [run_tags.get(tag) or run_tags.get(PARTITION_TAG, "") for tag in RANGE_TAGS]
    if not set(ends) <= set(keys):
        raise PermanentError(
            f"the run's partitions {' to '.join(ends)} are no enabled subtasks of {task}: reload "
            "the code location, and launch the run again"
        )
    first, last = map(keys.index, ends)
    return keys[first : last + 1]


def indexed_spec(of: int, at_once: int, cluster: ClusterSettings) -> dict[str, Any]:
    """What an Indexed Job has besides a step's own Job, as a pod configuration.

    Args:
        of: Number of indexes.
        at_once: How many pods may run at the same time.
        cluster: Says how often an index is tried again.
    """
    metadata: dict[str, Any] = {"labels": {WAITS_LABEL: "true"}}
    if cluster.queue_name:
        metadata["annotations"] = {FEWEST_PODS_ANNOTATION: "1"}
    disruption = {"type": "DisruptionTarget", "status": "True"}
    permanent = {"operator": "In", "values": [CANNOT_BE_DONE]}
    return {
        "job_metadata": metadata,
        "job_spec_config": {
            "completion_mode": "Indexed",
            "completions": of,
            "parallelism": at_once,
            "backoff_limit": NO_LIMIT,
            "backoff_limit_per_index": cluster.index_retries,
            "pod_failure_policy": {
                "rules": [
                    {"action": "Ignore", "on_pod_conditions": [disruption]},
                    {"action": "FailIndex", "on_exit_codes": permanent},
                ]
            },
        },
        # The last lines of stderr say which partition failed, and why.
        "container_config": {"termination_message_policy": "FallbackToLogsOnError"},
    }


@dataclass(frozen=True)
class Progress:
    """How far an Indexed Job is.

    Attributes:
        job: Its name.
        of: Number of indexes.
        done: The indexes that have succeeded.
        failed: The indexes that have failed for good.
        running: Number of its pods that run.
        is_over: Whether no index is left to run.
        is_queued: Whether it is suspended until there is quota.
    """

    job: str
    of: int
    done: frozenset[int]
    failed: frozenset[int]
    running: int
    is_over: bool
    is_queued: bool

    @classmethod
    def of_job(cls, job: V1Job) -> Progress:
        """Reads a Job's status."""
        status = job.status
        conditions = {c.type for c in status.conditions or [] if c.status == "True"}
        return cls(
            job.metadata.name,
            job.spec.completions,
            frozenset(_indexes(status.completed_indexes)),
            frozenset(_indexes(status.failed_indexes)),
            status.ready or 0,
            bool(conditions & {"Complete", "Failed"}),
            bool(job.spec.suspend),
        )

    def __str__(self) -> str:
        """One sentence."""
        if self.is_queued:
            return f"Job {self.job} waits in its queue until there is quota for {self.of} pods"
        text = f"Job {self.job}: {len(self.done)} of {self.of} indexes are done"
        if self.failed:
            numbers = ", ".join(map(str, sorted(self.failed)))
            text += f", {len(self.failed)} failed ({numbers})"
        return text + f"; {self.running} pods run" * (self.running > 0)


def report_of(progress: Progress, pods: Iterable[V1Pod], given_up: str = "") -> FillReport:
    """Why the failed indexes of a Job failed.

    Args:
        progress: The state of the Job, which is over or given up.
        pods: Its pods that still exist.
        given_up: Why the Job was given up, and with it the indexes that are not done; empty: it is
            over.
    """
    last: dict[int, V1Pod] = {}
    for pod in sorted(pods, key=lambda pod: pod.metadata.creation_timestamp):
        if pod.status.phase == "Failed":
            last[index_of(pod)] = pod
    # Without its pod, the cause is unknown: only a permanent failure is never worth a rerun.
    failures = [
        IndexFailure(index=index, is_permanent=code == CANNOT_BE_DONE, text=text)
        for index in sorted(progress.failed)
        for code, text in [last_words(last.get(index))]
    ]
    if given_up:
        left = sorted(set(range(progress.of)) - progress.done - progress.failed)
        failures += [IndexFailure(index=i, is_permanent=False, text=given_up) for i in left]
    return FillReport(job=progress.job, of=progress.of, failures=_shortened(failures))


def index_of(pod: V1Pod) -> int:
    """The index that a pod of an Indexed Job runs."""
    return int((pod.metadata.annotations or {})[INDEX_ANNOTATION])


def last_words(pod: V1Pod | None) -> tuple[int | None, str]:
    """A pod's exit code and the last lines that it wrote; None and empty if unknown."""
    for status in (pod.status.container_statuses or []) if pod else []:
        if status.state and (ended := status.state.terminated):
            return ended.exit_code, (ended.message or "").strip()
    return None, ""


def pods_named(job: str, names: Iterable[str]) -> set[str]:
    """Which of the names are those of pods of an Indexed Job: `<job>-<index>-<random>`.

    A retry's Job is called `<job>-1`, so that a prefix is not enough.
    """
    form = re.compile(rf"{re.escape(job)}-\d+-[a-z0-9]{{5}}")
    return {name for name in names if form.fullmatch(name)}


def _shortened(failures: Sequence[IndexFailure], most: int = 60_000) -> tuple[IndexFailure, ...]:
    """The failures with texts that fit into an environment variable, which holds 128 KiB."""
    room = most // max(1, len(failures))
    return tuple(f.model_copy(update={"text": _ending(f.text, room)}) for f in failures)


def _ending(text: str, room: int) -> str:
    """The end of a text whose JSON has at most so many bytes: a character may take up to six."""
    while len(json.dumps(text, ensure_ascii=False).encode()) - 2 > room:
        text = text[len(text) // 8 + 1 :]
    return text


def _indexes(text: str | None) -> Iterator[int]:
    """The numbers in Kubernetes' notation, such as `0,2-4`."""
    for part in (text or "").split(","):
        first, _, last = part.partition("-")
        if first:
            yield from range(int(first), int(last or first) + 1)
