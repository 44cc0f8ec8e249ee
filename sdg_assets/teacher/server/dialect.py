"""Which parts of a request a server does not understand, learned from its refusals.

All servers know the fields of OpenAI's API. `top_k`, `min_p`, `repetition_penalty` and
`chat_template_kwargs` are common extensions, and not every model has a `reasoning_effort`;
`response_format` by a JSON schema is missing in some servers. A server that refuses such a field is
asked again without it, and never sees it again.
"""

from __future__ import annotations

import logging
from typing import Any

log = logging.getLogger(__name__)

EXTENSIONS = (
    "chat_template_kwargs", "reasoning_effort", "top_k", "min_p", "repetition_penalty"
)  # fmt: skip
_STRUCTURE = "response_format"
_LOST = {
    "chat_template_kwargs": "thinking cannot be switched there",
    "reasoning_effort": "the effort of thinking cannot be chosen there",
    _STRUCTURE: "answers are parsed without it, and more rows may be refused as unparsable",
}


class Dialect:
    """The fields that one server refuses."""

    def __init__(self, server: str) -> None:
        """Begins with every field.

        Args:
            server: The server's address, for the warnings.
        """
        self._server = server
        self._refused: set[str] = set()
        self._structure = ["json_schema", "json_object"]
        """Forms of structured output that the server may understand, the best first."""

    def spoken(self, body: dict[str, Any]) -> dict[str, Any]:
        """The body of a request without the fields that the server refuses."""
        if not self._refused and len(self._structure) == 2:
            return body
        kept = {name: value for name, value in body.items() if name not in self._refused}
        form = kept.get(_STRUCTURE)
        if form and form["type"] not in self._structure:
            kept.pop(_STRUCTURE)
            if self._structure:
                kept[_STRUCTURE] = {"type": self._structure[0]}
        return kept

    def learns(self, words: str, body: dict[str, Any]) -> bool:
        """Whether a refusal names a field of the body that can be left out; remembers it.

        Args:
            words: The server's message with HTTP 400 or 422.
            body: The body that it refused, as `spoken`.
        """
        for name in EXTENSIONS:
            if name in body and name in words:
                if name not in self._refused:
                    self._refused.add(name)
                    self._warn(name, name)
                return True
        form = body.get(_STRUCTURE)
        if form and (_STRUCTURE in words or form["type"] in words):
            if form["type"] in self._structure:
                self._structure.remove(form["type"])
                self._warn(f"{_STRUCTURE} of type {form['type']}", _STRUCTURE)
            return True
        return False

    def _warn(self, what: str, name: str) -> None:
        loss = f": {_LOST[name]}" if name in _LOST else ""
        log.warning(
            "teacher %s: the server refuses %s, so it is left out%s", self._server, what, loss
        )
