"""What answers cost, from the manifests of a subtask and a list of prices."""

from __future__ import annotations

from typing import Any

import pytest

from sdg_assets.errors import PermanentError
from sdg_assets.records import Role, Stage
from sdg_assets.settings import settings
from sdg_assets.stages.cost import PriceList, by_teacher, costs_of, total_gpu_seconds
from sdg_assets.stages.funnel import funnel_row
from sdg_assets.store.manifest import Manifest
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.builders import seed_task
from sdg_assets_tests.support.records import enriched, generated


def spent(tokens: int, gpu_seconds: float | None = 1.0) -> dict[str, Any]:
    return {
        "requests": 1,
        "prompt_tokens": tokens,
        "output_tokens": tokens,
        "gpu_seconds": gpu_seconds,
    }


def usage(**roles: tuple[str, int, int]) -> dict[str, Any]:
    """The entry of a manifest: role → model, new tokens and tokens of the log."""
    entries = {
        role: {"model": model, "new": spent(new), "kept": spent(kept)}
        for role, (model, new, kept) in roles.items()
    }
    return {"roles": entries, "output_tokens": sum(new for _, new, _ in roles.values())}


@pytest.fixture
def manifests(store: Store) -> dict[Stage, Manifest]:
    """As after `target_accepted`: both stages have the solver's answers, one from the log."""
    keys = [PartitionKey("quiz", stage, "quiz") for stage in ("generated", "enriched")]
    with store.write(keys[0]) as out:
        out.accept(generated())
        out.info = {"usage": usage(writer=("org/writer", 100, 0), solver=("org/solver", 300, 0))}
    with store.write(keys[1]) as out:
        out.accept(enriched())
        out.info = {"usage": usage(solver=("org/solver", 0, 300))}
    return {Stage(key.stage): manifest for key, manifest in store.manifests(keys).items()}


def test_answers_that_two_stages_read_cost_once(
    manifests: dict[Stage, Manifest], store: Store
) -> None:
    costs = costs_of(manifests)

    assert [(c.role, c.model, c.tokens) for c in costs] == [
        (Role.WRITER, "org/writer", 200),
        (Role.SOLVER, "org/solver", 600),
    ]
    assert total_gpu_seconds(costs) == 4
    assert by_teacher([*costs, *costs])[1].tokens == 1200
    assert funnel_row(store, seed_task().resolve("quiz")).tokens == 400


def test_unknown_gpu_seconds_are_never_counted_as_none(manifests: dict[Stage, Manifest]) -> None:
    entry = manifests[Stage.ENRICHED].info["usage"]["roles"]["solver"]
    entry["kept"]["gpu_seconds"] = None

    assert total_gpu_seconds(costs_of(manifests)) is None


def test_prices_are_of_tokens_or_of_gpu_hours_and_what_has_none_is_unknown(
    manifests: dict[Stage, Manifest], configure: Configure
) -> None:
    costs = costs_of(manifests)
    writer = '"org/writer": {"prompt": 1000, "output": 3000}'
    configure(prices=f'{{"currency": "EUR", "teachers": {{{writer}}}}}')
    part = PriceList.of(settings())
    assert part.money(costs[:1]) == pytest.approx(0.1 + 0.3)
    assert part.money(costs) is None
    assert part.why_unknown(costs) == "SDG_PRICES has no price of org/solver"

    solver = '"org/solver": {"gpu_hour": 3600}'
    configure(prices=f'{{"currency": "EUR", "teachers": {{{writer}, {solver}}}}}')
    whole = PriceList.of(settings())
    assert whole.money(costs) == pytest.approx(0.4 + 2)
    manifests[Stage.ENRICHED].info["usage"]["roles"]["solver"]["new"]["gpu_seconds"] = None
    behind_a_server = costs_of(manifests)
    assert whole.money(behind_a_server) is None
    assert "GPU-seconds of org/solver are unknown" in whole.why_unknown(behind_a_server)
    assert PriceList().money(costs) is None


def test_a_key_of_teachers_yaml_stands_for_its_model_and_not_twice(configure: Configure) -> None:
    price = '{"gpu_hour": 2}'
    configure(prices=f'{{"currency": "USD", "teachers": {{"smollm2-135m": {price}}}}}')
    (model,) = PriceList.of(settings()).by_model
    assert model.endswith("SmolLM2-135M-Instruct")

    both = f'"smollm2-135m": {price}, "{model}": {price}'
    configure(prices=f'{{"currency": "USD", "teachers": {{{both}}}}}')
    with pytest.raises(PermanentError, match="which has a price"):
        PriceList.of(settings())
