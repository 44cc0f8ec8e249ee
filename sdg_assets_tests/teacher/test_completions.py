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
from sdg_assets.teacher.completions import CompletionLog
from sdg_assets.teacher.requests import Completion


def said(request_id: str, text: str = "four") -> Completion:
    return Completion(
        request_id=request_id, text=text, finish_reason="stop", prompt_tokens=9, output_tokens=1
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "completions" / "writer.jsonl"


def written(path: Path, *request_ids: str) -> None:
    with CompletionLog(path) as log:
        for request_id in request_ids:
            log.append(said(request_id))


def test_what_was_said_is_there_after_a_restart(path: Path) -> None:
    with CompletionLog(path) as log:
        log.append(said("a", "zwölf\n\u2028 Äpfel \\ \x00"))
        log.append(said("b", ""))

    with CompletionLog(path) as log:
        assert len(log) == 2
        assert "a" in log
        assert "c" not in log
        assert log.get("a") == said("a", "zwölf\n\u2028 Äpfel \\ \x00")
        assert [c.request_id for c in log] == ["a", "b"]
        with pytest.raises(KeyError):
            log.get("c")


def test_reading_and_appending_may_alternate(path: Path) -> None:
    with CompletionLog(path) as log:
        for number in range(50):
            log.append(said(f"r{number}", "x" * number * 500))
            assert len(log.get(f"r{number // 2}").text) == number // 2 * 500
        log.append(said("last"))

    with CompletionLog(path) as log:
        assert len(log) == 51


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


def test_a_corrupt_line_that_is_not_the_last_is_named_by_file_and_number(path: Path) -> None:
    written(path, "a", "b", "c")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b'{"request_id": "b"\n' + lines[2])

    with pytest.raises(StoreError) as caught:
        CompletionLog(path)

    assert str(caught.value).startswith(f"{path}:2: not a completion; ")
    assert path.read_bytes().count(b"\n") == 3  # nothing was cut off


def test_a_log_that_could_not_be_read_is_not_held(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"nonsense\n")

    for _ in range(2):  # the second time it would say "another run is writing"
        with pytest.raises(StoreError, match=":1: not a completion"):
            CompletionLog(path)


def test_a_log_has_one_writer(path: Path) -> None:
    with CompletionLog(path), pytest.raises(TransientError, match="another run is writing"):
        CompletionLog(path)

    with CompletionLog(path) as log:
        assert len(log) == 0


def test_a_file_system_without_locks_is_said_to_be_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_file: object, _operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)

    with pytest.raises(StoreError, match=r"writer\.jsonl: cannot be locked \(No locks available\)"):
        CompletionLog(path)


def test_a_killed_process_loses_nothing_it_had_finished(path: Path) -> None:
    program = f"""
import os, signal
from pathlib import Path
from sdg_assets.teacher.completions import CompletionLog
from sdg_assets_tests.teacher.test_completions import said
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
