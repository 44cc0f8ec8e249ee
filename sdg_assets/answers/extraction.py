r"""Finds the final answer in free text. Shared by the answer kinds.

An answer is announced ("the answer is", `\boxed{}`, JSON, in any of the languages of `markers`),
or it is the last line. The last readable announcement counts, because a trace may correct itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sdg_assets.answers import markers
from sdg_assets.answers.wording import normalized, unwrap, with_last_stop

__all__ = [
    "Phrase",
    "after_thinking",
    "code_blocks",
    "conclusion",
    "heads",
    "json_answer",
    "json_reasoning",
    "last_sentence",
    "normalized",
    "phrases",
    "sentences",
    "unwrap",
]

# Limits, because a looping completion announces thousands of answers, or one that never ends.
_MOST_ANNOUNCED = 8
_LONGEST = 4000
_OBJECT = re.compile(r"\{\s*\"")
_DECODER = json.JSONDecoder(parse_float=str)
_BLANKS = re.compile(r"[\s_]")
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_TAG = re.compile(r"<(?:final_)?answer>(.*?)</(?:final_)?answer>", re.IGNORECASE | re.DOTALL)
# Not the powers of 2**3 + 4**5. A line that ends in "is **48**." kept half of its stars.
_BOLD = re.compile(r"(?<![\w*])\*\*(?=\S)([^*\n]+?)(?<=\S)\*\*(?![\w*])")
_MARKUP = re.compile(r"</?(?:b|i|u|em|strong|span|p|br|div)\b[^<>]*>", re.IGNORECASE)
_LOOP = re.compile(r"(\s)\1{9,}")
_FENCE = re.compile(
    r"^[ \t]*(?P<fence>```+|~~~+)[ \t]*(?P<language>[\w+#-]*)[^\n]*\n(?P<body>.*?)"
    r"(?:^[ \t]*(?P=fence)[ \t]*$|\Z)",
    re.DOTALL | re.MULTILINE,
)
_SUPPOSED = re.compile(
    r"\b(?:if|whether|suppose|assum\w+|unless|when)(?:\s+that)?(?:\s+the)?(?:\s+\w+)?\s*$",
    re.IGNORECASE,
)
_DISPLAY = re.compile(r"(\$\$|\\\[)(.+?)(?:\$\$|\\\])", re.DOTALL)


_STOP = re.compile(r"[.!?…][\"'”’»)\]*_]*\s+|[。\uff01\uff1f।؟]\s*|\n\s*")
# A full stop after these ends no sentence: an initial (but "it is B."), an abbreviation, the number
# of a step.
_UNENDED = re.compile(
    r"(?:^|(?<!\bis)(?<!\bbe)(?<!option)(?<!choice)(?<!answer)[\s(])[A-Z]$"
    r"|(?:^|[\s(])(?:St|Mr|Mrs|Ms|Dr|vs|e\.g|i\.e|approx|No)$|^[\s*_#>(-]*(?:step\s+)?\d{1,2}$"
)


@dataclass(frozen=True)
class Phrase:
    """A few words that may hold the answer.

    Attributes:
        text: The words, unwrapped.
        stated: Whether they were announced as the answer; otherwise they are just the last line.
        concludes: Whether the last line only begins like a conclusion ("So …").
    """

    text: str
    stated: bool
    concludes: bool = False


def conclusion(text: str) -> str:
    """The part of a completion that counts: after its thinking and its last self-correction."""
    text = after_thinking(text)
    corrections = list(markers.CORRECTING.finditer(text))
    return text[corrections[-1].end() :] if corrections else text


def after_thinking(text: str) -> str:
    """The completion without its thinking, HTML tags, and loops of blank lines."""
    text = _MARKUP.sub("", text.rpartition("</think>")[2])
    return _LOOP.sub(r"\1\1", text)


def phrases(text: str, keeps: str = "") -> Iterator[Phrase]:
    """The phrases that may hold the final answer, the most reliable first.

    Args:
        text: A completion.
        keeps: See `unwrap`.

    Yields:
        The announced phrases, the last announcement first; then the last line.
    """
    text = _BOLD.sub(r"\1", conclusion(text))
    for _, words in sorted(_announced(text, keeps), key=lambda announced: -announced[0]):
        if words := unwrap(words, keeps):
            yield Phrase(words, stated=True)
    lines = [line for line in text.splitlines() if line.strip().strip("`*_#-")]
    if lines:
        last = unwrap(lines[-1], keeps)
        concluding = markers.CONCLUDING.match(last)
        if concluding:
            yield Phrase(unwrap(last[concluding.end() :], keeps), stated=True, concludes=True)
        yield Phrase(last, stated=False)


def _announced(text: str, keeps: str) -> Iterator[tuple[int, str]]:
    """The last announcements of each form, as (position, announced words)."""
    for mark in (*_last(markers.BEFORE, text), *_last(markers.HEADING, text)):
        if not _SUPPOSED.search(text[max(0, mark.start() - 40) : mark.start()]):
            rest = text[mark.end() : mark.end() + _LONGEST]
            # On a new line a dash is a list marker; directly after "Answer:" it is a minus.
            rest = re.sub(r"^-\s+", "", rest) if "\n" in mark[0] else rest
            yield mark.start(), _opening(rest, keeps)
    for mark in _last(markers.AFTER, text):
        words = markers.SENTENCE.split(text[max(0, mark.start() - 300) : mark.start()])[-1]
        concluding = markers.CONCLUDING.match(words)
        yield mark.start(), words[concluding.end() :] if concluding else words
    for mark in _last(_TAG, text) if "<" in text else ():
        yield mark.start(), mark[1]
    for mark in _last(_BOX, text) if "\\" in text else ():
        if (content := _braced(text[mark.end() : mark.end() + _LONGEST])) is not None:
            yield mark.start(), _formula(content)
    if (value := json_answer(text)) is not None:
        # Ranked as the last one: markers inside the object's own texts must not come after it.
        yield len(text), value
    if explained := markers.EXPLAINED.match(text.lstrip()):
        yield -1, explained["answer"]


def _last(pattern: re.Pattern[str] | markers.Marker, text: str) -> list[re.Match[str]]:
    return list(pattern.finditer(text))[-_MOST_ANNOUNCED:]


def _opening(rest: str, keeps: str) -> str:
    """The first line after a marker; a displayed formula or a fenced block counts as one line."""
    rest = rest.strip()
    if displayed := _DISPLAY.match(rest):
        return _formula(displayed[2].strip())
    if fenced := _FENCE.match(rest):
        return fenced["body"]
    line = unwrap(rest.splitlines()[0], keeps) if rest else ""
    return _formula(markers.COPULA.sub("", line))


def _formula(content: str) -> str:
    """A formula, so that another `unwrap` takes its factorial for no exclamation."""
    return f"\\({content}\\)" if content.endswith("!") else content


def sentences(text: str) -> Iterator[str]:
    """The sentences and lines of a text, each with the white space after it."""
    start = 0
    for stop in _STOP.finditer(text):
        is_unended = stop[0][0] == "." and _UNENDED.search(text[start : stop.start()])
        if not is_unended:
            yield text[start : stop.end()]
            start = stop.end()
    if start < len(text):
        yield text[start:]


def last_sentence(text: str) -> str:
    """The last sentence of a completion that has words; empty if it has none."""
    spoken = [sentence for sentence in sentences(conclusion(text)) if re.search(r"\w", sentence)]
    return spoken[-1].strip() if spoken else ""


def heads(text: str) -> Iterator[str]:
    """An answer, then its beginnings, longest first, each cut where an explanation may begin."""
    yield text
    for reason in reversed(list(markers.REASONS.finditer(text))[:12]):
        if head := text[: reason.start()].rstrip():
            yield with_last_stop(head) if text[reason.start()] == "." else head


def _braced(text: str) -> str | None:
    """The text before its closing brace; the opening brace is just before the text.

    None if no brace closes it.
    """
    depth = 1
    for position, char in enumerate(text):
        if char in "{}" and text[position - 1 : position] != "\\":
            depth += 1 if char == "{" else -1
        if depth == 0:
            return text[:position].strip()
    return None


def json_answer(text: str) -> str | None:
    """The `final_answer` or `answer` of the last JSON object that has one; None without one."""
    answering = _answering_object(text)
    return answering[0] if answering else None


def json_reasoning(text: str) -> str | None:
    """The `reasoning` beside the answer that `json_answer` returns; None without one."""
    answering = _answering_object(text)
    reasoning = answering[1].get("reasoning") if answering else None
    return reasoning if isinstance(reasoning, str) else None


# Read once for a vote's answer, and again, a batch of rows later, for its reasoning.
@lru_cache(maxsize=1 << 10)
def _answering_object(text: str) -> tuple[str, dict[str, Any]] | None:
    """The last JSON object with an answer, as (answer, items by lower-case key)."""
    if "{" not in text:
        return None
    # One brace at the beginning: a constrained vote. To search for braces takes a tenth of a vote.
    if text[0] == "{" and text.find("{", 1) < 0:
        openings = [0] if _OBJECT.match(text) else []
    else:
        openings = [opening.start() for opening in reversed(_last(_OBJECT, text))]
    for opening in openings:
        try:
            value, _ = _DECODER.raw_decode(text, opening)
        except (ValueError, RecursionError):
            continue
        keys = {_BLANKS.sub("", str(key)).lower(): item for key, item in value.items()}
        answer = keys.get("finalanswer", keys.get("answer"))
        if isinstance(answer, str | int | float):
            return str(answer).lower() if isinstance(answer, bool) else str(answer), keys
    return None


def code_blocks(text: str) -> list[tuple[str, str]]:
    """Fenced blocks as (language, body), in order. An unclosed last block counts."""
    return [(f["language"].lower(), f["body"].strip("\n")) for f in _FENCE.finditer(text)]
