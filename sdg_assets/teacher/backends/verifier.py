"""An answer-equivalence model in the judge's place, behind a server with an OpenAI-compatible API.

It is asked for chat completions like every served teacher. Its card says to which family it
belongs, and so with which prompt it is asked (`enrichment/verifiers.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from sdg_assets.errors import TeacherError
from sdg_assets.records import VerifierFamily
from sdg_assets.teacher.backend import TeacherSpec
from sdg_assets.teacher.backends.endpoint import EndpointTeacher, ServerBackend
from sdg_assets.teacher.models import teacher_cards


class VerifierTeacher(EndpointTeacher):
    """A served model whose card names a family of verifiers."""

    def __init__(self, spec: TeacherSpec) -> None:
        """Connects as `EndpointTeacher` does.

        Raises:
            TeacherError: The served model is no known verifier, or as for `EndpointTeacher`.
        """
        super().__init__(spec)
        if self.identity.verifier is None:
            known = [card.name for card in teacher_cards(spec.catalog).values() if card.verifier]
            raise TeacherError(
                f"SDG_JUDGE_API=verifier: {self.identity.stamp.model} at {self.fleet.name} is no "
                f"known verifier; serve one of {', '.join(known)}, or give the model a card with "
                f"`verifier: {' or '.join(get_args(VerifierFamily))}` in teachers.yaml of your "
                "catalog (SDG_CATALOG)"
            )


class VerifierBackend(ServerBackend[VerifierTeacher]):
    """Servers that are asked whether two answers are equivalent."""

    name = "verifier"
    apis = ("verifier",)

    def names(self, catalog: Path | None) -> str:
        """Addresses."""
        return "http://..., the address of a server that serves an answer-equivalence model"


BACKEND = VerifierBackend(VerifierTeacher)
