"""The dataset card in the Hub's format: a YAML header for machines and a page for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import yaml

from sdg_assets.gates import order
from sdg_assets.gates.paraphrases import NAME as PARAPHRASES
from sdg_assets.heldout.coverage import SplitCoverage, names_of, not_compared
from sdg_assets.release.audit import AUDIT, Compared, nearest_of
from sdg_assets.release.configs import FAMILIES, Config
from sdg_assets.release.costs import CostTable
from sdg_assets.release.embedded import NOT_EMBEDDED, EmbeddedComparison
from sdg_assets.release.statistics import SAMPLE, Statistics
from sdg_assets.release.templates import page_template
from sdg_assets.release.tokens import DIMENSIONS
from sdg_assets.release.versions import Lineage
from sdg_assets.stages.relicensed import Relicensed
from sdg_assets.store.review import Review
from sdg_assets.teacher.server.served import UNKNOWN_REVISION
from sdg_assets.texts import VARIANTS

HERE = "The path of this card's folder, relative to the store."
REVISIONS_SHOWN = 3
CHANGES_SHOWN = 60
"""How many lines of changed rows a card lists."""
NAMES_SHOWN = 100
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"),
         (10_000_000, "1M<n<10M"), (100_000_000, "10M<n<100M"))  # fmt: skip
CATEGORIES = {
    "multiple_choice": ["multiple-choice", "question-answering"],
    "generative": ["question-answering", "text-generation"],
}


@dataclass(frozen=True)
class SourceDataset:
    """A dataset that seeds came from, over all its configurations."""

    dataset: str
    revisions: Sequence[str]
    licences: Sequence[str]
    rows: int

    @property
    def url(self) -> str:
        """Its page on the Hub."""
        return f"https://huggingface.co/datasets/{self.dataset}"

    @property
    def shown_revisions(self) -> str:
        """The first `REVISIONS_SHOWN` revisions and how many more there are.

        A dataset on the Hub has one commit. A local copy has a fingerprint per configuration, so
        the list can be long.
        """
        first = ", ".join(f"`{revision}`" for revision in self.revisions[:REVISIONS_SHOWN])
        more = len(self.revisions) - REVISIONS_SHOWN
        return f"{first} and {more} more" if more > 0 else first


@dataclass(frozen=True)
class CardFacts:
    """The facts on a card that cannot be counted from its rows."""

    name: str
    release: str
    version: str
    changelog: Lineage
    """What changed since the release before."""
    code_version: str
    seeds: Mapping[str, int]
    """Task → number of its normalized seeds."""
    compared_with: int
    """Number of held-out collections that the rows were compared with."""
    audit: Sequence[Compared]
    """How near the rows come to each of these collections."""
    coverage: Sequence[SplitCoverage]
    """Every held-out split, and whether the rows were compared with it."""
    coverage_file: str
    """The file of the release that lists these splits."""
    citations: Sequence[str]
    """BibTeX entries of the sources."""
    terms: Mapping[str, str]
    """Model → what its licence requires of users who train on its outputs."""
    matrix: str
    """The coverage matrix as Markdown (`matrix_page`); empty if there is none."""
    matrix_file: str
    """The file of the release that lists its cells."""
    review: Review = field(default_factory=Review)
    """What people found in the rows that they read before the cut."""
    embedded: EmbeddedComparison = NOT_EMBEDDED
    """What rows were compared with by embeddings."""
    relicensed: Sequence[tuple[Relicensed, int]] = ()
    """Licences that were corrected since rows were made, with these rows."""
    costs: CostTable = field(default_factory=CostTable)
    """What an accepted row cost."""

    @property
    def gates(self) -> list[str]:
        """The gates that each row passed, in their order."""
        return [n for n in order() if n != PARAPHRASES or self.embedded.embedders]


def render_card(statistics: Statistics, configs: Sequence[Config], facts: CardFacts) -> str:
    """The text of a release's README.md.

    Args:
        statistics: The counts of the release's rows, after `finish`.
        configs: The configurations that have rows.
        facts: Everything else on the card.
    """
    header = yaml.safe_dump(_header(statistics, configs, facts), sort_keys=False, width=1000)
    page = page_template("card").render(
        **vars(facts),
        statistics=statistics,
        hits=[compared for compared in facts.audit if compared.is_hit],
        nearest=nearest_of(facts.audit),
        audit_file=AUDIT,
        changes_shown=CHANGES_SHOWN,
        sizes={name: statistics.tokens.by(name) for name in DIMENSIONS},
        variants=VARIANTS,
        configs=configs,
        gates=facts.gates,
        sample=SAMPLE,
        languages=sorted(statistics.languages),
        sources=source_datasets(statistics),
        unknown_revisions=any(r == UNKNOWN_REVISION for _, _, r in statistics.teachers),
        folder=_folder(facts.release),
        here=HERE,
        splits_compared=sum(split.compared for split in facts.coverage),
        splits_not_compared=[
            (reason, len(splits), names_of(splits, NAMES_SHOWN))
            for reason, splits in not_compared(facts.coverage).items()
        ],
    )
    return f"---\n{header}---\n\n{page.strip()}\n"


def _folder(release: str) -> str:
    # Not ".": `datasets` derives the dataset's name from the path, and "." has none.
    return f"curated/{release}"


def for_repository(card: str, release: str, repository: str) -> str:
    """The card as the Hub shows it: its code example loads the repository, not the folder.

    Args:
        card: The card as `render_card` returns it.
        release: The release's id.
        repository: `organization/name`.
    """
    example = f'load_dataset("{_folder(release)}", '
    card = card.replace(example, f'load_dataset("{repository}", ', 1)
    return card.replace(f"# {HERE}\n", "", 1)


def source_datasets(statistics: Statistics) -> list[SourceDataset]:
    """The datasets that seeds came from, sorted by name, one entry per dataset."""
    by_dataset: dict[str, list[tuple[str, str, int]]] = {}
    for (dataset, revision, licence), rows in sorted(statistics.datasets.items()):
        by_dataset.setdefault(dataset, []).append((revision, licence, rows))
    return [
        SourceDataset(
            dataset,
            sorted({revision for revision, _, _ in parts}),
            sorted({licence for _, licence, _ in parts}),
            sum(rows for _, _, rows in parts),
        )
        for dataset, parts in by_dataset.items()
    ]


def _header(statistics: Statistics, configs: Sequence[Config], facts: CardFacts) -> dict[str, Any]:
    families = [family for family in FAMILIES if statistics.families[family]]
    licences = [name.lower() for name in statistics.licences]
    size = next((label for limit, label in SIZES if statistics.rows < limit), "n>100M")
    return {
        "pretty_name": facts.name,
        # The Hub has one licence field. Several licences are listed in the card's table instead.
        "license": licences[0] if len(licences) == 1 else "other",
        "language": sorted(statistics.languages),
        "task_categories": sorted({c for family in families for c in CATEGORIES[family]}),
        "size_categories": [size],
        "source_datasets": sorted({dataset for dataset, _, _ in statistics.datasets}),
        "tags": ["synthetic", "task-seeded", "pretraining"],
        "configs": [
            {
                "config_name": config.name,
                "data_files": [{"split": "train", "path": f"{config.folder}/*.parquet"}],
                **({"default": True} if config is configs[0] else {}),
            }
            for config in configs
        ],
        "dataset_info": [
            {
                "config_name": config.name,
                "features": _features(),
                "splits": [
                    {"name": "train", "num_bytes": config.bytes, "num_examples": config.rows}
                ],
            }
            for config in configs
        ],
    }


@cache
def _features() -> Any:  # noqa: ANN401 – nested lists of mappings
    """The columns of the Parquet files in the format of the Hub's `dataset_info`."""
    from sdg_assets.release.shards import curated_schema

    return [_feature(name, kind) for name, kind in curated_schema().items()]


def _feature(name: str, kind: Any) -> dict[str, Any]:  # noqa: ANN401 – a polars type
    import polars as pl

    scalars = {pl.String(): "string", pl.Int64(): "int64", pl.Float64(): "float64"}
    scalars[pl.Boolean()] = "bool"
    if isinstance(kind, pl.List):
        inner = _feature("", kind.inner)
        inner.pop("name")
        content = inner.get("dtype") or inner["struct"]
        return {"name": name, "list": content}
    if isinstance(kind, pl.Struct):
        return {"name": name, "struct": [_feature(f.name, f.dtype) for f in kind.fields]}
    return {"name": name, "dtype": scalars[kind]}
