"""What users of a release owe: the duties of its seeds' and teachers' licences, with their rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from sdg_assets.catalog.licences import DUTIES, Duty, Licence, licences


@dataclass(frozen=True)
class Obligation:
    """One duty towards one source.

    Attributes:
        duty: The duty's name.
        to: The dataset or model that brings it.
        licence: Its licence.
        text: The duty as an instruction, with what the licence or the teacher's card adds.
        rows: Rows of the release to which it applies.
    """

    duty: Duty
    to: str
    licence: str
    text: str
    rows: int


def obligations(
    sources: Mapping[tuple[str, str], int],
    teachers: Mapping[tuple[str, str], int],
    terms: Mapping[str, str],
) -> list[Obligation]:
    """All duties of a set of rows, in the order of the duties' table and by source.

    Args:
        sources: (dataset, licence) → rows whose seeds came from it.
        teachers: (model, licence) → rows that it wrote part of.
        terms: Model → the conditions that its card states.
    """
    order = list(DUTIES)
    read = licences()
    owed = [*_owed(sources, read.of_data, {}), *_owed(teachers, read.of_model, terms)]
    return sorted(owed, key=lambda o: (order.index(o.duty), o.to, o.licence))


def _owed(
    parts: Mapping[tuple[str, str], int],
    licence_of: Callable[[str], Licence],
    terms: Mapping[str, str],
) -> Iterator[Obligation]:
    for (name, licence), rows in parts.items():
        entry = licence_of(licence)
        added = " ".join(text for text in (entry.says, terms.get(name, "")) if text)
        for duty in entry.asks:
            text = f"{DUTIES[duty]} ({added})" if added else DUTIES[duty]
            yield Obligation(duty, name, licence, text, rows)
