from __future__ import annotations

from dataclasses import replace

import pytest

from sdg_assets.cli import tuning
from sdg_assets.cli.tuning import Change, Trial, alternatives, attempt, best_of, is_faster, tune
from sdg_assets.stages.speed import Rate
from sdg_assets.teacher.models import card_of
from sdg_assets_tests.conftest import Configure

CPU_CARD = card_of("smollm2-135m")


def rate(tokens_per_second: float) -> Rate:
    return Rate(tokens_per_second, 1.0, finished=1, accepted=1, capacity=64)


def test_on_gpus_every_split_into_replicas_is_tried() -> None:
    spreads = alternatives(CPU_CARD, 4)[0]

    assert [(s["tensor_parallel_size"], s["data_parallel_size"]) for s in spreads] == [
        (4, 1),
        (2, 2),
        (1, 4),
    ]


def test_a_cpu_is_not_asked_for_what_only_a_gpu_can_do() -> None:
    names = {name for kind in alternatives(CPU_CARD, 0) for change in kind for name in change}

    assert names == {
        "max_num_seqs",
        "max_num_batched_tokens",
        "enable_prefix_caching",
        "speculative_config",
    }


def test_a_models_own_draft_layers_are_tried_on_a_gpu() -> None:
    tried = {gpus: [c for kind in alternatives(CPU_CARD, gpus) for c in kind] for gpus in (0, 1)}

    assert {"speculative_config": tuning.NGRAM} in tried[0]
    assert [{"speculative_config": tuning.MTP} in tried[gpus] for gpus in (0, 1)] == [False, True]


def test_models_that_draft_for_the_teacher_are_tried_on_a_gpu() -> None:
    card = card_of("gpt-oss-20b")
    tried = {gpus: [c for kind in alternatives(card, gpus) for c in kind] for gpus in (0, 1)}
    (draft,) = card.drafts

    assert draft["model"] == "RedHatAI/gpt-oss-20b-speculator.eagle3"
    assert [{"speculative_config": draft} in tried[gpus] for gpus in (0, 1)] == [False, True]


def test_a_speed_that_may_not_last_is_not_preferred_to_one_that_does() -> None:
    lasting, brief = rate(100.0), replace(rate(150.0), settled=False)

    assert not is_faster(Trial({}, brief), Trial({}, lasting))
    assert is_faster(Trial({}, rate(150.0)), Trial({}, lasting))
    assert is_faster(Trial({}, rate(160.0)), Trial({}, brief))
    assert is_faster(Trial({}, brief), Trial({}, None, "no memory"))


def test_a_card_that_is_quantized_is_not_quantized_again() -> None:
    own = CPU_CARD.model_copy(update={"engine": {"quantization": "awq"}})

    assert [{"quantization": "fp8"}] in alternatives(CPU_CARD, 1)
    assert [{"quantization": "fp8"}] not in alternatives(own, 1)


def test_each_kind_is_tried_on_top_of_the_best_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    speeds = {"{}": 100.0, "{'a': 1}": 90.0, "{'a': 2}": 120.0, "{'a': 2, 'b': 1}": 122.0}

    def attempted(subtask: str, seconds: float, engine: Change) -> Trial:
        speed = speeds.get(str(dict(engine)))
        return Trial(engine, rate(speed)) if speed else Trial(engine, None, "no memory")

    monkeypatch.setattr(tuning, "attempt", attempted)
    kinds: list[list[Change]] = [[{"a": 1}, {"a": 2}, {"a": 3}], [{"b": 1}]]

    trials = list(tune("gsm8k/gsm8k", 1, kinds, {}))

    assert [t.engine for t in trials] == [{}, {"a": 1}, {"a": 2}, {"a": 3}, {"a": 2, "b": 1}]
    best = best_of(trials)
    assert best
    assert best.engine == {"a": 2}, "2 % more are noise"


def test_without_any_engine_there_is_no_best_setting() -> None:
    assert best_of([Trial({}, None, "no memory")]) is None


def test_a_setting_that_cannot_work_is_one_line_with_its_reason(configure: Configure) -> None:
    configure(teacher="smollm2-135m")

    refused = attempt("gsm8k/gsm8k", 1, {"data_parallel_size": 2})

    assert refused.rate is None
    assert "data_parallel 2 needs a GPU for each replica" in refused.failure


def test_a_trial_that_dies_says_how(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(teacher="smollm2-135m")
    monkeypatch.setattr(tuning, "MODULE", "sdg_assets.cli.no_such_module")

    dead = attempt("gsm8k/gsm8k", 1, {})

    assert dead.failure.startswith("its process ended with status 1: ")
    assert "no_such_module" in dead.failure
