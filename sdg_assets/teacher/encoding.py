"""Encodes prompts so that no text of a data set becomes a control token.

If `<|im_end|>` in a question is tokenized together with the chat template, it ends the user's turn,
and the text after it becomes an instruction. Two classes prevent that:

- In this process the prompt is built of token ids (`ChatEncoder`). They are compared with the ids
  of the same conversation with placeholder contents. A control id that the template did not produce
  came from a content; then contents are tokenized separately, each control token in two pieces.
- A server takes text and tokenizes it itself, so control tokens are broken up in the text
  (`server/words.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from sdg_assets.errors import TeacherError
from sdg_assets.teacher.control_tokens import ControlTokens, controls
from sdg_assets.teacher.openings import Openings
from sdg_assets.teacher.requests import Message
from sdg_assets.teacher.thinking import Instruction, Thinking


class ChatEncoder:
    """Renders conversations to token ids with a tokenizer's own chat template."""

    def __init__(
        self,
        tokenizer: Any,  # noqa: ANN401 – of transformers
        teacher: str,
        thinking: Thinking | None = None,
    ) -> None:
        """Collects the tokenizer's control tokens.

        Args:
            tokenizer: A tokenizer of the Transformers library.
            teacher: The teacher's name, for errors.
            thinking: How the model thinks; None: it does not.
        """
        self._tokenizer, self._teacher, self._thinking = tokenizer, teacher, thinking
        added = getattr(tokenizer, "added_tokens_decoder", {})
        control = {number: str(token) for number, token in added.items() if controls(token)}
        special = getattr(tokenizer, "all_special_ids", [])
        self._control_ids = frozenset(control) | frozenset(special)
        self.control_tokens = ControlTokens(control.values())
        self._of_template: dict[tuple[str, tuple[str, ...]], list[int]] = {}

    def encode(self, messages: Sequence[Message], mode: str = "") -> list[int]:
        """The token ids of a conversation, up to the start of the next answer.

        Args:
            messages: The conversation.
            mode: A thinking mode of the model; empty: its default.

        Raises:
            TeacherError: The tokenizer has no chat template, its template refuses the conversation,
                or it makes control tokens of ordinary text.
        """
        messages = instructed(messages, instruction_of(self._thinking, mode).system)
        contents = [message.content for message in messages]
        roles = [message.role for message in messages]
        template_controls = self._template_controls(roles, mode)
        ids = self._rendered_ids(roles, contents, mode)
        # The usual case: no content contains a control token. These are the ids that the model was
        # trained on.
        if self._controls_in(ids) == template_controls:
            return ids
        ids = self._separately(roles, contents, mode)
        if self._controls_in(ids) != template_controls:
            raise TeacherError(
                f"teacher {self._teacher}: its tokenizer makes control tokens of ordinary text; "
                "use another teacher"
            )
        return ids

    def _separately(self, roles: Sequence[str], contents: Sequence[str], mode: str) -> list[int]:
        """Token ids with the template's parts and each content tokenized separately."""
        blanks = [f"CONTENT{number}BLANK" for number in range(len(contents))]
        text = self._rendered(roles, blanks, mode)
        ids: list[int] = []
        for blank, content in zip(blanks, contents, strict=True):
            before, placeholder, text = text.partition(blank)
            ids += self._ids(before)
            ids += self._content(content) if placeholder else []
        return ids + self._ids(text)

    def _content(self, text: str) -> list[int]:
        ids = [
            i for piece in self.control_tokens.pieces(text) for i in self._ids(piece, split=True)
        ]
        if self._controls_in(ids):  # a control token that also matches other spellings
            ids = [i for character in text for i in self._ids(character, split=True)]
        return ids

    def _ids(self, text: str, *, split: bool = False) -> list[int]:
        """Token ids of a text; with `split`, special tokens are encoded as ordinary text."""
        if not text:
            return []
        if split:
            return list(
                self._tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
            )
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def _template_controls(self, roles: Sequence[str], mode: str) -> list[int]:
        key = mode, tuple(roles)
        if key not in self._of_template:
            blanks = [f"CONTENT{number}BLANK" for number in range(len(roles))]
            ids = self._rendered_ids(roles, blanks, mode)
            self._of_template[key] = self._controls_in(ids)
        return self._of_template[key]

    def _controls_in(self, ids: Iterable[int]) -> list[int]:
        control = self._control_ids
        return [i for i in ids if i in control]

    def _rendered_ids(self, roles: Sequence[str], contents: Sequence[str], mode: str) -> list[int]:
        text = self._rendered(roles, contents, mode)
        if self._fast is None:
            return self._ids(text)
        last = text.rfind(contents[-1].strip()) if contents else -1
        return self._openings.ids(text, max(0, self.control_tokens.last_before(text, last)))

    @cached_property
    def _fast(self) -> Any:  # noqa: ANN401 – of the library `tokenizers`
        """The tokenizer's fast core; None: not all tokenizers are of the library `tokenizers`."""
        return getattr(self._tokenizer, "backend_tokenizer", None)

    @cached_property
    def _openings(self) -> Openings:
        return Openings(self._tokenized)

    def _tokenized(self, text: str) -> list[int]:
        # The tokenizer's own call takes 1.4 times as long: it also works out where tokens stand.
        self._fast.encode_special_tokens = False
        ids: list[int] = self._fast.encode_batch_fast([text], add_special_tokens=False)[0].ids
        return ids

    def _rendered(self, roles: Sequence[str], contents: Sequence[str], mode: str) -> str:
        from jinja2 import TemplateError

        if self._folds_system:
            roles, contents = _folded(roles, contents)
        conversation = [
            {"role": role, "content": content}
            for role, content in zip(roles, contents, strict=True)
        ]
        try:
            text: str = self._tokenizer.apply_chat_template(
                conversation,
                add_generation_prompt=True,
                tokenize=False,
                **instruction_of(self._thinking, mode).template,
            )
        except (TemplateError, ValueError) as error:
            raise TeacherError(
                f"teacher {self._teacher}: its chat template cannot render {' + '.join(roles)}: "
                f"{error}"
            ) from error
        return text

    @cached_property
    def _folds_system(self) -> bool:
        """Whether the template has no system turn (Gemma 2): its text then opens the user turn."""
        from jinja2 import TemplateError

        turns = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]
        for conversation, folds in ((turns, False), (turns[1:], True)):
            try:
                self._tokenizer.apply_chat_template(conversation, tokenize=False)
            except TemplateError:
                continue
            except ValueError:  # no template at all: rendering a prompt reports it
                return False
            return folds
        return False


def instruction_of(thinking: Thinking | None, mode: str) -> Instruction:
    """What a prompt must contain for a thinking mode; nothing for a model that does not think."""
    return thinking.instruction(mode) if thinking else Instruction()


def instructed(messages: Sequence[Message], system: str) -> tuple[Message, ...]:
    """The conversation, with a text at the beginning of its system turn.

    Args:
        messages: The conversation.
        system: The text; empty: the conversation stays as it is.
    """
    if not system:
        return tuple(messages)
    first = messages[0]
    if first.role != "system":
        return (Message(role="system", content=system), *messages)
    opened = Message(role="system", content=f"{system}\n\n{first.content}".strip())
    return (opened, *messages[1:])


def _folded(roles: Sequence[str], contents: Sequence[str]) -> tuple[list[str], list[str]]:
    if list(roles[:2]) != ["system", "user"]:
        return list(roles), list(contents)
    return list(roles[1:]), [f"{contents[0]}\n\n{contents[1]}", *contents[2:]]
