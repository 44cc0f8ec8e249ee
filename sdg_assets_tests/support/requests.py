"""Requests with fixed messages, for tests of what answers them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sdg_assets.records import Role
from sdg_assets.teacher.requests import (
    Message,
    Request,
    Sampling,
    TeacherIdentity,
    build_request,
)


@dataclass(frozen=True)
class FixedPrompt:
    """A template that only returns the messages that it is given."""

    version: str = "v1"

    def render(self, **values: Any) -> tuple[Message, ...]:
        return tuple(Message.model_validate(message) for message in values["messages"])


def request_of(
    identity: TeacherIdentity,
    messages: Sequence[Message],
    sampling: Sampling | None = None,
    json_schema: Mapping[str, Any] | None = None,
    role: Role = Role.WRITER,
    version: str = "v1",
) -> Request:
    values = {"messages": [message.model_dump() for message in messages]}
    schema = dict(json_schema) if json_schema else None
    return build_request(
        identity, role, FixedPrompt(version), values, sampling or Sampling(), schema
    )
