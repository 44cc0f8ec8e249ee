"""How long `sdg browse` takes on large tables, and how much memory.

`python -m sdg_assets_tests.benchmarks.browse_at_scale` makes a partition of 500,000 rows and a
release of 4.5 million (its ten shards are one file), starts `sdg browse` as a program, and asks for
pages as a browser does: the first page of each table before it was ever read, then, once it was,
filters, searches, sorts and rows. Exits 1 if a page or the memory misses its goal.

Reading a table for the first time goes on in the background; its time is printed, too.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

import psutil

from sdg_assets.records import AnswerKind, EnrichedExample
from sdg_assets.store.manifest import Manifest
from sdg_assets.store.partitions import PartitionKey
from sdg_assets_tests.support.command import PROGRAM
from sdg_assets_tests.support.records import enriched, judgement

FIRST_SECONDS = 2.0
WARM_SECONDS = 1.0
MEMORY_GIB = 1.0
SHARDS = 10
REFUSED_SHARE = 0.1
VOCABULARY = 60_000
WORDS = {"question": 30, "reasoning": 45, "knowledge": 35}
READING = 1800.0
QUERIES: dict[str, dict[str, str]] = {
    "all rows": {},
    "one filter": {"variation": "harder"},
    "three filters": {"state": "accepted", "vote_share_from": "0.9", "topic": "root2/field1"},
    "a rare word": {"q": "rareword"},
    "a word of every row": {"q": "the"},
    "two words": {"q": "the common"},
    "words and filters": {"q": "common", "judge_from": "0.5", "variation": "new_topic"},
    "sorted": {"sort": "length", "down": "1"},
    "sorted and filtered": {"sort": "judge", "variation": "harder"},
    "a late page": {"page": "5000"},
    "a sample by strata": {"sample": "100", "state": "accepted"},
}


def rows(count: int, seed: int) -> Iterator[bytes]:
    """Lines of rows with random words, by frequency as in natural text (Zipf)."""
    draw = random.Random(seed)
    words = [
        "".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(2, 10)))
        for _ in range(VOCABULARY)
    ]
    weights = [1 / (rank + 1) for rank in range(VOCABULARY)]
    pool = draw.choices(words, weights, k=1_000_000)
    template = enriched(
        answer_kind=AnswerKind.NUMERIC, question="QUESTION", reasoning="REASONING",
        knowledge="KNOWLEDGE", judge=judgement(0.5), id="ROW",
    ).model_dump(mode="json")  # fmt: skip
    for number in range(count):
        at = draw.randrange(len(pool) - 200)
        for name, length in WORDS.items():
            template[name] = " ".join(["the", *pool[at : at + length]])
            at += length
        if number % 3 == 0:
            template["question"] += " common"
        if number % 50_000 == 7:
            template["question"] += " rareword"
        template["id"] = f"{number:020x}"
        template["seed_ids"] = [f"{number // 2:020x}"]
        template["variation"] = ("new_topic", "harder", "other_form")[number % 3]
        template["topic"] = f"root{number % 7}/field{number % 5}/leaf{number % 100}"
        template["vote_share"] = (1.0, 2 / 3)[number % 2]
        template["judge"]["score"] = (number % 11) / 10
        yield json.dumps(template, ensure_ascii=False).encode() + b"\n"


def write_lines(file: Path, lines: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    with file.open("wb") as out:
        for line in lines:
            digest.update(line)
            out.write(line)
    return digest.hexdigest()


def refused(lines: Iterator[bytes]) -> Iterator[bytes]:
    head = b'{"gate":"verification","reason":"majority disagrees","detail":"","scores":{},"row":'
    for line in lines:
        yield head + line[:-1] + b"}\n"


def make_partition(root: Path, count: int) -> None:
    key, version = PartitionKey("quiz", "filtered", "quiz"), "20260101T000000-00000000"
    folder = root / key.task / key.stage / key.subtask
    folder.mkdir(parents=True)
    bad = int(count * REFUSED_SHARE)
    manifest = Manifest(
        rows=count - bad,
        sha256=write_lines(folder / f"{version}.jsonl", rows(count - bad, 1)),
        rejected={"verification: majority disagrees": bad},
        rejected_sha256=write_lines(folder / f"{version}.rejected.jsonl", refused(rows(bad, 2))),
        written_at=datetime.now(UTC),
        version=version,
    )
    file = root / key.task / key.stage / f"{key.subtask}.manifest.json"
    file.write_text(manifest.model_dump_json())


def make_release(root: Path, count: int) -> None:
    folder = root / "curated" / "large0000000" / "generative"
    folder.mkdir(parents=True)
    names = [f"train-{number:05}-of-{SHARDS:05}.jsonl" for number in range(SHARDS)]
    sha = write_lines(folder / names[0], rows(count // SHARDS, 3))
    for name in names[1:]:
        os.link(folder / names[0], folder / name)
    size = (folder / names[0]).stat().st_size
    manifest = {
        "rows": {"generative": count},
        "tasks": {"quiz": {"rows": count}},
        "files": {f"generative/{name}": sha for name in names},
        "bytes": {f"generative/{name}": size for name in names},
    }
    (folder.parent / "manifest.json").write_text(json.dumps(manifest))


def fetched(url: str) -> tuple[float, str]:
    """Seconds until a page was read, and the page."""
    start = time.perf_counter()
    with urlopen(url, timeout=120) as answer:
        text = answer.read().decode()
    return time.perf_counter() - start, text


def measure(base: str, path: str, name: str, process: psutil.Process) -> list[str]:
    missed = []

    def note(what: str, seconds: float, goal: float) -> None:
        print(f"  {what:28} {seconds:7.3f} s")
        if seconds > goal:
            missed.append(f"{name}, {what}: {seconds:.2f} s instead of {goal} s")

    print(name)
    seconds, text = fetched(base + path)
    note("first page, never read", seconds, FIRST_SECONDS)
    assert 'class="question"' in text, "the first page shows rows"
    start = time.perf_counter()
    while 'id="progress"' in text and time.perf_counter() - start < READING:
        time.sleep(0.5)
        _, text = fetched(base + path)
    print(f"  {'read in the background':28} {time.perf_counter() - start:7.1f} s")
    print(f"  {'most memory so far':28} {peak_gib(process):7.2f} GiB")
    for what, query in QUERIES.items():
        url = f"{base}{path}?{urlencode(query)}"
        fetched(url)
        note(what, min(fetched(url)[0] for _ in range(3)), WARM_SECONDS)
    rows_read = [fetched(f"{base}{path}/rows/{n}?variation=harder")[0] for n in (1, 4, 7000, 9001)]
    note("a row", min(rows_read[1:]), WARM_SECONDS)
    memory = peak_gib(process)
    print(f"  {'most memory so far':28} {memory:7.2f} GiB")
    if memory > MEMORY_GIB:
        missed.append(f"{name}: {memory:.2f} GiB instead of {MEMORY_GIB}")
    return missed


def peak_gib(process: psutil.Process) -> float:
    """Most memory that a process has had in use (VmHWM)."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / (1 << 20)


def gigabytes(folder: Path) -> float:
    """Size of all files; each link counts."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e9


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000, help="of the partition")
    parser.add_argument("--release-rows", type=int, default=4_500_000)
    arguments = parser.parse_args()
    assert EnrichedExample.model_validate_json(next(rows(1, 0)))
    with tempfile.TemporaryDirectory() as scratch:
        store, cache = Path(scratch) / "store", Path(scratch) / "cache"
        start = time.perf_counter()
        make_partition(store, arguments.rows)
        make_release(store, arguments.release_rows)
        print(f"made in {time.perf_counter() - start:.0f} s")
        environment = {**os.environ, "SDG_STORE": str(store), "SDG_CACHE": str(cache)}
        command = [*PROGRAM, "browse", "--port", "0"]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as run:
            assert run.stdout
            base = run.stdout.readline().strip()
            process = psutil.Process(run.pid)
            try:
                missed = measure(base, "/subtasks/quiz/quiz/filtered", "partition", process)
                missed += measure(base, "/releases/large0000000", "release", process)
            finally:
                run.terminate()
        print(f"cache: {gigabytes(cache):.2f} GB for {gigabytes(store):.2f} GB of rows")
    for line in missed:
        print(f"missed: {line}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
