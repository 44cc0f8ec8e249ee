from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sdg_assets.errors import SeedSourceError
from sdg_assets.passages.reading import EMBEDDED, MOST_WORDS, name_of, passage_of, read_passages
from sdg_assets.records import Passage, Rejection
from sdg_assets_tests.support.passages import PARIS, put_passages, raw


def refused(row: Passage | Rejection) -> tuple[str, str]:
    assert isinstance(row, Rejection)
    assert row.gate == "passages"
    return row.reason, row.detail


def test_the_embedded_passages_are_all_usable_and_name_their_version() -> None:
    read = list(read_passages(EMBEDDED, "samples"))

    assert len(read) > 50
    assert all(isinstance(each, Passage) and each.license == "Apache-2.0" for each in read)
    assert name_of(EMBEDDED).startswith("embedded@")


def test_a_directory_is_read_in_the_order_of_its_files(tmp_path: Path) -> None:
    put_passages(tmp_path, raw(id=1), raw(id=2), name="a.jsonl")
    pl.DataFrame([raw(id="3", license="MIT")]).drop("licence").write_parquet(tmp_path / "b.parquet")
    (tmp_path / "deep").mkdir()
    front = "---\ntitle: The Seine\nlicence: CC0-1.0\nsource: a guide\n---\n"
    (tmp_path / "deep" / "seine.md").write_text(f"{front}It flows through Paris.\n", "utf-8")
    (tmp_path / "notes.pdf").write_text("not read")

    read = list(read_passages(str(tmp_path), "samples"))

    assert [each.id for each in read if isinstance(each, Passage)] == [
        "1",
        "2",
        "3",
        "deep/seine.md",
    ]
    last = read[-1]
    assert isinstance(last, Passage)
    assert (last.title, last.text, last.license) == (
        "The Seine",
        "It flows through Paris.",
        "CC0-1.0",
    )


@pytest.mark.parametrize(
    ("changes", "reason", "detail"),
    [
        ({"title": None}, "missing field", "title"),
        ({"licence": None, "source": None}, "missing field", "licence, source"),
        ({"text": " \n"}, "empty field", "text"),
        ({"text": ["a", "b"]}, "not text", "text"),
        ({"licence": "Beerware"}, "unknown licence", "Beerware: not in catalog/licences.yaml"),
        ({"licence": "CC-BY-ND-4.0"}, "licence forbids adaptations", "CC-BY-ND-4.0"),
        (
            {"text": "word " * (MOST_WORDS + 1)},
            "too long",
            f"{MOST_WORDS + 1} words, at most {MOST_WORDS}: split it",
        ),
        ({"text": "城市" * MOST_WORDS}, "too long", "1000 words, at most 500: split it"),
    ],
)
def test_an_unusable_passage_is_kept_with_its_reason(
    changes: dict[str, Any], reason: str, detail: str
) -> None:
    assert refused(passage_of(raw(**changes))) == (reason, detail)


def test_the_second_passage_with_an_id_is_refused(tmp_path: Path) -> None:
    put_passages(tmp_path, raw(), raw(text="Another text about Paris."))

    first, second = read_passages(str(tmp_path), "samples")

    assert isinstance(first, Passage)
    assert first.text == PARIS
    assert refused(second) == ("duplicate id", "p1")


def test_a_text_file_without_front_matter_is_refused(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# About these files\n", "utf-8")
    (tmp_path / "broken.txt").write_text("---\na: [\n---\nText.\n", "utf-8")

    reasons = [refused(each) for each in read_passages(str(tmp_path), "samples")]

    assert reasons[0] == ("no front matter", "README.md")
    assert reasons[1][0] == "no front matter"
    assert "broken.txt: not YAML" in reasons[1][1]


def test_values_of_front_matter_are_text(tmp_path: Path) -> None:
    front = "---\ntitle: 1984\nlicence: CC0-1.0\nsource: 2024-02-30\n---\n"
    (tmp_path / "dated.md").write_text(f"{front}A novel.\n", "utf-8")

    (passage,) = read_passages(str(tmp_path), "samples")

    assert isinstance(passage, Passage)
    assert (passage.title, passage.source) == ("1984", "2024-02-30")


def test_a_dataset_is_read_from_the_seed_source(tmp_path: Path) -> None:
    put_passages(tmp_path / "org" / "facts" / "default", raw(), name="train.jsonl")
    put_passages(tmp_path / "org" / "facts" / "small", raw(id="x"), name="test.jsonl")

    (first,) = read_passages("org/facts", f"mirror:{tmp_path}")
    (second,) = read_passages("org/facts:small:test", f"mirror:{tmp_path}")

    assert isinstance(first, Passage)
    assert isinstance(second, Passage)
    assert (first.id, second.id) == ("p1", "x")


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("/nowhere/at/all", "is neither embedded, nor an existing directory, nor a dataset"),
        ("org/absent", "samples has no org/absent"),
    ],
)
def test_a_wrong_name_is_one_clear_sentence(setting: str, problem: str) -> None:
    with pytest.raises(SeedSourceError, match=problem):
        list(read_passages(setting, "samples"))


def test_an_empty_directory_and_an_unreadable_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(SeedSourceError, match=r"holds no file that ends in \.jsonl"):
        list(read_passages(str(tmp_path), "samples"))
    (tmp_path / "a.parquet").write_bytes(b"no parquet")
    with pytest.raises(SeedSourceError, match=r"a\.parquet: not readable as parquet"):
        list(read_passages(str(tmp_path), "samples"))
