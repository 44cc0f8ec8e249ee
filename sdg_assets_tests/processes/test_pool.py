from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sdg_assets.errors import PermanentError, TransientError
from sdg_assets.processes.pool import QUEUED, WAITING, Pool
from sdg_assets_tests.processes.jobs import (
    KilledElsewhere,
    Reading,
    echo,
    squares,
    without_sevens,
)
from sdg_assets_tests.support.processes import children_of, is_running

MANY = 10_000
"""Rows for which other processes pay."""
PATIENCE = 60.0


def wait_until(ready: Callable[[], bool]) -> None:
    patience = time.monotonic() + PATIENCE
    while not ready():
        assert time.monotonic() < patience
        time.sleep(0.05)


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    """A pool of two processes; the second one has started."""
    with Pool(2) as two:
        first = os.getpid()
        wait_until(lambda: any(pid != first for pid, _ in two.each(squares, [[1]] * 20, rows=MANY)))
        yield two


def test_the_results_come_in_order_with_any_number_of_processes(pool: Pool) -> None:
    batches = [[n, n + 1] for n in range(60)]

    alone = list(Pool(1).each(squares, batches, rows=MANY))
    together = list(pool.each(squares, batches, rows=MANY))

    assert [result for _, result in together] == [result for _, result in alone]
    assert {pid for pid, _ in alone} == {os.getpid()}
    assert len({pid for pid, _ in together}) == 2


def test_few_rows_start_no_process() -> None:
    with Pool(4) as idle:
        before = children_of(os.getpid())
        list(idle.each(squares, [[1], [2]], rows=20))
        assert children_of(os.getpid()) == before


def test_batches_are_taken_as_results_are(pool: Pool) -> None:
    taken = 0

    def batches() -> Iterator[list[int]]:
        nonlocal taken
        for taken in range(1, 501):
            yield [taken]

    for done, _ in enumerate(pool.each(squares, batches(), rows=MANY)):
        assert taken - done <= 2 * (WAITING + QUEUED)  # the rest of a large partition stays on disk


def test_large_batches_in_both_directions_do_not_block_each_other(pool: Pool) -> None:
    batches = [[bytes(1 << 20)] for _ in range(12)]

    assert list(pool.each(echo, batches, rows=MANY)) == batches


def test_the_error_of_a_batch_stays_what_it_is_and_follows_the_results_before_it() -> None:
    with Pool(2) as pool:
        for _ in range(3):  # whichever process meets it
            results = pool.each(without_sevens, ([n] for n in range(10)), rows=MANY)
            before = [next(results) for _ in range(7)]
            with pytest.raises(PermanentError, match="row 7 cannot be made"):
                next(results)
            assert before == [[n] for n in range(7)]


def test_a_killed_process_is_a_transient_error_that_says_what_to_do() -> None:
    with Pool(2) as pool:
        job = KilledElsewhere(os.getpid())
        batches = ([n] for n in range(10_000))
        with pytest.raises(TransientError, match="was killed by SIGKILL; run again"):
            list(pool.each(job, batches, rows=MANY))
        assert len(list(pool.each(squares, [[1]] * 3, rows=MANY))) == 3  # for the next partition


def test_a_job_reads_its_open_files_in_other_processes_too(pool: Pool) -> None:
    with tempfile.TemporaryFile() as file:  # it has no name that another process could open
        file.write(b"".join(f"{number:4}".encode() for number in range(40)))
        file.flush()
        results = list(pool.each(Reading(file), range(0, 160, 4), rows=MANY))

    assert [data for _, data in results] == [f"{number:4}".encode() for number in range(40)]
    assert len({pid for pid, _ in results}) == 2


OWNER = """
import os, sys
from pathlib import Path
from sdg_assets.processes.pool import Pool
from sdg_assets_tests.processes.jobs import Endless
with Pool(2) as pool:
    for _ in pool.each(Endless(Path(sys.argv[1]), os.getpid()), iter(range(10**9)), rows=10_000):
        pass
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_processes_end_with_the_one_that_started_them(
    number: signal.Signals, tmp_path: Path
) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)]) as owner:
        wait_until(lambda: any(tmp_path.iterdir()))
        (begun,) = (int(file.name) for file in tmp_path.iterdir())
        owner.send_signal(number)
        owner.wait(PATIENCE)

    wait_until(lambda: not is_running(begun))
