"""Gate: every row states a licence. Also computes the terms of use of a published row.

They follow from the licences of the row's seed task and of its teachers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sdg_assets.catalog.licences import licences
from sdg_assets.gates.base import Cost, EachRow, GateSpec, Point
from sdg_assets.records import (
    CitedPassage,
    CommercialUse,
    Contribution,
    EnrichedExample,
    Example,
    Refusal,
    Role,
    Stage,
)
from sdg_assets.thresholds import NoThresholds

NAME = "licence"


def refusal_of(row: Example) -> Refusal | None:
    """Refuses a row whose seed states no licence: nobody could tell how it may be used."""
    return None if row.source.license.strip() else Refusal(NAME, "no licence stated")


@dataclass(frozen=True)
class Terms:
    """What a teacher's licence says about its outputs; "unclear" for a model without a card."""

    commercial_use: CommercialUse = "unclear"
    outputs_may_train: CommercialUse = "unclear"

    def strictest(self, other: Terms) -> Terms:
        """The stricter of both terms, for a model that two cards name."""
        return Terms(
            combined_use([self.commercial_use, other.commercial_use]),
            combined_use([self.outputs_may_train, other.outputs_may_train]),
        )


def contributions(row: EnrichedExample, terms: Mapping[str, Terms]) -> list[Contribution]:
    """The teachers who wrote part of a row.

    Args:
        row: The row. Its writer wrote the question, its solver the votes, the reasoning and the
            background. A judge counts if its comments are kept; a reward model's score is no text.
            A teacher used by another package's enrichment counts if it added anything.
        terms: Model → the terms of its licence.
    """
    stamps = [(Role.WRITER, row.teacher), (Role.SOLVER, row.solver)]
    if row.judge and row.judge.reasons:
        stamps.append((Role.JUDGE, row.judge.judge))
    stamps += [(added.role, added.teacher) for added in row.enrichments]
    return [
        Contribution(role=role, **dict(stamp), **vars(terms.get(stamp.model, Terms())))
        for role, stamp in dict.fromkeys(stamps)
    ]


def commercial_use(
    row: EnrichedExample,
    seeds: CommercialUse,
    written_by: Iterable[Contribution],
    *,
    share_alike: bool = True,
) -> tuple[CommercialUse, list[str]]:
    """Whether a row may be used commercially, and each reason why not.

    The seed task's licence must permit it, and so must those of cited passages. Every teacher that
    wrote part of the row must permit both commercial use and training on its outputs. "Unclear"
    counts as not permitted.

    Args:
        row: The row.
        seeds: What the catalog states about commercial use of the row's seeds. It counts for a
            licence that `licences.yaml` does not know; "yes" never counts for one that forbids it.
        written_by: The teachers, from `contributions`.
        share_alike: Whether rows of share-alike seeds and passages count as usable: whoever passes
            them on, must do so under the same licence.
    """
    who = f"seeds of {row.task} ({row.source.license})"
    licence = licences().of_data(row.source.license)
    verdicts: dict[str, CommercialUse] = {
        f"{who}: commercial use": "no" if licence.forbids_commercial_use else seeds
    }
    if not share_alike and "share_alike" in licence.asks:
        verdicts[f"{who}: commercial use without sharing alike"] = "no"
    for name in passage_licences(row):
        verdicts |= _of_passages(name, share_alike=share_alike)
    for teacher in written_by:
        who = f"{teacher.role} {teacher.model} ({teacher.license})"
        verdicts[f"{who}: commercial use"] = teacher.commercial_use
        verdicts[f"{who}: training on outputs"] = teacher.outputs_may_train
    reasons = [f"{term}: {use}" for term, use in verdicts.items() if use != "yes"]
    return combined_use(verdicts.values()), reasons


def passage_licences(row: EnrichedExample) -> list[str]:
    """The licences of the passages that a row cites, each once, sorted."""
    return sorted({passage.license for passage in cited_passages(row)})


def cited_passages(row: EnrichedExample) -> list[CitedPassage]:
    """The passages that a row's context or background comes from, each once."""
    return list(dict.fromkeys([*filter(None, [row.context_from]), *row.passages]))


def row_licence(row: EnrichedExample) -> str:
    """The licence of a row: its seed's, and those of cited passages, as an SPDX expression."""
    return " AND ".join(dict.fromkeys([row.source.license, *passage_licences(row)]))


def _of_passages(licence: str, *, share_alike: bool) -> dict[str, CommercialUse]:
    terms = licences().of_data(licence)
    use: CommercialUse = "unclear" if "unread" in terms.asks else "yes"
    verdicts = {
        f"passages ({licence}): commercial use": "no" if terms.forbids_commercial_use else use
    }
    if not share_alike and "share_alike" in terms.asks:
        verdicts[f"passages ({licence}): commercial use without sharing alike"] = "no"
    return verdicts


def strictest_terms(cards: Iterable[tuple[str, Terms]]) -> dict[str, Terms]:
    """Model → its terms; the strictest ones if several cards name the model."""
    by_model: dict[str, Terms] = {}
    for model, terms in cards:
        by_model[model] = by_model[model].strictest(terms) if model in by_model else terms
    return by_model


def combined_use(uses: Iterable[CommercialUse]) -> CommercialUse:
    """The strictest of several values: "no" before "unclear" before "yes"."""
    distinct = set(uses)
    return "no" if "no" in distinct else "unclear" if "unclear" in distinct else "yes"


GATE = GateSpec(
    name=NAME,
    rank=80,
    cost=Cost.FIELDS,
    points=frozenset({Point.ROW}),
    thresholds=NoThresholds,
    build=lambda _: EachRow(NAME, refusal_of),
    checked_in=(Stage.FILTERED,),
    check="licences",
    description="every row states its licence",
)
