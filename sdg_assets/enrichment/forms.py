"""The form of votes, and the prompts that ask for it.

A vote is free text that announces its answer, or JSON that the engine constrains: the reasoning,
then one of the options. Small teachers often state an answer without announcing it, so that it
cannot be read; which form is better for a kind was measured (`benchmarks/votes.py`).
"""

from __future__ import annotations

from sdg_assets.kinds import VoteForm
from sdg_assets.records import AnswerKind, TeacherClass
from sdg_assets.teacher.prompts import Prompt


def vote_form(kind: AnswerKind, teacher_class: TeacherClass) -> VoteForm:
    """The form of votes on questions of this kind, by a solver of this class."""
    return kind.policy.vote_form.get(teacher_class, "free")


def vote_prompt(kind: AnswerKind, teacher_class: TeacherClass, form: VoteForm) -> Prompt:
    """The prompt that asks a solver of this class for a vote of a form."""
    folder = "solve" if form == "free" else "solve_json"
    return Prompt(f"{folder}/{kind.value}", teacher_class=teacher_class)


def vote_prompts(kind: AnswerKind, teacher_class: TeacherClass) -> tuple[Prompt, ...]:
    """Every prompt that may ask a solver of this class for a vote on a question of this kind."""
    return (vote_prompt(kind, teacher_class, vote_form(kind, teacher_class)),)
