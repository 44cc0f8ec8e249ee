from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sdg_assets.catalog import cached_catalog, load_catalog
from sdg_assets.catalog.loader import BUILT_IN
from sdg_assets.errors import CatalogError
from sdg_assets_tests.support.builders import seed_task, write_catalog

CATALOG = cached_catalog()


def origin(dataset: str, split: str, config: str = "default") -> dict[str, Any]:
    return {"derived_from": [{"dataset": dataset, "config": config, "split": split}]}


@pytest.mark.parametrize(
    ("derived", "evaluation"),
    [
        (origin("openai/gsm8k", "test", "main"), "the protected benchmark gsm8k"),
        (origin("openlanguagedata/flores_plus", "devtest", "*"), "the protected benchmark flores"),
        (origin("cais/mmlu", "dev", "*"), "the protected benchmark mmlu"),
        (origin("CogComp/mc_taco", "test"), "what lm-eval evaluates mc_taco on"),
    ],
)
def test_rows_made_of_evaluation_rows_are_not_seeded(
    tmp_path: Path, derived: dict[str, Any], evaluation: str
) -> None:
    with pytest.raises(CatalogError) as error:
        load_catalog(write_catalog(tmp_path, derived), allow_canary=())

    assert "quiz: its rows derive from" in str(error.value)
    assert f"which is {evaluation}; switch it off (`enabled: false`, `why:`)" in str(error.value)
    off = {**derived, "enabled": False, "why": "made of a test split"}
    assert not load_catalog(write_catalog(tmp_path, off), allow_canary=()).enabled()


def test_rows_made_of_what_another_task_holds_out_are_not_seeded(tmp_path: Path) -> None:
    other = {
        "task": "exam",
        "dataset": "org/exam",
        "subtasks": {"exam": {"config": "a"}},
        "enabled": False,
        "why": "its training split is not open",
    }
    root = write_catalog(tmp_path, other, origin("org/exam", "test", "a"))
    with pytest.raises(CatalogError, match=r"org/exam \(a\), which is held out by the task exam"):
        load_catalog(root, allow_canary=())

    assert load_catalog(write_catalog(tmp_path, other, origin("org/exam", "test", "b")))


def test_rows_made_of_training_rows_are_seeded(tmp_path: Path) -> None:
    root = write_catalog(tmp_path, origin("openai/gsm8k", "train", "main"))

    assert load_catalog(root, allow_canary=()).enabled()


def test_a_subtask_says_for_itself_what_it_was_made_of(tmp_path: Path) -> None:
    subtasks = {"quiz": {"config": "main"}, "copy": origin("openai/gsm8k", "test", "main")}
    with pytest.raises(CatalogError, match="copy: its rows derive from 'test' of openai/gsm8k"):
        load_catalog(write_catalog(tmp_path, {"subtasks": subtasks}), allow_canary=())

    task = seed_task(
        **origin("org/a", "test"), subtasks={"mine": {"derived_from": []}, "copied": {}}
    )
    assert task.resolve("mine").derived_from == []
    assert [made.dataset for made in task.resolve("copied").derived_from] == ["org/a"]


def test_a_translation_says_what_was_translated() -> None:
    with pytest.raises(ValueError, match="`translation_of` needs `derived_from:`"):
        seed_task(translation_of="gsm8k")


@pytest.mark.parametrize(
    ("family", "name"),
    [("reasoning", "xstorycloze"), ("knowledge", "sib200"), ("reasoning", "wsc")],
)
def test_evaluation_text_under_another_name_cannot_be_switched_on(
    tmp_path: Path, family: str, name: str
) -> None:
    data = yaml.safe_load((BUILT_IN / family / f"{name}.yaml").read_text("utf-8"))
    assert data["enabled"] is False
    assert data["why"]

    with pytest.raises(CatalogError, match=f"{name}.yaml: .*its rows derive from"):
        load_catalog(write_catalog(tmp_path, {**data, "enabled": True}), allow_canary=())


@pytest.mark.parametrize(
    ("task", "key"),
    [
        ("catalan_reasoning", "xstorycloze_ca"),
        ("catalan_reasoning", "wnli_ca"),
        ("galician_portuguese_spanish_reasoning", "wnli_es"),
        ("glue_nli", "wnli"),
        ("mediqa_qa2019", "mediqa_qa2019"),
        ("legalbench", "legalbench_contract_nli_limited_use"),
    ],
)
def test_a_subtask_of_evaluation_text_is_off_and_its_siblings_are_on(task: str, key: str) -> None:
    assert key not in CATALOG.task(task).enabled_subtasks()
    assert CATALOG.task(task).enabled_subtasks()
    assert CATALOG.task(task).subtasks[key].why


def test_a_translation_of_a_training_split_stays_on() -> None:
    for name in ("xnli", "paws_x", "arc_multilingual", "mlqa_translate_train", "uhura_arc_easy"):
        assert CATALOG.task(name).enabled_subtasks()
        assert all(made.split == "train" for made in CATALOG.task(name).derived_from)
