"""Answer-equivalence models in the judge's place: how each family is asked, and what it answers.

A verifier was trained on one prompt and one form of answers. The card of its model names the
family (`verifier:` in `teachers.yaml`), and the family names the prompt and the reader below.

- `compassverifier`: CompassVerifier 3B, 7B and 32B (github.com/open-compass/CompassVerifier, and
  arXiv:2508.03686) answer A, B or C for correct, incorrect and invalid. A chain of thought ends in
  `boxed{A}`.
- `xverify`: xVerify (github.com/IAAR-Shanghai/xVerify, and arXiv:2504.10481) answers Correct or
  Incorrect. It has no verdict for an invalid answer.

The published prompts are licensed CC BY-SA 4.0 and CC BY-NC-ND 4.0, under which this project
cannot pass them on. The templates in `teacher/prompts/judge` are its own words for the same task.
They keep what the models were trained on: one user turn, the marks of its fields, the labels.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sdg_assets.records import VerdictWord, VerifierFamily
from sdg_assets.teacher.prompts import Prompt
from sdg_assets.teacher.requests import Message

_LETTERS: Mapping[str, VerdictWord] = {"A": "correct", "B": "incorrect", "C": "invalid"}
_WORDS: Mapping[str, VerdictWord] = {
    "correct": "correct",
    "incorrect": "incorrect",
    "invalid": "invalid",
    # The chain of thought has a word for each kind of invalid answer.
    "incomplete": "invalid",
    "repetitive": "invalid",
    "refusal": "invalid",
}
_BOXED = re.compile(r"\\?boxed\s*\{\s*(?:\\text\s*\{)?\s*([ABC])\s*\}?\s*\}")
_CONCLUSION = re.compile(r"final\s+judg(?:e?ment)\s*:", re.IGNORECASE)
_BARE = re.compile(r"[\s\[\](){}<>*_`\"'“”.:-]+")
_FIRST_CORRECT_ONLY = re.compile(r"[\s\[\](){}*_`\"'“”.]+")


@dataclass(frozen=True)
class OneTurn:
    """A prompt as one user turn: verifiers are trained without a system turn."""

    prompt: Prompt

    @property
    def version(self) -> str:
        """The version of the prompt."""
        return self.prompt.version

    def render(self, **values: Any) -> tuple[Message, ...]:  # noqa: ANN401 – template variables
        """Renders the instructions and the answers to compare."""
        parts = [message.content for message in self.prompt.render(**values)]
        return (Message(role="user", content="\n".join(parts)),)


@dataclass(frozen=True)
class Verifier:
    """How a family of verifiers is asked, and how its answer is read."""

    prompt: OneTurn
    read: Callable[[str], VerdictWord]
    """The verdict in an answer; `unreadable` if the answer states none, or two."""


def read_compassverifier(text: str) -> VerdictWord:
    """The verdict in an answer of CompassVerifier, with or without a chain of thought.

    The last `boxed{}` counts. Otherwise the whole answer, or the part after "Final Judgment:",
    must consist of letter and word of one verdict. Letters in running text never count: "A
    candidate …" is no verdict.
    """
    if boxed := _BOXED.findall(text):
        return _LETTERS[boxed[-1]]
    stated = {
        _LETTERS.get(part) or _WORDS.get(part.lower()) or "unreadable"
        for part in _BARE.split(_CONCLUSION.split(text)[-1])
        if part
    }
    return stated.pop() if len(stated) == 1 else "unreadable"


def read_xverify(text: str) -> VerdictWord:
    """The verdict in an answer of xVerify: one of its two words, with or without brackets."""
    word = _FIRST_CORRECT_ONLY.sub(" ", text).strip().lower()
    return _WORDS[word] if word in ("correct", "incorrect") else "unreadable"


VERIFIERS: Mapping[VerifierFamily, Verifier] = {
    "compassverifier": Verifier(OneTurn(Prompt("judge/compassverifier")), read_compassverifier),
    "xverify": Verifier(OneTurn(Prompt("judge/xverify")), read_xverify),
}
