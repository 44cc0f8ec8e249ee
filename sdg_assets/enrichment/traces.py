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
_REFERRING = re.compile(
    r"\W*(?:this|that|these|those|it|its|they|their|he|she|such|which|here|both)\b", re.IGNORECASE
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
    kept = filter(None, (_cleaned(ballot, example) for ballot in agreeing))
    ranked = sorted(dict.fromkeys(kept), key=len)
    middle = len(ranked) // 2
    return ranked[middle:] + ranked[:middle][::-1]


def says_more(trace: str, example: Example) -> bool:
    """Whether a trace says something that question, choices and answer do not."""
    known = " ".join((example.question, *example.choices, example.answer))
    words = _content_words(trace, example.language)
    new = words - _content_words(known, example.language)
    return len(new) >= max(NEW_WORDS, NEW_SHARE * len(words))


def _cleaned(ballot: Ballot, example: Example) -> str:
    """The reasoning of a vote; empty if it is not to be kept."""
    if ballot.completion.finish_reason != "stop":
        return ""
    text = ballot.completion.text.rpartition("</think>")[2].strip()
    if example.answer_kind.policy.trace_holds_answer:
        return text
    text = json_reasoning(text) or text
    if markers.CORRECTING.search(text):
        return ""
    presented = ballot.presented
    text = _without_idle_sentences(text, presented, ballot.answer or example.answer)
    if presented.answer_kind.policy.choices_are_written:
        text = spelled_out(text, presented.choices) or ""
    return text if says_more(text, example) else ""


def _without_idle_sentences(text: str, presented: Example, answer: str) -> str:
    """The text without announcements of the answer, and without idle sentences around it.

    Announcements are left out wherever they are: a reason may follow them.
    """
    kept: list[str] = []
    for sentence in sentences(text):
        sentence = _HEADING.sub("", sentence) if not kept else sentence
        if _announces(sentence, answer, presented):
            # The heading of a list of steps must not become the end of the text before it.
            if kept and "\n" in sentence and "\n" not in kept[-1]:
                kept[-1] = f"{kept[-1].rstrip()}\n"
            continue
        kept.append(sentence)
    while kept and _is_idle(kept[0], presented):
        kept.pop(0)
    while kept and _is_idle(kept[-1], presented):
        kept.pop()
    # "Plant decay makes soil fertile. It …": the answer comes first. What refers back to such a
    # sentence cannot stand without it.
    while kept and _restates(kept[0], presented, answer):
        kept = [] if _REFERRING.match("".join(kept[1:])) else kept[1:]
    text = _BECAUSE.sub("", "".join(kept).strip())
    if presented.answer_kind.policy.choices_are_given:  # "No, it was filmed in Hollywood."
        text = re.sub(rf"^\W*{re.escape(answer)}\s*[,;:.!–—-]\s*", "", text, flags=re.IGNORECASE)
    return _capitalized(text)


def _announces(sentence: str, answer: str, presented: Example) -> bool:
    """Whether a sentence states the answer as such, or is nothing but the answer."""
    words = sentence.strip()
    concluding = markers.CONCLUDING.match(words)
    bare = unwrap(words[concluding.end() :] if concluding else words)
    if normalized(bare, presented.language) == normalized(answer, presented.language):
        return True
    if presented.choices and (label := labelled(bare, numbers=False)) and not label[1]:
        return True
    if _ANSWERING.search(words) or markers.HEADING.search(f"{words}\n"):
        return True
    is_marked = markers.BEFORE.search(words) or markers.AFTER.search(words)
    return bool(is_marked) and not _DENYING.search(words)


def _restates(sentence: str, presented: Example, answer: str) -> bool:
    """Whether a sentence only puts the answer into the words of the question."""
    language = presented.language
    said, answering = _content_words(sentence, language), _content_words(answer, language)
    known = _content_words(" ".join((presented.question, *presented.choices)), language)
    return bool(answering) and answering <= said and len(said - known - answering) < NEW_WORDS


def _is_idle(sentence: str, presented: Example) -> bool:
    """Whether a sentence is only markup, chatter, or an echo of the prompt."""
    words = normalized(sentence, presented.language).split()
    if not any(len(word) > 1 or not word.isascii() for word in words):
        return True
    if _CHATTER.match(sentence.strip()):
        return True
    asked = (presented.question, *presented.choices, "options", "question")
    if " ".join(words) in {normalized(text, presented.language) for text in asked}:
        return True
    # A prompt names the labels that a task gives; `_instructions` is the same for all tasks.
    own = set(words) - set(normalized(" ".join(presented.choices)).split())
    return any(
        own == instruction or (len(own) > 2 and len(own & instruction) >= ECHOED_SHARE * len(own))
        for instruction in _instructions(presented.answer_kind)
    )


@lru_cache(maxsize=64)
def _instructions(kind: AnswerKind) -> tuple[frozenset[str], ...]:
    """The words of each sentence that tells a solver how to answer questions of a kind."""
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
    return tuple(frozenset(normalized(sentence).split()) for sentence in told)


def _content_words(text: str, language: str) -> set[str]:
    """The beginnings of a text's words that carry content, so that inflected forms are equal."""
    words = (word for word in normalized(text, language).split() if word[-1].isalnum())
    return {word[:_STEM] for word in words if word not in _FUNCTION_WORDS}


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]
