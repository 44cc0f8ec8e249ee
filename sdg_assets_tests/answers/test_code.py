"""Extraction of the program from a solver's text."""

from __future__ import annotations

import pytest

from sdg_assets.records import AnswerKind
from sdg_assets_tests.answers.asking import ask, extracted

TASK = ask(AnswerKind.CODE, "def twice(x):\n    return 2 * x", tests=["assert twice(2) == 4"])
PROGRAM = "def twice(x):\n    return x + x"


@pytest.mark.parametrize(
    "text",
    [
        f"Add it to itself.\n\n```python\n{PROGRAM}\n```",
        f"```\n{PROGRAM}\n```\nIt adds x to itself.",
        f"```py\n{PROGRAM}",
        f"~~~python\n{PROGRAM}\n~~~",
        f"```python\n{PROGRAM}\n```\nUse it so:\n```python\nprint(twice(2))\n```",
        f"```python\n{PROGRAM}\n```\nOutput:\n```\n4\n```",
        f"```bash\npip install twice\n```\n```python\n{PROGRAM}\n```",
        f"First try:\n```python\ndef twice(x):\n    return x\n```\nFixed:\n"
        f"```python\n{PROGRAM}\n```",
        PROGRAM,
        f"Here is the program.\n\n{PROGRAM}\n\nIt adds x to itself.",
        f"<think>```python\ndef twice(x): pass\n```</think>\n```python\n{PROGRAM}\n```",
    ],
)
def test_the_program_is_found_among_prose_and_other_blocks(text: str) -> None:
    assert extracted(text, TASK) == PROGRAM


def test_earlier_blocks_that_the_program_uses_are_included() -> None:
    text = (
        "```python\ndef add(a, b):\n    return a + b\n```\nand\n"
        "```python\ndef twice(x):\n    return add(x, x)\n```"
    )

    program = extracted(text, TASK)

    assert program is not None
    assert program.index("def add") < program.index("def twice")


@pytest.mark.parametrize(
    "text", ["", "I cannot.", "```python\ndef twice(x:\n```", "```bash\nls\n```", "2 * x"]
)
def test_a_text_without_a_program_has_no_answer(text: str) -> None:
    assert extracted(text, TASK) is None
