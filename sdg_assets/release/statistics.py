"""Counts the rows of a release while they are written."""

from __future__ import annotations

import heapq
from array import array
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from xxhash import xxh3_64_intdigest

from sdg_assets.gates.licence import cited_passages, passage_licences
from sdg_assets.records import CitedPassage, CuratedExample, Rejection, VerdictWord
from sdg_assets.release.diversity import Diversity, measure
from sdg_assets.release.tokens import TokenSizes
from sdg_assets.stages.matrix import difficulty_of
from sdg_assets.teacher.tokenizer import NoTokenizer

SAMPLE = 100
"""Rows per task that diversity is measured on: those with the smallest ids, so that the sample is
the same in every run."""
TENTHS = 10
PASSAGES = "cited passages"
"""Name under which the duties of passages are listed; ATTRIBUTION.md names each passage."""


@dataclass
class TaskFigures:
    """The counts of one seed task."""

    rows: int = 0
    commercial: int = 0
    """Rows in the commercial subset."""
    anchors: int = 0
    """Distinct seeds that at least one row was modelled on."""
    diversity: Diversity | None = None


@dataclass(frozen=True)
class PassageSource:
    """Where cited passages come from, under one licence."""

    source: str
    licence: str
    passages: int


@dataclass
class Owed:
    """By whose licences a set of rows is bound."""

    sources: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Rows by (dataset, licence) of their seeds."""
    passages: Counter[CitedPassage] = field(default_factory=Counter)
    """Rows by the passages that their contexts or backgrounds come from."""
    passage_licences: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Rows by (`PASSAGES`, licence) of cited passages, once a row."""
    teachers: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Rows by (model, licence) of each model that wrote part of them, once a row."""
    generators: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    """Rows by (model, revision, licence, role) of each model that wrote part of them."""

    def see(self, row: CuratedExample) -> None:
        """Counts a row."""
        self.sources[row.source.dataset, row.source.license] += 1
        self.passages.update(cited_passages(row))
        self.passage_licences.update((PASSAGES, name) for name in passage_licences(row))
        self.generators.update((p.model, p.revision, p.license, p.role) for p in row.written_by)
        self.teachers.update({(part.model, part.license) for part in row.written_by})

    def passage_sources(self) -> list[PassageSource]:
        """Where the cited passages come from, sorted by source and licence."""
        counts = Counter((each.source, each.license) for each in self.passages)
        return [PassageSource(*key, passages) for key, passages in sorted(counts.items())]


@dataclass
class Statistics:
    """Counts of a release's rows. Memory: 8 bytes for each row of the largest partition."""

    tokens: TokenSizes = field(
        default_factory=lambda: TokenSizes(NoTokenizer("no tokenizer was named"))
    )
    families: Counter[str] = field(default_factory=Counter)
    commercial_families: Counter[str] = field(default_factory=Counter)
    domains: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    licences: Counter[str] = field(default_factory=Counter)
    """Rows by licence of their seed and of cited passages; a row may have several."""
    not_commercial: Counter[str] = field(default_factory=Counter)
    """Rows by the reason why they are not in the commercial subset; a row may have several."""
    datasets: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Rows by (dataset, revision, licence)."""
    dataset_languages: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Dataset → languages of the rows that came from it."""
    teachers: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Rows by (role, model, revision)."""
    model_licences: dict[tuple[str, str], str] = field(default_factory=dict)
    """(Model, revision) → its licence, also of models that wrote no text of a row."""
    owed: Owed = field(default_factory=Owed)
    """By whose licences all rows are bound."""
    owed_by_commercial: Owed = field(default_factory=Owed)
    """By whose licences the commercial subset is bound."""
    variations: Counter[str] = field(default_factory=Counter)
    difficulty: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Subtask → rows by difficulty, of which the coverage matrix is made."""
    topics: Counter[str] = field(default_factory=Counter)
    """Rows by topic, without rows that were written without one."""
    vote_shares: Counter[int] = field(default_factory=Counter)
    """Rows by the share of votes that agreed, in tenths."""
    pass_rates: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    """Model of the probe → rows by their pass rate, in tenths, without rows that have none."""
    judge_scores: Counter[int] = field(default_factory=Counter)
    """Rows by the judge's score, in tenths, without rows that have no score."""
    lengths: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    """Variant → rows by the bit length of their text's length: key n counts texts of 2^(n-1) to
    2^n - 1 characters."""
    tasks: dict[str, TaskFigures] = field(default_factory=lambda: defaultdict(TaskFigures))
    rejected: Counter[str] = field(default_factory=Counter)
    """Rows that the release itself refused, by "gate: reason"."""
    corrected: int = 0
    """Rows with the answer of a strong majority in place of the writer's."""
    judged: int = 0
    """Rows that a model rated, or whose votes' answers it compared with the writer's."""
    judged_by_writer: int = 0
    """Those of them that the judging model had written itself."""
    verdicts: Counter[VerdictWord] = field(default_factory=Counter)
    """Verdicts on different answers of the votes, over all rows."""
    _subtask: tuple[str, str] = ("", "")
    _anchors: array[int] = field(default_factory=lambda: array("Q"))
    """Hashes of the anchors of the current subtask's rows, once for each row."""
    _sample: dict[str, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))

    @property
    def rows(self) -> int:
        """Rows of the release."""
        return self.families.total()

    @property
    def commercial(self) -> int:
        """Rows of the commercial subset."""
        return self.commercial_families.total()

    def see(self, row: CuratedExample | Rejection) -> None:
        """Counts a row. The rows of a subtask must come one after the other."""
        if isinstance(row, Rejection):
            self.rejected[f"{row.gate}: {row.reason}"] += 1
            return
        family = row.answer_kind.family
        self.families[family] += 1
        self.commercial_families[family] += row.commercial_use == "yes"
        self.domains[row.domain] += 1
        self.languages[row.language] += 1
        self.kinds[row.answer_kind.value] += 1
        self.licences.update({row.source.license, *passage_licences(row)})
        self.not_commercial.update(row.not_commercial)
        self.datasets[row.source.dataset, row.source.revision, row.source.license] += 1
        self.dataset_languages[row.source.dataset].add(row.language)
        self.owed.see(row)
        if row.commercial_use == "yes":
            self.owed_by_commercial.see(row)
        stamps = {"writer": row.teacher, "solver": row.solver}
        if row.judge:
            stamps["judge"] = row.judge.judge
            self.judge_scores[int(row.judge.score * TENTHS)] += 1
        if row.equivalence:
            stamps.setdefault("judge", row.equivalence.verifier)
            self.verdicts.update(each.verdict for each in row.equivalence.verdicts)
        if judge := stamps.get("judge"):
            self.judged += 1
            self.judged_by_writer += judge.model == row.teacher.model
        if row.probe and row.pass_rate is not None:
            stamps["probe"] = row.probe
            self.pass_rates[row.probe.model][int(row.pass_rate * TENTHS + 1e-9)] += 1
        for role, stamp in stamps.items():
            self.teachers[role, stamp.model, stamp.revision] += 1
            self.model_licences[stamp.model, stamp.revision] = stamp.license
        for part in row.written_by:
            self.model_licences[part.model, part.revision] = part.license
        self.variations[row.variation] += 1
        self.difficulty[row.subtask][difficulty_of(row.vote_share, row.pass_rate)] += 1
        if row.topic:
            self.topics[row.topic] += 1
        self.vote_shares[int(row.vote_share * TENTHS + 1e-9)] += 1
        for variant, text in row.text.items():
            self.lengths[variant][len(text).bit_length()] += 1
        self.tokens.see(row)
        self.corrected += bool(row.written_answer)
        self._see_task(row)

    def _see_task(self, row: CuratedExample) -> None:
        figures = self.tasks[row.task]
        figures.rows += 1
        figures.commercial += row.commercial_use == "yes"
        if (row.task, row.subtask) != self._subtask:
            self._count_anchors()
            self._subtask = row.task, row.subtask
        if row.seed_ids:
            self._anchors.append(xxh3_64_intdigest(row.seed_ids[0].encode()))
        # Ranks are negated ids, so the heap's smallest entry is the row to drop next.
        sample, ranked = self._sample[row.task], (-int(row.id[:15], 16), f"{row.question}")
        if len(sample) < SAMPLE:
            heapq.heappush(sample, ranked)
        elif ranked > sample[0]:
            heapq.heapreplace(sample, ranked)

    def _count_anchors(self) -> None:
        import numpy as np

        if self._anchors:
            task, _ = self._subtask
            self.tasks[task].anchors += len(np.unique(np.asarray(self._anchors)))
            self._anchors = array("Q")

    def finish(self) -> None:
        """Counts the tokens and anchors that are left, and measures each task's diversity."""
        self.tokens.finish()
        self._count_anchors()
        for task, figures in self.tasks.items():
            figures.diversity = measure([text for _, text in sorted(self._sample[task])])
        self._sample.clear()
