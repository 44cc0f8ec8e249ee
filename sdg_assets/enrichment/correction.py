"""A strong majority against the writer may correct the answer, if corrections are accepted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sdg_assets.answers import answer_format
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.enrichment.votes import Groups
from sdg_assets.records import Example, GeneratedExample, Proof, content_id


@dataclass(frozen=True)
class Correction:
    """The fields of a row that change with its answer, and the new proof of its tests."""

    changes: dict[str, Any]
    proof: Proof | None


def correction(example: GeneratedExample, groups: Groups, knobs: SolverKnobs) -> Correction | None:
    """Corrects a row whose votes disagree with the writer.

    Args:
        example: The row as it was written.
        groups: From `tally`; not empty.
        knobs: Whether corrections are accepted, and how strong the majority must be.

    Returns:
        None if the majority is not strong enough, or if the tests of the corrected row prove
        nothing. The corrected row has passed no gate yet.
    """
    if not _overrules(example, groups, knobs):
        return None
    changes = _corrected(example, groups[0][0])
    corrected = example.changed(changes)
    proof = answer_format(example.answer_kind).proof(corrected)
    if proof and proof.fault:
        return None
    return Correction({**changes, "written_answer": example.answer}, proof)


def _overrules(example: GeneratedExample, groups: Groups, knobs: SolverKnobs) -> bool:
    is_strong = groups[0][1] >= knobs.correction_share * knobs.votes
    return knobs.accept_corrections and is_strong and example.answer_kind.policy.may_be_corrected


def _corrected(example: GeneratedExample, answer: str) -> dict[str, Any]:
    """The fields that change with the answer; aliases and solution of the old one are removed."""
    index = example.choices.index(answer) if example.answer_kind.selects else None
    return {
        "id": id_with(example, answer),
        "answer": answer,
        "answer_index": index,
        "aliases": [],
        "solution": "",
    }


def id_with(example: Example, answer: str) -> str:
    """The id that a row has with this answer."""
    identity = (example.task, example.subtask, example.context, example.question, example.choices)
    return content_id(*identity, answer)
