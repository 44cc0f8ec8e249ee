from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdg_assets.errors import StoreError, TeacherError, TransientError
from sdg_assets.records import Role
from sdg_assets.teacher.conversation import Desk, Feed, Usage, Work, settle
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.replay import replay
from sdg_assets.teacher.requests import (
    Completion,
    FailedRequest,
    FinishReason,
    Message,
    Request,
    Sampling,
    TeacherIdentity,
)
from sdg_assets.teacher.stream import converse, fill
from sdg_assets_tests.support.requests import request_of
from sdg_assets_tests.support.scripted_teacher import STAMP, ScriptedTeacher, completion


def ask(teacher: ScriptedTeacher, text: str, role: Role = Role.WRITER) -> Request:
    return request_of(teacher.identity, [Message(role="user", content=text)], role=role)


def echo(request: Request) -> str:
    return f"{request.messages[-1].content}!"


def one_question(teacher: ScriptedTeacher, text: str) -> Work[str]:
    (answer,) = yield [ask(teacher, text)]
    return answer.text


def questions(teacher: ScriptedTeacher, *texts: str) -> Iterator[Work[str]]:
    return (one_question(teacher, text) for text in texts)


def test_results_come_in_order_whatever_is_answered_first(tmp_path: Path) -> None:
    teacher = ScriptedTeacher(echo, last_first=True, per_poll=2)
    texts = [str(n) for n in range(20)]

    with CompletionLog(tmp_path / "log") as log:
        desks = {Role.WRITER: Desk(teacher, log)}
        results = list(converse(questions(teacher, *texts), desks, Usage(), concurrency=7))

    assert results == [f"{t}!" for t in texts]
    assert teacher.most_at_once == 7


def test_what_the_log_holds_is_not_asked_again(tmp_path: Path) -> None:
    teacher, again = ScriptedTeacher(echo), ScriptedTeacher(echo)
    usage = Usage()
    with CompletionLog(tmp_path / "log") as log:
        list(converse(questions(teacher, "a", "b"), {Role.WRITER: Desk(teacher, log)}, Usage()))
    with CompletionLog(tmp_path / "log") as log:
        desks = {Role.WRITER: Desk(again, log)}
        results = list(converse(questions(again, "a", "b", "c"), desks, usage))

    assert results == ["a!", "b!", "c!"]
    assert [echo(r) for r in again.requests] == ["c!"]
    assert (usage.reused, usage.requests, usage.output_tokens) == (2, 1, 1)


def test_a_full_log_is_replayed_row_by_row(tmp_path: Path) -> None:
    teacher = ScriptedTeacher(echo)
    texts = [str(n) for n in range(30)]
    with CompletionLog(tmp_path / "log") as log:
        desks = {Role.WRITER: Desk(teacher, log)}
        list(converse(questions(teacher, *texts), desks, Usage()))
        started = 0

        def counted() -> Iterator[Work[str]]:
            nonlocal started
            for work in questions(teacher, *texts):
                started += 1
                yield work

        results = replay(counted(), {Role.WRITER: log.answers()})
        assert next(results) == "0!"
        assert started == 1  # a million finished rows do not pile up in memory


def test_work_may_ask_in_waves_and_no_row_waits_for_another(tmp_path: Path) -> None:
    teacher = ScriptedTeacher(echo)

    def two_waves(name: str) -> Work[str]:
        (first,) = yield [ask(teacher, f"{name}1")]
        second, third = yield [ask(teacher, f"{first.text}2"), ask(teacher, f"{name}3")]
        return f"{second.text} {third.text}"

    with CompletionLog(tmp_path / "log") as log:
        works = (two_waves(n) for n in "ab")
        results = list(converse(works, {Role.WRITER: Desk(teacher, log)}, Usage()))

    assert results == ["a1!2! a3!", "b1!2! b3!"]
    # Row a's second batch was sent as soon as its first was answered, before row b's.
    assert [r.messages[0].content for r in teacher.requests] == [
        "a1", "b1", "a1!2", "a3", "b1!2", "b3",
    ]  # fmt: skip


def test_two_rows_that_ask_the_same_share_one_request(tmp_path: Path) -> None:
    teacher = ScriptedTeacher(echo)

    def twice() -> Work[str]:
        first, second = yield [ask(teacher, "same"), ask(teacher, "same")]
        return first.text + second.text

    with CompletionLog(tmp_path / "log") as log:
        works = iter([twice(), one_question(teacher, "same")])
        results = list(converse(works, {Role.WRITER: Desk(teacher, log)}, Usage()))

    assert results == ["same!same!", "same!"]
    assert len(teacher.requests) == 1


def test_work_without_a_question_is_done_at_once(tmp_path: Path) -> None:
    teacher = ScriptedTeacher(echo)

    def silent() -> Work[str]:
        return "nothing to ask"
        yield []

    with CompletionLog(tmp_path / "log") as log:
        works = iter([silent(), one_question(teacher, "a"), silent()])
        results = list(converse(works, {Role.WRITER: Desk(teacher, log)}, Usage()))

    assert results == ["nothing to ask", "a!", "nothing to ask"]


def test_no_work_gives_no_result(tmp_path: Path) -> None:
    with CompletionLog(tmp_path / "log") as log:
        desks = {Role.WRITER: Desk(ScriptedTeacher(echo), log)}
        assert list(converse(iter(()), desks, Usage())) == []


def test_each_role_asks_its_own_teacher_and_keeps_its_own_log(tmp_path: Path) -> None:
    writer = ScriptedTeacher(lambda _: "written")
    solver = ScriptedTeacher(
        lambda _: "solved", stamp=STAMP.model_copy(update={"model": "scripted/solver"})
    )

    def both() -> Work[list[str]]:
        answers = yield [ask(writer, "q"), ask(solver, "q", Role.SOLVER)]
        return [a.text for a in answers]

    with CompletionLog(tmp_path / "w") as wrote, CompletionLog(tmp_path / "s") as solved:
        desks = {Role.WRITER: Desk(writer, wrote), Role.SOLVER: Desk(solver, solved)}
        (result,) = converse(iter([both()]), desks, Usage())
        kept = ([c.text for c in wrote], [c.text for c in solved])

    assert result == ["written", "solved"]
    assert kept == (["written"], ["solved"])


def test_a_teacher_that_dies_loses_only_what_was_under_way(tmp_path: Path) -> None:
    dying, healthy = ScriptedTeacher(echo, fails_after=5), ScriptedTeacher(echo)
    texts = [str(n) for n in range(12)]
    with CompletionLog(tmp_path / "log") as log:
        desks = {Role.WRITER: Desk(dying, log)}
        with pytest.raises(TransientError, match="the engine died"):
            list(converse(questions(dying, *texts), desks, Usage(), concurrency=4))
    usage = Usage()
    with CompletionLog(tmp_path / "log") as log:
        desks = {Role.WRITER: Desk(healthy, log)}
        results = list(converse(questions(healthy, *texts), desks, usage))

    assert results == [f"{t}!" for t in texts]
    assert (usage.reused, usage.requests) == (5, 7)


def test_a_teacher_that_forgets_a_request_is_an_error_and_no_endless_wait(tmp_path: Path) -> None:
    class Forgetful(ScriptedTeacher):
        def poll(self, *, wait: bool = True) -> list[Completion | FailedRequest]:
            return []

    teacher = Forgetful(echo)
    with CompletionLog(tmp_path / "log") as log:
        desks = {Role.WRITER: Desk(teacher, log)}
        with pytest.raises(TransientError, match="writer went idle with requests unanswered"):
            list(converse(questions(teacher, "a"), desks, Usage()))


def test_answers_to_a_conversation_that_was_given_up_do_not_disturb_the_next(
    tmp_path: Path,
) -> None:
    # One engine serves all partitions of a run; the input of one is corrupt half way.
    teacher = ScriptedTeacher(echo)

    def corrupt() -> Iterator[Work[str]]:
        yield one_question(teacher, "left over")
        raise StoreError("line 2 is corrupt")

    with CompletionLog(tmp_path / "one") as log, pytest.raises(StoreError):
        list(converse(corrupt(), {Role.WRITER: Desk(teacher, log)}, Usage()))
    with CompletionLog(tmp_path / "two") as log:
        desks = {Role.WRITER: Desk(teacher, log)}
        assert list(converse(questions(teacher, "a", "b"), desks, Usage())) == ["a!", "b!"]
        assert [c.text for c in log] == ["a!", "b!"]


def refusing(text: str) -> ScriptedTeacher:
    """Refuses the request with this text, and answers the others."""

    def answer(request: Request) -> str:
        if request.messages[0].content == text:
            raise TeacherError("HTTP 400: no such thing")
        return echo(request)

    return ScriptedTeacher(answer, per_poll=3)


def test_a_request_that_fails_ends_its_conversation_with_everything_answered_in_the_log(
    tmp_path: Path,
) -> None:
    teacher = refusing("2")
    texts = [str(n) for n in range(8)]
    with CompletionLog(tmp_path / "log") as log:
        desks = {Role.WRITER: Desk(teacher, log)}
        with pytest.raises(TeacherError, match="HTTP 400"):
            list(converse(questions(teacher, *texts), desks, Usage(), concurrency=5))
        assert [c.text for c in log] == ["0!", "1!", "3!", "4!"]
        assert not desks[Role.WRITER].under_way
    assert len(teacher.requests) == 5  # nothing new was begun


def test_the_next_conversation_is_none_the_worse(tmp_path: Path) -> None:
    teacher = refusing("bad")
    with CompletionLog(tmp_path / "one") as log, pytest.raises(TeacherError):
        list(converse(questions(teacher, "bad", "a"), {Role.WRITER: Desk(teacher, log)}, Usage()))
    with CompletionLog(tmp_path / "two") as log:
        desks = {Role.WRITER: Desk(teacher, log)}
        assert list(converse(questions(teacher, "b", "c"), desks, Usage())) == ["b!", "c!"]


def test_what_is_settled_goes_to_the_log_of_the_role_that_asked(tmp_path: Path) -> None:
    teacher = ScriptedTeacher(echo)

    def both() -> Work[list[str]]:
        answers = yield [ask(teacher, "w"), ask(teacher, "s", Role.SOLVER)]
        return [a.text for a in answers]

    def broken() -> Iterator[Work[list[str]]]:
        yield both()
        raise StoreError("line 2 is corrupt")

    with CompletionLog(tmp_path / "w") as wrote, CompletionLog(tmp_path / "s") as solved:
        desks = {Role.WRITER: Desk(teacher, wrote), Role.SOLVER: Desk(teacher, solved)}
        with pytest.raises(StoreError):
            list(converse(broken(), desks, Usage()))

        settle(desks.values(), wait=True)

        assert ([c.text for c in wrote], [c.text for c in solved]) == (["w!"], ["s!"])


def test_whoever_is_in_a_hurry_does_not_wait_for_what_is_under_way(tmp_path: Path) -> None:
    teacher = ScriptedTeacher(echo)

    def broken() -> Iterator[Work[str]]:
        yield one_question(teacher, "a")
        raise KeyboardInterrupt

    with CompletionLog(tmp_path / "log") as log:
        desks = {Role.WRITER: Desk(teacher, log)}
        with pytest.raises(KeyboardInterrupt):
            list(converse(broken(), desks, Usage()))

        settle(desks.values(), wait=False)

        assert list(log) == []


def test_usage_counts_tokens_reasons_and_cache_hits(tmp_path: Path) -> None:
    def answer(request: Request) -> Completion:
        long = "long" in request.messages[0].content
        return completion(request, "one two", "length" if long else "stop", cached_tokens=1)

    teacher, usage = ScriptedTeacher(answer), Usage()
    with CompletionLog(tmp_path / "log") as log:
        works = questions(teacher, "a long prompt", "short")
        list(converse(works, {Role.WRITER: Desk(teacher, log)}, usage))

    assert (usage.requests, usage.output_tokens, usage.prompt_tokens) == (2, 4, 4)
    assert usage.finish_reasons == {"length": 1, "stop": 1}
    assert usage.cache_hit_rate == 0.5
    assert usage.seconds > 0
    assert usage.tokens_per_second > 0
    assert (Usage().tokens_per_second, Usage().cache_hit_rate) == (0.0, 0.0)


def test_progress_is_told_as_work_ends(tmp_path: Path) -> None:
    teacher = ScriptedTeacher(echo)
    counts: list[int] = []
    with CompletionLog(tmp_path / "log") as log:
        works = questions(teacher, "a", "b", "c")
        desks = {Role.WRITER: Desk(teacher, log)}
        list(converse(works, desks, Usage(), on_progress=lambda done, _: counts.append(done)))

    assert counts == sorted(counts)
    assert counts[-1] == 3


def two_partitions(
    folder: Path, teacher: ScriptedTeacher, first: Iterator[Work[str]], second: Iterator[Work[str]]
) -> Iterator[tuple[Feed, Feed, Iterator[Feed]]]:
    """The feeds of two partitions, with a log each, and the stream that fills them."""
    with CompletionLog(folder / "one") as one, CompletionLog(folder / "two") as two:
        feeds = (
            Feed(first, {Role.WRITER: Desk(teacher, one)}, Usage()),
            Feed(second, {Role.WRITER: Desk(teacher, two)}, Usage()),
        )
        yield *feeds, fill(feeds, concurrency=4)


def test_the_next_partition_begins_before_the_one_before_it_is_finished(tmp_path: Path) -> None:
    teacher = ScriptedTeacher(echo)
    first, second = questions(teacher, "a", "b"), questions(teacher, "c", "d", "e")
    for one, two, stream in two_partitions(tmp_path, teacher, first, second):
        assert next(stream) is one

        assert [echo(r) for r in teacher.requests[:4]] == ["a!", "b!", "c!", "d!"]
        assert teacher.most_at_once == 4, "the teacher never waits for a partition's last row"
        assert list(stream) == [two]
        assert (one.usage.requests, two.usage.requests) == (2, 3)
        assert [c.text for c in one.desks[Role.WRITER].log] == ["a!", "b!"]
        assert [c.text for c in two.desks[Role.WRITER].log] == ["c!", "d!", "e!"]


def test_an_error_of_one_partition_stays_its_own_and_its_answers_are_kept(tmp_path: Path) -> None:
    teacher = refusing("bad")
    first, second = questions(teacher, "bad", "a", "b"), questions(teacher, "c", "d")
    for one, two, stream in two_partitions(tmp_path, teacher, first, second):
        finished = set(stream)

        assert finished == {one, two}
        assert isinstance(one.error, TeacherError)
        assert two.error is None
        kept = [c.text for c in one.desks[Role.WRITER].log]
        assert kept == ["a!", "b!"], "what was under way is paid for"
        assert [c.text for c in two.desks[Role.WRITER].log] == ["c!", "d!"]


def test_a_request_that_two_partitions_need_is_sent_once_and_logged_twice(tmp_path: Path) -> None:
    teacher = ScriptedTeacher(echo)
    first, second = questions(teacher, "same"), questions(teacher, "same")
    for one, two, stream in two_partitions(tmp_path, teacher, first, second):
        assert set(stream) == {one, two}

        assert len(teacher.requests) == 1
        for feed in (one, two):
            assert [c.text for c in feed.desks[Role.WRITER].log] == ["same!"]


def test_a_partition_that_was_not_filled_to_the_end_cannot_be_replayed(tmp_path: Path) -> None:
    teacher = ScriptedTeacher(echo)
    with CompletionLog(tmp_path / "log") as log:
        list(converse(questions(teacher, "a"), {Role.WRITER: Desk(teacher, log)}, Usage()))
        results = replay(questions(teacher, "a", "b"), {Role.WRITER: log.answers()})

        assert next(results) == "a!"
        with pytest.raises(StoreError, match="of the writer has no completion; run again"):
            next(results)


def test_work_that_depends_on_earlier_results_waits_for_them(tmp_path: Path) -> None:
    teacher = ScriptedTeacher(echo, per_poll=2)
    answers: list[str] = []

    def noted(text: str) -> Work[None]:
        (completion,) = yield [ask(teacher, text)]
        answers.append(completion.text)

    def rounds() -> Iterator[Work[None] | None]:
        yield from [noted("a"), noted("b"), noted("c")]
        while len(answers) < 3:
            yield None
        yield noted("".join(answers))

    with CompletionLog(tmp_path / "log") as log:
        feed = Feed(rounds(), {Role.WRITER: Desk(teacher, log)}, Usage())

        assert list(fill([feed])) == [feed]
        assert feed.error is None
        assert answers == ["a!", "b!", "c!", "a!b!c!!"]


def test_what_was_too_long_once_is_asked_again_when_the_context_has_grown(tmp_path: Path) -> None:
    small, large = ScriptedTeacher(echo, max_model_len=512), ScriptedTeacher(echo)
    for teacher, answer in ((small, ""), (small, ""), (large, "a long question!")):
        with CompletionLog(tmp_path / "log") as log:
            works = questions(teacher, "a long question")
            assert list(converse(works, {Role.WRITER: Desk(teacher, log)}, Usage())) == [answer]

    assert (len(small.requests), len(large.requests)) == (0, 1)


LONG = "a long question"


class Limited(ScriptedTeacher):
    """Needs a limit of 1,000 for the answer to `LONG`, and little for others."""

    def __init__(self, limit: int, reason: FinishReason = "length", context: int = 512) -> None:
        super().__init__(self._answered)
        self._limit, self._reason = limit, reason
        self.identity = TeacherIdentity(STAMP, max_model_len=context)

    def ask(self, text: str) -> Request:
        sampling = Sampling(max_tokens=self._limit)
        return request_of(self.identity, [Message(role="user", content=text)], sampling)

    def works(self) -> Iterator[Work[str]]:
        for text in ("short", LONG, "brief"):
            yield self._work(text)

    def _work(self, text: str) -> Work[str]:
        (answer,) = yield [self.ask(text)]
        return answer.text

    def _answered(self, request: Request) -> Completion:
        limits = request.limits
        room = limits.context if self._reason == "too_long" else limits.output
        if request.messages[0].content != LONG or (room or 0) >= 1000:
            return completion(request, echo(request))
        # A server that refuses a prompt does not say how long it is.
        refused = completion(request, f"cut at {room}", self._reason)
        return refused.model_copy(update={"prompt_tokens": 0, "output_tokens": limits.output})


@pytest.mark.parametrize(
    ("reason", "small", "smaller", "large"),
    [
        ("length", {"limit": 100}, {"limit": 50}, {"limit": 1000}),
        ("thinking", {"limit": 100}, {"limit": 50}, {"limit": 1000}),
        ("too_long", {"limit": 9}, {"limit": 9, "context": 256}, {"limit": 9, "context": 4096}),
    ],
)
def test_a_larger_limit_asks_again_only_what_the_smaller_one_ended(
    tmp_path: Path,
    reason: FinishReason,
    small: dict[str, int],
    smaller: dict[str, int],
    large: dict[str, int],
) -> None:
    asked, results = list[list[str]](), list[list[str]]()
    for limits in (small, small, smaller, large, large, small):
        teacher = Limited(reason=reason, **limits)
        with CompletionLog(tmp_path / "log") as log:
            before = Desk(teacher, log, is_final=True)
            is_filled = len(log) > 0
            if is_filled:  # published before anybody asks again: the refusal stays
                kept = list(replay(teacher.works(), {Role.WRITER: log.answers()}))
                assert kept == results[-1]
                assert before.has(teacher.ask(LONG))
            usage = Usage()
            list(converse(teacher.works(), {Role.WRITER: Desk(teacher, log)}, usage))
            results.append(list(replay(teacher.works(), {Role.WRITER: log.answers()})))
        asked.append([request.messages[0].content for request in teacher.requests])

    assert asked == [["short", LONG, "brief"], [], [], [LONG], [], []]
    cut = f"cut at {small.get('context', 512) if reason == 'too_long' else small['limit']}"
    first, last = ["short!", cut, "brief!"], ["short!", f"{LONG}!", "brief!"]
    assert results == [first, first, first, last, last, last]


def test_programs_run_beside_the_requests(tmp_path: Path) -> None:
    """A row that waits for its program keeps no other row from being answered."""
    teacher = ScriptedTeacher(echo)
    others_are_done = threading.Event()

    def runs_a_program() -> Work[str]:
        (answer,) = yield [ask(teacher, "program")]
        assert others_are_done.wait(30)
        return answer.text

    def last() -> Work[str]:
        (answer,) = yield [ask(teacher, "last")]
        others_are_done.set()
        return answer.text

    with CompletionLog(tmp_path / "log") as log:
        works = iter([runs_a_program(), *questions(teacher, "a", "b"), last()])
        desks = {Role.WRITER: Desk(teacher, log)}
        (feed,) = fill([Feed(works, desks, Usage(), runs_programs=True)], concurrency=4)
        again = iter([*questions(teacher, "program", "a", "b", "last")])

        assert feed.error is None
        results = list(replay(again, {Role.WRITER: log.answers()}, runs_programs=True))

    assert results == ["program!", "a!", "b!", "last!"]


def test_an_interruption_keeps_what_has_arrived_for_every_open_partition(tmp_path: Path) -> None:
    """A teacher returns each answer once: settling one partition must not drop the other's."""

    class Quick(ScriptedTeacher):
        def poll(self, *, wait: bool = True) -> list[Completion | FailedRequest]:
            return super().poll(wait=True)

    teacher = Quick(echo, per_poll=4)
    with CompletionLog(tmp_path / "one") as one, CompletionLog(tmp_path / "two") as two:
        desks = [Desk(teacher, one), Desk(teacher, two)]
        for desk, text in zip(desks, ("a", "b"), strict=True):
            request = ask(teacher, text)
            teacher.submit(request)
            desk.under_way.add(request.id)

        settle(desks, wait=False)

        assert [[c.text for c in log] for log in (one, two)] == [["a!"], ["b!"]]


def test_the_tokens_of_thoughts_are_counted_apart() -> None:
    thought = Completion(
        request_id="a",
        text="4",
        reasoning="2 + 2 = 4",
        finish_reason="stop",
        prompt_tokens=9,
        output_tokens=8,
        reasoning_tokens=6,
    )
    first, second = Usage(), Usage()
    first.add(thought)
    second.add(thought)
    first.merge(second)

    assert (first.output_tokens, first.reasoning_tokens) == (16, 12)
