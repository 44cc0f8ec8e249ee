"""A tokenizer that a test makes."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace


def words_tokenizer(place: Path) -> Path:
    """A directory `words` with a tokenizer of words and marks, which would cut texts to two."""
    directory = place / "words"
    directory.mkdir()
    tokenizer = Tokenizer(WordLevel({"?": 0}, unk_token="?"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.enable_truncation(2)
    tokenizer.save(str(directory / "tokenizer.json"))
    return directory
