from __future__ import annotations

import io
from pathlib import Path

import pytest

from sdg_assets.errors import TransientError
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets_tests.teacher.log.test_completions import said


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "completions" / "writer.jsonl"


@pytest.mark.parametrize("is_shared", [False, True])  # in a file, and in segments
def test_the_answers_so_far_are_read_by_their_ids(path: Path, is_shared: bool) -> None:
    with CompletionLog(path, is_shared=is_shared) as log:
        assert_unknown(log, "a")
        for request_id in ("b", "a", "zwölf"):
            log.append(said(request_id, f"the answer {request_id}\n"))
        answers = log.answers()
        log.append(said("later"))

        for request_id in ("a", "b", "zwölf"):
            assert answers.get(request_id) == log.get(request_id)
        assert_unknown(log, "c")
        with pytest.raises(KeyError):
            answers.get("later")


def assert_unknown(log: CompletionLog, request_id: str) -> None:
    with pytest.raises(KeyError):
        log.answers().get(request_id)


def test_a_damaged_line_after_an_answer_is_no_part_of_it(path: Path) -> None:
    with CompletionLog(path) as log:
        for request_id in "abc":
            log.append(said(request_id))
    first, second, third = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + second.replace(b"four", b"five") + third)

    with CompletionLog(path) as log:
        answers = log.answers()
        assert (answers.get("a"), answers.get("c")) == (said("a"), said("c"))
        with pytest.raises(KeyError):
            answers.get("b")


def test_a_bit_that_flips_later_is_noticed(path: Path) -> None:
    with CompletionLog(path) as log:
        log.append(said("a"))
        answers = log.answers()
        path.write_bytes(path.read_bytes().replace(b"four", b"five"))

        with pytest.raises(TransientError, match="damaged after the log was opened; run again"):
            answers.get("a")


def test_whoever_reads_the_answers_does_not_lock_the_log(path: Path) -> None:
    with CompletionLog(path) as log:
        log.append(said("a"))
        answers = log.answers()

    with CompletionLog(path) as again:  # another run of the partition
        again.append(said("b"))
        assert answers.get("a") == said("a")
    assert isinstance(vars(answers)["_file"], io.BufferedReader)  # what a pool passes on
