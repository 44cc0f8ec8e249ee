"""The processes of an engine end with the step that started them, and say why they failed."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from sdg_assets.teacher.engine.core import Output
from sdg_assets.teacher.engine.streamed import StreamedCore
from sdg_assets_tests.support.processes import children_of, is_running

PATIENCE = 60.0
ROOT = Path(__file__).parents[3]
# A stand-in for vLLM's processes: a child with a child of its own, both idle for ever.
FAMILY = """
import logging, multiprocessing, os, sys, threading, time
from sdg_assets.teacher.engine.children import tied_to_this_process

def child(depth):
    if depth:
        multiprocessing.get_context("{method}").Process(target=child, args=(depth - 1,)).start()
    os.write(1, b"PID %d\\n" % os.getpid())  # at once: both children write here
    time.sleep(600)

def failing():
    try:
        raise ValueError("no room\\nfor the model")
    except ValueError:
        logging.getLogger("vllm").exception("EngineCore failed to start.")

if __name__ == "__main__":
    with tied_to_this_process() as errors:
        if sys.argv[1] == "fail":
            process = multiprocessing.get_context("{method}").Process(target=failing)
            process.start()
            process.join()
            print("FIRST", errors.first())
        else:
            multiprocessing.get_context("{method}").Process(target=child, args=(1,)).start()
            time.sleep(600)
"""
ENGINE = """
from sdg_assets.teacher.backends.engine import EngineTeacher
from sdg_assets.teacher.models import resolve
from sdg_assets.teacher.requests import Message, Sampling
from sdg_assets_tests.support.requests import request_of

def ask(tokens):
    prompt = [Message(role="user", content="Count from one to one thousand.")]
    sampling = Sampling(temperature=0.0, max_tokens=tokens, sample=tokens)
    engine.submit(request_of(engine.identity, prompt, sampling))

if __name__ == "__main__":
    engine = EngineTeacher(resolve("smollm2-135m"), own_process=True)
    ask(4), ask(8)
    print("ANSWERS", *sorted(a.output_tokens for a in engine.poll() + engine.poll()), flush=True)
    ask(3000)
    engine.poll()
"""


def program(folder: Path, text: str, *arguments: str) -> subprocess.Popen[str]:
    path = folder / "program.py"
    path.write_text(text, "utf-8")
    return subprocess.Popen(
        [sys.executable, path, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )


def all_gone(pids: Iterable[int]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while any(is_running(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_a_killed_process_takes_its_engines_processes_with_it(method: str, tmp_path: Path) -> None:
    parent = program(tmp_path, FAMILY.replace("{method}", method), "stay")
    assert parent.stdout
    pids = [int(parent.stdout.readline().split()[1]) for _ in range(2)]
    assert all(is_running(pid) for pid in pids)

    parent.send_signal(signal.SIGKILL)
    parent.wait()

    assert all_gone(pids)


def test_the_first_error_of_a_child_reaches_its_parent(tmp_path: Path) -> None:
    parent = program(tmp_path, FAMILY.replace("{method}", "spawn"), "fail")

    assert "FIRST ValueError: no room for the model\n" in parent.communicate()[0]


@pytest.mark.engine
def test_answers_that_came_before_an_engine_died_are_taken_first() -> None:
    from vllm.v1.engine.exceptions import EngineDeadError

    core = StreamedCore.__new__(StreamedCore)  # without an engine: only its outputs
    core._outputs, core._under_way, core._death = queue.SimpleQueue(), 5, None
    for number, result in enumerate(["a", EngineDeadError(), "b", EngineDeadError(), "c"]):
        core._outputs.put(Output(str(number), result))

    assert [output.result for output in core.finished(wait=True)] == ["a", "b", "c"]
    assert core.has_unfinished
    with pytest.raises(EngineDeadError):
        core.finished(wait=True)


@pytest.mark.engine
def test_a_streamed_engine_answers_and_ends_with_a_killed_step(tmp_path: Path) -> None:
    step = program(tmp_path, ENGINE)
    assert said(step, "ANSWERS") == "ANSWERS 4 8"
    engine = children_of(step.pid)
    assert len(engine) >= 2  # the engine's process, and its worker's

    step.send_signal(signal.SIGKILL)
    step.wait()

    assert all_gone(engine)


def said(step: subprocess.Popen[str], word: str) -> str:
    """The program's next line that begins with a word."""
    assert step.stdout
    return next((line.strip() for line in step.stdout if line.startswith(word)), "")
