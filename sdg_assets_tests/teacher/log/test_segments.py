from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sdg_assets.errors import TransientError
from sdg_assets.store.objects import ObjectPath
from sdg_assets.store.places import Place, listing, place_of, write_atomic
from sdg_assets.teacher.log import segments
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.log.seal import sealed
from sdg_assets.teacher.log.segments import Segments
from sdg_assets_tests.teacher.log.test_completions import cut_off, said, written


@pytest.fixture
def log_place(bucket: str) -> Place:
    return place_of(bucket) / "completions" / "writer.jsonl"


@pytest.fixture(params=["directory", "bucket"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A folder for segments: in a bucket, and on a shared volume without locks."""
    if request.param == "bucket":
        return place_of(request.getfixturevalue("bucket")) / "writer.segments"
    return tmp_path / "writer.segments"


def line(request_id: str) -> bytes:
    return sealed(said(request_id))


def keep(folder: Place, *request_ids: str) -> None:
    written = Segments(folder)
    for request_id in request_ids:
        written.append(line(request_id))
    written.close()


def kept(folder: Place) -> list[bytes]:
    return sorted(line for _, _, line in Segments(folder).lines())


def count(folder: Place) -> int:
    return len(list(listing(folder)))


def test_several_writers_never_touch_each_others_completions(log_place: Place) -> None:
    def write(writer: int) -> None:
        with CompletionLog(log_place) as log:
            for number in range(50):
                log.append(said(f"{writer}-{number}"))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))

    with CompletionLog(log_place) as log:
        assert {c.request_id for c in log} == {f"{w}-{n}" for w in range(4) for n in range(50)}


def test_an_answer_takes_the_place_of_a_refusal_that_came_before(log_place: Place) -> None:
    refused = said("a", "").model_copy(update={"finish_reason": "too_long", "prompt_tokens": 0})
    for completion in (refused, said("a"), refused):
        with CompletionLog(log_place) as log:
            log.append(completion)

    with CompletionLog(log_place) as log:
        assert [completion.text for completion in log] == ["four"]


def test_the_order_of_segments_does_not_say_which_answer_is_the_last(log_place: Place) -> None:
    """A merge names old lines anew, and small segments are read before large ones."""
    folder = log_place.with_suffix(".segments")
    said_last = cut_off("a", "four and tw").model_copy(update={"attempt": 2})
    for name, completion in (("1", said_last), ("2", cut_off("a")), ("3", said_last)):
        write_atomic(folder / f"{name}.jsonl", sealed(completion))

    with CompletionLog(log_place) as log:
        assert [completion.text for completion in log] == ["four and tw"]


def test_a_flush_comes_after_so_many_completions(
    folder: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "SEGMENT_SECONDS", 3600.0)
    writing = Segments(folder)
    for number in range(segments.MOST_UNSENT + segments.SEGMENT_LINES):
        writing.append(line(str(number)))  # the last ones waited until the first were sent

    assert len(kept(folder)) >= segments.SEGMENT_LINES
    writing.close()
    assert len(kept(folder)) == segments.MOST_UNSENT + segments.SEGMENT_LINES


def test_a_flush_comes_after_so_many_seconds_without_another_completion(
    folder: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = threading.Event()

    def recorded(place: Place, data: bytes) -> None:
        write_atomic(place, data)
        sent.set()

    monkeypatch.setattr(segments, "write_atomic", recorded)
    monkeypatch.setattr(segments, "SEGMENT_SECONDS", 0.05)
    writing = Segments(folder)
    writing.append(line("a"))

    assert sent.wait(60)
    writing.close()
    assert kept(folder) == [line("a")]


def test_sync_waits_until_everything_is_there(folder: Place) -> None:
    writing = Segments(folder)
    for request_id in ("a", "b", "c"):
        writing.append(line(request_id))
    writing.sync()

    assert kept(folder) == [line("a"), line("b"), line("c")]
    writing.close()


def test_a_failing_run_flushes_what_it_had(log_place: Place) -> None:
    def fail() -> None:
        with CompletionLog(log_place) as log:
            log.append(said("a"))
            raise RuntimeError("the engine died")

    with pytest.raises(RuntimeError, match="the engine died"):
        fail()

    with CompletionLog(log_place) as log:
        assert "a" in log


def killed_while_it_writes(log_place: Place, number: int) -> None:
    """Adds completions to a log in another process, which SIGKILL ends before any flush but those
    that come after so many."""
    program = f"""
import os, signal
from sdg_assets.store.places import place_of
from sdg_assets.teacher.log import segments
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets_tests.teacher.log.test_completions import said
segments.SEGMENT_SECONDS = 3600.0
log = CompletionLog(place_of({str(log_place)!r}), is_shared=True)
for number in range({number}):
    log.append(said(str(number)))
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == -signal.SIGKILL


def test_a_killed_process_loses_at_most_what_was_not_flushed(log_place: Place) -> None:
    killed_while_it_writes(log_place, 500)

    with CompletionLog(log_place) as log:
        assert 500 - segments.MOST_UNSENT <= len(log) <= 500
        assert [c.request_id for c in log] == [str(n) for n in range(len(log))]


def test_a_killed_process_loses_nothing_in_a_directory(tmp_path: Path) -> None:
    place = tmp_path / "writer.jsonl"
    killed_while_it_writes(place, 500)

    with CompletionLog(place, is_shared=True) as log:
        assert {c.request_id for c in log} == {str(n) for n in range(500)}


def test_a_line_of_a_journal_that_a_kill_cut_short_is_not_damaged(tmp_path: Path) -> None:
    folder = tmp_path / "writer.segments"
    folder.mkdir()
    (folder / f"killed-000001{segments.JOURNAL}").write_bytes(line("a") + line("b")[:-9])

    with CompletionLog(tmp_path / "writer.jsonl", is_shared=True) as log:
        assert [c.request_id for c in log] == ["a"]
        assert not log.damaged


def test_journals_are_merged_when_their_process_is_long_dead(tmp_path: Path) -> None:
    folder = tmp_path / "writer.segments"
    many_segments(folder, segments.MOST_SMALL)
    dead, living = (folder / f"{name}-000001{segments.JOURNAL}" for name in ("dead", "living"))
    for journal in (dead, living):
        journal.write_bytes(line(journal.name))
    long_ago = time.time() - 2 * segments.DEAD_JOURNAL.total_seconds()
    os.utime(dead, (long_ago, long_ago))

    assert len(kept(folder)) == segments.MOST_SMALL + 2
    assert {file.name for file in listing(folder)} > {living.name}
    assert count(folder) == 2


def test_an_upload_that_fails_stops_the_run_and_is_tried_again_at_its_end(
    log_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Place] = []

    def down_at_first(place: Place, data: bytes) -> None:
        tried.append(place)
        if len(tried) == 1:
            raise TransientError("the object store is down")
        write_atomic(place, data)

    monkeypatch.setattr(segments, "write_atomic", down_at_first)

    with pytest.raises(TransientError, match="is down"):
        written(log_place, *map(str, range(segments.MOST_UNSENT + 1)))

    assert len(tried) == 2
    with CompletionLog(log_place) as log:
        assert len(log) >= segments.SEGMENT_LINES


def test_answers_that_arrive_after_a_failed_upload_are_kept(
    log_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter([TransientError("503 Slow Down")])

    def fail_once(place: Place, data: bytes) -> None:
        for failure in failures:
            raise failure
        write_atomic(place, data)

    monkeypatch.setattr(segments, "write_atomic", fail_once)
    with CompletionLog(log_place) as log:
        for number in range(segments.SEGMENT_LINES):
            log.append(said(str(number)))
        with pytest.raises(TransientError, match="503 Slow Down"):
            log.sync()
        for number in range(segments.SEGMENT_LINES, 288):  # they were under way
            with pytest.raises(TransientError, match="503 Slow Down"):
                log.append(said(str(number)))

    with CompletionLog(log_place) as log:
        assert len(log) == 288


def test_an_upload_that_keeps_failing_is_not_kept_quiet(
    log_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(_place: Place, _data: bytes) -> None:
        raise TransientError("the object store is down")

    monkeypatch.setattr(segments, "write_atomic", down)
    log = CompletionLog(log_place)
    log.append(said("a"))

    with pytest.raises(TransientError, match="is down"):
        log.sync()
    with pytest.raises(TransientError, match="is down"):
        log.__exit__(None, None, None)


def many_segments(folder: Place, number: int) -> list[bytes]:
    lines = [line(f"{n:03}") for n in range(number)]
    for n, content in enumerate(lines):
        write_atomic(folder / f"20260101T000000-{n:08x}-000001.jsonl", content)
    return lines


def test_many_small_segments_become_one_on_opening(folder: Place) -> None:
    lines = many_segments(folder, segments.MOST_SMALL + 1)

    assert kept(folder) == lines
    assert count(folder) == 1
    assert kept(folder) == lines


def test_a_large_segment_is_left_alone(folder: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(folder, *(f"large {n}" for n in range(20)))
    (large,) = listing(folder)
    monkeypatch.setattr(segments, "SMALL_BYTES", large.size)
    many_segments(folder, segments.MOST_SMALL + 1)

    assert len(kept(folder)) == segments.MOST_SMALL + 21
    assert {large.name} < {f.name for f in listing(folder)}
    assert count(folder) == 2


@pytest.mark.parametrize("merged", [False, True], ids=["before the new one", "after it"])
def test_a_merge_that_is_killed_loses_nothing(
    folder: Place, monkeypatch: pytest.MonkeyPatch, merged: bool
) -> None:
    lines = many_segments(folder, segments.MOST_SMALL + 1)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        kind = ObjectPath if isinstance(folder, ObjectPath) else Path
        before = {ObjectPath: "upload", Path: "replace"}[kind]
        patch.setattr(kind, "unlink" if merged else before, killed)
        with pytest.raises(KeyboardInterrupt):
            kept(folder)

    assert sorted(set(kept(folder))) == lines
    assert count(folder) == 1


def test_who_reads_while_another_run_merges_reads_everything(
    folder: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = many_segments(folder, segments.MOST_SMALL)
    merge = [lambda: Segments(folder)._merge([folder / f.name for f in listing(folder)])]
    really = segments._read

    def read(place: Place) -> bytes:
        while merge:
            merge.pop()()
        return really(place)

    with monkeypatch.context() as patch:
        patch.setattr(segments, "_read", read)
        patch.setattr(segments, "READERS", 1)
        lines_read = kept(folder)

    assert sorted(set(lines_read)) == lines


def test_a_bit_that_flips_in_a_segment_costs_one_completion(
    log_place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    written(log_place, "a", "b", "c")
    folder = log_place.with_suffix(".segments")
    (segment,) = (folder / f.name for f in listing(folder))
    data = segment.read_bytes()
    segment.write_bytes(data.replace(b'"b"', b'"f"'))

    with CompletionLog(log_place) as log:
        assert {c.request_id for c in log} == {"a", "c"}
        log.append(said("b"))

    assert f"damaged lines: 1 ({segment}:2). They are not used" in caplog.text
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in caplog.text
    with CompletionLog(log_place) as log:
        assert {c.request_id for c in log} == {"a", "b", "c"}
