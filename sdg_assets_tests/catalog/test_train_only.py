from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sdg_assets.catalog import configured_catalog, load_catalog
from sdg_assets.catalog.lm_eval_index import recorded
from sdg_assets.catalog.loader import BUILT_IN
from sdg_assets.errors import CatalogError
from sdg_assets.settings import settings
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.builders import write_catalog


def refusal(root: Path, **fields: Any) -> str:
    with pytest.raises(CatalogError) as error:
        load_catalog(write_catalog(root, fields), allow_canary=())
    return str(error.value)


@pytest.mark.parametrize(
    ("dataset", "config", "split", "leaf"),
    [
        ("Idavidrein/gpqa", "gpqa_main", "train", "gpqa_main"),
        ("qintongli/GSM-Plus", "default", "test", "gsm_plus"),
        ("gneubig/aime-1983-2024", "default", "train", "aime"),
        ("math-ai/aime25", "default", "test", "aime25"),
        ("har1/MTS_Dialogue-Clinical_Note", "default", "train", "mts_dialog"),
        ("google/IFEval", "default", "train", "ifeval"),
        ("nyu-mll/blimp", "adjunct_island", "train", "blimp"),
        # No training split in lm-eval at all: what it evaluates on may not be relabelled.
        ("facebook/belebele", "deu_Latn", "test", "belebele"),
    ],
)
def test_a_split_that_lm_eval_evaluates_on_is_refused(
    tmp_path: Path, dataset: str, config: str, split: str, leaf: str
) -> None:
    text = refusal(
        tmp_path,
        dataset=dataset,
        seed_split=split,
        heldout_splits=[],
        subtasks={"quiz": {"config": config}},
    )

    assert str(tmp_path / "knowledge" / "quiz.yaml") in text
    assert f"seed split '{split}' of {dataset} ({config}) is what lm-eval evaluates {leaf}" in text


def test_a_copy_does_not_dodge_its_leaf(tmp_path: Path) -> None:
    subtasks = {"quiz": {"lm_eval": "gpqa_main_zeroshot"}}

    text = refusal(tmp_path, dataset="me/gpqa-copy", subtasks=subtasks)

    assert "is what lm-eval evaluates gpqa_main_zeroshot on" in text


def test_a_held_out_split_is_refused(tmp_path: Path) -> None:
    text = refusal(tmp_path, heldout_splits=["train", "test"])

    assert "quiz: seed split 'train' of org/quiz (main) is held out" in text


def test_a_subtasks_own_splits_are_what_counts(tmp_path: Path) -> None:
    subtasks = {"quiz": {"split": "train_b", "heldout_splits": ["train_b"]}}

    assert "seed split 'train_b'" in refusal(tmp_path, subtasks=subtasks)


def test_exemplars_are_refused_unless_they_are_declared(tmp_path: Path) -> None:
    mgsm = {
        "dataset": "juletxara/mgsm",
        "subtasks": {"quiz": {"config": "de", "lm_eval": "mgsm_direct_de", "rows": 8}},
    }

    text = refusal(tmp_path, **mgsm)

    assert "is only the 8 few-shot exemplars of mgsm_" in text
    assert "declare `exemplars_only: true`" in text
    load_catalog(write_catalog(tmp_path, {**mgsm, "exemplars_only": True}), allow_canary=())


def test_a_small_split_that_is_shown_to_nobody_is_a_training_split(tmp_path: Path) -> None:
    assert load_catalog(write_catalog(tmp_path, {"subtasks": {"quiz": {"rows": 8}}}))


@pytest.mark.parametrize(
    ("dataset", "config", "split", "benchmark"),
    [
        ("cais/mmlu", "anatomy", "dev", "mmlu"),
        ("TIGER-Lab/MMLU-Pro", "default", "validation", "mmlu_pro"),
        ("openai/openai_humaneval", "openai_humaneval", "test", "humaneval"),
        ("lukaemon/bbh", "snarks", "test", "bbh"),
        ("HiTZ/truthfulqa-multi", "en", "train", "truthfulqa_multi"),
    ],
)
def test_a_protected_benchmark_is_refused(
    tmp_path: Path, dataset: str, config: str, split: str, benchmark: str
) -> None:
    text = refusal(
        tmp_path,
        dataset=dataset,
        seed_split=split,
        heldout_splits=[],
        subtasks={"quiz": {"config": config}},
    )

    assert f"is the protected benchmark {benchmark}; it is only ever held out" in text


def test_what_a_protected_dataset_trains_on_is_open(tmp_path: Path) -> None:
    auxiliary = {
        "dataset": "cais/mmlu",
        "seed_split": "auxiliary_train",
        "subtasks": {"quiz": {"config": "all"}},
    }

    assert load_catalog(write_catalog(tmp_path, auxiliary))


def test_rows_with_a_canary_are_on_by_name_only(tmp_path: Path, configure: Configure) -> None:
    canary: dict[str, Any] = {"canary": True}
    text = refusal(tmp_path, **canary)
    assert "its rows ask not to be trained on (canary)" in text
    assert "SDG_ALLOW_CANARY=quiz" in text

    root = write_catalog(tmp_path, {**canary, "enabled": False, "why": "canary"})
    assert load_catalog(root, allow_canary=()).enabled() == []
    configure(allow_canary=" quiz, ")
    chosen = settings().model_copy(update={"catalog": root})
    assert [task.task for task in configured_catalog(chosen).enabled()] == ["quiz"]


def test_allowing_a_canary_where_there_is_none_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(CatalogError) as error:
        load_catalog(write_catalog(tmp_path, {}), allow_canary=["quiz", "quizz"])

    assert "the rows of 'quiz' carry no canary" in str(error.value)
    assert "unknown seed task 'quizz'; did you mean quiz?" in str(error.value)


def test_a_task_that_is_off_is_exempt(tmp_path: Path) -> None:
    off = {"dataset": "Idavidrein/gpqa", "enabled": False, "why": "the only split is evaluated"}

    assert load_catalog(write_catalog(tmp_path, off)).enabled() == []


@pytest.mark.parametrize("name", ["gpqa", "aime", "gsm_plus", "bigbench_reasoning"])
def test_switching_a_built_in_task_on_in_its_file_is_refused(tmp_path: Path, name: str) -> None:
    data = yaml.safe_load((BUILT_IN / "reasoning" / f"{name}.yaml").read_text("utf-8"))
    assert data["enabled"] is False
    assert data["why"]

    text = refusal(tmp_path, **{**data, "enabled": True, "overlaps": []})

    assert f"{name}.yaml: " in text


def test_lm_evals_own_training_splits_raise_no_alarm() -> None:
    index = recorded()
    training = [leaf for leaf in index.leaves.values() if leaf.dataset and leaf.training]
    refused = {
        leaf.dataset
        for leaf in training
        for other in index.on(leaf.dataset, leaf.config or "default")
        if leaf.training in other.evaluated
    }

    assert {"Idavidrein/gpqa", "qintongli/GSM-Plus", "har1/MTS_Dialogue-Clinical_Note"} <= refused
    for sound in ("allenai/ai2_arc", "openai/gsm8k", "facebook/anli", "aps/super_glue"):
        assert sound in {leaf.dataset for leaf in training} - refused
