"""Which checks a stage has: those of its gates, from each `GATE`, and those of this table."""

from __future__ import annotations

from sdg_assets.checks import class_balance, heldout, release, rows, unread, yields
from sdg_assets.errors import PermanentError
from sdg_assets.gates import all_gates, gate_checks
from sdg_assets.records import Stage
from sdg_assets.stages.stage import STAGES

CHECKS = {
    check.name: check
    for check in (
        rows.CHECK,
        class_balance.CHECK,
        yields.ANSWER_VERIFICATION,
        yields.YIELD,
        heldout.CHECK,
        release.CHECK,
    )
}
# Besides those of gates. Seeds that are lost have no check of their own: those of gates count them.
THRESHOLDS = (unread.SeedThresholds, *(check.thresholds for check in CHECKS.values()))


def stage_checks(stage: str) -> tuple[str, ...]:
    """The names of a stage's checks, in the order in which they are shown.

    Args:
        stage: Its name.

    Raises:
        PermanentError: A gate names its check like one of the table, or a stage that is none.
    """
    for spec in all_gates():
        if spec.check_name in CHECKS:
            raise PermanentError(
                f"gate {spec.name}: its check needs a name of its own, not {spec.check_name!r}"
            )
        if unknown := set(spec.checked_in) - set(Stage):
            raise PermanentError(
                f"gate {spec.name}: checked_in names no stage: {', '.join(sorted(unknown))}; "
                f"there are: {', '.join(Stage)}"
            )
    first, *others = STAGES[Stage(stage)].checks
    return (first, *gate_checks(stage), *others)


def described(check: str) -> str:
    """What holds of a partition that passes a check, as Dagster shows it.

    Args:
        check: Its name.

    Raises:
        KeyError: No stage has such a check.
    """
    of_gates: dict[str, str] = {spec.check_name: spec.description for spec in all_gates()}
    of_others = {name: entry.description for name, entry in CHECKS.items()}
    return (of_gates | of_others)[check]
