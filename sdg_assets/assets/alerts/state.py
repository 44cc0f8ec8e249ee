"""What the sensor remembers between two ticks: what was reported, and what waits."""

from datetime import datetime

from pydantic import BaseModel, Field


class Held(BaseModel):
    """Runs of an unfinished backfill that have something to tell."""

    first: datetime
    """When the first of them ended."""
    runs: list[str]


class Undelivered(BaseModel):
    """A message that a receiver has not got yet."""

    title: str
    body: str
    severity: str
    receivers: list[str]
    """Fingerprints of their addresses, which hold secrets."""
    attempts: int = 0


class AlertState(BaseModel):
    """The sensor's memory. A fresh one reports nothing that happened before it."""

    begun: datetime | None = None
    """The first tick: what happened before it is not reported. None before it."""
    since: datetime | None = None
    """Newest change of a finished run that was read."""
    read: dict[str, datetime] = Field(default_factory=dict)
    """Finished runs that were read lately → when they ended."""
    retrying: list[str] = Field(default_factory=list)
    """Failed runs that Dagster is about to retry."""
    held: dict[str, Held] = Field(default_factory=dict)
    """Backfill → its runs to report."""
    backfills: list[str] = Field(default_factory=list)
    """Backfills whose own failure was reported."""
    failing: list[str] = Field(default_factory=list)
    """Sensors and schedules that were reported and have not worked since."""
    stalled: list[str] = Field(default_factory=list)
    """Runs that were reported as stalled and still are."""
    teachers: dict[str, str] = Field(default_factory=dict)
    """Role → the version last seen."""
    release: int = -1
    """Storage id of the newest release seen."""
    undelivered: list[Undelivered] = Field(default_factory=list)
