from __future__ import annotations

from sdg_assets.teacher.openings import Openings


class Tokenizer:
    """Makes a token of each letter; some tokenizers look across the beginning of a text."""

    def __init__(self, *, looks_across: bool = False) -> None:
        self.looks_across = looks_across
        self.texts: list[str] = []

    def __call__(self, text: str) -> list[int]:
        self.texts.append(text)
        return [ord(letter) for letter in text] + ([0] if self.looks_across else [])


def test_an_opening_that_comes_again_is_tokenized_once() -> None:
    tokenizer = Tokenizer()
    openings = Openings(tokenizer)

    ids = [openings.ids(f"Be brief.|{question}", 9) for question in "abcd"]

    assert ids == [[ord(letter) for letter in f"Be brief.|{question}"] for question in "abcd"]
    assert tokenizer.texts[-2:] == ["|c", "|d"]


def test_an_opening_is_tokenized_whole_where_the_pieces_have_other_ids() -> None:
    tokenizer = Tokenizer(looks_across=True)
    openings = Openings(tokenizer)

    ids = [openings.ids(f"Be brief.|{question}", 9) for question in "abcd"]

    assert ids == [[*map(ord, f"Be brief.|{question}"), 0] for question in "abcd"]
    assert tokenizer.texts[-2:] == ["Be brief.|c", "Be brief.|d"]


def test_a_text_without_an_opening_is_tokenized_whole() -> None:
    tokenizer = Tokenizer()
    openings = Openings(tokenizer)

    assert [openings.ids("a|b", 0) for _ in range(3)] == [[97, 124, 98]] * 3
    assert tokenizer.texts == ["a|b"] * 3
