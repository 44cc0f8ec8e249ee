from __future__ import annotations

import subprocess
import sys
from typing import Any, get_args

import pytest

from sdg_assets.errors import TransientError
from sdg_assets.records import Role, TeacherStamp
from sdg_assets.teacher.requests import (
    FAULTS,
    Completion,
    FinishReason,
    Limits,
    Message,
    Request,
    Sampling,
    TeacherIdentity,
    build_request,
    finish_reason,
)
from sdg_assets.teacher.thinking import Thinking
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
        "top_p", "sample", "a word", "a type", "a name", "a row", "free text",
        "schema",
    ],
)  # fmt: skip
def test_an_id_differs_with_whatever_the_answer_depends_on(changes: dict[str, Any]) -> None:
    assert request(**changes).id != request().id


THINKING = Thinking(
    default="on", switch="template", off={"thinks": False}, parser="qwen3", max_tokens=8192
)


def thinker(budget: int = 8192, context: int | None = 16_384, **changes: Any) -> TeacherIdentity:
    thinking = THINKING.model_copy(update={"max_tokens": budget, **changes})
    return TeacherIdentity(STAMP, thinking=thinking, max_model_len=context)


@pytest.mark.parametrize(
    ("identity", "longest", "limits"),
    [
        (thinker(), 2048, Limits(output=10_240, context=16_384)),
        (thinker(budget=10_000), 1024, Limits(output=11_024, context=16_384)),
        (thinker(context=32_768), 1024, Limits(output=9216, context=32_768)),
        (thinker(context=None), 1024, Limits(output=9216)),
    ],
    ids=["answer", "thought", "context", "unknown context"],
)
def test_a_limit_of_length_is_no_part_of_an_id_or_of_a_log(
    identity: TeacherIdentity, longest: int, limits: Limits
) -> None:
    before = request(identity=thinker(), sampling=Sampling(max_tokens=1024))
    after = request(identity=identity, sampling=Sampling(max_tokens=longest))

    assert (after.id, identity.fingerprint) == (before.id, thinker().fingerprint)
    assert before.limits == Limits(output=9216, context=16_384)
    assert after.limits == limits


def test_how_a_model_is_switched_is_part_of_its_log() -> None:
    assert thinker(off={"thinks": "no"}).fingerprint != thinker().fingerprint


def test_dagster_sees_that_a_limit_of_a_teacher_has_changed() -> None:
    versions = [thinker().data_version, thinker(budget=9000).data_version]
    versions += [thinker(context=20_480).data_version, thinker(context=None).data_version]

    assert len(set(versions)) == 4
    assert versions[0] == thinker().data_version


def cut_off(reason: FinishReason, output_tokens: int = 64, **limits: int) -> Completion:
    return Completion(
        request_id="a",
        text="",
        finish_reason=reason,
        limits=Limits.model_validate(limits) if limits else None,
        prompt_tokens=0,
        output_tokens=output_tokens,
    )


@pytest.mark.parametrize(
    ("completion", "limits", "is_outgrown"),
    [
        (cut_off("length", output=64, context=512), Limits(output=64, context=512), False),
        (cut_off("length", output=64, context=512), Limits(output=32, context=4096), False),
        (cut_off("length", output=64, context=512), Limits(output=65, context=512), True),
        (cut_off("thinking", output=64), Limits(output=65), True),
        # llama.cpp ends an output at the end of its context, with the reason `length`.
        (cut_off("length", 50, output=64, context=512), Limits(output=64, context=512), False),
        (cut_off("length", 50, output=64, context=512), Limits(output=64, context=4096), True),
        (cut_off("length", 50, output=64), Limits(output=64, context=4096), True),
        (cut_off("too_long", 0, output=64, context=512), Limits(output=64, context=512), False),
        (cut_off("too_long", 0, output=64, context=512), Limits(output=128, context=512), False),
        (cut_off("too_long", 0, output=64, context=512), Limits(output=128, context=4096), True),
        (cut_off("too_long", 0, output=64, context=512), Limits(output=32, context=512), True),
        (cut_off("too_long", 0, output=64), Limits(output=64), False),
        (cut_off("too_long", 0, output=64), Limits(output=64, context=4096), True),
        (cut_off("stop", output=64, context=512), Limits(output=128, context=4096), False),
        (cut_off("content_filter", output=64), Limits(output=128), False),
        (cut_off("length"), Limits(output=128), False),
    ],
)
def test_only_the_limit_that_ended_an_answer_can_outgrow_it(
    completion: Completion, limits: Limits, is_outgrown: bool
) -> None:
    assert completion.outgrown_by(limits) is is_outgrown


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
    assert finish_reason("tool_calls", "org/model") == "refused"
    assert finish_reason("repetition", "org/model") == "refused"


def test_every_end_but_the_natural_one_has_a_reason_for_its_rejection() -> None:
    assert {*FAULTS} == {*get_args(FinishReason)} - {"stop"}


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
