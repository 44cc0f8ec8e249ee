"""When a partition is made again by itself: what it was made from has another data version."""

import dagster as dg
from dagster import AutomationCondition as When

from sdg_assets.assets.teacher import TEACHERS


def remade_when_stale() -> dg.AutomationCondition[dg.AssetKey]:
    """Makes materialized partitions again, once for each change of what they were made from.

    A change that has reached an input, or is about to because the input is requested in the same
    tick, makes one request: so a new writer makes one backfill of `generated` and all below. What
    fails is requested once more and then waits for a person or the next change; ol-data-platform
    had 368,000 failed runs in fourteen days without such a bound. (A failure in the very tick after
    its request is not seen; it has had the retry inside its run.) Missing partitions are none of
    its business.

    `code_version_changed` is not used, as it stays true after a deployment (dagster#33708):
    prompts are part of the teachers' data versions instead.
    """
    changed = When.any_deps_match(When.data_version_changed() | When.will_be_requested())
    failed_once = When.execution_failed().newly_true().since(changed).newly_true()
    outdated = changed.since(When.newly_updated() | When.initial_evaluation())
    return (
        (changed | failed_once).since_last_handled().with_label("changed, or failed once since")
        & outdated.with_label("not made since the change")
        & ~When.missing()
        & ~When.any_deps_missing().ignore(dg.AssetSelection.assets(*TEACHERS.values()))
        & ~When.any_deps_in_progress()
        & ~When.in_progress()
    ).with_label("remade_when_stale")
