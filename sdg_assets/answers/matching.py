"""Finds the options that a phrase names. Never guesses: a phrase that names two chooses none."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from sdg_assets.answers.extraction import Phrase, heads
from sdg_assets.answers.labels import labelled, mentioned_labels
from sdg_assets.answers.numbers import Quantity, quantity
from sdg_assets.answers.wording import (
    FORMAL,
    comparable,
    marks_of,
    normalized,
    tokens,
    typography,
    unwrap,
)

# Options that may occur in any sentence by chance. They count only as the whole answer or at the
# end of a sentence.
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
# A sentence that leaves it open whether it holds.
_OPEN = re.compile(
    r"\?|\b(?:if|whether|unless|suppose|assum\w+|might|may|maybe|could|would|perhaps|possibly"
    r"|probably|likely|seems?|appears?|either|or|other|others|instead|unlike|except|than)\b",
    re.IGNORECASE,
)
_FARTHEST_DENIAL = 80
"""Most characters before an option in which its denial may begin. Searching all of the text before
each option took 3 s for a completion that repeats "是" 8,000 times."""
_SHORTEST_MEANT = 5
"""Fewest characters of an option that a sentence can state in passing; shorter ones are chance."""
_MOST_INSERTED = 3
"""Most words between the words of an option in a sentence that states it: "is [initially] …"."""
_TYPED = (str, lambda text: " ".join(typography(text).casefold().split()))


class Options:
    """The options of a question, prepared for matching."""

    def __init__(
        self, choices: Sequence[str], synonyms: Iterable[tuple[str, str]] = (), language: str = "en"
    ) -> None:
        """Prepares the options.

        Args:
            choices: Texts of the options, in the order in which the solver saw them.
            synonyms: Other wordings as (wording, choice). Treated as common words, like "yes".
            language: The language of the question.
        """
        self.choices = list(choices)
        self.marks = marks_of(choices)
        synonym_pairs = list(synonyms)
        self._language = language
        self._wordings = [*((c, c) for c in choices), *synonym_pairs]
        self._common = _COMMON | {normalized(w) for w, _ in synonym_pairs}
        self._sequences = [(_sequence(text), text, choice) for text, choice in self._wordings]
        # If an option is itself a letter (or a number), letters (or numbers) cannot be labels.
        self._letters = not any(re.fullmatch(r"\W*[A-Za-z]\W*", c) for c in choices)
        self._numbers = not any(
            re.search(r"\d", typography(c)) or quantity(c, language) for c in choices
        )

    def named(self, phrase: Phrase) -> set[str]:
        """The choices that a phrase names: one if the phrase is clear, several if it is not.

        An unannounced phrase (the last line) must be an option as a whole. An announced answer is
        also searched for options that it mentions without denying them.
        """
        text = unwrap(typography(phrase.text), FORMAL)
        return self._whole_or_head(text) or (self._asserted(text) if phrase.stated else set())

    def meant(self, sentence: str) -> str | None:
        """The one choice that a plain sentence states, as it is or with a few words inserted.

        Args:
            sentence: The last sentence of a text that announces no answer.

        Returns:
            None if the sentence mentions several choices or none, denies anything, or leaves it
            open whether it holds.
        """
        text = unwrap(typography(sentence))
        spans = [*self._occurrences(text)]
        outside = list(text)
        for start, end, _, _ in spans:
            outside[start:end] = " " * (end - start)
        if _OPEN.search("".join(outside)) or _NEGATION.search("".join(outside)):
            return None
        mentioned = set[str]().union(*(options for _, _, options, _ in spans))
        if len(mentioned) > 1:
            return None
        stated = mentioned or self._scattered(text)
        if len(stated) != 1:
            return None
        (choice,) = stated
        key = normalized(choice, self._language)
        by_chance = len(key) < _SHORTEST_MEANT or key in self._common or key.isdecimal()
        return None if by_chance and not _equates(text, choice) else choice

    def opening(self, text: str, *, whole: bool) -> str | None:
        """The one choice that a text begins with.

        Args:
            text: A text that announces no answer.
            whole: Whether the choice must be the whole first line; otherwise an explanation may
                follow it ("No, because …").

        Returns:
            None if the first line is no choice, or if another line is another choice.
        """
        lines = [unwrap(typography(line)) for line in text.splitlines() if re.search(r"\w", line)]
        keys = (*_TYPED, partial(comparable, language=self._language))
        if not lines:
            return None
        first = [lines[0]] if whole else heads(lines[0])
        named = next(
            (options for head in first if (options := self._same_key(unwrap(head), keys))), None
        )
        others = set[str]().union(*(self._same_key(line, keys) for line in lines[1:]))
        return named.pop() if named and len(named | others) == 1 else None

    def _scattered(self, text: str) -> set[str]:
        """The choices whose words a text has in order, with at most `_MOST_INSERTED` others.

        A word may stand in the other number: "contact lenses" for "contact lens".
        """
        words = [m[0].casefold() for m in tokens(text) if m[0].lower() not in _ARTICLES]
        return {
            choice
            for sequence, _, choice in self._sequences
            if sequence
            and any(
                _begins_with(words[at:], sequence, len(sequence) + _MOST_INSERTED)
                for at, word in enumerate(words)
                if _same_word(word, sequence[0])
            )
        }

    def _whole_or_head(self, text: str) -> set[str]:
        """The option that equals the phrase, or the phrase's beginning before an explanation."""
        for head in heads(text):
            if options := self._equal_to(unwrap(head, FORMAL)):
                return options | self._continued(text[len(head) :])
        return set()

    def _continued(self, rest: str) -> set[str]:
        """Further options directly after the first one: "copper, or iron", "A, B"."""
        if joined := _JOIN.match(rest):
            return self._asserted(rest[joined.end() :])
        clause = min(heads(rest.lstrip(" ,.;:()[]*-–—/、،")), key=len)
        return self._equal_to(unwrap(clause)) if clause else set()

    def _equal_to(self, text: str) -> set[str]:
        # Labels come before folding drops articles: otherwise "A. copper" reads as "a copper".
        return self._same_key(text, _TYPED) or self._labelled(text) or self._worded(text)

    def _worded(self, text: str) -> set[str]:
        """Options with the same words or the same number, by the strictest rule that matches."""
        text_number = quantity(text, self._language)
        keys = (*_TYPED, partial(comparable, language=self._language), self._unordered)
        return self._same_key(text, keys) or {
            choice
            for choice in self.choices
            if text_number
            and (number := quantity(choice, self._language))
            and _same_quantity(number, text_number)
        }

    def _unordered(self, text: str) -> str:
        """The parts of a pair in a fixed order: "skeletal and muscular" is the same pair."""
        return " and ".join(sorted(comparable(text, self._language).split(" and ")))

    def _same_key(self, text: str, keys: Iterable[Callable[[str], str]]) -> set[str]:
        for key in keys:
            text_key = key(text)
            if text_key and (options := {c for w, c in self._wordings if key(w) == text_key}):
                return options
        return set()

    def _labelled(self, text: str) -> set[str]:
        """The option of a label. If the text after the label names another option, both."""
        label = labelled(text, self._numbers) if self._letters else None
        if label is None or not 0 <= label[0] < len(self.choices):
            return set()
        place, rest = label
        by_text = next((f for h in heads(rest) if (f := self._worded(unwrap(h)))), set())
        return {self.choices[place]} | by_text if by_text or not rest else set()

    def _asserted(self, text: str) -> set[str]:
        """Options that a sentence mentions and does not deny; none if it denies anything else."""
        spans = [*self._occurrences(text)]
        if self._letters:
            inside = {at for start, end, _, _ in spans for at in range(start, end)}
            spans += [
                (start, end, {self.choices[place]}, False)
                for start, end, place in mentioned_labels(text)
                if place < len(self.choices) and start not in inside
            ]
        asserted: set[str] = set()
        denied: set[str] = set()
        rest = list(text)
        for start, end, options, _ in spans:
            negated = (
                _DENIED_BEFORE.search(text, max(0, start - _FARTHEST_DENIAL), start),
                _DENIED_AFTER.match(text, end),
            )
            begin = negated[0].start() if negated[0] else start
            after = negated[1].end() if negated[1] else end
            rest[begin:after] = " " * (after - begin)
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
        """Where a text mentions options: (start, end, options, whether it is a common word).

        At each position the longest match counts.
        """
        matches = [m for m in tokens(text) if m[0].lower() not in _ARTICLES]
        words = [m[0].casefold() for m in matches]
        at = 0
        while at < len(words):
            matching = [
                (len(sequence), wording, choice)
                for sequence, wording, choice in self._sequences
                if sequence and words[at : at + len(sequence)] == sequence
            ]
            length = max((size for size, _, _ in matching), default=0)
            if not length:
                at += 1
                continue
            start, end = matches[at].start(), matches[at + length - 1].end()
            longest = [(w, c) for size, w, c in matching if size == length]
            exact = {c for w, c in longest if w == text[start:end]} or {c for _, c in longest}
            yield start, end, exact, normalized(text[start:end]) in self._common
            at += length


def _sequence(text: str) -> list[str]:
    words = [m[0].casefold() for m in tokens(typography(text))]
    return [w for w in words if w not in _ARTICLES] or words


def _begins_with(words: Sequence[str], sequence: Sequence[str], most: int) -> bool:
    """Whether the first `most` words contain the sequence in order."""
    rest = iter(words[:most])
    return all(any(_same_word(word, other) for other in rest) for word in sequence)


def _equates(sentence: str, choice: str) -> bool:
    """Whether a sentence ends in "is" and the choice."""
    ending = rf"\b(?:is|are|was|were)\s+(?:(?:an?|the)\s+)?{re.escape(choice)}\W*$"
    return re.search(ending, sentence, re.IGNORECASE) is not None


def _same_word(left: str, right: str) -> bool:
    """Whether two words are equal, or one is the English plural of the other."""
    short, long = sorted((left, right), key=len)
    return short == long or (len(short) > 2 and long in (f"{short}s", f"{short}es"))


def _same_quantity(left: Quantity, right: Quantity) -> bool:
    return left.value == right.value and (
        left.unit == right.unit
        or ("" in (left.unit, right.unit) and "%" not in (left.unit, right.unit))
    )
