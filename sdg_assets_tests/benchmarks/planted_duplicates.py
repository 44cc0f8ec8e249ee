"""Real questions among which near-duplicates and hard negatives are planted.

Every planted row is made from a real one, which stays as the better row. There are five classes of
duplicates, of equal size:

- surface: the same words with another typography: all capitals, no capitals, doubled spaces, curly
  quotes, or without the final punctuation mark;
- wrapper: the question inside one of `WRAPPERS`;
- 5, 10, 25 % edits: this share of the words of passage and question, at least one, are each
  replaced by a random word of the other questions, deleted, or followed by a random word. Words
  with digits stay.

Answer and choices stay. A hard negative is a question with one number changed and another answer: a
changed number, or another right choice. Other answer kinds have no hard negatives.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sdg_assets.catalog import load_catalog
from sdg_assets.errors import SeedSourceError
from sdg_assets.records import AnswerKind, Example
from sdg_assets.signatures.shingles import exact_text
from sdg_assets.stages.normalized import normalize
from sdg_assets.stages.seeds import collect_seeds
from sdg_assets_tests.support.builders import mirror_sources

# Tasks whose rows are near-duplicates of each other by design, which would count as errors: phrases
# cut from one another's parse trees, and scenes with one clause changed.
GROUPED = {"sst2", "ethics_justice", "ethics_deontology"}
WRAPPERS = (
    "Question: {}",
    "{} Please answer briefly.",
    "Please answer the following question: {}",
    "Consider this carefully. {}",
    "{} Explain how you know.",
    "Here is a question for you: {} What do you think?",
    "Q: {}\nA:",
)
EDITS = {"5 % edits": 0.05, "10 % edits": 0.10, "25 % edits": 0.25}
CLASSES = ("surface", "wrapper", *EDITS)
HARD_NEGATIVE = "hard negative"
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class Planted:
    """Rows, and the class of each; "" for a real row."""

    rows: list[Example]
    made: list[str]

    def count(self, *kinds: str) -> int:
        """The number of rows of these classes."""
        return sum(kind in kinds for kind in self.made)


def real_questions(*names: str) -> list[Example]:
    """Every seed of the mirror, without repetitions of the same folded text.

    Args:
        names: The tasks to use; without any, all tasks.
    """
    questions: dict[str, Example] = {}
    for task in load_catalog(allow_canary=()).enabled():
        if names and task.task not in names:
            continue
        for key in set(task.enabled_subtasks()) - GROUPED:
            spec = task.resolve(key)
            for source in mirror_sources():
                try:
                    if spec.split not in source.splits(spec):
                        continue
                    for row in normalize(spec, collect_seeds(spec, source)):
                        if isinstance(row, Example):
                            questions.setdefault(exact_text(row), row)
                    break
                except SeedSourceError:
                    continue
    return sorted(questions.values(), key=lambda row: row.id)


def planted(pool: Sequence[Example], real: int, copies: int, negatives: int) -> Planted:
    """Draws real rows and plants others among them; the result is the same for the same pool.

    Args:
        pool: From `real_questions`.
        real: Real rows to draw; if there are fewer, all are drawn.
        copies: Near-duplicates to plant, in classes of equal size, from different rows if there are
            enough.
        negatives: Hard negatives to plant, from different rows.
    """
    rng = random.Random(6)
    drawn = rng.sample(pool, min(real, len(pool)))
    words = sorted({w for row in rng.sample(drawn, min(2000, len(drawn))) for w in _words(row)})
    rows, made = list(drawn), [""] * len(drawn)
    sources = rng.sample(drawn, len(drawn))
    for number in range(copies):
        kind, row = CLASSES[number % len(CLASSES)], sources[number % len(sources)]
        rows.append(_copy(row, kind, words, rng))
        made.append(kind)
    changed = (new for row in sources if (new := _hard_negative(row, rng)))
    for new, _ in zip(changed, range(negatives), strict=False):
        rows.append(new)
        made.append(HARD_NEGATIVE)
    return Planted(rows, made)


def _copy(row: Example, kind: str, words: Sequence[str], rng: random.Random) -> Example:
    question, context = row.question, row.context
    if kind == "surface":
        change = rng.choice(_SURFACES)
        question, context = change(question), change(context)
    elif kind == "wrapper":
        question = rng.choice(WRAPPERS).format(question)
    else:
        question, context = _edited(question, context, EDITS[kind], words, rng)
    changes = {"question": question, "context": context, "id": f"~copy of {row.id}"}
    return row.model_copy(update=changes)


_SURFACES: tuple[Callable[[str], str], ...] = (
    str.upper,
    str.lower,
    lambda text: text.replace(" ", "  "),
    lambda text: text.replace('"', "”").replace("'", "’"),
    lambda text: text.rstrip("?.!。？"),
)


def _edited(
    question: str, context: str, share: float, words: Sequence[str], rng: random.Random
) -> tuple[str, str]:
    texts = [re.split(r"(\s+)", text) for text in (context, question)]
    places = [
        (text, place)
        for text in texts
        for place, word in enumerate(text)
        if word.strip() and not _NUMBER.search(word)
    ]
    for text, place in rng.sample(places, min(len(places), max(1, round(share * len(places))))):
        word = rng.choice(words)
        text[place] = rng.choice((word, "", f"{text[place]} {word}"))
    return "".join(texts[1]), "".join(texts[0])


def _words(row: Example) -> list[str]:
    return [word for word in row.question.split() if word.isalpha()]


def _hard_negative(row: Example, rng: random.Random) -> Example | None:
    numbers = list(_NUMBER.finditer(row.question))
    if not numbers:
        return None
    number = rng.choice(numbers)
    other = str(int(number[0]) + rng.randint(1, 9))
    question = row.question[: number.start()] + other + row.question[number.end() :]
    changes: dict[str, object] = {"question": question, "id": f"~not {row.id}"}
    if row.answer_kind is AnswerKind.NUMERIC:
        changes["answer"] = _NUMBER.sub(lambda m: str(int(m[0]) + rng.randint(1, 9)), row.answer)
    elif row.answer_kind.selects and row.answer_index is not None:
        index = (row.answer_index + 1) % len(row.choices)
        changes |= {"answer": row.choices[index], "answer_index": index}
    else:
        return None
    return row.model_copy(update=changes)
