"""How long pods may wait for their start, and what Kubernetes says: for steps and Indexed Jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sdg_assets.cluster.diagnosis import Obstacle, Waiting
from sdg_assets.cluster.settings import ClusterSettings

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Event


def longest_wait(waiting: Waiting, cluster: ClusterSettings) -> float:
    """Seconds after which a Job whose pods do not start is given up."""
    needs_room = waiting.obstacle in (Obstacle.ROOM, Obstacle.REFUSED)
    return cluster.schedule_seconds if needs_room else cluster.start_seconds


def is_worth_a_message(waiting: Waiting, cluster: ClusterSettings) -> bool:
    """Whether to log that a Job waits. A pod that fits on no node often finds one soon."""
    is_often_brief = waiting.obstacle is Obstacle.ROOM
    return waiting.seconds >= (cluster.unschedulable_seconds if is_often_brief else 0.0)


def events_about(core_api: Any, namespace: str, **involved: str) -> list[CoreV1Event]:  # noqa: ANN401 – untyped
    """The events of a namespace about some objects.

    Args:
        core_api: Kubernetes' core API.
        namespace: The namespace.
        **involved: Fields of the objects, e.g. `kind="Job", name="…"`.
    """
    selector = ",".join(f"involvedObject.{field}={value}" for field, value in involved.items())
    return list(core_api.list_namespaced_event(namespace, field_selector=selector).items)
