"""Admits passages: what teachers would copy into rows must read well and repeat no held-out row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from more_itertools import chunked

from sdg_assets.gates import Gate, draft_gates, text_refusals
from sdg_assets.gates.base import ROWS_PER_BATCH
from sdg_assets.gates.contamination import Contamination
from sdg_assets.gates.language import NAME as LANGUAGE
from sdg_assets.gates.repeats import ContaminationThresholds
from sdg_assets.heldout.index import HeldoutIndex
from sdg_assets.records import AnswerKind, Example, Passage, Refusal, Rejection, Source
from sdg_assets.teacher.control_tokens import control_token_of
from sdg_assets.thresholds import Thresholds

ANY_LENGTH = 1_000_000


def admit(
    passages: Iterable[Passage | Rejection], heldout: HeldoutIndex, thresholds: Thresholds
) -> Iterator[Passage | Rejection]:
    """Tests passages in batches.

    The rules for held-out text are stricter than for rows: a held-out context refuses a passage,
    and so does an overlap that another answer or other numbers would excuse in a row. There are
    more passages than a release needs.

    Args:
        passages: The result of `read_passages`.
        heldout: The held-out rows.
        thresholds: The thresholds of the gates.

    Yields:
        For each passage, in order, the passage or its `Rejection`.
    """
    own = thresholds.of(ContaminationThresholds)
    strict = own.model_copy(update={"contamination_context_words": ANY_LENGTH})
    contamination = Contamination(heldout, strict)
    # A passage may be in any language.
    gates = [gate for gate in draft_gates(thresholds) if gate.name != LANGUAGE]
    for batch in chunked(passages, ROWS_PER_BATCH):
        places = [place for place, each in enumerate(batch) if isinstance(each, Passage)]
        rows = [_as_row(each) for each in batch if isinstance(each, Passage)]
        refused = _refusals(rows, gates, contamination, own.contamination_overlap)
        for place, refusal in refused.items():
            each = batch[places[place]]
            batch[places[place]] = Rejection(
                gate=refusal.gate,
                reason=refusal.reason,
                detail=refusal.detail,
                scores=dict(refusal.scores),
                row=each.model_dump(mode="json"),
            )
        yield from batch


def _refusals(
    rows: Sequence[Example], gates: Sequence[Gate], contamination: Contamination, overlap: float
) -> dict[int, Refusal]:
    refused = {
        place: Refusal("passages", "control token", f"{token!r} controls a model")
        for place, row in enumerate(rows)
        if (token := control_token_of(row, []))
    }
    for place, refusal in text_refusals([(row, row.context) for row in rows], gates).items():
        refused.setdefault(place, refusal)
    for place, refusal in contamination.overlaps(rows, overlap).items():
        refused.setdefault(place, refusal)
    return refused


def _as_row(passage: Passage) -> Example:
    """A passage in the form that gates test: its title asks, its text answers."""
    return Example(
        id=passage.id,
        task="passages",
        subtask="passages",
        family="knowledge",
        domain="",
        language="en",
        answer_kind=AnswerKind.of_any_row(),
        context=passage.text,
        question=passage.title,
        answer=passage.title,
        source=Source(
            dataset=passage.source,
            config="",
            split="",
            row=0,
            revision="",
            license=passage.license,
        ),
    )
