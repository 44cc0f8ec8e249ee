from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from sdg_assets.catalog import cached_catalog, load_catalog
from sdg_assets.catalog.lm_eval_index import LmEvalIndex, installed, recorded, write
from sdg_assets.catalog.seed_task import SeedTask
from sdg_assets.cli.catalog.check import absent_splits, differences, stale_index
from sdg_assets.sources.source import DirectorySource
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.builders import TASK, Rows, write_catalog
from sdg_assets_tests.support.command import sdg


@pytest.fixture(scope="module")
def lm_eval() -> LmEvalIndex:
    return installed()


def test_the_table_has_a_line_a_task_and_totals(tmp_path: Path, configure: Configure) -> None:
    subtasks = {"a": {"rows": 10}, "b": {}, "c": {"enabled": False, "why": "a copy"}}
    off = {"task": "gone", "enabled": False, "why": "no answers", "subtasks": {"gone": {}}}
    configure(catalog=write_catalog(tmp_path, {"subtasks": subtasks}, off))

    done = sdg("catalog", "list")

    assert done.exit_code == 0
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [
        "quiz",
        "knowledge",
        "trivia",
        "multiple_choice",
        "2/3",
        "10+",
        "MIT",
        "yes",
        "on",
    ] in lines
    assert ["all", "1/2", "on", "2/4", "10"] in lines
    assert ["gone:", "no", "answers"] in lines


def test_json_has_the_totals_of_tasks_subtasks_and_rows() -> None:
    done = sdg("catalog", "list", "--json")

    assert done.exit_code == 0
    report = json.loads(done.stdout)
    totals = report["totals"]
    assert totals["all"]["subtasks"] == sum(task["subtasks"] for task in report["tasks"])
    assert totals["knowledge"]["tasks_on"] >= 39
    assert totals["reasoning"]["tasks_on"] >= 34
    assert totals["all"]["subtasks"] >= 700


def test_guesses_are_listed(tmp_path: Path, configure: Configure) -> None:
    subtasks = {"a": {"certainty": "guess"}, "b": {"certainty": "seen"}}
    configure(
        catalog=write_catalog(tmp_path, {"subtasks": subtasks, "certainty": {"license": "guess"}})
    )

    done = sdg("catalog", "guesses")

    assert done.exit_code == 0
    listed = done.stdout.splitlines()
    assert [line for line in listed if not line.startswith("protected/")] == [
        "quiz: license",
        "quiz/a",
    ]
    assert "protected/flores_200" in listed


def test_the_built_in_catalog_is_what_lm_eval_declares(lm_eval: LmEvalIndex) -> None:
    assert list(stale_index(recorded(), lm_eval)) == []
    assert list(differences(cached_catalog(), lm_eval)) == []


def test_the_index_survives_being_written(tmp_path: Path) -> None:
    file = tmp_path / "index.json"
    write(recorded(), file)
    data = json.loads(file.read_text("utf-8"))
    assert LmEvalIndex(data["lm_eval"], data["datasets"]) == recorded()


def test_each_difference_is_named(tmp_path: Path, lm_eval: LmEvalIndex) -> None:
    subtasks = {
        "leaf": {"lm_eval": "no_such_leaf"},
        "dataset": {"lm_eval": "openbookqa"},
        "config": {"dataset": "allenai/ai2_arc", "config": "ARC", "lm_eval": "arc_easy"},
        "split": {"lm_eval": "sciq", "dataset": "allenai/sciq", "split": "train2"},
        "heldout": {"dataset": "openai/gsm8k", "config": "main", "heldout_splits": []},
        "declared": {"lm_eval": "openbookqa", "differs": "a script-free copy"},
    }
    catalog = load_catalog(write_catalog(tmp_path, {"subtasks": subtasks}))

    problems = {
        line.split(":")[0]: line.split(": ", 1)[1] for line in differences(catalog, lm_eval)
    }

    assert problems == {
        "quiz/leaf": f"lm-eval {lm_eval.version} has no leaf 'no_such_leaf'",
        "quiz/dataset": "dataset is org/quiz, openbookqa reads allenai/openbookqa",
        "quiz/config": "config is 'ARC', arc_easy reads 'ARC-Easy'",
        "quiz/split": "sciq evaluates on 'validation', which heldout_splits lacks",
        "quiz/heldout": problems["quiz/heldout"],
    }
    assert problems["quiz/heldout"].endswith("evaluates on 'test', which heldout_splits lacks")


def test_check_exits_non_zero_when_there_are_differences(
    tmp_path: Path, configure: Configure
) -> None:
    configure(catalog=write_catalog(tmp_path, {"subtasks": {"quiz": {"lm_eval": "arc"}}}))

    done = sdg("catalog", "check")

    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith("quiz/quiz: lm-eval ")
    assert lines[1].startswith("1 differences in 1 subtasks from lm-eval ")

    as_json = sdg("catalog", "check", "--json")
    assert as_json.exit_code == 1
    report = json.loads(as_json.stdout)
    assert (report["differences"], report["subtasks"]) == (lines[:1], 1)


def test_a_newer_lm_eval_makes_the_index_stale() -> None:
    newer = LmEvalIndex("9.9", {})
    (line,) = stale_index(recorded(), newer)
    assert "installed is 9.9: run `sdg catalog check --update`" in line


def test_a_seed_split_that_the_source_lacks_is_named(tmp_path: Path) -> None:
    catalog = load_catalog(
        write_catalog(
            tmp_path / "catalog", {}, {"task": "b", "dataset": "x/y", "subtasks": {"b": {}}}
        )
    )
    (tmp_path / "org" / "quiz" / "main").mkdir(parents=True)
    (tmp_path / "org" / "quiz" / "main" / "test.jsonl").touch()

    problems = list(absent_splits(catalog, DirectorySource("mirror:here", tmp_path)))

    assert problems == ["quiz/quiz: mirror:here has no 'train'; it has: test"]
    assert list(absent_splits(catalog, Rows({"org/quiz": []}))) == []


def test_show_renders_rows_raw_beside_normalized() -> None:
    done = sdg("catalog", "show", "commonsense_qa", "--source", "samples", "--rows", "2")

    assert done.exit_code == 0
    out = done.stdout
    assert out.startswith("commonsense_qa/commonsense_qa (tau/commonsense_qa, default, train)")
    assert out.count("| normalized") == 2
    assert "answerKey:" in out
    assert "answer_index:" in out


def test_show_as_json_has_the_raw_row_and_its_examples() -> None:
    done = sdg("catalog", "show", "arc/arc_easy", "--source", "samples", "--rows", "1", "--json")

    assert done.exit_code == 0
    (row,) = json.loads(done.stdout)
    (normalized,) = row["normalized"]
    assert row["row"] == 0
    assert normalized["question"] == row["raw"]["question"]
    assert normalized["choices"] == row["raw"]["choices"]["text"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["show", "nope"], "unknown seed task 'nope'"),
        (["show", "arc/nope"], "seed task 'arc' has no subtask 'nope'"),
        (["show", "arc", "--source", "mirror:/nowhere"], "/nowhere is not a directory"),
        (["new", "no_such_task"], "lm-eval has no task 'no_such_task'"),
        (["new", "squadv2"], "is written in Python"),
        (["new", "ai2_arc", "--family", "wit"], "unknown family 'wit'; there are: knowledge"),
    ],
)
def test_an_error_is_one_line_and_exit_code_2(
    arguments: list[str],
    says: str,
    tmp_path: Path,
    configure: Configure,
) -> None:
    if arguments[0] == "new":
        configure(catalog=tmp_path)

    done = sdg("catalog", *arguments)

    assert done.exit_code == 2
    error = done.stderr
    assert error.startswith("error: ")
    assert says in error
    assert len(error.splitlines()) == 1


def test_new_drafts_a_group_as_a_task_that_is_off(tmp_path: Path, configure: Configure) -> None:
    configure(catalog=tmp_path)

    done = sdg("catalog", "new", "ai2_arc", "--family", "reasoning")

    assert done.exit_code == 0
    file = tmp_path / "reasoning" / "ai2_arc.yaml"
    assert done.stdout.strip() == str(file)
    task = SeedTask.model_validate(yaml.safe_load(file.read_text("utf-8")))
    assert list(task.subtasks) == ["arc_challenge", "arc_easy"]
    assert task.subtasks["arc_easy"].config == "ARC-Easy"
    assert (task.seed_split, task.heldout_splits) == ("train", ["validation", "test"])
    assert task.record is not None
    assert task.record.question == "{{question}}"
    assert load_catalog(tmp_path).enabled() == []
    assert sdg("catalog", "new", "ai2_arc", "--family", "reasoning").exit_code == 2


def test_new_finds_the_option_texts_behind_letters(tmp_path: Path, configure: Configure) -> None:
    configure(catalog=tmp_path)

    assert sdg("catalog", "new", "kmmlu_direct_law").exit_code == 0

    file = tmp_path / "knowledge" / "kmmlu_direct_law.yaml"
    task = SeedTask.model_validate(yaml.safe_load(file.read_text("utf-8")))
    assert task.record is not None
    assert task.record.question == "{{question.strip()}}"
    assert task.record.choices == ["{{A}}", "{{B}}", "{{C}}", "{{D}}"]
    assert task.answer_kind == "multiple_choice"


def test_task_of_the_tests_is_what_its_name_says() -> None:
    assert SeedTask.model_validate(TASK).enabled_subtasks() == ["quiz"]
