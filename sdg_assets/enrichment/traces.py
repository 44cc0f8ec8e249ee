"""The traces that may become a row's reasoning: cleaned, selected and put in order.

A training text states the answer after the reasoning, so a trace must lead to it. A 1.5B model
often announces the answer first ("The correct answer is: filter. A filter is …"), repeats its
prompt ("Think of the options by their words."), or says nothing but the question and the answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from sdg_assets.answers import markers
from sdg_assets.answers.extraction import json_reasoning, normalized, sentences, unwrap
from sdg_assets.answers.labels import labelled, spelled_out
from sdg_assets.enrichment.ballot import Ballot
from sdg_assets.enrichment.forms import vote_prompt
from sdg_assets.records import AnswerKind, Example

NEW_SHARE = 0.2
"""Share of a trace's distinct content words that neither question, choices nor answer contain.

A trace below it only repeats them. The context does not count: to quote the evidence is reasoning.
"""
NEW_WORDS = 3
"""Fewest such words: "Rome is the capital of Italy" says too little to be worth a text."""
ECHOED_SHARE = 0.75
"""Share of a sentence's words in one sentence of the prompt, from which on it is an echo of it."""

_ANSWERING = re.compile(r"\\(?:boxed|fbox)\s*\{|</?(?:final_)?answer>", re.IGNORECASE)
_DENYING = re.compile(r"\b(?:not|cannot|isn't|aren't|incorrect|wrong)\b", re.IGNORECASE)
_HEADING = re.compile(
    r"^[\s#*_>-]*(?:(?:the\s+|my\s+)?(?:explanation|reasoning|rationale|justification|solution"
    r"|thoughts?|thinking|steps?|step[- ]by[- ]step(?:\s+\w+)?)[*_\s]*(?::[*_]*|$)\s*)",
    re.IGNORECASE,
)
_BECAUSE = re.compile(
    r"^(?:(?:this|that|it)\s+is\s+)?because\s+|^(?:this|that)\s+is\s+(?:due\s+to\s+the\s+fact\s+)?"
    r"that\s+",
    re.IGNORECASE,
)
# With two numbers in it, a sentence may be a calculation.
_CHATTER = re.compile(
    r"^\W*(?!.*\d\D+\d)(?:to\s+(?:answer|solve|determine)\s+(?:this|the)\b.*"
    r"\b(?:need|must|should|can|let|think|consider)\b"
    r"|the\s+question\s+(?:asks|is\s+asking|is\s+about)\b|i\s+(?:need|have)\s+to\b|i(?:'ll|\s+will)\s"
    r"|i\s+hope\s+(?:this|that|it)|let\s+me\s+know|feel\s+free|please\s+let|sure\b|okay\b"
    r"|(?:let's|let\s+us|we\s+(?:need|have|can)\s+to?)\s+"
    r"(?:think|analy[sz]e|break|solve|go|consider|reason|work|start)\b.*\b(?:step|this|it|options?"
    r"|choices?|problem|question)\b)",
    re.IGNORECASE | re.DOTALL,
)
# It may use the question's own numbers and words: "2 * 16 + 2 * 8 = 48".
_CALCULATION = re.compile(r"\d[^=\n]{0,60}[-+*/×÷^−][^=\n]{0,60}=\s*\S")
_REFERRING = re.compile(
    r"\W*(?:this|that|these|those|it|its|they|their|he|she|such|which|here|both"
    r"|however|but|yet|instead|moreover|additionally|in\s+addition|also|then|so|therefore)\b",
    re.IGNORECASE,
)
# Words of English that carry no content. In other languages all words count.
_FUNCTION_WORDS = frozenset(
    normalized(
        """
    a an the this that these those it its he she they them his her their we our you your i my me
    is are was were be been being am do does did done has have had having can could will would
    shall should may might must not no nor and or but if then so because since as than to of in
    on at by for from with without into onto over under about between through during before
    after above below up down out off there here what which who whom whose when where why how
    all any both each few more most other some such only own same too very just also therefore
    thus hence let us s t re ll ve d answer option options choice choices question correct right
    given need find determine know think step first next finally
    """
    ).split()
)
_STEM = 5
_WRAPPING = 40
"""Most characters of markup and punctuation around an answer or a label that stands alone."""


def candidates(agreeing: Iterable[Ballot], example: Example) -> list[str]:
    """The traces that may become the reasoning of a row, the best first.

    The best one is the shortest of the longer half: complete, but without padding. Then come the
    longer ones, then the shorter ones.

    Args:
        agreeing: The ballots that agree with the row's answer.
        example: The row.

    Returns:
        Cleaned traces, each different. A vote is left out if it is not complete, corrects itself,
        speaks of an ambiguous option label, or says too little that is new (see `NEW_SHARE`).
    """
    asked = _Asked(example)
    kept = filter(None, (_cleaned(ballot, asked) for ballot in agreeing))
    ranked = sorted(dict.fromkeys(kept), key=len)
    middle = len(ranked) // 2
    return ranked[middle:] + ranked[:middle][::-1]


def says_more(trace: str, example: Example) -> bool:
    """Whether a trace says something that question, choices and answer do not."""
    return _Asked(example).is_exceeded_by(trace)


class _Asked:
    """A question as sentences are compared with it: folded once for all votes."""

    def __init__(self, example: Example) -> None:
        self.policy = example.answer_kind.policy
        self.language = example.language
        self.folded_choices = {normalized(c, self.language) for c in example.choices}
        self.echoes = self.folded_choices | {
            normalized(example.question, self.language),
            "options",
            "question",
        }
        self.choice_words = set(" ".join(self.folded_choices).split())
        self.instructions, self.instructing_words = _instructions(example.answer_kind)
        self.answer_words = _content_words(normalized(example.answer, self.language))
        self.known_words = self.answer_words.union(*map(_content_words, self.echoes))

    def is_exceeded_by(self, trace: str) -> bool:
        if _CALCULATION.search(trace):
            return True
        words = _content_words(normalized(trace, self.language))
        return len(words - self.known_words) >= max(NEW_WORDS, NEW_SHARE * len(words))

    def is_restated_by(self, sentence: str, answer: str) -> bool:
        """Whether a sentence only puts the answer into the words of the question."""
        words = _content_words(normalized(sentence, self.language))
        answering = _content_words(normalized(answer, self.language))
        if not answering or not answering <= words or _CALCULATION.search(sentence):
            return False
        return len(words - self.known_words - answering) < NEW_WORDS

    def is_announced_by(self, sentence: str, answer: str, *, is_marked: bool) -> bool:
        """Whether a sentence states the answer as such, or is nothing but the answer.

        Args:
            sentence: The sentence.
            answer: The answer.
            is_marked: Whether the text around it announces an answer anywhere.
        """
        words = sentence.strip()
        concluding = markers.CONCLUDING.match(words)
        bare = words[concluding.end() :] if concluding else words
        if len(bare) <= len(answer) + _WRAPPING:
            bare = unwrap(bare)
            if normalized(bare, self.language) == normalized(answer, self.language):
                return True
            if self.folded_choices and (label := labelled(bare, numbers=False)) and not label[1]:
                return True
        return is_marked and _is_announcement(words)

    def is_idle(self, sentence: str) -> bool:
        """Whether a sentence is only markup, chatter, or an echo of the prompt."""
        folded = normalized(sentence, self.language)
        words = folded.split()
        if not any(len(word) > 1 or not word.isascii() for word in words):
            return True
        if folded in self.echoes or _CHATTER.match(sentence.strip()):
            return True
        # A prompt names the labels that a task gives; the instructions are the same for all tasks.
        own = set(words) - self.choice_words
        # A quick test: most sentences share few words with all instructions together.
        if len(own & self.instructing_words) < ECHOED_SHARE * len(own):
            return False
        return any(
            own == told or (len(own) > 2 and len(own & told) >= ECHOED_SHARE * len(own))
            for told in self.instructions
        )


def _cleaned(ballot: Ballot, asked: _Asked) -> str:
    """The reasoning of a vote; empty if it is not to be kept."""
    if ballot.completion.finish_reason != "stop" or ballot.answer is None:
        return ""
    text = ballot.completion.text.rpartition("</think>")[2].strip()
    if asked.policy.trace_holds_answer:
        return text
    text = json_reasoning(text) or text
    if markers.CORRECTING.is_in(text):
        return ""
    text = _without_idle_sentences(text, ballot.answer, asked)
    if asked.policy.choices_are_written:
        text = spelled_out(text, ballot.presented.choices) or ""
    return text if asked.is_exceeded_by(text) else ""


def _without_idle_sentences(text: str, answer: str, asked: _Asked) -> str:
    """The text without announcements of the answer, and without idle sentences around it.

    Announcements are left out wherever they are: a reason may follow them.
    """
    kept: list[str] = []
    is_marked, said = _is_marked(text), _HEADING.sub("", text)
    for sentence in sentences(text):
        sentence = _HEADING.sub("", sentence) if not kept else sentence
        if asked.is_announced_by(sentence, answer, is_marked=is_marked):
            # The heading of a list of steps must not become the end of the text before it.
            if kept and "\n" in sentence and "\n" not in kept[-1]:
                kept[-1] = f"{kept[-1].rstrip()}\n"
            continue
        kept.append(sentence)
    while kept and asked.is_idle(kept[0]):
        kept.pop(0)
    while kept and asked.is_idle(kept[-1]):
        kept.pop()
    while kept and asked.is_restated_by(kept[0], answer):
        kept.pop(0)
    text = _BECAUSE.sub("", "".join(kept).strip())
    # "Plant decay makes soil fertile. It …" cannot stand without its first sentence.
    if _REFERRING.match(text) and not said.startswith(kept[0].strip()):
        return ""
    if asked.policy.choices_are_given:  # "No, it was filmed in Hollywood."
        text = re.sub(rf"^\W*{re.escape(answer)}\s*[,;:.!–—-]\s*", "", text, flags=re.IGNORECASE)
    return text[:1].upper() + text[1:]


def _is_marked(text: str) -> bool:
    """Whether a text announces an answer, or has a heading or a box for it."""
    announcing = (markers.BEFORE, markers.AFTER, markers.HEADING)
    return any(marker.is_in(text) for marker in announcing) or bool(_ANSWERING.search(text))


def _is_announcement(sentence: str) -> bool:
    if _ANSWERING.search(sentence) or markers.HEADING.is_in(f"{sentence}\n"):
        return True
    is_marked = markers.BEFORE.is_in(sentence) or markers.AFTER.is_in(sentence)
    return is_marked and not _DENYING.search(sentence)


@lru_cache(maxsize=64)
def _instructions(kind: AnswerKind) -> tuple[tuple[frozenset[str], ...], frozenset[str]]:
    """How solvers are told to answer questions of a kind: the words of each sentence, and all."""
    prompts = {
        vote_prompt(kind, teacher_class, form)
        for teacher_class in ("small", "strong", "thinking")
        for form in ("free", "constrained")
    }
    texts = [
        prompt.render(context="", question="", choices=[], tests=[])[0].content
        for prompt in prompts
    ]
    told = {sentence for text in texts for sentence in sentences(text)}
    sentence_words = tuple(frozenset(normalized(sentence).split()) for sentence in told)
    return sentence_words, frozenset().union(*sentence_words)


def _content_words(folded: str) -> set[str]:
    """The beginnings of a text's words that carry content, so that inflected forms are equal."""
    return {
        word[:_STEM]
        for word in folded.split()
        if word not in _FUNCTION_WORDS and word[-1].isalnum()
    }
