"""What people are told, and how it reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from sdg_assets.assets.operations import WHAT_TO_DO

SHOWN = 20
"""Most alerts of one kind that a message lists. Chat services cut messages at 2,000 characters."""
CAUSE_CHARACTERS = 300


class AlertKind(StrEnum):
    """What has happened."""

    FAILED = "failed"
    BACKFILL = "backfill"
    BUDGET = "budget"
    CHECK_ERROR = "check_error"
    CHECK_WARNING = "check_warning"
    AUTOMATION = "automation"
    STALLED = "stalled"
    TEACHER = "teacher"
    RELEASE = "release"


class Wording(NamedTuple):
    """How a message calls a kind, and what it tells the reader to do."""

    one: str
    several: str
    what_to_do: str


WORDING = {
    AlertKind.FAILED: Wording(
        "1 failure",
        "{} failures",
        WHAT_TO_DO["failed"],
    ),
    AlertKind.BACKFILL: Wording(
        "1 backfill that could not launch its runs",
        "{} backfills that could not launch their runs",
        "Open the backfill: its error says what to do. Launch it again; nothing that was made "
        "before is made twice.",
    ),
    AlertKind.BUDGET: Wording(
        "1 partition that the token budget ended",
        "{} partitions that the token budget ended",
        "Finished rows are published. Materialize the partitions again without sdg/max_tokens, or "
        "with a larger one: only what is missing is asked for.",
    ),
    AlertKind.CHECK_ERROR: Wording(
        "1 broken invariant",
        "{} broken invariants",
        "Open the check: its table shows the rows. The partition was not published.",
    ),
    AlertKind.CHECK_WARNING: Wording(
        "1 warning",
        "{} warnings",
        "Open the check: its metadata shows what was measured. The partition is published.",
    ),
    AlertKind.AUTOMATION: Wording(
        "1 sensor or schedule that fails",
        "{} sensors or schedules that fail",
        "Open its page: the newest tick shows the error. Nothing is launched until it works.",
    ),
    AlertKind.STALLED: Wording(
        "1 run without progress",
        "{} runs without progress",
        "Open the run: its newest event says what it waits for. A run that is ended keeps the "
        "answers of its teachers.",
    ),
    AlertKind.TEACHER: Wording(
        "1 new teacher",
        "{} new teachers",
        "Partitions made by the old one are stale now. The sensor remake_stale makes them again "
        "if it is on; otherwise launch the job everything_stale.",
    ),
    AlertKind.RELEASE: Wording(
        "1 new release", "{} new releases", "Read its card before you pass it on."
    ),
}
WARNINGS = frozenset({AlertKind.BUDGET, AlertKind.CHECK_WARNING, AlertKind.STALLED})
NEWS = frozenset({AlertKind.TEACHER, AlertKind.RELEASE})


@dataclass(frozen=True, order=True)
class Alert:
    """One thing that happened."""

    kind: AlertKind
    subject: str
    """`task/stage/subtask` of a partition, or the name of a run, sensor, schedule or teacher."""
    cause: str
    link: str
    """Path of its page in the UI."""


@dataclass(frozen=True)
class Message:
    """A message as it is sent."""

    title: str
    body: str
    severity: str
    """`failure`, `warning` or `info`, as apprise calls them."""


def message_of(source: str, alerts: Sequence[Alert], ui: str) -> Message:
    """One message about everything that one run or backfill did, or about one other event.

    Args:
        source: What the alerts have in common: `run 1a2b3c4d`, `backfill …`; empty if nothing.
        alerts: The alerts; at least one.
        ui: Address of Dagster's UI; empty if nobody has set it: links are then only paths.
    """
    sections, counts = [], []
    for kind in AlertKind:
        of_kind = sorted(alert for alert in alerts if alert.kind is kind)
        if not of_kind:
            continue
        wording = WORDING[kind]
        count = wording.one if len(of_kind) == 1 else wording.several.format(len(of_kind))
        counts.append(count)
        lines = [_line(alert, ui) for alert in of_kind[:SHOWN]]
        if len(of_kind) > SHOWN:
            lines.append(f"- and {len(of_kind) - SHOWN} more")
        sections.append("\n".join([f"{count[0].upper()}{count[1:]}:", *lines, wording.what_to_do]))
    of = f" in {source}" if source else f": {alerts[0].subject}" if len(alerts) == 1 else ""
    kinds = {alert.kind for alert in alerts}
    severity = "info" if kinds <= NEWS else "warning" if kinds <= WARNINGS | NEWS else "failure"
    return Message(f"sdg_assets: {', '.join(counts)}{of}", "\n\n".join(sections), severity)


def _line(alert: Alert, ui: str) -> str:
    cause = " ".join(alert.cause.split())
    if len(cause) > CAUSE_CHARACTERS:
        cause = f"{cause[:CAUSE_CHARACTERS]}…"
    return f"- {alert.subject}: {cause} {ui.rstrip('/')}{alert.link}"
