"""`sdg try` against a server with scripted answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from sdg_assets_tests.assets.quiz import put_rows, quiz
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.builders import write_catalog
from sdg_assets_tests.support.command import sdg
from sdg_assets_tests.support.teacher_server import TeacherServer, schema_of, teacher_server

SCRIPT = "<script>alert('seed')</script>"
IMAGE = '"><img src=x onerror="alert(1)">'
RED = "\x1b[31m"
KNOWN = (
    "Which alpine village hosted the first winter games in nineteen twenty four?",
    "Which harbour did the explorer leave when he sailed towards the southern ice?",
    "Which walled town was rebuilt stone by stone after the great flood of its river?",
)
"""Questions that have nothing in common but their first word."""


class BabblingTeacher(TeacherServer):
    """Its second draft is no JSON."""

    def __init__(self) -> None:
        super().__init__()
        self._drafts = count(1)

    def complete(self, body: dict[str, Any]) -> str:
        if "question" in schema_of(body) and next(self._drafts) == 2:
            return "La la la."
        return super().complete(body)


class HostileTeacher(TeacherServer):
    """Writes questions that are HTML, and colours a terminal."""

    def write(self, body: dict[str, Any]) -> dict[str, Any]:
        question = f"{RED}Which city has the number {SCRIPT} {IMAGE} {len(self.asked)}?"
        return {"question": question, "answer": "Oslo", "wrong_answers": [IMAGE]}

    def speak(self, body: dict[str, Any]) -> str:
        return f"{SCRIPT} {super().speak(body)}"


class Tags(HTMLParser):
    """The tags of a page, their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: dict[str, set[str | None]] = {}
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, set()).add(value)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture
def mirror(tmp_path: Path, configure: Configure, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A quiz with 12 seeds."""
    monkeypatch.chdir(tmp_path)
    mirror = quiz(tmp_path, configure, "quiz_a")
    put_rows(mirror, "quiz_a", rows=12)
    return mirror


@pytest.fixture
def teacher(configure: Configure) -> Iterator[BabblingTeacher]:
    with teacher_server(BabblingTeacher()) as server:
        configure(teacher=server.url)
        yield server


def put_split(mirror: Path, split: str, questions: Sequence[str], wrong: str = "Rome") -> None:
    rows = [{"question": q, "choices": ["Oslo", wrong], "label": 0} for q in questions]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (mirror / "org" / "quiz" / "quiz_a" / f"{split}.jsonl").write_text(lines, "utf-8")


def test_rows_go_through_all_stages_and_the_page_shows_every_intermediate(
    mirror: Path, teacher: BabblingTeacher, tmp_path: Path
) -> None:
    put_split(mirror, "test", KNOWN)

    done = sdg("try", "quiz/quiz_a", "--rows", "3")

    assert done.exit_code == 0, done.stderr
    page = (tmp_path / "try-quiz-quiz_a.html").read_text("utf-8")
    text = "".join(Tags(page).texts)
    for part in (
        "Which city is quiz_a ",  # a seed
        "Prompt sent: system",
        "La la la.",
        "generated, generation: unparsable",
        "Which city has the number ",  # a draft
        "I looked the number up in the register of cities.",  # a trace
        "Cities have numbers in the register.",  # a background
        "contamination",
        "their hashes are in scratch, read from mirror:",
    ):
        assert part in text, part
    out = done.stdout
    assert out.count("generated: generation: unparsable") == 1
    assert out.count(" accepted\n") == 2
    assert "All 12 seeds, 12 examples, extrapolated from 3 rows" in out
    assert "Compared with the held-out splits of quiz/quiz_a" in out
    assert "protected benchmarks that SDG_WITHOUT_BENCHMARKS leaves out" in out
    assert not (tmp_path / "store").exists(), "the store is only read"


def test_a_script_reads_the_same_as_json_and_the_cost_is_that_of_the_rows(
    mirror: Path, teacher: BabblingTeacher, configure: Configure
) -> None:
    configure(examples_per_seed=2)

    done = sdg("try", "quiz/quiz_a", "--rows", "4", "--tokens-per-second", "100", "--json")

    assert done.exit_code == 0, done.stderr
    report = json.loads(done.stdout)
    assert [row["is_accepted"] for row in report["rows"]].count(True) == 3
    stages = {count["stage"]: count for count in report["stages"]}
    assert (stages["generated"]["in"], stages["generated"]["accepted"]) == (4, 3)
    spent = [stages[stage]["usage"] for stage in ("generated", "enriched")]
    assert sum(usage["requests"] for usage in spent) == teacher.answered.total()
    cost = report["extrapolation"]
    assert (cost["tried"], cost["examples"]) == (4, 24)
    for name in ("requests", "output_tokens"):
        total = sum(usage[name] for usage in spent)
        assert cost[name]["expected"] == pytest.approx(24 / 4 * total)
        assert cost[name]["low"] < cost[name]["expected"] < cost[name]["high"]
    expected_hours = cost["output_tokens"]["expected"] / 100 / 3600
    assert cost["gpu_hours"]["expected"] == pytest.approx(expected_hours)
    assert cost["accepted"]["expected"] == 18
    assert cost["accepted"]["low"] < 18 < cost["accepted"]["high"] < 24
    accepted = next(row for row in report["rows"] if row["is_accepted"])
    assert accepted["gates"]["contamination"] == "passed"
    assert accepted["gates"]["duplicates"] == "passed"


def test_a_seed_that_repeats_a_held_out_row_is_refused_by_hashes_made_for_it(
    mirror: Path, teacher: BabblingTeacher
) -> None:
    put_split(mirror, "test", KNOWN)
    put_split(mirror, "train", KNOWN)

    done = sdg("try", "quiz/quiz_a", "--rows", "3", "--json")

    assert done.exit_code == 1, "no row was accepted"
    report = json.loads(done.stdout)
    refusals = {(r["refused_by"]["stage"], r["refused_by"]["gate"]) for r in report["rows"]}
    assert refusals == {("normalized", "contamination")}
    assert teacher.answered.total() == 0
    assert report["extrapolation"]["gpu_hours"] is None


def test_html_in_rows_and_answers_is_shown_as_text(
    mirror: Path, tmp_path: Path, configure: Configure
) -> None:
    put_split(mirror, "train", [f"Which city is {SCRIPT} {n}?" for n in range(4)], IMAGE)
    with teacher_server(HostileTeacher()) as server:
        configure(teacher=server.url)
        done = sdg("try", "quiz/quiz_a", "--rows", "2", "--page", "hostile.html")

    page = Tags((tmp_path / "hostile.html").read_text("utf-8"))
    text = "".join(page.texts)
    assert not page.tags & {"script", "img", "iframe", "object", "form"}
    assert not [name for name in page.attributes if name.startswith("on")]
    assert not page.attributes.keys() & {"src"}
    assert page.attributes["href"] == {"data:,"}, "it loads nothing"
    assert SCRIPT in text
    assert IMAGE in text
    assert RED not in done.stdout


def test_a_kept_scratch_store_is_asked_for_nothing_twice_and_can_be_looked_at(
    mirror: Path, teacher: BabblingTeacher, tmp_path: Path, configure: Configure
) -> None:
    command = ("try", "quiz/quiz_a", "--rows", "3", "--into", "tried", "--json")
    first, answered = json.loads(sdg(*command).stdout), teacher.answered.total()

    again = json.loads(sdg(*command).stdout)

    assert teacher.answered.total() == answered
    assert again["extrapolation"]["output_tokens"] == first["extrapolation"]["output_tokens"]
    assert again["extrapolation"]["gpu_hours"] is None, "nothing was written just now"
    assert (tmp_path / "tried" / "try-quiz-quiz_a.html").is_file()
    configure(store=tmp_path / "tried")
    (funnel,) = json.loads(sdg("funnel", "--json").stdout)
    assert (funnel["seeds"], funnel["verified"], funnel["accepted"]) == (3, 2, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["quizz/quiz_a"], "unknown seed task 'quizz'; did you mean quiz"),
        (["quiz"], "'quiz' is not a subtask; write it as task/subtask"),
        (["dull/dull_a"], "dull/dull_a is switched off: too dull"),
        (["quiz/quiz_a", "--into", "store/scratch"], "--into store/scratch: that is in, or around"),
        (["quiz/quiz_a", "--into", "mirror"], "--into mirror: holds files that `sdg try` did not"),
        (["quiz/quiz_a", "--page", "nowhere/page.html"], "--page nowhere/page.html: cannot be wri"),
        (["quiz/quiz_a", "--rows", "0"], "Invalid value for '--rows'"),
        (["quiz/quiz_a"], "http://127.0.0.1:9"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_tried_is_one_clear_line(
    mirror: Path, tmp_path: Path, configure: Configure, arguments: list[str], message: str
) -> None:
    off = {"enabled": False, "why": "too dull"}
    write_catalog(tmp_path / "catalog", {"task": "dull", **off, "subtasks": {"dull_a": {}}})
    configure(teacher="http://127.0.0.1:9")

    done = sdg("try", *arguments)

    assert done.exit_code == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
