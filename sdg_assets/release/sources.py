"""`SOURCES.md` and `ATTRIBUTION.md`: what a trainer of a model must know, and pass on.

The headings follow the European Commission's template for the public summary of training content
(24 July 2025), as far as they concern synthetic data.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sdg_assets.catalog.licences import licences
from sdg_assets.release.card import CardFacts, SourceDataset, source_datasets
from sdg_assets.release.obligations import obligations
from sdg_assets.release.statistics import Owed, Statistics
from sdg_assets.release.templates import page_template

SOURCES, ATTRIBUTION = "SOURCES.md", "ATTRIBUTION.md"


@dataclass(frozen=True)
class Generator:
    """A model that wrote part of the rows in one role."""

    model: str
    revision: str
    licence: str
    role: str
    rows: int


def render_sources(statistics: Statistics, facts: CardFacts, *, commercial: bool) -> str:
    """The text of `SOURCES.md`.

    Args:
        statistics: The counts of the release's rows, after `finish`.
        facts: The facts of the card.
        commercial: Whether it is the page of the commercial subset.
    """
    owed = statistics.owed_by_commercial if commercial else statistics.owed
    models = {model for model, _ in owed.teachers}
    due = obligations({**owed.sources, **owed.passage_licences}, owed.teachers, facts.terms)
    page = page_template("sources").render(
        name=facts.name,
        release=facts.release,
        version=facts.version,
        commercial=commercial,
        rows=statistics.commercial if commercial else statistics.rows,
        why_not=statistics.tokens.why_not,
        tokenizer=statistics.tokens.tokenizer,
        sizes=statistics.tokens.of_variants(),
        generators=[Generator(*key, rows) for key, rows in sorted(owed.generators.items())],
        terms={model: text for model, text in facts.terms.items() if model in models},
        sources=list(_sources(statistics, owed)),
        passages=owed.passage_sources(),
        languages=statistics.dataset_languages,
        seeds=facts.seeds,
        obligations=due,
        relicensed=[] if commercial else facts.relicensed,
        share_alike=sum(o.rows for o in due if o.duty == "share_alike"),
    )
    return f"{page.strip()}\n"


def render_attribution(statistics: Statistics, facts: CardFacts, *, commercial: bool) -> str:
    """The text of `ATTRIBUTION.md`: the notices of seed datasets and of cited passages.

    Args:
        statistics: The counts of the release's rows, after `finish`.
        facts: The facts of the card.
        commercial: Whether it is the file of the commercial subset.
    """
    owed = statistics.owed_by_commercial if commercial else statistics.owed
    notices = "\n\n".join(_notice(source) for source in _sources(statistics, owed))
    citations = "".join(f"\n{entry}\n" for entry in facts.citations)
    cited = f"\n\n## Citations\n\n```bibtex{citations}```" if citations else ""
    passages = _passage_notices(owed)
    return (
        "# Attribution\n\n"
        f"The rows of release `{facts.release}` were written by models after rows of the datasets "
        "below. They are changed material: question and answer are new. Pass this file on with "
        f"the rows.\n\n{notices}{passages}{cited}\n"
    )


def _passage_notices(owed: Owed) -> str:
    """A line for each passage that a background was written from; empty without passages."""
    lines = [
        f"- **{passage.title}** (`{passage.id}`), {passage.source}. Licence: "
        f"{_linked(passage.license)}. {rows:,} rows."
        for passage, rows in sorted(
            owed.passages.items(), key=lambda item: (item[0].source, item[0].id, item[0].revision)
        )
    ]
    if not lines:
        return ""
    return (
        "\n\n## Passages\n\nBackgrounds (`knowledge`) were written from these texts, in other "
        "words, and some are the context of a row. Each row names its own in `passages` and "
        "`context_from`.\n\n" + "\n".join(lines)
    )


def _linked(licence: str) -> str:
    url = licences().of_data(licence).url
    return f"[{licence}]({url})" if url else licence


def _notice(source: SourceDataset) -> str:
    read = {name: licences().of_data(name) for name in source.licences}
    names = [f"[{name}]({entry.url})" if entry.url else name for name, entry in read.items()]
    duties = dict.fromkeys(duty for entry in read.values() for duty in entry.asks)
    asks = ", ".join(duty.replace("_", " ") for duty in duties) or "nothing"
    return (
        f"**{source.dataset}**, {source.url}, revision {source.shown_revisions}. "
        f"Licence: {', '.join(names)}, which asks for: {asks}. {source.rows:,} rows."
    )


def _sources(statistics: Statistics, owed: Owed) -> Iterator[SourceDataset]:
    rows: dict[str, int] = {}
    for (dataset, _), count in owed.sources.items():
        rows[dataset] = rows.get(dataset, 0) + count
    for source in source_datasets(statistics):
        if source.dataset in rows:
            licences = sorted({name for d, name in owed.sources if d == source.dataset})
            yield SourceDataset(source.dataset, source.revisions, licences, rows[source.dataset])
