"""Which checks a stage has: those that its gates declare, and those of this table."""

from __future__ import annotations

from sdg_assets.checks import class_balance, complete, heldout, release, rows, unread, yields
from sdg_assets.errors import PermanentError
from sdg_assets.gates import all_gates, gate_checks
from sdg_assets.records import Stage
from sdg_assets.stages.stage import STAGES

CHECKS = {
    check.name: check
    for check in (
        rows.CHECK,
        complete.CHECK,
        class_balance.CHECK,
        yields.ANSWER_VERIFICATION,
        yields.YIELD,
        heldout.CHECK,
        release.FRESH_INPUTS,
        release.CURRENT_LICENCES,
        release.HELDOUT_COMPARED,
    )
}
# The thresholds of checks; gates declare their own. Lost seeds have no check of their own: the
# gates' checks count them.
THRESHOLDS = (unread.SeedThresholds, *(check.thresholds for check in CHECKS.values()))


def stage_checks(stage: str) -> tuple[str, ...]:
    """The names of a stage's checks, in the order in which they are shown.

    Args:
        stage: The stage's name.

    Raises:
        PermanentError: A gate's check has the name of a check in the table, or a gate's
            `checked_in` names an unknown stage.
    """
    for spec in all_gates():
        if spec.check_name in CHECKS:
            raise PermanentError(
                f"gate {spec.name}: its check needs a name of its own, not {spec.check_name!r}"
            )
        if unknown := set(spec.checked_in) - set(Stage):
            raise PermanentError(
                f"gate {spec.name}: unknown stage in checked_in: {', '.join(sorted(unknown))}; "
                f"the stages are: {', '.join(Stage)}"
            )
    first, *others = STAGES[Stage(stage)].checks
    return (first, *gate_checks(stage), *others)


def described(check: str) -> str:
    """What is true of a partition that passes a check. Dagster shows it.

    Args:
        check: The check's name.

    Raises:
        KeyError: No stage has a check of this name.
    """
    of_gates: dict[str, str] = {spec.check_name: spec.description for spec in all_gates()}
    of_others = {name: entry.description for name, entry in CHECKS.items()}
    return (of_gates | of_others)[check]
