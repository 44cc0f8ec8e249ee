"""The tokenizer of a model, from the files on this machine; nothing is downloaded."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdg_assets.addresses import addresses_in
from sdg_assets.errors import PermanentError
from sdg_assets.teacher.models import TeacherCard, card_of, packaged_directory

if TYPE_CHECKING:
    import tokenizers

TOKENIZER_FILE = "tokenizer.json"


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer that counts the tokens of texts."""

    name: str
    """Hub id of its model, or the name of its directory: never a path of this machine."""
    revision: str
    """Hub commit, `sha256:…` of a packaged model's file, or `content:…` of its own file."""
    file: Path

    def count(self, texts: Sequence[str]) -> list[int]:
        """The tokens of each text, without those that open or close a document."""
        # encode_batch_fast computes no offsets, which halves the time.
        encoded = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [len(text) for text in encoded]

    @cached_property
    def _tokenizer(self) -> tokenizers.Tokenizer:
        import tokenizers

        try:
            tokenizer = tokenizers.Tokenizer.from_file(str(self.file))
        except Exception as error:  # the library raises nothing more special
            raise PermanentError(f"{self.file}: is no tokenizer ({error})") from error
        # Chat models' files may cut or fill texts to a length.
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer


@dataclass(frozen=True)
class NoTokenizer:
    """No tokenizer is at hand."""

    reason: str


def tokenizer_of(name: str, catalog: Path | None = None) -> Tokenizer | NoTokenizer:
    """Finds a model's tokenizer on this machine.

    Args:
        name: A key of `teachers.yaml`, a hub id (`org/name`, or `org/name@revision`), or a
            directory with a `tokenizer.json`.
        catalog: Directory whose `teachers.yaml` is used instead of the built-in one.

    Returns:
        The tokenizer, or why there is none: the model runs behind a server, or its file is not on
        this machine.

    Raises:
        PermanentError: The name is none of these.
    """
    if "://" in name and addresses_in(name):
        return NoTokenizer("the teacher is a server, which does not tell its tokenizer")
    directory = Path(name).expanduser()
    if directory.is_dir():
        return _in_directory(directory.resolve(), directory.resolve().name)
    card = card_of(name, catalog)
    if Path(card.model).is_absolute():
        return _in_directory(Path(card.model), Path(card.model).name)
    packaged = packaged_directory(card)
    if packaged and (packaged / TOKENIZER_FILE).is_file():
        return Tokenizer(card.model, card.revision, packaged / TOKENIZER_FILE)
    return _in_hub_cache(card)


def _in_directory(directory: Path, name: str) -> Tokenizer | NoTokenizer:
    file = directory / TOKENIZER_FILE
    if not file.is_file():
        return NoTokenizer(f"the directory {name} has no {TOKENIZER_FILE}")
    content = hashlib.sha256(file.read_bytes()).hexdigest()
    return Tokenizer(name, f"content:{content[:12]}", file)


def _in_hub_cache(card: TeacherCard) -> Tokenizer | NoTokenizer:
    from huggingface_hub import try_to_load_from_cache

    revision = card.hub_revision or card.revision
    cached: Any = try_to_load_from_cache(card.model, TOKENIZER_FILE, revision=revision)
    if not isinstance(cached, str):
        return NoTokenizer(
            f"{TOKENIZER_FILE} of {card.model} is not in the Hub's cache of the machine that cut "
            "the release"
        )
    # The cache keeps each snapshot in a directory named after its commit.
    return Tokenizer(card.model, Path(cached).parent.name, Path(cached))
