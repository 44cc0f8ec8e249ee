"""The known teachers beside each other: a table for the terminal, and `docs/teachers.md`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from sdg_assets.cli.terminal import Column
from sdg_assets.teacher.models import TEMPLATE_MODES

if TYPE_CHECKING:
    from sdg_assets.teacher.models import TeacherCard

NODE_GPUS = 8
"""GPUs of one common node."""

_HEAD = """\
# Teachers

A teacher is any model that vLLM runs. The ones below have a card in \
`sdg_assets/catalog/teachers.yaml`. `SDG_TEACHER` accepts the key in the first column; the card \
then gives the pods' size, the engine's arguments, the terms, the sampling and how the model \
thinks. The same weights in another packaging (`Qwen/Qwen3-32B-FP8`, `unsloth/gpt-oss-20b`, \
`Qwen3-32B-Q4_K_M.gguf`) are asked by the same card, with a warning. Their licence is that of the \
weights, unread. If another owner packaged them, their rows stay out of `commercial/` until a \
`teachers.yaml` of your `SDG_CATALOG` has a card for them.

Any other model works by its Hub id or directory, as a small one that cannot think, with a \
warning. Its terms are `unknown`, so its rows stay out of `commercial/`, too.

How to choose:

1. **Licence.** Rows stay out of `commercial/` if `may train` or `commercial` is not `yes`. The \
terms bind whoever trains on the outputs: those of Llama, for example, ask that the trained \
model's name begins with "Llama". Read `terms` in the card.
2. **Memory.** One replica runs on `GPUs` (tensor parallel), and needs `GiB each` on every one of \
them for weights and a usable KV cache. `SDG_ENGINE` changes what the card says.
3. **Thinking.** A thought makes an answer better and costs many times its tokens. `on` and `off` \
are what the model does unless told otherwise; `always` cannot be switched off. `SDG_THINKING` \
switches it per role, for example `SDG_THINKING=solver:on,writer:off`.
4. **Where it runs.** A `step` of the pipeline loads the model, or asks a server that you started \
(`SDG_TEACHER=http://…`). `server` models need one: vLLM's server has code of its own for their \
prompts, or one node cannot hold them.
5. **Certainty.** `check first` names the facts of a card that were not read in a public file. \
Check the licence before a release, and try the other facts on a few rows before a long run.

`sdg teacher list` prints the cards of your catalog. This page is written by `sdg teacher list \
--markdown > docs/teachers.md`, and a test keeps it current.
"""

_VERIFIERS = "Verifiers: serve it, and set `SDG_JUDGE` to the server and `SDG_JUDGE_API=verifier`"


def table(cards: Iterable[TeacherCard]) -> tuple[list[Column], list[list[str]]]:
    """Columns and rows of the comparison, teachers that need little memory first."""
    ordered = sorted(cards, key=_size)
    return [column for column, _ in _COLUMNS], [
        [value(card) for _, value in _COLUMNS] for card in ordered
    ]


def page(cards: Iterable[TeacherCard]) -> str:
    """The comparison as Markdown, with a table for each kind of machine."""
    parts = [_HEAD]
    for heading, group in _by_machine(cards).items():
        columns, rows = table(group)
        lines = [[column.name for column in columns], ["---"] * len(columns), *rows]
        parts.append(f"## {heading}\n")
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n")
    return "\n".join(parts)


def _by_machine(cards: Iterable[TeacherCard]) -> dict[str, list[TeacherCard]]:
    groups: dict[str, list[TeacherCard]] = {}
    for card in sorted(cards, key=_size):
        gpus = _gpus(card)
        if card.verifier:
            heading = _VERIFIERS
        elif not gpus:
            heading = "Without a GPU"
        elif gpus == 1:
            heading = "One GPU"
        elif gpus <= NODE_GPUS:
            heading = "One node"
        else:
            heading = "Several nodes: serve it, and name the server in `SDG_TEACHER`"
        groups.setdefault(heading, []).append(card)
    return groups


def _size(card: TeacherCard) -> tuple[int, float]:
    gpus = _gpus(card)
    machine = 0 if not gpus else 1 if gpus == 1 else 2 if gpus <= NODE_GPUS else 3
    if card.verifier:  # it is no teacher that one could choose for another role
        machine = 4
    return machine, card.memory_gib or math.inf


def _gpus(card: TeacherCard) -> int:
    return 0 if card.packaged else card.gpus.number


def _gib_each(card: TeacherCard) -> str:
    gib = card.memory_gib
    return "unknown" if gib is None else str(math.ceil(gib / card.gpus.tensor_parallel))


def _runs(card: TeacherCard) -> str:
    """`step` if the pipeline itself can load the model, else `server`."""
    has_template = card.engine.get("tokenizer_mode", "auto") in TEMPLATE_MODES
    return "step" if has_template and _gpus(card) <= NODE_GPUS and not card.verifier else "server"


def _thinks(card: TeacherCard) -> str:
    thinking = card.thinking
    if thinking is None:
        return "never"
    return thinking.default if "off" in thinking.modes else "always"


def _efforts(card: TeacherCard) -> str:
    return ", ".join(card.thinking.efforts) if card.thinking else ""


def _unsure(card: TeacherCard) -> str:
    """The stated facts that were not read in a public file."""
    stated = {
        "thinking": card.thinking is not None,
        "sampling": card.sampling != type(card.sampling)(),
        "memory": card.memory_gib is not None and not card.packaged,
    }
    unread = [fact for fact, is_stated in stated.items() if is_stated and fact not in card.verified]
    return ", ".join(["licence"] * (card.certainty == "guess") + unread)


_COLUMNS: tuple[tuple[Column, Callable[[TeacherCard], str]], ...] = (
    (Column("teacher"), lambda card: card.name),
    (Column("parameters", spare=2), lambda card: card.parameters),
    (Column("GPUs", right=True), lambda card: str(_gpus(card))),
    (Column("GiB each", right=True), _gib_each),
    (Column("runs in"), _runs),
    (Column("thinks"), _thinks),
    (Column("efforts", spare=3), _efforts),
    (Column("licence", spare=1), lambda card: card.license.removeprefix("LicenseRef-")),
    (Column("may train"), lambda card: card.outputs_may_train),
    (Column("commercial"), lambda card: card.commercial_use),
    (Column("check first", spare=4), _unsure),
)
