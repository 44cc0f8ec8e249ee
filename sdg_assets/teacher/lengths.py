"""How long answers may be, by the class of the teacher, if the settings do not say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sdg_assets.records import TeacherClass


@dataclass(frozen=True)
class Lengths:
    """Most tokens of each kind of text. A thought is not part of it: it has a budget of its own."""

    draft: int
    vote: int
    background: int
    judgement: int


LENGTHS: Mapping[TeacherClass, Lengths] = {
    # A small model that has not finished by then is looping. Of 1,681 votes of the embedded teacher
    # 13 were longer than 384 tokens, and 6 of these had not ended at 512. On a CPU they are the
    # last ones that a run waits for.
    "small": Lengths(draft=512, vote=384, background=256, judgement=320),
    # Passages, programs and derivations of strong teachers are longer, and seldom loop.
    # A judgement ends by itself: its comment has 400 characters, which are most tokens in Indic and
    # African languages.
    "strong": Lengths(draft=2048, vote=2048, background=768, judgement=768),
    # The long derivation is in the thought; the answer states its steps concisely.
    "thinking": Lengths(draft=2048, vote=1024, background=768, judgement=768),
}
