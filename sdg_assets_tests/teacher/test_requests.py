from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from sdg_assets.errors import TeacherError, TransientError
from sdg_assets.records import Role, TeacherStamp
from sdg_assets.teacher.requests import (
    Completion,
    Message,
    Request,
    Sampling,
    TeacherIdentity,
    build_request,
    finish_reason,
)
from sdg_assets_tests.support.requests import FixedPrompt

STAMP = TeacherStamp(model="org/model", revision="abc", license="MIT")


def request(**changes: Any) -> Request:
    parts: dict[str, Any] = {
        "identity": TeacherIdentity(STAMP, {"dtype": "bfloat16"}),
        "role": Role.WRITER,
        "prompt": FixedPrompt("write/numeric@1"),
        "values": {"frame": "Numbers.", "drafts": ["Write – 水."], "row": STAMP},
        "sampling": Sampling(temperature=0.9, max_tokens=64, sample=1),
        "json_schema": {"type": "object", "properties": {"b": {}, "a": {}}},
        **changes,
    }
    return build_request(**parts)


def test_equal_requests_have_equal_ids() -> None:
    assert request() == request()
    assert request(sampling=Sampling(temperature=0.9, max_tokens=64, sample=1)).id == request().id


@pytest.mark.parametrize(
    "changes",
    [
        {"identity": TeacherIdentity(STAMP.model_copy(update={"model": "org/other"}))},
        {"identity": TeacherIdentity(STAMP.model_copy(update={"revision": "def"}))},
        {"identity": TeacherIdentity(STAMP, {"dtype": "float32"})},
        {"identity": TeacherIdentity(STAMP)},
        {"role": Role.SOLVER},
        {"prompt": FixedPrompt("write/numeric@2")},
        {"sampling": Sampling(temperature=0.8, max_tokens=64, sample=1)},
        {"sampling": Sampling(temperature=0.9, top_p=0.9, max_tokens=64, sample=1)},
        {"sampling": Sampling(temperature=0.9, max_tokens=65, sample=1)},
        {"sampling": Sampling(temperature=0.9, max_tokens=64, sample=2)},
        {"values": {"frame": "Numbers.", "drafts": ["Write."], "row": STAMP}},
        {"values": {"frame": "Numbers.", "drafts": "Write – 水.", "row": STAMP}},
        {"values": {"frame": "Numbers.", "draft": ["Write – 水."], "row": STAMP}},
        {"values": {"frame": "Numbers.", "drafts": ["Write – 水."], "row": None}},
        {"json_schema": None},
        {"json_schema": {"type": "object", "properties": {"a": {}}}},
    ],
    ids=[
        "model", "revision", "engine setting", "no engine setting", "role", "prompt", "temperature",
        "top_p", "max_tokens", "sample", "a word", "a type", "a name", "a row", "free text",
        "schema",
    ],
)  # fmt: skip
def test_an_id_differs_with_whatever_the_answer_depends_on(changes: dict[str, Any]) -> None:
    assert request(**changes).id != request().id


def test_the_licence_of_a_teacher_does_not_change_what_it_says() -> None:
    stamp = STAMP.model_copy(update={"license": "Apache-2.0"})

    assert request(identity=TeacherIdentity(stamp, {"dtype": "bfloat16"})).id == request().id


def test_ids_are_the_same_in_every_process() -> None:
    program = "from sdg_assets_tests.teacher.test_requests import request; print(request().id)"
    ids = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PATH": "", "PYTHONPATH": ":".join(["", *sys.path])},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }

    assert ids == {request().id}


def test_a_teachers_data_version_names_model_revision_and_settings() -> None:
    plain, other = TeacherIdentity(STAMP), TeacherIdentity(STAMP, {"dtype": "float32"})

    assert plain.data_version.startswith("org/model@abc+")
    assert plain.data_version != other.data_version


@pytest.mark.parametrize(
    ("reported", "reason"),
    [("stop", "stop"), ("length", "length"), ("content_filter", "content_filter")],
)
def test_an_end_is_natural_or_cut_by_the_limit_or_by_a_filter(reported: str, reason: str) -> None:
    assert finish_reason(reported, "org/model") == reason


@pytest.mark.parametrize("reported", ["abort", "error", None])
def test_what_was_cut_off_from_outside_is_no_completion(reported: str | None) -> None:
    with pytest.raises(TransientError, match=r"finish_reason ('abort'|'error'|null), so it is not"):
        finish_reason(reported, "org/model")


def test_a_call_of_a_tool_is_no_text() -> None:
    with pytest.raises(TeacherError, match="finish_reason 'tool_calls' is none of"):
        finish_reason("tool_calls", "org/model")


def test_half_a_character_is_kept_as_a_sign_that_it_is_one() -> None:
    halves = Completion(
        request_id="r", text="a \ud83d b \ud83d\ude00", finish_reason="stop",
        prompt_tokens=1, output_tokens=1,
    )  # fmt: skip

    assert halves.text == "a \ufffd b \U0001f600"
    assert Completion.model_validate_json(halves.model_dump_json()) == halves


def test_a_prompt_is_rendered_when_it_is_sent_and_not_when_its_answer_is_looked_up() -> None:
    rendered: list[str] = []

    class Watched(FixedPrompt):
        def render(self, **values: Any) -> tuple[Message, ...]:
            rendered.append(values["question"])
            return (Message(role="user", content=values["question"]),)

    lazy = request(prompt=Watched(), values={"question": "Why?"})
    assert (lazy.id, rendered) == (lazy.id, [])

    assert [message.content for message in lazy.messages + lazy.messages] == ["Why?", "Why?"]
    assert rendered == ["Why?"]
