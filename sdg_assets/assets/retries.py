"""How often a step that failed for now is tried again."""

import dagster as dg

from sdg_assets.settings import settings


def retries() -> dg.RetryPolicy:
    """The retries of every step, as `SDG_RETRIES` has them.

    On Kubernetes without a delay: a run worker that takes over a run counts the delay of a past
    retry from now, and takes the step's later end for an error, so that the run fails (1.13.27).
    A new pod takes its time anyway.
    """
    delay = None if settings().executor == "k8s" else 10
    return dg.RetryPolicy(max_retries=settings().retries, delay=delay)
