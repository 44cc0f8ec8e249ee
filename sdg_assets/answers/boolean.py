"""Yes or no, in the words of the dataset's language."""

from __future__ import annotations

from sdg_assets.answers.extraction import normalized
from sdg_assets.answers.label import Label
from sdg_assets.examples import AnswerKind, Example

_WORDS = {"yes": 0, "true": 0, "correct": 0, "no": 1, "false": 1, "incorrect": 1}


class Boolean(Label):
    """A label with two values; a solver may also say true or false, in English or not."""

    kind = AnswerKind.BOOLEAN

    def extract(self, text: str, example: Example) -> str | None:
        """A choice, or its English synonym in first place: choice 0 affirms, choice 1 denies."""
        found = super().extract(text, example)
        if found is not None or len(example.choices) != 2:
            return found
        from sdg_assets.answers.extraction import last_line, marked_answer

        for candidate in (marked_answer(text), last_line(text)):
            first = normalized(candidate).split()[:1] if candidate else []
            if first and first[0] in _WORDS:
                return sorted_choices(example)[_WORDS[first[0]]]
        return None


def sorted_choices(example: Example) -> list[str]:
    """Affirmative first, whatever order was shown."""
    affirmative = next(
        (c for c in example.choices if _WORDS.get(normalized(c)) == 0), example.choices[0]
    )
    return [affirmative, *(c for c in example.choices if c != affirmative)]


ANSWER = Boolean()
