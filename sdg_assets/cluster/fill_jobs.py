"""Watches the Indexed Jobs of a run's steps, and deletes them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kubernetes.client.rest import ApiException

from sdg_assets.cluster.diagnosis import (
    KEPT,
    Waiting,
    external_cause,
    failure_reason,
    pod_refusal,
    start_obstacle,
)
from sdg_assets.cluster.fill_report import FillReport
from sdg_assets.cluster.indexed_jobs import Progress, index_of, last_words, pods_named, report_of
from sdg_assets.cluster.settings import ClusterSettings
from sdg_assets.cluster.waiting import events_about, is_worth_a_message, longest_wait

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Event, V1Job, V1Pod

HTTP_NOT_FOUND = 404
PROGRESS_SECONDS = 600.0
"""Indexes may take hours, and a run without an event for SDG_ALERT_STALLED_MINUTES (30) raises an
alert. A Job none of whose pods runs logs nothing: it may have stalled."""
SIGNALLED = 128
"""Exit codes above this mean that a signal ended the process."""


class GivenUpError(Exception):
    """An Indexed Job cannot go on; the message says why and what to do."""


class FillJobs:
    """The Indexed Jobs of one run worker."""

    def __init__(self, api_client: Any, cluster: ClusterSettings) -> None:  # noqa: ANN401 – untyped
        """Remembers what was logged.

        Args:
            api_client: Dagster's Kubernetes client.
            cluster: The cluster's settings.
        """
        self._batch, self._core = api_client.batch_api, api_client.core_api
        self._cluster = cluster
        self._logged: set[object] = set()
        self._progress: dict[str, tuple[object, float]] = {}  # Job → state when last logged, time
        self._idle_since: dict[str, float] = {}  # Jobs none of whose pods runs

    def check(self, job: str, namespace: str, log: Callable[[str], None]) -> FillReport | None:
        """Looks at a Job once, and logs what is new.

        Args:
            job: The Job's name.
            namespace: Its namespace.
            log: Logs a message in the run.

        Returns:
            How it ended; None while indexes are left.

        Raises:
            GivenUpError: It was deleted, or none of its pods could start for too long and no index
                is done. It is deleted then.
        """
        body = self._job(job, namespace)
        if body is None:
            raise GivenUpError(f"Job {job} was deleted while it ran. {KEPT}")
        progress = Progress.of_job(body)
        pods = self._pods(job, namespace)
        self._log_failures(job, namespace, pods, log)
        self._log_progress(progress, log)
        if progress.is_over:
            return report_of(progress, pods)
        idle_seconds = self._idle_seconds(job, pods, is_queued=progress.is_queued)
        if progress.is_queued:
            return None
        return self._look_for_obstacles(body, namespace, pods, idle_seconds, log)

    def exists(self, job: str, namespace: str) -> bool:
        """Whether there is such a Job."""
        return self._job(job, namespace) is not None

    def delete(self, job: str, namespace: str) -> None:
        """Deletes a Job with all its pods, if it exists."""
        # In the background, Kubernetes also deletes the pods that it creates meanwhile. Deleting
        # them here as well does not wait for its turn.
        _unless_gone(
            self._batch.delete_namespaced_job, job, namespace, propagation_policy="Background"
        )
        for pod in self._pods(job, namespace):
            _unless_gone(self._core.delete_namespaced_pod, pod.metadata.name, namespace)

    def _idle_seconds(self, job: str, pods: list[V1Pod], *, is_queued: bool) -> float:
        """How long no pod of the Job has run, as far as this worker has seen."""
        now = time.monotonic()
        if is_queued or any(pod.status.phase == "Running" for pod in pods):
            self._idle_since[job] = now
        return now - self._idle_since.setdefault(job, now)

    def _look_for_obstacles(
        self,
        body: V1Job,
        namespace: str,
        pods: list[V1Pod],
        idle_seconds: float,
        log: Callable[[str], None],
    ) -> FillReport | None:
        """Logs why pods do not start; gives the Job up if none has run for too long.

        Only the time counts in which no pod runs: an index that found no room may have waited for
        hours when the last pod that ran is done, and starts then.
        """
        job, progress = body.metadata.name, Progress.of_job(body)
        waiting = self._waiting(body, namespace, pods)
        if waiting is None:
            return None
        limit = longest_wait(waiting, self._cluster)
        if any(pod.status.phase == "Running" for pod in pods):
            # The indexes that run make progress, and the others follow when there is room.
            self._log_once((job, waiting.obstacle), f"Some indexes wait: {waiting.text}", log)
            return None
        seconds = min(waiting.seconds, idle_seconds)
        if seconds >= limit:
            self.delete(job, namespace)
            cause = f"{waiting.text}. Given up after {seconds:.0f} s"
            if not progress.done:
                raise GivenUpError(cause)
            log(cause)
            return report_of(progress, pods, cause)
        if is_worth_a_message(waiting, self._cluster):
            message = f"Waiting, at most {limit:.0f} s: {waiting.text}"
            self._log_once((job, waiting.obstacle, "all"), message, log)
        return None

    def _waiting(self, body: V1Job, namespace: str, pods: list[V1Pod]) -> Waiting | None:
        job = body.metadata.name
        if any(pod.status.phase == "Pending" for pod in pods):
            return start_obstacle(pods, self._pod_events(job, namespace))
        if (body.status.active or 0) >= body.spec.parallelism:
            return None
        events = events_about(self._core, namespace, kind="Job", name=job)
        return pod_refusal(body, events)

    def _log_progress(self, progress: Progress, log: Callable[[str], None]) -> None:
        """Logs a change at once, and that pods run every `PROGRESS_SECONDS`."""
        state, now = (progress.done, progress.failed, progress.is_queued), time.monotonic()
        last_state, last_time = self._progress.get(progress.job, (None, now))
        is_due = progress.running > 0 and now - last_time >= PROGRESS_SECONDS
        if state != last_state or is_due:
            self._progress[progress.job] = (state, now)
            log(str(progress))

    def _log_failures(
        self, job: str, namespace: str, pods: list[V1Pod], log: Callable[[str], None]
    ) -> None:
        for pod in pods:
            is_new = pod.status.phase == "Failed" and pod.metadata.name not in self._logged
            if not is_new:
                continue
            events = [
                event
                for event in self._pod_events(job, namespace)
                if event.involved_object.name == pod.metadata.name
            ]
            code, words = last_words(pod)
            if code and code < SIGNALLED and external_cause(job, [pod], events) is None:
                cause = f"pod {pod.metadata.name} ended with exit code {code}: {words}"
            else:
                cause = failure_reason(job, [pod], events)
            text = f"Index {index_of(pod)}: {cause}"
            self._log_once(pod.metadata.name, text, log)

    def _log_once(self, key: object, message: str, log: Callable[[str], None]) -> None:
        if key not in self._logged:
            self._logged.add(key)
            log(message)

    def _job(self, job: str, namespace: str) -> V1Job | None:
        try:
            return self._batch.read_namespaced_job_status(job, namespace)
        except ApiException as error:
            if error.status == HTTP_NOT_FOUND:
                return None
            raise

    def _pods(self, job: str, namespace: str) -> list[V1Pod]:
        selector = f"job-name={job}"
        return list(self._core.list_namespaced_pod(namespace, label_selector=selector).items)

    def _pod_events(self, job: str, namespace: str) -> list[CoreV1Event]:
        events = events_about(self._core, namespace, kind="Pod")
        names = pods_named(job, (event.involved_object.name for event in events))
        return [event for event in events if event.involved_object.name in names]


def _unless_gone(call: Callable[..., Any], name: str, namespace: str, **options: str) -> None:
    try:
        call(name, namespace, **options)
    except ApiException as error:
        if error.status != HTTP_NOT_FOUND:
            raise
