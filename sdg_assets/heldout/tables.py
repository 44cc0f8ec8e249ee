"""The stored form of held-out rows: two tables of hashes and lengths, without any text."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sdg_assets.answers.unspaced import words_in
from sdg_assets.heldout.fingerprints import (
    answer_key,
    choices_key,
    hash_of,
    item_key,
    ngrams,
    number_keys,
    signs_of,
)
from sdg_assets.heldout.letters import plain_texts, written_numbers
from sdg_assets.records import Content

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    Array = np.ndarray[Any, Any]

# Part of the files' names: raised when equal rows get other hashes than before. Hashes of an older
# format match nothing, so a comparison with them would accept every row.
FORMAT = 2
ATTACHMENTS = {table: f"{table}-{FORMAT}.parquet" for table in ("rows", "texts")}
# N-grams kept per text: those with the smallest hashes. A share of 0.5 is then known to ±0.06.
KEPT_NGRAMS = 64
# N-grams in more than this share of a table's texts are boilerplate: they are kept only if there is
# room, so that the sample consists of n-grams that distinguish the rows.
BOILERPLATE_SHARE = 0.25
# An answer of more than this share of the answered rows (a label, yes or no) is no evidence.
COMMON_ANSWER = 0.05


@dataclass(frozen=True)
class HeldoutTables:
    """The hashes of one subtask or benchmark, in their stored form."""

    rows: pl.DataFrame
    """Columns of `rows_schema`, one row per held-out row."""
    texts: pl.DataFrame
    """Columns of `texts_schema`, one row per text."""

    @classmethod
    def joined(cls, tables: Iterable[HeldoutTables]) -> HeldoutTables:
        """Concatenates tables; without any, the result is empty tables."""
        import polars as pl

        parts = list(tables)
        return cls(
            pl.concat([pl.DataFrame(schema=rows_schema()), *(t.rows for t in parts)]),
            pl.concat([pl.DataFrame(schema=texts_schema()), *(t.texts for t in parts)]),
        )

    def to_bytes(self) -> dict[str, bytes]:
        """Name of an attachment → its content as Parquet."""
        return {name: _parquet(getattr(self, table)) for table, name in ATTACHMENTS.items()}

    @classmethod
    def from_bytes(cls, attachment: Callable[[str], bytes]) -> HeldoutTables:
        """Reads the attachments that `to_bytes` wrote.

        Args:
            attachment: Returns the content of an attachment, by its name.
        """
        import polars as pl

        return cls(
            **{
                table: pl.read_parquet(io.BytesIO(attachment(name)))
                for table, name in ATTACHMENTS.items()
            }
        )


@dataclass(frozen=True)
class HashedRows:
    """A batch of held-out rows as hashes, before their table's boilerplate is known."""

    rows: list[dict[str, Any]]
    """Columns of `rows_schema`, except `common`."""
    texts: dict[int, HashedText]
    """The texts by their keys."""


@dataclass(frozen=True)
class HashedText:
    """A question, a set of choices or a context."""

    words: int
    ngrams: Array
    """Distinct hashes, ascending."""
    lent: Array
    """Whether the text's own context has the n-gram, too; then a row with that context has it."""


def hashed_rows(contents: Sequence[Content]) -> HashedRows:
    """Hashes held-out rows.

    Args:
        contents: The rows. Choices given by the task (yes and no, labels) must be left out.
    """
    fields = [text for c in contents for text in (c.context, c.question, *c.choices)]
    plain = iter(plain_texts(fields))
    rows: list[dict[str, Any]] = []
    words: dict[int, int] = {}
    contexts_of: dict[int, set[int]] = defaultdict(set)
    keys: list[int] = []
    parts: list[str] = []
    for content in contents:
        context, question = next(plain), next(plain)
        choices = [next(plain) for _ in content.choices]
        row: dict[str, Any] = {
            "item": item_key(context, question, choices),
            "question": hash_of(question),
            "context": hash_of(context),
            "choices": choices_key(choices),
            "answer": answer_key(content.answer),
            "numbers": number_keys(written_numbers(content.question)),
            "signs": signs_of(content.question),
        }
        rows.append(row)
        if row["context"]:
            contexts_of[row["question"]].add(row["context"])
        for key, text, pieces in (
            (row["question"], content.question, [question]),
            (row["context"], content.context, [context]),
            (row["choices"], " ".join(content.choices), choices),
        ):
            if key and key not in words:
                words[key] = words_in(text)
                keys += [key] * len(pieces)
                parts += pieces
    distinct = _ngrams_by_key(keys, parts)
    return HashedRows(rows, {key: _text(key, words, distinct, contexts_of[key]) for key in words})


def _text(
    key: int, words: dict[int, int], distinct: dict[int, Array], contexts: set[int]
) -> HashedText:
    import numpy as np

    empty = np.empty(0, dtype=np.uint64)
    ngrams_of_text = distinct.get(key, empty)
    lent = np.zeros(len(ngrams_of_text), dtype=bool)
    for context in contexts:
        lent |= np.isin(ngrams_of_text, distinct.get(context, empty))
    return HashedText(words[key], ngrams_of_text, lent)


def _ngrams_by_key(keys: list[int], parts: list[str]) -> dict[int, Array]:
    import numpy as np

    hashes, place = ngrams(parts)
    key_of = np.array(keys, dtype=np.uint64)[place]
    cuts = np.flatnonzero(key_of[1:] != key_of[:-1]) + 1
    return {
        int(key_of[start]): np.unique(hashes[start:end])
        for start, end in zip([0, *cuts], [*cuts, len(key_of)], strict=True)
        if end > start
    }


def table_of(batches: Sequence[HashedRows]) -> HeldoutTables:
    """Makes the tables of one config.

    Args:
        batches: All rows of the config, because its boilerplate shows only in all of them.
    """
    import numpy as np
    import polars as pl

    rows = [row for batch in batches for row in batch.rows]
    texts = {key: text for batch in batches for key, text in batch.texts.items()}
    answers = np.array([row["answer"] for row in rows], dtype=np.uint64)
    _, place, times = np.unique(answers, return_inverse=True, return_counts=True)
    common = times[place] > max(2, np.count_nonzero(answers) * COMMON_ANSWER)
    return HeldoutTables(
        pl.DataFrame([*rows], schema={k: v for k, v in rows_schema().items() if k != "common"})
        .with_columns(common=pl.Series(common, dtype=pl.Boolean()))
        .select(list(rows_schema())),
        _sampled(texts),
    )


def _sampled(texts: dict[int, HashedText]) -> pl.DataFrame:
    """The table of texts, each with a sample of its n-grams."""
    import numpy as np
    import polars as pl

    hashed = list(texts.values())
    sizes = np.array([len(text.ngrams) for text in hashed], dtype=np.int64)
    hashes = np.concatenate([np.empty(0, dtype=np.uint64), *(text.ngrams for text in hashed)])
    lent = np.concatenate([np.empty(0, dtype=bool), *(text.lent for text in hashed)])
    owner = np.repeat(np.arange(len(hashed)), sizes)
    _, place, times = np.unique(hashes, return_inverse=True, return_counts=True)
    is_boilerplate = times[place] > max(2, len(hashed) * BOILERPLATE_SHARE)
    order = np.lexsort((hashes, is_boilerplate, owner))
    kept = order[np.arange(len(owner)) - np.searchsorted(owner, owner) < KEPT_NGRAMS]
    distinctive = np.bincount(owner[~is_boilerplate], minlength=len(hashed))
    ngrams_of_texts = (
        pl.DataFrame(
            {
                "place": owner[kept].astype(np.uint32),
                "ngrams": hashes[kept],
                "lent": lent[kept],
            }
        )
        .group_by("place", maintain_order=True)
        .agg("ngrams", "lent")
    )
    return (
        pl.DataFrame(
            {
                "key": np.array(list(texts), dtype=np.uint64),
                "words": [text.words for text in hashed],
                "length": np.where(distinctive > 0, distinctive, sizes),
            }
        )
        .with_row_index("place")
        .join(ngrams_of_texts, on="place", how="left", maintain_order="left")
        .drop("place")
        .with_columns(pl.col("ngrams", "lent").fill_null([]))
        .cast(pl.Schema(texts_schema()))
    )


def rows_schema() -> dict[str, pl.DataType]:
    """Columns of the hashed rows: one row per held-out row, without its text.

    `item`: the `item_key`. `question`, `context`, `choices`: keys of `texts`, 0 for none. `answer`:
    0 if it is withheld or long. `common`: whether many rows have this answer. `numbers`, `signs`:
    the numbers and signs of the question.
    """
    import polars as pl

    hashes = ("item", "question", "context", "choices", "answer")
    return {
        **dict.fromkeys(hashes, pl.UInt64()),
        "numbers": pl.List(pl.UInt64()),
        "signs": pl.UInt16(),
        "common": pl.Boolean(),
    }


def texts_schema() -> dict[str, pl.DataType]:
    """Columns of the hashed texts: questions, contexts, sets of choices.

    `key`: the hash of the text's letters and digits. `words`: its number of words, see `words_in`.
    `length`: its number of distinct n-grams, without its table's boilerplate. `ngrams`: a sample of
    them. `lent`: for each of these, whether the text's own context has it, too.
    """
    import polars as pl

    return {
        "key": pl.UInt64(),
        "words": pl.UInt32(),
        "length": pl.UInt32(),
        "ngrams": pl.List(pl.UInt64()),
        "lent": pl.List(pl.Boolean()),
    }


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()
