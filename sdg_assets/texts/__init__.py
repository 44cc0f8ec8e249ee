"""Training texts: one record, rendered once a variant, by one template a family.

A template has two macros: `asked` and `answered`. Plain text joins them by an empty line, as
pretraining wants it; `chatml` puts markup around each.
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
        style: Without markup, or with the markers of ChatML around question and answer.

    Returns:
        Variant → text. A variant whose part is missing is left out. `with_context`, the variant
        that gave the method's gain, has the background before the question,
        and with it the texts that enrichments of other packages added to be trained on.
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
    answer = "" if _concludes(reasoning, row) else row.answer
    asked = str(macros.asked(row, knowledge.strip())).strip()
    answered = str(macros.answered(reasoning.strip(), answer)).strip()
    if style == "plain":
        return f"{asked}\n\n{answered}"
    return f"<|im_start|>user\n{asked}<|im_end|>\n<|im_start|>assistant\n{answered}<|im_end|>\n"


def _concludes(reasoning: str, row: EnrichedExample) -> bool:
    """Whether a trace ends in the answer: then it is not said again.

    A program's trace holds a program that passes the tests.
    """
    lines = reasoning.strip().splitlines()
    if row.answer_kind.policy.trace_holds_answer:
        return bool(lines)
    return bool(lines) and row.answer in lines[-1]


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
