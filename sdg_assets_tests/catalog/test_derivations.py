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


def derived_from(dataset: str, split: str, config: str = "default") -> dict[str, Any]:
    return {"derived_from": [{"dataset": dataset, "config": config, "split": split}]}


@pytest.mark.parametrize(
    ("derived", "evaluation"),
    [
        (derived_from("openai/gsm8k", "test", "main"), "the protected benchmark gsm8k"),
        (
            derived_from("openlanguagedata/flores_plus", "devtest", "*"),
            "the protected benchmark flores",
        ),
        (derived_from("cais/mmlu", "dev", "*"), "the protected benchmark mmlu"),
        (derived_from("Gsm8k", "test", "main"), "the protected benchmark gsm8k"),
        (derived_from("cogcomp/MC_Taco", "test"), "an evaluation split of lm-eval's task mc_taco"),
        (derived_from("CogComp/mc_taco", "test"), "an evaluation split of lm-eval's task mc_taco"),
    ],
)
def test_rows_derived_from_evaluation_rows_are_not_seeded(
    tmp_path: Path, derived: dict[str, Any], evaluation: str
) -> None:
    with pytest.raises(CatalogError) as error:
        load_catalog(write_catalog(tmp_path, derived), allow_canary=())

    assert "quiz: its rows derive from" in str(error.value)
    assert f"which is {evaluation}; switch it off (`enabled: false`, `why:`)" in str(error.value)
    off = {**derived, "enabled": False, "why": "made of a test split"}
    assert not load_catalog(write_catalog(tmp_path, off), allow_canary=()).enabled()


def test_rows_derived_from_another_tasks_held_out_split_are_not_seeded(tmp_path: Path) -> None:
    other = {
        "task": "exam",
        "dataset": "org/exam",
        "subtasks": {"exam": {"config": "a"}},
        "enabled": False,
        "why": "its training split is not open",
    }
    root = write_catalog(tmp_path, other, derived_from("org/exam", "test", "a"))
    with pytest.raises(CatalogError, match=r"org/exam \(a\), which is held out by the task exam"):
        load_catalog(root, allow_canary=())

    assert load_catalog(write_catalog(tmp_path, other, derived_from("org/exam", "test", "b")))


def test_rows_derived_from_training_rows_are_seeded(tmp_path: Path) -> None:
    root = write_catalog(tmp_path, derived_from("openai/gsm8k", "train", "main"))

    assert load_catalog(root, allow_canary=()).enabled()


def test_a_subtask_overrides_the_tasks_derived_from(tmp_path: Path) -> None:
    subtasks = {"quiz": {"config": "main"}, "copy": derived_from("openai/gsm8k", "test", "main")}
    with pytest.raises(
        CatalogError, match="copy: its rows derive from split 'test' of openai/gsm8k"
    ):
        load_catalog(write_catalog(tmp_path, {"subtasks": subtasks}), allow_canary=())

    task = seed_task(
        **derived_from("org/a", "test"), subtasks={"mine": {"derived_from": []}, "copied": {}}
    )
    assert task.resolve("mine").derived_from == []
    assert [origin.dataset for origin in task.resolve("copied").derived_from] == ["org/a"]


def test_a_translation_says_what_was_translated() -> None:
    with pytest.raises(ValueError, match="`translation_of` needs `derived_from:`"):
        seed_task(translation_of="gsm8k")


@pytest.mark.parametrize(
    ("family", "name"),
    [("reasoning", "xstorycloze"), ("knowledge", "sib200"), ("reasoning", "wsc")],
)
def test_a_built_in_task_derived_from_evaluation_rows_cannot_be_enabled(
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
def test_only_the_subtasks_derived_from_evaluation_rows_are_disabled(task: str, key: str) -> None:
    assert key not in CATALOG.task(task).enabled_subtasks()
    assert CATALOG.task(task).enabled_subtasks()
    assert CATALOG.task(task).subtasks[key].why


def test_translations_of_training_splits_are_enabled() -> None:
    for name in ("xnli", "paws_x", "arc_multilingual", "mlqa_translate_train", "uhura_arc_easy"):
        assert CATALOG.task(name).enabled_subtasks()
        assert all(origin.split == "train" for origin in CATALOG.task(name).derived_from)
