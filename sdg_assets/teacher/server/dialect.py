"""Which parts of a request a server does not understand, learned from its refusals.

All servers know the fields of OpenAI's API. `top_k`, `min_p`, `repetition_penalty` and
`chat_template_kwargs` are common extensions, `thinking_token_budget` is vLLM's own, and not every
model has a `reasoning_effort`; `response_format` by a JSON schema is missing in some servers. A
server that refuses such a part is asked again without it.

A refusal that names a part is not enough to blame it: FastAPI repeats the whole request in its
errors, and a row may itself be about `top_k`. Blamed is a part without which the same request is
answered, and only with the value that was refused: a grammar may be too complex in one schema
alone. A part that was refused with `SEVERAL` values and never understood is left out for good.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from typing import Any

log = logging.getLogger(__name__)

EXTENSIONS = (
    "chat_template_kwargs", "reasoning_effort", "thinking_token_budget", "top_k", "min_p",
    "repetition_penalty",
)  # fmt: skip
SEVERAL = 2
MOST_VALUES = 1000
"""Refused values of a part that are remembered. Beyond them a value is refused each time."""
_STRUCTURE = "response_format"
_SCHEMA, _ANY_JSON = "json_schema", "json_object"
"""Forms of structured output, the better first. Each is a part of its own."""
_LOST = {
    "chat_template_kwargs": "thinking cannot be switched there",
    "reasoning_effort": "the effort of thinking cannot be chosen there",
    "thinking_token_budget": "a long thought can take the answer's share of the tokens there (vLLM "
    "ends thoughts if started with a --reasoning-parser whose marks it knows)",
    _SCHEMA: "answers are parsed without it, and more rows may be refused as unparsable",
    _ANY_JSON: "answers are parsed without it, and more rows may be refused as unparsable",
}


class Dialect:
    """The parts of requests that one server refuses, with their values."""

    def __init__(self, server: str) -> None:
        """Begins with every part.

        Args:
            server: The server's address, for the warnings.
        """
        self._server = server
        self._refused: dict[str, set[str]] = defaultdict(set)
        """Part → its refused values, as JSON."""
        self._understood: set[str] = set()
        """Parts of requests that were answered."""

    def spoken(self, body: dict[str, Any], omitted: Collection[str] = ()) -> dict[str, Any]:
        """The body of a request without the parts that the server refuses.

        Args:
            body: The whole body.
            omitted: Other parts to leave out.
        """
        if not self._refused and not omitted:
            return body

        def keeps(part: str, value: Any) -> bool:  # noqa: ANN401 – any JSON
            return part not in omitted and not self._refuses(part, value)

        kept = {
            name: value
            for name, value in body.items()
            if name != _STRUCTURE and (name not in EXTENSIONS or keeps(name, value))
        }
        form = next((form for form in _forms(body) if keeps(form["type"], form)), None)
        return kept | ({_STRUCTURE: form} if form else {})

    def _refuses(self, part: str, value: Any) -> bool:  # noqa: ANN401 – any JSON
        refused = self._refused.get(part)
        if not refused:
            return False
        is_unknown = len(refused) >= SEVERAL and part not in self._understood
        return is_unknown or _written(value) in refused

    def understands(self, sent: dict[str, Any]) -> None:
        """Remembers that the server answered a body, as `spoken`."""
        self._understood.update(part for part, _ in _parts(sent))

    def learn(self, parts: Iterable[str], body: dict[str, Any]) -> None:
        """Remembers that the server refuses parts with the values that they have in a body."""
        values = dict(_parts(body)) | {form["type"]: form for form in _forms(body)}
        for part in parts:
            refused = self._refused[part]
            if not refused:
                self._warn(part)
            if len(refused) < MOST_VALUES:
                refused.add(_written(values[part]))

    def _warn(self, part: str) -> None:
        what = f"{_STRUCTURE} of type {part}" if part in (_SCHEMA, _ANY_JSON) else part
        loss = f": {_LOST[part]}" if part in _LOST else ""
        log.warning(
            "teacher %s: the server refuses %s, so it is left out%s", self._server, what, loss
        )


class Trial:
    """One request, asked again without the parts that its refusals name, until it is answered."""

    def __init__(self, dialect: Dialect, body: dict[str, Any]) -> None:
        """Begins with all that the server is not known to refuse.

        Args:
            dialect: What is known of the server.
            body: The whole body.
        """
        self._dialect = dialect
        self._body = body
        self._omitted: list[str] = []
        """Parts that are left out to see whether the server answers then, in order."""
        self._blamed: set[str] = set()
        """Those of them that a refusal named alone, and that no later refusal named."""
        self._is_repeated = False
        self._sent = body
        """The body that was sent last: other requests may have taught the dialect since then."""

    def next_body(self) -> dict[str, Any]:
        """The body to send next."""
        self._sent = self._dialect.spoken(self._body, self._omitted)
        return self._sent

    def refused(self, words: str) -> bool:
        """Whether to ask again without another part.

        Args:
            words: The server's message with HTTP 400 or 422.
        """
        self._blamed = {part for part in self._blamed if part not in words}
        suspects = [
            part
            for part, _ in _parts(self._sent)
            if part in words or (part not in EXTENSIONS and _STRUCTURE in words)
        ]
        if not suspects:
            return False
        if len(suspects) == 1:
            self._blamed.add(suspects[0])
        self._omitted.append(suspects[0])
        return True

    def answered(self) -> bool:
        """Whether the answer counts; else parts were left out in vain, and are to be sent again.

        The part that was left out last is to blame: the server refused the request with it alone.
        """
        self._dialect.understands(self._sent)
        if not self._omitted:
            return True
        guilty = self._blamed | {self._omitted[-1]}
        self._dialect.learn(guilty, self._body)
        counts = self._is_repeated or guilty.issuperset(self._omitted)
        self._is_repeated = True
        self._omitted, self._blamed = [], set()
        return counts


def _parts(body: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The parts of a body that can be left out, with their values."""
    for name in EXTENSIONS:
        if name in body:
            yield name, body[name]
    if form := body.get(_STRUCTURE):
        yield form["type"], form


def _forms(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The structured output that a body asks for, and what to ask for where that is refused."""
    form = body.get(_STRUCTURE)
    if not form:
        return []
    return [form, {"type": _ANY_JSON}] if form["type"] == _SCHEMA else [form]


def _written(value: Any) -> str:  # noqa: ANN401 – any JSON
    return json.dumps(value, sort_keys=True)
