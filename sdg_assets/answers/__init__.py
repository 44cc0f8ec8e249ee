"""One module per answer kind: its policy, and how its answers are asked for, read and compared.

Every module of this folder that exports `ANSWER` serves one kind; no list has to be edited. Another
package adds a kind with an entry point of the group `sdg_assets.answers`.
"""

from __future__ import annotations

from sdg_assets.answers.base import AnswerFormat, Draft, DraftError
from sdg_assets.errors import PermanentError
from sdg_assets.kinds import policies
from sdg_assets.records import AnswerKind

__all__ = ["AnswerFormat", "Draft", "DraftError", "answer_format", "answer_formats"]


def answer_format(kind: AnswerKind) -> AnswerFormat:
    """The module that serves an answer kind.

    Args:
        kind: The kind.

    Raises:
        PermanentError: The module exports a policy that is not an `AnswerFormat`.
    """
    policy = policies()[kind]
    if not isinstance(policy, AnswerFormat):
        raise PermanentError(f"answer kind {kind!r}: {policy!r} must be an `AnswerFormat`")
    return policy


def answer_formats() -> list[AnswerFormat]:
    """The modules of all answer kinds, built-in ones first.

    Raises:
        PermanentError: See `answer_format` and `kinds.policies`.
    """
    return [answer_format(kind) for kind in AnswerKind]
