from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sdg_assets.errors import StoreError, TransientError
from sdg_assets.store.places import Place, place_of
from sdg_assets.teacher.log import seal
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.requests import Completion


def said(request_id: str, text: str = "four") -> Completion:
    return Completion(
        request_id=request_id, text=text, finish_reason="stop", prompt_tokens=9, output_tokens=1
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "completions" / "writer.jsonl"


def _no_lock(_file: object, _operation: int) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", _no_lock)


@pytest.fixture(params=["directory", "volume without locks", "bucket"])
def place(request: pytest.FixtureRequest, path: Path) -> Place:
    """A log on each kind of storage."""
    if request.param == "bucket":
        return place_of(request.getfixturevalue("bucket")) / "completions" / "writer.jsonl"
    if request.param == "volume without locks":
        request.getfixturevalue("no_locks")
    return path


def written(path: Place, *request_ids: str) -> None:
    with CompletionLog(path) as log:
        for request_id in request_ids:
            log.append(said(request_id))


def cut_off(request_id: str, text: str = "fo") -> Completion:
    return said(request_id, text).model_copy(update={"finish_reason": "length"})


def test_the_last_completion_of_a_request_counts(place: Place) -> None:
    with CompletionLog(place) as log:
        log.append(cut_off("a"))
        log.append(said("b"))
    with CompletionLog(place) as log:
        log.append(cut_off("a", "fou"))
        assert log.get("a").text == "fou"
    with CompletionLog(place) as log:
        assert (log.get("a").text, log.get("a").attempt) == ("fou", 2)
        log.append(said("a"))

        assert {c.request_id: c.text for c in log} == {"a": "four", "b": "four"}
        assert log.answers().get("a").text == "four"
    with CompletionLog(place) as log:
        assert (len(log), log.get("a").text, log.answers().get("a").text) == (2, "four", "four")


def test_what_was_said_is_there_after_a_restart(place: Place) -> None:
    with CompletionLog(place) as log:
        log.append(said("a", "zwölf\n\u2028 Äpfel \\ \x00"))
        log.append(said("b", ""))

    with CompletionLog(place) as log:
        assert len(log) == 2
        assert "a" in log
        assert "c" not in log
        assert log.get("a") == said("a", "zwölf\n\u2028 Äpfel \\ \x00")
        assert [c.request_id for c in log] == ["a", "b"]
        with pytest.raises(KeyError):
            log.get("c")


def test_reading_and_appending_may_alternate(place: Place) -> None:
    with CompletionLog(place) as log:
        for number in range(50):
            log.append(said(f"r{number}", "x" * number * 500))
            assert len(log.get(f"r{number // 2}").text) == number // 2 * 500
        log.append(said("last"))

    with CompletionLog(place) as log:
        assert len(log) == 51


def test_processes_that_share_a_log_write_at_the_same_time_and_a_run_reads_all(path: Path) -> None:
    written(path, "before")

    with (
        CompletionLog(path, is_shared=True) as first,
        CompletionLog(path, is_shared=True) as second,
    ):
        assert "before" in first
        first.append(said("a"))
        second.append(said("b"))

    with CompletionLog(path) as log:
        assert {completion.request_id for completion in log} == {"before", "a", "b"}


@pytest.mark.parametrize("cut", [1, 10, 60])
def test_a_torn_last_line_costs_one_completion_and_nothing_else(path: Path, cut: int) -> None:
    written(path, "a", "b", "c")
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])

    with CompletionLog(path) as log:
        assert [c.request_id for c in log] == ["a", "b"]
        log.append(said("c"))
        assert log.get("c") == said("c")

    assert path.read_bytes() == whole


def test_zeros_at_the_end_as_a_power_cut_leaves_them_cost_nothing(path: Path) -> None:
    written(path, "a", "b")
    whole = path.read_bytes()
    path.write_bytes(whole + b"\x00" * 300)

    with CompletionLog(path) as log:
        assert len(log) == 2

    assert path.read_bytes() == whole


def answers(log: CompletionLog) -> dict[str, str]:
    return {completion.request_id: completion.text for completion in log}


def damage(line: bytes, byte: int, bit: int) -> bytes:
    return line[:byte] + bytes([line[byte] ^ (1 << bit)]) + line[byte + 1 :]


def test_any_bit_of_a_line_that_flips_is_noticed() -> None:
    line = seal.sealed(said("b"))

    assert seal.unsealed(line, "log:2") == said("b")
    for byte in range(len(line)):
        for bit in range(8):
            assert seal.unsealed(damage(line, byte, bit), "log:2") is None


@pytest.mark.parametrize("byte", [0, 30, 90, -20, -2, -1])
def test_a_damaged_line_costs_one_completion_which_is_asked_again(
    path: Path, caplog: pytest.LogCaptureFixture, byte: int
) -> None:
    written(path, "a", "b", "c")
    first, second, third = path.read_bytes().splitlines(keepends=True)
    for bit in (0, 5):
        damaged = first + damage(second, byte % len(second), bit) + third
        path.write_bytes(damaged)
        caplog.clear()

        with CompletionLog(path) as log:
            # A damaged newline joins two undamaged lines, and both are recovered.
            assert set(answers(log)) == ({"a", "b", "c"} if byte == -1 else {"a", "c"})
            assert set(answers(log).values()) == {"four"}
            log.append(said("b"))
            assert log.get("b").text == said("b").text

        assert f"{path}: damaged lines: {len(log.damaged)} ({path}:2" in caplog.text
        assert path.read_bytes().startswith(damaged), "the damaged line must stay for inspection"


def test_a_line_that_was_saved_from_a_damaged_one_is_saved_once(path: Path) -> None:
    written(path, "a", "b")
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first[:-1] + b"\x0b" + second)

    sizes = []
    for _ in range(2):
        with CompletionLog(path) as log:
            assert set(answers(log)) == {"a", "b"}
        sizes.append(path.stat().st_size)

    assert sizes[0] == sizes[1]


def test_a_bit_that_flips_while_the_log_is_open_is_noticed(path: Path) -> None:
    with CompletionLog(path) as log:
        log.append(said("a"))
        log.append(said("b"))
        path.write_bytes(path.read_bytes().replace(b"four", b"five", 1))

        with pytest.raises(TransientError, match="damaged after the log was opened; run again"):
            log.get("a")
        assert log.get("b") == said("b")


def test_a_line_of_another_version_is_an_error_and_not_asked_again(path: Path) -> None:
    content = b'{"request_id":"a","said":"four"}'
    path.parent.mkdir()
    path.write_bytes(content[:-1] + seal._tail(content))

    for _ in range(2):  # with the lock kept, the second would report "another run"
        with pytest.raises(StoreError, match=":1: not a completion of this version"):
            CompletionLog(path)


def test_a_log_has_one_writer(path: Path) -> None:
    with CompletionLog(path), pytest.raises(TransientError, match="another run is writing"):
        CompletionLog(path)

    with CompletionLog(path) as log:
        assert len(log) == 0


def test_a_volume_without_locks_gets_segments_and_says_so(
    path: Path, no_locks: None, caplog: pytest.LogCaptureFixture
) -> None:
    written(path, "a", "b")

    assert "writer.jsonl: cannot be locked (No locks available); the teacher's answers" in (
        caplog.text
    )
    (segment,) = (path.parent / "writer.segments").iterdir()
    assert segment.read_bytes().count(b"\n") == 2


def test_a_lock_that_fails_otherwise_is_an_error(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_file: object, _operation: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", refuse)

    with pytest.raises(StoreError, match=r"writer\.jsonl: cannot be locked \(Input/output error\)"):
        CompletionLog(path)


def test_a_log_goes_on_where_its_volume_gains_or_loses_its_locks(path: Path) -> None:
    written(path, "a")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fcntl, "flock", _no_lock)
        written(path, "b")
        with CompletionLog(path) as log:
            assert {c.request_id for c in log} == {"a", "b"}

    with CompletionLog(path) as log:
        assert {c.request_id for c in log} == {"a", "b"}


def test_a_log_that_was_copied_into_a_bucket_is_read_there(path: Path, bucket: str) -> None:
    written(path, "a", "b")
    copied = place_of(bucket) / "writer.jsonl"
    copied.write_bytes(path.read_bytes()[:-1])  # incomplete, as after a kill
    written(copied, "b", "c")

    with CompletionLog(copied) as log:
        assert {c.request_id for c in log} == {"a", "b", "c"}


def test_a_killed_process_loses_nothing_it_had_finished(path: Path) -> None:
    program = f"""
import os, signal
from pathlib import Path
from sdg_assets.teacher.log import seal
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets_tests.teacher.log.test_completions import said
log = CompletionLog(Path({str(path)!r}))
for number in range(5):
    log.append(said(str(number)))
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == -signal.SIGKILL

    with CompletionLog(path) as log:
        assert [c.request_id for c in log] == ["0", "1", "2", "3", "4"]


def test_the_disk_is_waited_for_in_batches(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[int] = []
    monkeypatch.setattr(os, "fsync", waited.append)

    with CompletionLog(path) as log:
        for number in range(200):
            log.append(said(str(number)))
        assert 3 <= len(waited) < 20

    assert waited
