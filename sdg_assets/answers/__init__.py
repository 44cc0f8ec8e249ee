"""One module an answer kind: ask for it, extract it, compare it, check it.

A module is registered by being there: whatever it names `ANSWER` serves its kind.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module

from sdg_assets.answers.base import AnswerFormat, Draft, DraftError
from sdg_assets.records import AnswerKind

__all__ = ["AnswerFormat", "Draft", "DraftError", "answer_format"]


@cache
def _formats() -> dict[AnswerKind, AnswerFormat]:
    modules = (import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__))
    found = [vars(m)["ANSWER"] for m in modules if "ANSWER" in vars(m)]
    return {answer.kind: answer for answer in found}


def answer_format(kind: AnswerKind) -> AnswerFormat:
    """The module that serves an answer kind.

    Raises:
        KeyError: No module does.
    """
    return _formats()[kind]
