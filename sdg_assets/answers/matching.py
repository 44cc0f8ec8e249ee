"""Which of the given options a phrase names. Never a guess: two named are none chosen."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from sdg_assets.answers.extraction import Phrase, heads
from sdg_assets.answers.labels import labelled, mentioned_labels
from sdg_assets.answers.numbers import Quantity, quantity
from sdg_assets.answers.wording import normalized, tokens, typography, unwrap

# Options that every sentence may hold by chance. They count as a whole answer, or at its end.
_COMMON = {"it", "he", "she", "they", "i", "a", "none", "all", "both", "same", "other", "maybe"}
_ARTICLES = {"a", "an", "the"}
_JOIN = re.compile(
    r"\W*(?:or|and|as\s+well\s+as|nor|oder|und|ou|et|или|и|または|或者?|和|또는|أو|या|বা|/|&)(?!\w)\W*",
    re.IGNORECASE,
)
_DENIED_BEFORE = re.compile(
    r"(?:\bnot|n't|\bcannot\s+be|\bnor|\bneither|\brather\s+than|\binstead\s+of|\bexcept|\bunlike"
    r"|\bnicht|\bkeine?[nrsm]?|\bpas|\bне|不是|并非|不|ليس|ليست|\bno\s+es)"
    r"(?:\s+(?:the|a|an|option|choice|answer|be|necessarily|simply|just))*[\s\"'“(*\[]*$",
    re.IGNORECASE,
)
_DENIED_AFTER = re.compile(
    r"[)\]\"'”*\s]*(?:(?:is|are|was|would\s+be|can(?:\s+be)?|does|do)\s*(?:not\b|n't)"
    r"|(?:is|are|was|would\s+be)\s+(?:incorrect|wrong|false)\b"
    r"|(?:では|じゃ)(?:なく|ない|ありません)|(?:이|가)?\s*아니|\s*(?:नहीं|নয়))",
    re.IGNORECASE,
)
_NEGATION = re.compile(
    r"\b(?:not|no|never|neither|nor|cannot|without|except|unlike|nicht|kein\w*|ohne|pas|sans|sin"
    r"|не|ни|нет|без)\b|n't\b|[不没沒非]|ない|ません|아니|않|\bليس|नहीं|নয়|নেই",
    re.IGNORECASE,
)
_TYPED = (str, lambda text: " ".join(typography(text).casefold().split()))


class Options:
    """The options of a question, ready to be recognized."""

    def __init__(
        self, choices: Sequence[str], synonyms: Iterable[tuple[str, str]] = (), language: str = "en"
    ) -> None:
        """Prepares the options.

        Args:
            choices: Their texts, in the order in which the solver saw them.
            synonyms: Other wordings as (wording, choice): common words, so they count like "yes".
            language: Of the question.
        """
        self.choices = list(choices)
        extra = list(synonyms)
        self._language = language
        self._wordings = [*((c, c) for c in choices), *extra]
        self._common = _COMMON | {normalized(w) for w, _ in extra}
        self._sequences = [(_sequence(text), text, choice) for text, choice in self._wordings]
        # An option that is itself a letter or a number leaves no room for labels of that form.
        self._letters = not any(re.fullmatch(r"\W*[A-Za-z]\W*", c) for c in choices)
        self._numbers = not any(
            re.search(r"\d", typography(c)) or quantity(c, language) for c in choices
        )

    def named(self, phrase: Phrase) -> set[str]:
        """The choices that a phrase names: one if it is clear, several if it is not.

        A phrase that was not stated as the answer counts only as a whole; one that was is searched
        for the options it speaks of, denied ones aside.
        """
        text = unwrap(typography(phrase.text))
        return self._settled(text) or (self._spoken_of(text) if phrase.stated else set())

    def _settled(self, text: str) -> set[str]:
        """The option that the phrase, or its beginning before the explanation, is."""
        for head in heads(text):
            if options := self._is(unwrap(head)):
                return options | self._continued(text[len(head) :])
        return set()

    def _continued(self, rest: str) -> set[str]:
        """Options that go on where the first one ended: "copper, or iron", "A, B"."""
        if joined := _JOIN.match(rest):
            return self._spoken_of(rest[joined.end() :])
        clause = min(heads(rest.lstrip(" ,.;:()[]*-–—/、،")), key=len)
        return self._is(unwrap(clause)) if clause else set()

    def _is(self, text: str) -> set[str]:
        # Before articles are dropped, lest "A. copper" be a copper.
        return self._written(text, _TYPED) or self._labelled(text) or self._worded(text)

    def _worded(self, text: str) -> set[str]:
        """Options of the same words or the same number, by the strictest rule that any meets."""
        asked = quantity(text, self._language)
        return self._written(text, (*_TYPED, partial(normalized, language=self._language))) or {
            choice
            for choice in self.choices
            if asked
            and (number := quantity(choice, self._language))
            and _same_quantity(number, asked)
        }

    def _written(self, text: str, keys: Iterable[Callable[[str], str]]) -> set[str]:
        for key in keys:
            wanted = key(text)
            if wanted and (options := {c for w, c in self._wordings if key(w) == wanted}):
                return options
        return set()

    def _labelled(self, text: str) -> set[str]:
        """The option of a label; one whose text stands behind it must be the same."""
        label = labelled(text, self._numbers) if self._letters else None
        if label is None or not 0 <= label[0] < len(self.choices):
            return set()
        place, rest = label
        by_text = next((f for h in heads(rest) if (f := self._worded(unwrap(h)))), set())
        return {self.choices[place]} | by_text if by_text or not rest else set()

    def _spoken_of(self, text: str) -> set[str]:
        """Options that a sentence holds and does not deny; none if it denies something else."""
        spans = [*self._occurrences(text)]
        if self._letters:
            spans += [
                (start, end, {self.choices[place]}, False)
                for start, end, place in mentioned_labels(text)
                if place < len(self.choices) and not any(s <= start < e for s, e, _, _ in spans)
            ]
        asserted: set[str] = set()
        denied: set[str] = set()
        rest = list(text)
        for start, end, options, _ in spans:
            before, after = text[:start], text[end:]
            negated = _DENIED_BEFORE.search(before), _DENIED_AFTER.match(after)
            rest[start:end] = " " * (end - start)
            if negated[0]:
                rest[negated[0].start() : start] = " " * (start - negated[0].start())
            if negated[1]:
                rest[end : end + negated[1].end()] = " " * negated[1].end()
            (denied if any(negated) else asserted).update(options)
        if _NEGATION.search("".join(rest)):
            return set()
        asserted -= denied
        if not asserted and len(self.choices) == 2 and len(denied) == 1:
            return set(self.choices) - denied
        by_chance = len(asserted) == 1 and all(
            common and re.search(r"\w", text[end:])
            for _, end, options, common in spans
            if options & asserted
        )
        return set() if by_chance else asserted

    def _occurrences(self, text: str) -> Iterator[tuple[int, int, set[str], bool]]:
        """Where options stand in a text, the longest first: (start, end, options, common word)."""
        matches = [m for m in tokens(text) if m[0].lower() not in _ARTICLES]
        words = [m[0].casefold() for m in matches]
        at = 0
        while at < len(words):
            here = [
                (len(sequence), wording, choice)
                for sequence, wording, choice in self._sequences
                if sequence and words[at : at + len(sequence)] == sequence
            ]
            length = max((size for size, _, _ in here), default=0)
            if not length:
                at += 1
                continue
            start, end = matches[at].start(), matches[at + length - 1].end()
            longest = [(w, c) for size, w, c in here if size == length]
            exact = {c for w, c in longest if w == text[start:end]} or {c for _, c in longest}
            yield start, end, exact, normalized(text[start:end]) in self._common
            at += length


def _sequence(text: str) -> list[str]:
    words = [m[0].casefold() for m in tokens(typography(text))]
    return [w for w in words if w not in _ARTICLES] or words


def _same_quantity(left: Quantity, right: Quantity) -> bool:
    return left.value == right.value and (
        left.unit == right.unit
        or ("" in (left.unit, right.unit) and "%" not in (left.unit, right.unit))
    )
