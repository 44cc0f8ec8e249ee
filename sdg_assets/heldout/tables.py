"""How held-out rows are stored: two tables of hashes and lengths, without any text."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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

ATTACHMENTS = {"rows": "rows.parquet", "texts": "texts.parquet"}
# N-grams kept of a text, the ones with the smallest hashes: a share of 0.5 is known to 0.06.
KEPT_NGRAMS = 64
# N-grams of more than this share of a table's texts are kept only where there is room: they are its
# frame, and a sample is to be of what tells its rows apart.
FRAME_SHARE = 0.25
# An answer that more than this share of the answered rows have (a label, yes or no) is no evidence.
COMMON_ANSWER = 0.05


@dataclass(frozen=True)
class HeldoutTables:
    """The hashes of one subtask or benchmark, as they are stored."""

    rows: pl.DataFrame
    """See `rows_schema`."""
    texts: pl.DataFrame
    """See `texts_schema`."""

    @classmethod
    def joined(cls, tables: Iterable[HeldoutTables]) -> HeldoutTables:
        """Several as one; of none, the empty tables."""
        import polars as pl

        every = list(tables)
        return cls(
            pl.concat([pl.DataFrame(schema=rows_schema()), *(t.rows for t in every)]),
            pl.concat([pl.DataFrame(schema=texts_schema()), *(t.texts for t in every)]),
        )

    def to_bytes(self) -> dict[str, bytes]:
        """Name of an attachment → its content, Parquet."""
        return {name: _parquet(getattr(self, table)) for table, name in ATTACHMENTS.items()}

    @classmethod
    def from_bytes(cls, attachment: Callable[[str], bytes]) -> HeldoutTables:
        """Reads what `to_bytes` wrote.

        Args:
            attachment: Content by name.
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
    """Some held-out rows as hashes, before it is known what their table's frame is."""

    rows: list[dict[str, Any]]
    """Columns of `rows_schema` but `common`."""
    texts: dict[int, HashedText]
    """By their keys."""


@dataclass(frozen=True)
class HashedText:
    """A question, a set of choices or a context."""

    words: int
    ngrams: Array
    """Distinct hashes, ascending."""
    lent: Array
    """Which of them stand in its own context too: they tell nothing where a row has that."""


def hashed_rows(contents: Sequence[Content]) -> HashedRows:
    """Hashes held-out rows.

    Args:
        contents: Their choices are their own: yes and no and a task's labels are left out.
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
                words[key] = len(text.split())
                keys += [key] * len(pieces)
                parts += pieces
    distinct = _ngrams_by_key(keys, parts)
    return HashedRows(rows, {key: _text(key, words, distinct, contexts_of[key]) for key in words})


def _text(
    key: int, words: dict[int, int], distinct: dict[int, Array], contexts: set[int]
) -> HashedText:
    import numpy as np

    none = np.empty(0, dtype=np.uint64)
    ngrams_of_text = distinct.get(key, none)
    lent = np.zeros(len(ngrams_of_text), dtype=bool)
    for context in contexts:
        lent |= np.isin(ngrams_of_text, distinct.get(context, none))
    return HashedText(words[key], ngrams_of_text, lent)


def _ngrams_by_key(keys: list[int], parts: list[str]) -> dict[int, Array]:
    import numpy as np

    hashes, place = ngrams(parts)
    of = np.array(keys, dtype=np.uint64)[place]
    cuts = np.flatnonzero(of[1:] != of[:-1]) + 1
    return {
        int(of[start]): np.unique(hashes[start:end])
        for start, end in zip([0, *cuts], [*cuts, len(of)], strict=True)
        if end > start
    }


def table_of(batches: Sequence[HashedRows]) -> HeldoutTables:
    """The tables of one config.

    Args:
        batches: All of its rows: only then can its frame be told.
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
    """Texts with the n-grams that are kept of them."""
    import numpy as np
    import polars as pl

    every = list(texts.values())
    sizes = np.array([len(text.ngrams) for text in every], dtype=np.int64)
    hashes = np.concatenate([np.empty(0, dtype=np.uint64), *(text.ngrams for text in every)])
    lent = np.concatenate([np.empty(0, dtype=bool), *(text.lent for text in every)])
    owner = np.repeat(np.arange(len(every)), sizes)
    _, place, times = np.unique(hashes, return_inverse=True, return_counts=True)
    is_frame = times[place] > max(2, len(every) * FRAME_SHARE)
    order = np.lexsort((hashes, is_frame, owner))
    kept = order[np.arange(len(owner)) - np.searchsorted(owner, owner) < KEPT_NGRAMS]
    telling = np.bincount(owner[~is_frame], minlength=len(every))
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
                "words": [text.words for text in every],
                "length": np.where(telling > 0, telling, sizes),
            }
        )
        .with_row_index("place")
        .join(ngrams_of_texts, on="place", how="left", maintain_order="left")
        .drop("place")
        .with_columns(pl.col("ngrams", "lent").fill_null([]))
        .cast(pl.Schema(texts_schema()))
    )


def rows_schema() -> dict[str, pl.DataType]:
    """Columns of the hashed rows: one a held-out row, none of its text.

    `item`: context, question and choices together. `question`, `context`, `choices`: keys of
    `texts`, 0 for none. `answer`: 0 if it is withheld or long. `common`: whether many rows have
    this answer. `numbers`, `signs`: the question's.
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

    `key`: the hash of its letters and digits. `words`: how many it has. `length`: its distinct
    n-grams, without those of its table's frame. `ngrams`: a sample of them. `lent`: which of these
    stand in the text's own context too.
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
