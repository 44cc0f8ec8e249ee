from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from sdg_assets.errors import SeedSourceError, StoreError, TransientError
from sdg_assets.heldout.fingerprints import hash_of
from sdg_assets.heldout.letters import plain_text
from sdg_assets.heldout.protection import heldout_key
from sdg_assets.heldout.splits import HeldoutRows
from sdg_assets.heldout.tables import (
    ATTACHMENTS,
    FORMAT,
    HeldoutTables,
    rows_schema,
    texts_schema,
)
from sdg_assets.store.partitions import Store
from sdg_assets_tests.support.builders import seed_task
from sdg_assets_tests.support.heldout import FILLERS, Splits, hashed

ROWS = [{"question": q, "choices": [f"{q} yes", f"{q} no"], "label": 0} for q in FILLERS]


def read(source: Splits, *splits: str, **task: object) -> HeldoutRows:
    rows = HeldoutRows()
    for split in splits:
        rows.add(seed_task(**task).resolve("quiz"), split, source)
    return rows


def test_no_word_of_a_held_out_row_is_stored() -> None:
    stored = b"".join(hashed(ROWS).to_bytes().values()).lower()

    words = {word for q in FILLERS for word in re.findall(r"[a-z]{5,}", q.lower())}
    assert words
    assert not [word for word in words if word.encode() in stored]


def test_what_is_stored_is_what_is_read_back() -> None:
    tables = hashed(ROWS)

    again = HeldoutTables.from_bytes(tables.to_bytes().__getitem__)

    assert again.rows.equals(tables.rows)
    assert again.texts.equals(tables.texts)
    assert tables.rows.schema == rows_schema()
    assert tables.texts.schema == texts_schema()
    assert set(tables.to_bytes()) == set(ATTACHMENTS.values())


def test_hashes_are_the_same_on_every_machine_and_in_every_release() -> None:
    # Published hashes are compared with those of later runs: a change here invalidates all of them.
    tables = hashed(ROWS)

    question = tables.rows["question"][0]
    (ngrams,) = tables.texts.filter(pl.col("key") == question)["ngrams"]
    assert question == 10455778918736812838
    assert min(ngrams) == 41082649710581075


def test_a_row_that_hides_its_answer_is_still_hashed() -> None:
    source = Splits(test=[{**row, "label": -1} for row in ROWS])
    rows = read(source, "test")

    (split,) = rows.splits
    assert (split.rows, split.unanswered, split.unmapped) == (8, 8, 0)
    withheld = rows.tables().rows
    assert set(withheld["answer"]) == {0}
    assert withheld.drop("answer", "common").equals(hashed(ROWS).rows.drop("answer", "common"))


def test_a_row_that_the_record_leaves_out_is_still_hashed() -> None:
    record = {
        "question": "{{question}}",
        "choices": "{{choices}}",
        "answer_index": "{{label}}",
        "where": "{{label > 0}}",
    }

    assert len(hashed(ROWS, record=record).rows) == len(ROWS)


def test_a_row_that_no_mapping_fits_is_hashed_by_its_columns() -> None:
    source = Splits(test=[{"text": q, "id": "row 1"} for q in FILLERS])
    rows = read(source, "test")

    assert rows.splits[0].unmapped == len(FILLERS)
    assert set(rows.tables().rows["question"]) == set(hashed(ROWS).rows["question"])


def test_columns_in_a_script_without_spaces_are_hashed_if_they_are_long_enough() -> None:
    question = "楽器を奏でる人を何と呼ぶ？"
    rows = read(Splits(test=[{"文": question, "題": "楽器"}]), "test")

    assert rows.tables().rows["question"].to_list() == [hash_of(plain_text(question))]


def test_a_row_that_several_splits_hold_is_stored_once() -> None:
    rows = read(Splits(test=ROWS, validation=ROWS[:3]), "validation", "test")

    assert [split.rows for split in rows.splits] == [3, 8]
    assert len(rows.tables().rows) == 8


def test_splits_missing_from_the_source_are_noted() -> None:
    rows = read(Splits(test=ROWS), "validation", "test", dataset="org/quiz")
    rows.add(seed_task(dataset="org/other").resolve("quiz"), "test", Splits())

    assert [(s.split, s.missing) for s in rows.splits] == [
        ("validation", "the source has test"),
        ("test", ""),
        ("test", "splits has no org/other"),
    ]
    assert [s.revision for s in rows.splits] == ["", "r-test", ""]


@pytest.mark.parametrize("error", [SeedSourceError("gated"), TransientError("lost")])
def test_a_split_that_cannot_be_read_is_an_error(error: Exception) -> None:
    class Closed(Splits):
        def splits(self, spec: object) -> list[str]:
            raise error

    with pytest.raises(type(error)):
        read(Closed(), "test")


def test_no_rows_are_stored_as_empty_tables() -> None:
    tables = HeldoutRows().tables()

    assert HeldoutTables.from_bytes(tables.to_bytes().__getitem__).rows.schema == rows_schema()
    assert (len(tables.rows), len(tables.texts)) == (0, 0)


def test_long_rows_are_stored_as_a_sample_of_bounded_size() -> None:
    long = " ".join(f"word{n}" for n in range(3000))
    tables = hashed([*ROWS, {"question": long, "choices": ["a", "b"], "label": 0}])

    assert tables.texts["ngrams"].list.len().max() == 64
    assert tables.texts["length"].max() == 22_258


def test_hashes_of_an_older_format_are_not_read(tmp_path: Path) -> None:
    store, key = Store(tmp_path), heldout_key("quiz", "quiz")
    with store.write(key) as out:
        attachments = hashed(ROWS).to_bytes()
        out.attachments.update({n.replace(f"-{FORMAT}", ""): b for n, b in attachments.items()})

    with pytest.raises(StoreError, match=r"materialize .*quiz.* again"):
        HeldoutTables.from_bytes(partial(store.attachment, key))
