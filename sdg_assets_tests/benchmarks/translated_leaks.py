"""Does the paraphrase gate find translations of held-out rows, and spare new ones?

    python -m sdg_assets_tests.benchmarks.translated_leaks --embedder http://host:8000

Hashes and embeds GSM8K's test split, then gates translations of its rows (MGSM, ten languages) and
legitimate rows (GSM8K's training split), both from a mirror in the Hub's layout at $SDGTEST_HUB or
../shared/hub. The default embedder is the packaged one, which takes 0.08 s of CPU a question. A
second run takes the embeddings from `--cache`. Prints a table by language, and one by line.

Exits with 1 if a goal is missed, naming it: at least 0.85 of the translations are refused, at most
1 % of 2,000 legitimate rows are, and n-grams alone find fewer translations.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from sdg_assets.catalog import load_catalog
from sdg_assets.gates.base import Batch
from sdg_assets.gates.contamination import Contamination
from sdg_assets.gates.paraphrases import Paraphrases, ParaphraseThresholds
from sdg_assets.gates.repeats import ContaminationThresholds
from sdg_assets.heldout.embeddings import EmbeddingIndex
from sdg_assets.heldout.index import HeldoutIndex
from sdg_assets.heldout.splits import HeldoutRows
from sdg_assets.heldout.tables import HeldoutTables
from sdg_assets.heldout.vectors import QuestionVectors
from sdg_assets.records import AnswerKind, EnrichedExample, Example
from sdg_assets.settings import Settings
from sdg_assets.teacher.embedder import PACKAGED, Embedder, embedder_of, unit_vectors
from sdg_assets_tests.benchmarks.goals import Goal, exit_code
from sdg_assets_tests.benchmarks.mirror import SOURCE, examples
from sdg_assets_tests.support.builders import MIRROR
from sdg_assets_tests.support.records import enriched

if TYPE_CHECKING:
    from sdg_assets.teacher.embedder import Vectors

RECALL, FALSE_REFUSALS, LEGITIMATE = 0.85, 0.01, 2000
LANGUAGES = ("bn", "de", "es", "fr", "ja", "ru", "sw", "te", "th", "zh")
LINES = (0.8, 0.82, 0.84, 0.86, 0.88, 0.9)
OWN = "gsm8k/gsm8k"


class Cached:
    """An embedder that keeps its vectors in a file, as 16-bit numbers."""

    def __init__(self, embedder: Embedder, file: Path) -> None:
        self.stamp, self.name = embedder.stamp, embedder.name
        self._embedder, self._file = embedder, file
        self._vectors: dict[str, np.ndarray[Any, Any]] = {}
        if file.is_file():
            with np.load(file) as stored:
                self._vectors = dict(zip(stored["keys"].tolist(), stored["vectors"], strict=True))

    def embed(self, texts: Sequence[str]) -> Vectors:
        keys = [sha256(f"{self.name}\n{text}".encode()).hexdigest() for text in texts]
        new = {k: t for k, t in zip(keys, texts, strict=True) if k not in self._vectors}
        if new:
            vectors = self._embedder.embed([*new.values()]).astype(np.float16)
            self._vectors |= dict(zip(new, vectors, strict=True))
            self._save()
        found = np.stack([self._vectors[key] for key in keys]).astype(np.float32)
        return unit_vectors(found, self.name)

    def _save(self) -> None:
        part = self._file.with_suffix(".part.npz")
        np.savez(part, keys=[*self._vectors], vectors=np.stack([*self._vectors.values()]))
        part.replace(self._file)


@dataclass(frozen=True)
class Tested:
    """What became of a set of rows."""

    name: str
    rows: int
    refused: int
    reported: int
    by_ngrams: int
    """Rows that the contamination gate refuses."""
    similarity: float
    """Median similarity of a row's question to the most similar held-out question."""


def main() -> int:
    """Measures everything."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--embedder", default=PACKAGED, help="as SDG_EMBEDDER")
    parser.add_argument("--prefix", default="", help="as SDG_EMBEDDER_PREFIX")
    parser.add_argument("--rows", type=int, default=250, help="translations of each language")
    parser.add_argument("--line", type=float, help="similarity; default: the gate's own")
    cache = Path(tempfile.gettempdir()) / "translated-leaks.npz"
    parser.add_argument("--cache", type=Path, default=cache, help="file for the embeddings")
    options = parser.parse_args()
    if not MIRROR.is_dir():
        print(f"no mirror of the Hub at {MIRROR}: set SDGTEST_HUB", file=sys.stderr)
        return 1
    opened = embedder_of(Settings(embedder=options.embedder, embedder_prefix=options.prefix))
    assert opened
    embedder = Cached(opened, options.cache)
    began = time.monotonic()
    index, ngrams = held_out(embedder)
    print(f"embedder {embedder.name}; {len(index)} held-out questions of GSM8K, {os.cpu_count()} "
          f"cores, {time.monotonic() - began:.0f} s")  # fmt: skip
    changes = {} if options.line is None else {"paraphrase_similarity": options.line}
    thresholds = ParaphraseThresholds(**changes)
    planted = {language: list(translations(language, options.rows)) for language in LANGUAGES}
    legitimate = list(new_rows())

    def tested(name: str, rows: list[EnrichedExample]) -> Tested:
        return judged(name, rows, Paraphrases(index, embedder, thresholds), ngrams, index, embedder)

    results = [tested(language, rows) for language, rows in planted.items()]
    spared = tested("new rows", legitimate)
    print(f"\nline {thresholds.paraphrase_similarity}\n")
    print("| rows | number | refused | share | reported | by n-grams | similarity |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for result in [*results, _sum("all languages", results), spared]:
        print(
            f"| {result.name} | {result.rows} | {result.refused} | "
            f"{result.refused / result.rows:.3f} | {result.reported} | {result.by_ngrams} | "
            f"{result.similarity:.3f} |"
        )
    print("\n| line | translations refused | new rows refused |\n|---:|---:|---:|")
    everything = [row for rows in planted.values() for row in rows]
    for line in LINES:
        at = ParaphraseThresholds(paraphrase_similarity=line)
        shares = [
            len(Paraphrases(index, embedder, at).refusals(Batch(rows))) / len(rows)
            for rows in (everything, legitimate)
        ]
        print(f"| {line} | {shares[0]:.3f} | {shares[1]:.4f} |")
    return verdict(_sum("all", results), spared)


def verdict(found: Tested, spared: Tested) -> int:
    """Prints the goals; 1 if one is missed."""
    recall, wrong = found.refused / found.rows, spared.refused / spared.rows
    goals = [
        Goal(f"{RECALL} of the translations are refused", f"{recall:.3f}", recall >= RECALL),
        Goal(
            f"at most {FALSE_REFUSALS:.0%} of {LEGITIMATE} new rows are refused",
            f"{wrong:.2%} of {spared.rows}",
            wrong <= FALSE_REFUSALS and spared.rows == LEGITIMATE,
        ),
        Goal(
            "n-grams alone find fewer translations",
            f"{found.by_ngrams} and {found.refused}",
            found.by_ngrams < found.refused,
        ),
    ]
    return exit_code(goals)


def held_out(embedder: Embedder) -> tuple[EmbeddingIndex, HeldoutIndex]:
    """GSM8K's test split, embedded and hashed as the asset `heldout` does it."""
    spec = load_catalog().subtask(*OWN.split("/"))
    rows = HeldoutRows(QuestionVectors(embedder))
    rows.add(spec, "test", SOURCE)
    tables = rows.tables()
    assert rows.vectors
    files, _ = rows.vectors.attachment()
    stored = {**tables.to_bytes(), **files}
    return EmbeddingIndex.of_files(embedder.name, {OWN: stored.__getitem__}), HeldoutIndex(
        {OWN: HeldoutTables.from_bytes(stored.__getitem__)}
    )


def judged(
    name: str,
    rows: Sequence[EnrichedExample],
    gate: Paraphrases,
    ngrams: HeldoutIndex,
    index: EmbeddingIndex,
    embedder: Embedder,
) -> Tested:
    """Puts rows through the gate, and through the one that compares n-grams."""
    contamination = Contamination(ngrams, ContaminationThresholds(), OWN)
    refused = gate.refusals(Batch(rows))
    best = [0.0] * len(rows)
    vectors = embedder.embed([row.question for row in rows])
    for near in index.search(vectors, 0.0, 1):
        best[near.place] = max(best[near.place], near.similarity)
    return Tested(
        name,
        len(rows),
        len(refused),
        gate.report.reported,
        len(contamination.refusals(Batch(rows))),
        median(best),
    )


def translations(language: str, number: int) -> Iterator[EnrichedExample]:
    """Translated rows of GSM8K's test split, with their answers and without any solution."""
    file = MIRROR / "juletxara" / "mgsm" / language / "test-*.parquet"
    for row in islice(pl.read_parquet(file).iter_rows(named=True), number):
        yield enriched(
            answer_kind=AnswerKind.NUMERIC,
            language=language,
            question=row["question"],
            answer=f"{float(row['answer_number']):g}",
            reasoning="",
            knowledge="",
        )


def new_rows() -> Iterator[EnrichedExample]:
    """Rows of GSM8K's training split, as if they were generated, with their solutions."""
    spec = load_catalog().subtask(*OWN.split("/"))
    rows: Iterable[Example] = islice(examples(spec, "train"), LEGITIMATE)
    for row in rows:
        yield enriched(
            answer_kind=row.answer_kind,
            question=row.question,
            answer=row.answer,
            solution=row.solution,
            reasoning="",
            knowledge="",
        )


def _sum(name: str, results: Sequence[Tested]) -> Tested:
    columns = ("rows", "refused", "reported", "by_ngrams")
    sums = {column: sum(getattr(result, column) for result in results) for column in columns}
    return Tested(name, **sums, similarity=median(result.similarity for result in results))


if __name__ == "__main__":
    sys.exit(main())
