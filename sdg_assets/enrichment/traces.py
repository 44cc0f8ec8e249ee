"""The choice of the trace that a verified row keeps as its reasoning."""

from __future__ import annotations

from collections.abc import Iterable

from sdg_assets.answers.labels import spelled_out
from sdg_assets.enrichment.votes import Ballot
from sdg_assets.records import Example


def candidates(agreeing: Iterable[Ballot], example: Example) -> list[str]:
    """The traces that may be kept, the best first; the first one that reads well is kept.

    The best is the shortest of the longer half: complete, but without padding. Labels of choices
    ("B") in a trace are replaced by the choices' texts, because each vote had its own order of
    choices. Traces with an ambiguous label are left out.

    Args:
        agreeing: The ballots that agree with the row's answer.
        example: The row.
    """
    del example
    traces = sorted(filter(None, map(_trace, agreeing)), key=len)
    middle = len(traces) // 2
    return [*traces[middle:], *reversed(traces[:middle])]


def _trace(ballot: Ballot) -> str | None:
    text = ballot.completion.text.strip()
    if ballot.completion.finish_reason != "stop":
        return None
    return spelled_out(text, ballot.presented.choices) if ballot.presented.choices else text
