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


def seed_refusal(root: Path, dataset: str, config: str, split: str) -> str:
    subtasks = {"quiz": {"config": config}}
    return refusal(root, dataset=dataset, seed_split=split, heldout_splits=[], subtasks=subtasks)


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
        # lm-eval has no training split here: an evaluation split must not be declared as one.
        ("facebook/belebele", "deu_Latn", "test", "belebele"),
    ],
)
def test_a_split_that_lm_eval_evaluates_on_is_refused(
    tmp_path: Path, dataset: str, config: str, split: str, leaf: str
) -> None:
    text = seed_refusal(tmp_path, dataset, config, split)

    assert str(tmp_path / "knowledge" / "quiz.yaml") in text
    seed_split = f"seed split '{split}' of {dataset} ({config})"
    assert f"{seed_split} is an evaluation split of lm-eval's {leaf}" in text


@pytest.mark.parametrize(
    ("dataset", "config", "split", "says"),
    [
        ("gsm8k", "main", "test", "is the protected benchmark gsm8k"),
        ("OpenAI/GSM8K", "main", "test", "is the protected benchmark gsm8k"),
        ("CAIS/mmlu", "all", "test", "is the protected benchmark mmlu"),
        ("sciq", "default", "test", "is an evaluation split of lm-eval's sciq"),
        ("swag", "regular", "validation", "is an evaluation split of lm-eval's swag"),
    ],
)
def test_every_spelling_of_a_dataset_is_recognized(
    tmp_path: Path, dataset: str, config: str, split: str, says: str
) -> None:
    text = seed_refusal(tmp_path, dataset, config, split)

    assert says in text


def test_another_owners_dataset_of_the_same_name_may_be_seeded(tmp_path: Path) -> None:
    fields = {"dataset": "me/sciq", "seed_split": "test", "heldout_splits": []}

    assert load_catalog(write_catalog(tmp_path, fields)).enabled()


def test_a_copy_under_another_name_is_checked_by_its_lm_eval_leaf(tmp_path: Path) -> None:
    subtasks = {"quiz": {"lm_eval": "gpqa_main_zeroshot"}}

    text = refusal(tmp_path, dataset="me/gpqa-copy", subtasks=subtasks)

    assert "is an evaluation split of lm-eval's gpqa_main_zeroshot" in text


def test_a_held_out_split_is_refused(tmp_path: Path) -> None:
    text = refusal(tmp_path, heldout_splits=["train", "test"])

    assert "quiz: seed split 'train' of org/quiz (main) is held out" in text


def test_a_subtasks_own_splits_override_the_tasks(tmp_path: Path) -> None:
    subtasks = {"quiz": {"split": "train_b", "heldout_splits": ["train_b"]}}

    assert "seed split 'train_b'" in refusal(tmp_path, subtasks=subtasks)


def test_exemplars_are_refused_unless_they_are_declared(tmp_path: Path) -> None:
    mgsm = {
        "dataset": "juletxara/mgsm",
        "subtasks": {"quiz": {"config": "de", "lm_eval": "mgsm_direct_de", "rows": 8}},
    }

    text = refusal(tmp_path, **mgsm)

    assert "holds only the 8 few-shot exemplars of mgsm_" in text
    assert "declare `exemplars_only: true`" in text
    load_catalog(write_catalog(tmp_path, {**mgsm, "exemplars_only": True}), allow_canary=())


def test_a_small_split_that_is_not_used_for_few_shot_is_a_training_split(tmp_path: Path) -> None:
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
    text = seed_refusal(tmp_path, dataset, config, split)

    assert f"is the protected benchmark {benchmark}, which is never seeded" in text


def test_the_training_split_of_a_protected_dataset_may_be_seeded(tmp_path: Path) -> None:
    auxiliary = {
        "dataset": "cais/mmlu",
        "seed_split": "auxiliary_train",
        "subtasks": {"quiz": {"config": "all"}},
    }

    assert load_catalog(write_catalog(tmp_path, auxiliary))


def test_a_task_with_a_canary_is_enabled_only_by_name(tmp_path: Path, configure: Configure) -> None:
    canary: dict[str, Any] = {"canary": True}
    text = refusal(tmp_path, **canary)
    assert "its rows ask not to be trained on (canary)" in text
    assert "SDG_ALLOW_CANARY=quiz" in text

    root = write_catalog(tmp_path, {**canary, "enabled": False, "why": "canary"})
    assert load_catalog(root, allow_canary=()).enabled() == []
    configure(allow_canary=" quiz, ")
    with_catalog = settings().model_copy(update={"catalog": root})
    assert [task.task for task in configured_catalog(with_catalog).enabled()] == ["quiz"]


def test_allowing_a_canary_for_a_task_without_one_is_an_error(tmp_path: Path) -> None:
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


def test_training_splits_of_lm_eval_are_rarely_evaluated_on_too() -> None:
    index = recorded()
    training = [leaf for leaf in index.leaves.values() if leaf.dataset and leaf.training]
    refused = {
        leaf.dataset
        for leaf in training
        for other in index.on(leaf.dataset, leaf.config or "default")
        if leaf.training in other.evaluated
    }

    assert {"Idavidrein/gpqa", "qintongli/GSM-Plus", "har1/MTS_Dialogue-Clinical_Note"} <= refused
    for dataset in ("allenai/ai2_arc", "openai/gsm8k", "facebook/anli", "aps/super_glue"):
        assert dataset in {leaf.dataset for leaf in training} - refused
