"""The retry policy of steps after a transient failure."""

from datetime import timedelta

import dagster as dg

from sdg_assets.settings import settings

RETRIED_WITHIN = timedelta(minutes=10)
"""How long a failed run may wait for Dagster to retry it: the daemon may have been down."""


def retries() -> dg.RetryPolicy:
    """The retry policy of every step: `SDG_RETRIES` retries, 10 s apart.

    On Kubernetes there is no delay. A run worker that takes over a run counts the delay of a past
    retry from now; when the step ends earlier, the worker takes that for an error and the run
    fails (Dagster 1.13.27). A new pod takes some time to start anyway.
    """
    delay = None if settings().executor == "k8s" else 10
    return dg.RetryPolicy(max_retries=settings().retries, delay=delay)
