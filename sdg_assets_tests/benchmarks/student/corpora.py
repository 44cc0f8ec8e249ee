"""The corpora that a student is continued on, as documents and as blocks of tokens."""

from __future__ import annotations

import json
import random
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdg_assets.errors import PermanentError
from sdg_assets.records import Example, Stage
from sdg_assets.release.export import export
from sdg_assets.store.partitions import PartitionKey, Store

SENTENCE = re.compile(r"(?<=[.!?。！？])\s+|\n+")
SENTENCES_OF_A_DOCUMENT = 8


@dataclass(frozen=True)
class Corpus:
    """Documents of one origin."""

    name: str
    documents: Sequence[str]


def release_texts(release: Path, variant: str) -> Corpus:
    """The texts of one variant, as `sdg release export` writes them."""
    with tempfile.TemporaryDirectory(prefix="sdg-") as scratch:
        written = export(release, Path(scratch), variant=variant)
        files = (file for part in written for file in part.files)
        lines = [line for file in files for line in file.read_text("utf-8").splitlines()]
    return Corpus("release", [json.loads(line)["text"] for line in lines])


def seeds_as_prose(store: Path, release: Path) -> Corpus:
    """The release's seeds without their form: all sentences of their texts, shuffled.

    The words of the control are those of the seeds; which question has which answer is lost.

    Args:
        store: The store with the `normalized` partitions.
        release: The release, whose manifest names its partitions.
    """
    manifest = json.loads((release / "manifest.json").read_text("utf-8"))
    partitions = Store(store)
    sentences: list[str] = []
    for name in manifest["inputs"]:
        task, _, subtask = name.split("/")
        for row in partitions.read(PartitionKey(task, Stage.NORMALIZED.value, subtask), Example):
            for text in (row.context, row.question, *row.choices, row.answer, row.solution):
                sentences += [part.strip() for part in SENTENCE.split(text) if part.strip()]
    random.Random(0).shuffle(sentences)
    documents = [
        " ".join(sentences[start : start + SENTENCES_OF_A_DOCUMENT])
        for start in range(0, len(sentences), SENTENCES_OF_A_DOCUMENT)
    ]
    return Corpus("seeds as prose", documents)


def directory_texts(directory: Path) -> Corpus:
    """The documents of a directory: each `.txt` file, and the key `text` of `.jsonl` lines.

    Raises:
        PermanentError: It has none.
    """
    documents = [file.read_text("utf-8") for file in sorted(directory.rglob("*.txt"))]
    for file in sorted(directory.rglob("*.jsonl")):
        documents += [json.loads(line)["text"] for line in file.open(encoding="utf-8")]
    if not documents:
        raise PermanentError(f"{directory}: has no .txt file and no .jsonl file with texts")
    return Corpus(directory.name, documents)


class Blocks:
    """Endless blocks of tokens: documents in another order each epoch, an end token after each."""

    def __init__(self, corpus: Corpus, tokenizer: Any, length: int, seed: int) -> None:
        """Tokenizes each document when it is its turn.

        Args:
            corpus: The documents.
            tokenizer: Of the student.
            length: Tokens of a block.
            seed: Shuffles the documents.
        """
        self._documents = list(corpus.documents)
        self._tokenizer = tokenizer
        self._length = length
        self._random = random.Random(seed)
        self.epochs = 0
        """Epochs begun; more than one means that documents were seen again."""

    def __iter__(self) -> Iterator[list[int]]:
        waiting: list[int] = []
        while True:
            self.epochs += 1
            self._random.shuffle(self._documents)
            for document in self._documents:
                ids = self._tokenizer(document, add_special_tokens=False)["input_ids"]
                waiting += [*ids, self._tokenizer.eos_token_id]
                while len(waiting) >= self._length:
                    yield waiting[: self._length]
                    del waiting[: self._length]
