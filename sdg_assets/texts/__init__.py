"""Training texts: one record, rendered once per variant, with one template per output family.

A template has two macros: `asked` and `answered`. The style `plain`, for pretraining, joins their
texts with an empty line; `chatml` puts ChatML markup around each.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Literal

import jinja2

from sdg_assets.records import EnrichedExample

VARIANTS = ("answer_only", "with_reasoning", "with_context")
TextStyle = Literal["plain", "chatml"]


def render_texts(row: EnrichedExample, style: TextStyle = "plain") -> dict[str, str]:
    """The row as training text.

    Args:
        row: A verified row.
        style: Without markup, or with ChatML markers around question and answer.

    Returns:
        Variant → text, without the variants for which the row lacks a part. `with_context`, the
        variant behind the method's gain, puts the background before the question, followed by
        the training texts that enrichments of other packages added.
    """
    texts = {"answer_only": _render(row, style)}
    if row.reasoning:
        texts["with_reasoning"] = _render(row, style, reasoning=row.reasoning)
    background = [text.strip() for text in (row.knowledge, *row.added_texts)]
    if any(background):
        texts["with_context"] = _render(
            row, style, reasoning=row.reasoning, knowledge="\n\n".join(filter(None, background))
        )
    return texts


def _render(
    row: EnrichedExample, style: TextStyle, reasoning: str = "", knowledge: str = ""
) -> str:
    macros: Any = _template(row.answer_kind.family).module
    # A trace does not announce the answer (see `enrichment.traces`), but a program is in its trace.
    is_stated = bool(reasoning) and row.answer_kind.policy.trace_holds_answer
    answer = "" if is_stated else row.answer
    user = str(macros.asked(row, knowledge.strip())).strip()
    assistant = str(macros.answered(reasoning.strip(), answer)).strip()
    if style == "plain":
        return f"{user}\n\n{assistant}"
    return f"<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n{assistant}<|im_end|>\n"


@cache
def _template(family: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 – training text, not HTML
    )
    return environment.get_template(f"{family}.jinja")
