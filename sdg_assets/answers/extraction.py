"""Finding the final answer in free text. Shared by the answer kinds."""

from __future__ import annotations

import json
import re
import unicodedata

# "the answer is X", "Answer: X", "**Final answer:** X" – the last one counts: a trace may correct
# itself. The value may stand on the next line.
_MARKER = re.compile(
    r"(?:final\s+answer|answer|correct\s+(?:option|choice))\s*(?:is|:|=|->|→)+\s*[:*_`\s]*",
    re.IGNORECASE,
)
_FENCE = re.compile(r"```[ \t]*(?:[A-Za-z0-9_+-]+)?[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)


def marked_answer(text: str) -> str | None:
    """The first line after the last answer marker, without Markdown around it."""
    found = list(_MARKER.finditer(text))
    if not found:
        return None
    rest = text[found[-1].end() :].strip()
    line = rest.splitlines()[0] if rest else ""
    return unwrap(line) or None


def boxed(text: str) -> str | None:
    r"""The content of the last \boxed{…}, braces balanced."""
    start = max(text.rfind("\\boxed{"), text.rfind("\\fbox{"))
    if start < 0:
        return None
    begin = text.index("{", start) + 1
    depth = 1
    for position in range(begin, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return text[begin:position].strip()
    return None


def json_answer(text: str) -> str | None:
    """The `answer` of the last JSON object in the text."""
    for start in reversed([m.start() for m in re.finditer(r"\{", text)]):
        try:
            value, _ = json.JSONDecoder().raw_decode(text, start)
        except json.JSONDecodeError:
            continue
        if isinstance(value, dict) and isinstance(value.get("answer"), str | int | float | bool):
            answer = value["answer"]
            return str(answer).lower() if isinstance(answer, bool) else str(answer)
    return None


def code_block(text: str) -> str | None:
    """The last fenced block."""
    blocks = _FENCE.findall(text)
    return str(blocks[-1]).strip("\n") if blocks else None


def last_line(text: str) -> str | None:
    """The last line that is not empty."""
    lines = [line for line in text.splitlines() if line.strip()]
    return unwrap(lines[-1]) if lines else None


def unwrap(text: str) -> str:
    """Takes Markdown emphasis, quotes, math delimiters and a final full stop off an answer."""
    previous = None
    while text != previous:
        previous = text
        text = text.strip().strip("*_`").strip()
        if len(text) > 1 and (text[0], text[-1]) in {
            ('"', '"'), ("'", "'"), ("“", "”"), ("‘", "’"), ("«", "»"), ("$", "$"),
        }:  # fmt: skip
            text = text[1:-1]
        for opening, closing in (("\\(", "\\)"), ("\\[", "\\]")):
            if text.startswith(opening) and text.endswith(closing):
                text = text[2:-2]
        text = text.removeprefix("- ").rstrip()
        if text.endswith((".", "。", "।", "؟")) and not text.endswith(".."):
            text = text[:-1]
    return text


def normalized(text: str) -> str:
    """Text for identity: NFKC, casefolded, punctuation and articles aside (SQuAD's rule).

    Source: the SQuAD evaluation script's `normalize_answer`, made Unicode-aware.
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    text = "".join(
        " " if unicodedata.category(c)[0] in "PZC" and c not in "%+-" else c for c in text
    )
    words = [w for w in text.split() if w not in {"a", "an", "the"}]
    return " ".join(words) or text.strip()
