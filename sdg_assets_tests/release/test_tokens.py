"""Sizes in tokens, counted by a tokenizer of words and by that of a packaged model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sdg_assets.errors import PermanentError
from sdg_assets.records import CuratedExample
from sdg_assets.release import Cut, Release, write_release
from sdg_assets.release import tokens as sizes_module
from sdg_assets.release.tokens import Size, TokenSizes, length_range
from sdg_assets.teacher.tokenizer import NoTokenizer, Tokenizer, tokenizer_of
from sdg_assets_tests.release.test_release import INPUTS, curated_rows
from sdg_assets_tests.release.test_statistics import row
from sdg_assets_tests.support.tokenizers import words_tokenizer


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """A tokenizer that counts words and marks."""
    found = tokenizer_of(str(words_tokenizer(tmp_path_factory.mktemp("tokenizers"))))
    assert isinstance(found, Tokenizer)
    return found


def _texts(task: str, domain: str, use: str = "yes", **texts: str) -> CuratedExample:
    changes = {"text": texts, "commercial_use": use}
    return row(task=task, subtask=task, domain=domain).model_copy(update=changes)


def _cut(root: Path, tokenizer: Tokenizer | NoTokenizer) -> Release[Path]:
    return write_release(root, Cut(INPUTS, tokenizer=tokenizer), curated_rows())


def test_tokens_are_counted_by_family_variant_task_and_domain(words: Tokenizer) -> None:
    sizes = TokenSizes(words)
    sizes.see(_texts("quiz", "trivia", answer_only="one two three", with_context="a b c d e"))
    sizes.see(_texts("quiz", "law", "no", answer_only="one two"))
    sizes.see(_texts("sums", "law", answer_only="one"))
    sizes.finish()

    assert sizes.of_variants() == {"answer_only": Size(3, 6, 4), "with_context": Size(1, 5, 5)}
    assert sizes.by("task")["quiz"]["answer_only"] == Size(2, 5, 3)
    assert sizes.by("domain")["law"] == {"answer_only": Size(2, 3, 1)}
    assert sizes.by("family")["multiple_choice"]["with_context"] == Size(1, 5, 5)
    assert sizes.histogram() == {
        "1": {"answer_only": 1, "with_context": 0},
        "2–3": {"answer_only": 2, "with_context": 0},
        "4–7": {"answer_only": 0, "with_context": 1},
    }


def test_few_texts_wait_at_a_time(words: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes_module, "TEXTS_AT_ONCE", 4)
    sizes = TokenSizes(words)
    for _ in range(11):
        sizes.see(_texts("quiz", "trivia", answer_only="one two three"))
        assert len(sizes._waiting) < 4
    sizes.finish()

    assert sizes.of_variants() == {"answer_only": Size(11, 33, 33)}


def test_ranges_double() -> None:
    assert [length_range(bits) for bits in (0, 1, 2, 11)] == ["0", "1", "2–3", "1,024–2,047"]


def test_manifest_card_and_sources_name_the_tokenizer_and_the_sizes(
    words: Tokenizer, tmp_path: Path
) -> None:
    release = _cut(tmp_path, words)

    entry = json.loads((release.path / "manifest.json").read_text("utf-8"))["tokens"]
    total = entry["variants"]["answer_only"]
    assert entry["tokenizer"] == {"model": "words", "revision": words.revision}
    assert total["texts"] == 80
    assert (
        sum(c["tokens"] for c in entry["cells"] if c["variant"] == "answer_only") == total["tokens"]
    )
    card = (release.path / "README.md").read_text("utf-8")
    assert f"tokenizer of words (revision `{words.revision}`)" in card
    assert f"| all rows |  | {total['tokens']:,} | " in card
    assert "| task | sums | " in card
    assert str(words.file.parent) not in card
    for page, tokens in (
        ("SOURCES.md", total["tokens"]),
        ("commercial/SOURCES.md", total["commercial_tokens"]),
    ):
        assert f"| answer_only | {tokens:,} |" in (release.path / page).read_text("utf-8")


def test_a_variant_that_no_row_has_is_a_dash(words: Tokenizer, tmp_path: Path) -> None:
    rows = [_texts("quiz", "trivia", answer_only="one two three")]
    release = write_release(tmp_path, Cut(INPUTS, tokenizer=words), rows)

    card = (release.path / "README.md").read_text("utf-8")
    assert "| all rows |  | 3 | – | – |" in card
    assert "| 2–3 | 1 | – | – |" in card


def test_without_a_tokenizer_the_release_says_why_nothing_was_counted(tmp_path: Path) -> None:
    release = _cut(tmp_path, tokenizer_of("http://teacher:8000"))

    reason = "the teacher is a server, which does not tell its tokenizer"
    manifest = json.loads((release.path / "manifest.json").read_text("utf-8"))
    assert manifest["tokens"] == {"not_counted": reason}
    card = (release.path / "README.md").read_text("utf-8")
    assert f"Not counted: {reason}." in card
    sources = (release.path / "SOURCES.md").read_text("utf-8")
    assert f"tokens were not counted: {reason}." in sources


def test_another_tokenizer_makes_another_release(words: Tokenizer, tmp_path: Path) -> None:
    assert _cut(tmp_path, words).id != _cut(tmp_path, NoTokenizer("none")).id


def test_a_model_that_is_not_on_this_machine_has_no_tokenizer_at_hand(tmp_path: Path) -> None:
    absent = tokenizer_of("meta-llama/Llama-3.3-70B-Instruct")
    assert isinstance(absent, NoTokenizer)
    assert "meta-llama/Llama-3.3-70B-Instruct is not in the Hub's cache" in absent.reason
    empty = tokenizer_of(str(tmp_path))
    assert isinstance(empty, NoTokenizer)
    assert "has no tokenizer.json" in empty.reason
    with pytest.raises(PermanentError, match="unknown teacher"):
        tokenizer_of("nobody")


def test_a_broken_tokenizer_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    broken = tokenizer_of(str(tmp_path))
    assert isinstance(broken, Tokenizer)
    with pytest.raises(PermanentError, match=r"tokenizer\.json: is no tokenizer"):
        broken.count(["text"])


@pytest.mark.engine
def test_a_packaged_teachers_tokenizer_is_at_hand_once_it_was_fetched() -> None:
    tokenizer = tokenizer_of("smollm2-135m")
    assert isinstance(tokenizer, Tokenizer)
    assert tokenizer.name == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert tokenizer.count(["What is six times seven?", ""]) == [6, 0]
