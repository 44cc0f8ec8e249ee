"""A release: its data files, a manifest of its inputs, and a dataset card for its users.

    <store>/curated/<release id>/
        README.md  pictures/                the dataset card
        SOURCES.md  ATTRIBUTION.md          what a trainer of a model must state, and pass on
        croissant.json                      the same for machines, with the type of every field
        spdx.json                           the same as a bill of materials: every file and origin
        manifest.json                       inputs, code, teachers, counts, hashes of all files
        heldout.jsonl                       every held-out split: compared, or why not
        heldout_audit.jsonl                 how near rows come to each of them, without text
        coverage.jsonl                      the coverage matrix, a line a cell
        multiple_choice/  generative/       JSONL and Parquet shards
        commercial/<family>/                the commercial subset, with the two pages of its own
        rejected/                           rows that the release itself refused, with reasons

A release is built in a temporary directory and published in one step (see publication.py), so that
no reader sees an incomplete release. The same inputs give byte-identical data files and the same
release id, a hash of all that the release holds and says. A complete one is never changed again.
"""

from __future__ import annotations

import json
import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from sdg_assets.errors import PermanentError
from sdg_assets.heldout.coverage import SplitCoverage, not_compared
from sdg_assets.records import CuratedExample, Rejection, Stage, content_id
from sdg_assets.release.audit import AUDIT, Compared, audit_entries
from sdg_assets.release.card import CardFacts, render_card
from sdg_assets.release.configs import COMMERCIAL, FAMILIES, Config
from sdg_assets.release.costs import CostTable, cost_table
from sdg_assets.release.croissant import CROISSANT, render_croissant
from sdg_assets.release.embedded import NOT_EMBEDDED, EmbeddedComparison
from sdg_assets.release.matrix_page import matrix_page
from sdg_assets.release.pictures import draw_all
from sdg_assets.release.publication import (
    clear_abandoned,
    hashes,
    publish,
    seal,
    sizes,
    workbench,
)
from sdg_assets.release.shards import BYTES_PER_SHARD, Shards
from sdg_assets.release.sources import ATTRIBUTION, SOURCES, render_attribution, render_sources
from sdg_assets.release.spdx import SPDX, render_spdx
from sdg_assets.release.statistics import Statistics
from sdg_assets.release.tokens import TokenSizes
from sdg_assets.release.versions import UNNAMED, lineage, schema_of
from sdg_assets.stages.cost import PriceList
from sdg_assets.stages.funnel import FunnelRow
from sdg_assets.stages.matrix import Matrix
from sdg_assets.stages.relicensed import Relicensed
from sdg_assets.store.notes import Note
from sdg_assets.store.places import Place
from sdg_assets.store.review import Review, counted
from sdg_assets.teacher.tokenizer import NoTokenizer, Tokenizer

HELDOUT = "heldout.jsonl"
COVERAGE = "coverage.jsonl"
PlaceT = TypeVar("PlaceT", bound=Place)


@dataclass(frozen=True)
class Cut:
    """The inputs and facts of a release, besides its rows."""

    inputs: Mapping[str, str]
    """Partition → hash of its content."""
    catalog: str = ""
    """Hash of the tasks' catalog entries."""
    name: str = "Task-seeded synthetic Q&A"
    funnels: Sequence[FunnelRow] = ()
    citations: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Seed task → BibTeX entries."""
    compared_with: Mapping[str, str] = field(default_factory=dict)
    """Held-out collection that the rows were compared with → hash of its hashes."""
    audit: Callable[[], Sequence[Compared]] = tuple
    """Returns how near the rows come to each of these collections. Called once, after the last
    row."""
    coverage: Sequence[SplitCoverage] = ()
    """Every held-out split, and whether the rows were compared with it."""
    embedded: EmbeddedComparison = NOT_EMBEDDED
    """What rows were compared with by embeddings."""
    terms: Mapping[str, str] = field(default_factory=dict)
    """Model → what its licence requires of users who train on its outputs."""
    relicensed: Mapping[Relicensed, int] = field(default_factory=dict)
    """Licence that was corrected since rows were made → these rows. Read after the last row."""
    notes: Sequence[Note] = ()
    """What people noted on rows of the released subtasks, in the order in which they did."""
    prices: PriceList = field(default_factory=PriceList)
    """What the teachers' tokens or GPU-hours cost."""
    tokenizer: Tokenizer | NoTokenizer = field(
        default_factory=lambda: NoTokenizer("no tokenizer was named")
    )
    """Counts the tokens of the texts."""
    matrix: Callable[[Mapping[str, Mapping[str, int]]], Matrix] | None = None
    """Returns the coverage matrix for the rows by subtask and difficulty. Called once, after
    the last row."""


@dataclass(frozen=True)
class Release(Generic[PlaceT]):
    """A published release."""

    id: str
    version: str
    path: PlaceT
    statistics: Statistics


def write_release(
    root: PlaceT,
    cut: Cut,
    rows: Iterable[CuratedExample | Rejection],
    *,
    bytes_per_shard: int = BYTES_PER_SHARD,
) -> Release[PlaceT]:
    """Writes `<root>/curated/<release id>/` and points `<root>/curated/LATEST` to it.

    Args:
        root: The store.
        cut: Everything that the release is made of besides its rows.
        rows: The results of `curate`.
        bytes_per_shard: Bytes of JSONL after which a new shard is started.

    Returns:
        The release. Its id is a hash of all that it holds and says, except what its rows cost.

    Raises:
        PermanentError: No row is left to release.
    """
    folder = root / Stage.CURATED.value
    clear_abandoned(folder)
    with workbench(folder, f".{os.getpid()}-{secrets.token_hex(4)}.tmp") as tmp:
        noted = _Noted(cut.notes)
        statistics = _write_rows(tmp, cut, noted.passing(rows), bytes_per_shard)
        review = noted.review()
        _write_lines(tmp / HELDOUT, map(asdict, cut.coverage))
        if not statistics.rows:
            refused = dict(statistics.rejected.most_common(5)) or "none"
            raise PermanentError(f"nothing to release: no row is left (refused rows: {refused})")
        files, code = hashes(tmp), version("sdg-assets")
        configs, audit = _configs(tmp, statistics), cut.audit()
        _write_lines(tmp / AUDIT, audit_entries(audit))
        matrix = cut.matrix(statistics.difficulty) if cut.matrix else None
        if matrix:
            _write_lines(tmp / COVERAGE, matrix.entries())
        facts = _facts(cut, statistics, audit, code, matrix, review)
        pages = partial(_pages, statistics, configs, files, sizes(tmp))
        manifest = _manifest(cut, statistics, audit, code) | {
            "schema": schema_of(configs),
            "review": review.counts(),
        }
        release_id = _identity(cut, manifest, hashes(tmp, files), pages, facts)
        draw_all(tmp / "pictures", statistics, cut.funnels, matrix)
        changelog = lineage(root, release_id, manifest, files, tmp)
        facts = replace(facts, release=release_id, version=changelog.version, changelog=changelog)
        for name, text in pages(facts).items():
            (tmp / name).write_text(text, "utf-8")
        files = hashes(tmp, files)
        (tmp / SPDX).write_text(render_spdx(statistics, facts, files), "utf-8")
        names = {"release": release_id, "version": changelog.version}
        seal(tmp, {**names, **manifest, "changes": changelog.entry()}, files)
        place = publish(tmp, folder, release_id)
    return Release(release_id, changelog.version, cast(PlaceT, place), statistics)


def _identity(
    cut: Cut,
    manifest: Mapping[str, Any],
    files: Mapping[str, str],
    pages: Callable[[CardFacts], Mapping[str, str]],
    facts: CardFacts,
) -> str:
    """The id of a release: a hash of all that it holds and says.

    A page is never changed: corrected terms of a teacher need a release of their own, or nobody
    reads them. What varies from run to run is no part of it: what rows cost. Prices are.

    Args:
        cut: What it is made of.
        manifest: Its manifest, without names, changes and files.
        files: File → SHA-256, of all files except pages and pictures.
        pages: Renders its pages.
        facts: The facts on them, still without id, version and changes.
    """
    texts = dict(pages(replace(facts, costs=CostTable())))
    prices = {model: price.model_dump() for model, price in cut.prices.by_model.items()}
    return content_id(manifest, dict(files), texts, cut.prices.currency, prices)[:12]


class _Noted:
    """Which of the released rows people have read."""

    def __init__(self, notes: Sequence[Note]) -> None:
        self._notes = notes
        self._ids = {note.row for note in notes}
        self._released = set[str]()

    def passing(
        self, rows: Iterable[CuratedExample | Rejection]
    ) -> Iterator[CuratedExample | Rejection]:
        """The rows, unchanged; those with a note are remembered."""
        for row in rows:
            if isinstance(row, CuratedExample) and row.id in self._ids:
                self._released.add(row.id)
            yield row

    def review(self) -> Review:
        """What was found in the rows that have passed."""
        return counted(self._notes, self._released)


def _write_rows(
    directory: Path, cut: Cut, rows: Iterable[CuratedExample | Rejection], bytes_per_shard: int
) -> Statistics:
    statistics = Statistics(TokenSizes(cut.tokenizer))
    with ExitStack() as opened:

        def shards(name: str, *, parquet: bool = True) -> Shards:
            writer = Shards(directory / name, parquet=parquet, bytes_per_shard=bytes_per_shard)
            return opened.enter_context(writer)

        rejected = shards("rejected", parquet=False)
        everything = {family: shards(family) for family in FAMILIES}
        commercial = {family: shards(f"{COMMERCIAL}/{family}") for family in FAMILIES}
        for row in rows:
            statistics.see(row)
            line = row.model_dump_json().encode() + b"\n"
            if isinstance(row, Rejection):
                rejected.add(line)
                continue
            everything[row.answer_kind.family].add(line)
            if row.commercial_use == "yes":
                commercial[row.answer_kind.family].add(line)
    statistics.finish()
    return statistics


def _pages(
    statistics: Statistics,
    configs: Sequence[Config],
    files: Mapping[str, str],
    bytes_of: Mapping[str, int],
    facts: CardFacts,
) -> dict[str, str]:
    """Path in the release → text of each page; the commercial subset has two of its own."""
    pages = {
        "README.md": render_card(statistics, configs, facts),
        CROISSANT: render_croissant(statistics, configs, facts, files, bytes_of),
    }
    for commercial in (False, True) if statistics.commercial else (False,):
        folder = f"{COMMERCIAL}/" if commercial else ""
        pages |= {
            f"{folder}{SOURCES}": render_sources(statistics, facts, commercial=commercial),
            f"{folder}{ATTRIBUTION}": render_attribution(statistics, facts, commercial=commercial),
        }
    return pages


def _configs(directory: Path, statistics: Statistics) -> list[Config]:
    configs = []
    for prefix, counts, suffix in (
        ("", statistics.families, ""),
        (COMMERCIAL, statistics.commercial_families, "; licences permit commercial use"),
    ):
        for family, description in FAMILIES.items():
            if not counts[family]:
                continue
            folder = f"{prefix}/{family}" if prefix else family
            size = sum(file.stat().st_size for file in (directory / folder).glob("*.parquet"))
            name = folder.replace("/", "_")
            configs.append(Config(name, folder, counts[family], size, description + suffix))
    return configs


def _manifest(
    cut: Cut, statistics: Statistics, audit: Sequence[Compared], code: str
) -> dict[str, Any]:
    return {
        "name": cut.name,
        "code_version": code,
        "catalog": cut.catalog,
        "inputs": dict(sorted(cut.inputs.items())),
        "teachers": [
            {"role": role, "model": model, "revision": revision, "rows": count}
            for (role, model, revision), count in sorted(statistics.teachers.items())
        ],
        "terms": dict(sorted(_terms(cut, statistics).items())),
        "sources": [
            {"dataset": dataset, "revision": revision, "license": license_, "rows": count}
            for (dataset, revision, license_), count in sorted(statistics.datasets.items())
        ],
        **_passages(statistics),
        "rows": {family: statistics.families[family] for family in FAMILIES},
        "commercial_rows": statistics.commercial,
        "not_commercial": dict(sorted(statistics.not_commercial.items())),
        "licences": dict(sorted(statistics.licences.items())),
        **_relicensed(cut.relicensed),
        "tokens": statistics.tokens.entry(),
        "tasks": {task: asdict(figures) for task, figures in sorted(statistics.tasks.items())},
        "funnel": [_counts(funnel) for funnel in cut.funnels],
        "judged": {
            "rows": statistics.judged,
            "by_the_model_that_wrote_them": statistics.judged_by_writer,
            "verdicts": dict(sorted(statistics.verdicts.items())),
        },
        "compared_with": dict(sorted(cut.compared_with.items())),
        "contamination": [
            {"name": c.name, "refused": c.refused, "suspicious": c.suspicious, "highest": c.highest}
            for c in audit
            if c.is_hit
        ],
        "compared_by_embeddings": asdict(cut.embedded),
        "heldout_splits": {
            "compared": sum(split.compared for split in cut.coverage),
            "not_compared": {r: len(splits) for r, splits in not_compared(cut.coverage).items()},
            "file": HELDOUT,
        },
        "rejected": dict(sorted(statistics.rejected.items())),
    }


def _terms(cut: Cut, statistics: Statistics) -> dict[str, str]:
    """Model → the conditions of its card, of the models in this release."""
    return {m: cut.terms[m] for _, m, _ in statistics.teachers if m in cut.terms}


def _passages(statistics: Statistics) -> dict[str, Any]:
    """Cited passages by source and licence; nothing in a release without passages."""
    entries = [
        {"source": each.source, "license": each.licence, "passages": each.passages}
        for each in statistics.owed.passage_sources()
    ]
    return {"passages": entries} if entries else {}


def _relicensed(corrected: Mapping[Relicensed, int]) -> dict[str, Any]:
    """Licences that were corrected since rows were made; nothing if there are none."""
    entries = [{**asdict(each), "rows": rows} for each, rows in sorted(corrected.items())]
    return {"relicensed": entries} if entries else {}


def _counts(funnel: FunnelRow) -> dict[str, Any]:
    """A subtask's rows by stage, without the cost of its last run: that varies from run to run."""
    counts = asdict(funnel) | {"rejections": dict(sorted(funnel.rejections.items()))}
    costs = ("tokens", "new_tokens", "seconds", "costs")
    return {name: count for name, count in counts.items() if name not in costs}


def _facts(
    cut: Cut,
    statistics: Statistics,
    audit: Sequence[Compared],
    code: str,
    matrix: Matrix | None,
    review: Review,
) -> CardFacts:
    """The facts on the pages, without id, version and changes, which depend on the other facts."""
    seeds = Counter[str]()
    for funnel in cut.funnels:
        seeds[funnel.task] += funnel.normalized
    entries = [e for task in sorted(statistics.tasks) for e in cut.citations.get(task, ())]
    return CardFacts(
        name=cut.name,
        release="",
        version="",
        changelog=UNNAMED,
        code_version=code,
        seeds=seeds,
        compared_with=len(cut.compared_with),
        audit=audit,
        embedded=cut.embedded,
        coverage=cut.coverage,
        coverage_file=HELDOUT,
        citations=list(dict.fromkeys(entries)),
        relicensed=sorted(cut.relicensed.items()),
        terms=_terms(cut, statistics),
        matrix=matrix_page(matrix) if matrix else "",
        matrix_file=COVERAGE,
        review=review,
        costs=cost_table(cut.funnels, cut.prices),
    )


def _write_lines(file: Path, entries: Iterable[Mapping[str, Any]]) -> None:
    with file.open("w", encoding="utf-8") as opened:
        opened.writelines(json.dumps(e, ensure_ascii=False) + "\n" for e in entries)
