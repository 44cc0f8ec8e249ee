"""Faults of a text by itself, whichever part of a row it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sdg_assets.gates import repetition
from sdg_assets.gates.base import true_places

if TYPE_CHECKING:
    import polars as pl

BROKEN = "broken Unicode"
REPEATED = "repeated_share"

# A Unicode `\b` takes Rust's regex off its fast path for every text that is not ASCII.
_B = r"(?-u:\b)"
# UTF-8 that was read as Windows-1252: é became Ã©, ’ became â€™, й became Ð¹.
_CP1252 = "\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"
_NOT_WHOLE = (
    "[\ufffd\\p{Co}\x00-\x08\x0e-\x1f\x7f-\x9f]"
    f"|Ã[{_CP1252}]|â ?€|Â[\u00a0-\u00bf]|ðŸ[{_CP1252}]"
    f"|(?:[ÐÑ][{_CP1252}]){{2}}"
)
_AI = r"(?:ai|artificial intelligence|(?:ai |large )?language model)"
_DEBRIS = "|".join(
    [
        # A model that speaks about itself, or declines.
        rf"{_B}as an? {_AI}{_B}(?:,| i{_B}| model| assistant)",
        rf"{_B}i(?:'m| am) (?:just |only )?an? {_AI}{_B}",
        rf"{_B}i(?:'m| am) sorry,? but i (?:can(?:no|')t|am (?:not able|unable)){_B}",
        rf"{_B}i (?:can(?:no|')t|am (?:not able|unable) to) (?:assist|comply|fulfil|generate)",
        rf"{_B}(?:como una? |como uma |en tant qu(?:e |['’](?:une )?)|come un['’ ]|als (?:eine? )?)"
        rf"(?:ia|ki|(?:modelo|modèle|modello) d[ei] (?:lengua\w+|linguag\w+)|sprachmodell){_B}",
        r"作为(?:一个|一名)?(?:ai|人工智能|语言模型)|(?:ai|人工知能|言語モデル)として",
        r"как языковая модель|(?:ai|인공지능|언어) (?:언어 )?모델로서|كنموذج لغوي",
        # The prompt shows through: its examples, its slots, its markup.
        rf"{_B}(?:did|does|unlike|like|from|in|to|after|of) example [1-9]{_B}",
        rf"{_B}example [1-9] (?:above|asks|did|does|has|mentions|uses|was){_B}",
        rf"{_B}(?:the|these) (?:given|seed|provided) (?:seeds?|examples?){_B}",
        rf"{_B}here(?:'s| is) (?:a |the |your |another )?(?:new|similar|generated|rewritten) "
        r"(?:question|item|example|problem|version)",
        r"\{\{\s*[a-z_][a-z_.]+\s*\}\}|\{%.*%\}|<\|[a-z0-9_]+\|>|\[/?inst\]|<</?sys>>|</?think>",
        r"<｜[^｜<>\n]{1,60}｜>|</?tool_(?:call|response)>|<(?:start|end)_of_turn>|</?s>\s*$",
        r"###\s*(?:instruction|response|human|assistant):",
        rf"\[(?:insert|fill in|placeholder|your (?:answer|question|text)){_B}[^\]\n]{{0,40}}\]",
        rf'{_B}lorem ipsum{_B}|"(?:question|answer|wrong_answers|choices|context)"\s*:',
    ]
)
_FENCE = r"(?m)^[ \t]*(?:```|~~~)"
_COMMAND = (
    r"\\(?:d?frac|sqrt|begin|end|text|mathrm|mathbf|cdot|times|left|right|sum|int|lim|alpha|beta"
    r"|theta|pi|leq?|geq?|neq?|boxed|overline|angle|circ|log|ln|sin|cos|tan|pm|infty|binom)"
    r"(?-u:\b)|\\[(\[]"
)
_ESCAPED = r"\\[\\{}$]"
_PAIRS = (("{", "}"), (r"\(", r"\)"), (r"\[", r"\]"), (r"\begin{", r"\end{"))
_PATTERNS = {BROKEN: _NOT_WHOLE, "prompt debris": f"(?i){_DEBRIS}"}


@dataclass(frozen=True)
class Fault:
    """A fault of a text."""

    reason: str
    detail: str = ""
    scores: dict[str, float] = field(default_factory=dict)


def faults(texts: pl.Series, repeated_share: float) -> Iterator[tuple[int, Fault]]:
    """Every fault of each text.

    Args:
        texts: String.
        repeated_share: The threshold `repeated_share` of `FormatThresholds`.

    Yields:
        (position, fault), the most serious first: `broken Unicode` (a replacement mark, a control
        or private character, or UTF-8 read as Windows-1252), `prompt debris`, `unbalanced code
        fence`, `unbalanced LaTeX`, `repetition`.
    """
    import polars as pl

    text = pl.col("text")
    # One query: each of its own costs as much as testing forty rows.
    marks = texts.to_frame("text").select(
        *(text.str.contains(pattern).alias(reason) for reason, pattern in _PATTERNS.items()),
        fenced=text.str.contains("```|~~~"),
        latex=text.str.contains(_COMMAND),
    )
    for reason, pattern in _PATTERNS.items():
        if places := true_places(marks[reason]):
            hits = texts.gather(places).str.extract(pattern, 0)
            for place, hit in zip(places, hits, strict=True):
                yield place, Fault(reason, _visible(hit))
    if fenced := true_places(marks["fenced"]):
        fences = texts.gather(fenced).str.count_matches(_FENCE)
        odd = [place for place, count in zip(fenced, fences, strict=True) if count % 2]
        yield from _at(odd, Fault("unbalanced code fence"))
    if latex := true_places(marks["latex"]):
        yield from _unbalanced(texts.gather(latex), pl.Series(latex))
    for place, unit in repetition.looping(texts).items():
        yield place, Fault("repetition", _visible(unit))
    for place, share in repetition.repeated_shares(texts):
        if share > repeated_share:
            scores = {REPEATED: round(share, 3)}
            yield place, Fault("repetition", f"{share:.0%} of it is said again", scores)


def _unbalanced(texts: pl.Series, places: pl.Series) -> Iterator[tuple[int, Fault]]:
    bare = texts.str.replace_all(_ESCAPED, "")
    dollars = bare.str.count_matches("$", literal=True) % 2 == 1
    yield from _at(places.gather(dollars.arg_true()), Fault("unbalanced LaTeX", "$"))
    for opening, closing in _PAIRS:
        counts = [bare.str.count_matches(mark, literal=True) for mark in (opening, closing)]
        odd = (counts[0] != counts[1]).arg_true()
        yield from _at(places.gather(odd), Fault("unbalanced LaTeX", f"{opening} {closing}"))


def _at(places: Iterable[int], fault: Fault) -> Iterator[tuple[int, Fault]]:
    for place in places:
        yield place, fault


def _visible(text: str) -> str:
    """A short piece of the text, with invisible characters escaped."""
    return text[:60].encode("unicode_escape").decode() if not text.isprintable() else text[:60]
