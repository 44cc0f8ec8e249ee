"""Questions about a passage: it takes the place of the context that the writer would write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json

from sdg_assets.answers.base import Draft
from sdg_assets.passages.index import PassageIndex
from sdg_assets.records import Example, Passage
from sdg_assets.teacher.requests import TeacherFacts

ABOUT = (
    "It is about the passage below, which is its context and alone decides the answer; write no "
    "context.\n\n{title}: {text}"
)
"""What the writer is told about a passage."""


def passage_for(
    index: PassageIndex | None, anchor: Example, number: int, writer: TeacherFacts
) -> Passage | None:
    """The passage that a new example is asked about.

    Args:
        index: The passages; None: questions are not asked about passages.
        anchor: The seed that the new example imitates.
        number: Number of the seed's request, from 0.
        writer: The writer.

    Returns:
        None if the anchor has no context, or if the passage has a control token of the writer, who
        then writes a context.
    """
    if index is None or not anchor.context:
        return None
    passage = index.drawn(f"{anchor.subtask}:{anchor.id}", number)
    has_token = writer.control_tokens.within(f"{passage.title}\n{passage.text}")
    return None if has_token else passage


def told_about(passage: Passage, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the writer's prompt, with the passage and without a context to be written."""
    about = ABOUT.format(title=passage.title, text=passage.text)
    return {**values, "variation": f"{values['variation']} {about}".strip(), "context": False}


def without_context(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A draft's schema without the context, which is the passage."""
    fields = {name: part for name, part in schema["properties"].items() if name != "context"}
    required = [name for name in schema.get("required", ()) if name != "context"]
    return {**schema, "properties": fields, "required": required}


def draft_about(passage: Passage, text: str, model: type[Draft]) -> Draft:
    """The draft in the writer's JSON, with the passage as its context.

    Raises:
        ValueError: The text is not JSON, or not such a draft.
    """
    return model.model_validate({**from_json(text), "context": passage.text})
