"""The asset `passages`: made on its own or by the stage that needs it; absent without a setting."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from sdg_assets.assets.factory import task_assets
from sdg_assets.assets.keys import PASSAGES
from sdg_assets.assets.passages import passages_assets
from sdg_assets.assets.staleness import first_stale
from sdg_assets.assets.teacher import TEACHERS, version_of
from sdg_assets.catalog import cached_catalog
from sdg_assets.errors import StoreError
from sdg_assets.passages.library import KEY, passage_index
from sdg_assets.records import EnrichedExample, Passage, Role
from sdg_assets.settings import Settings, settings
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets.teacher.requests import Request
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.builders import seed_task
from sdg_assets_tests.support.cities import Employ, write_and_solve
from sdg_assets_tests.support.passages import put_passages, raw
from sdg_assets_tests.support.runs import QUIET, failures, metadata, metadata_of_run, run
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher

OSLO = (
    "Every city has numbers. Oslo is a city of Norway and has the number one in its list of cities."
)


def ask_about_oslo(request: Request) -> str:
    """As `write_and_solve`, with the words of the passage in each question."""
    if request.role is Role.WRITER:
        place = ("harbour", "forest", "tunnel", "market", "bridge")[int(request.id, 16) % 5]
        question = f"Which city of Norway has a {place} with the number {request.id[:3]}?"
        return json.dumps({"question": question, "answer": "Oslo", "wrong_answers": ["Rome"]})
    return write_and_solve(request)


@pytest.fixture
def passages(tmp_path: Path, configure: Configure) -> Path:
    """A directory with one passage about Oslo and one without a licence, as SDG_PASSAGES."""
    folder = put_passages(
        tmp_path / "passages", raw(id="oslo", title="Oslo", text=OSLO), raw(licence=None)
    )
    configure(passages=folder)
    return folder


def materialize(instance: dg.DagsterInstance) -> dict[str, Any]:
    return metadata_of_run(passages_assets(), instance)


def deps(stage: str) -> set[dg.AssetKey]:
    (asset,) = (a for a in task_assets(seed_task()) if a.key.path[1] == stage)
    return {dep.asset_key for dep in asset.get_asset_spec().deps}


def test_it_is_there_only_with_the_setting(configure: Configure) -> None:
    assert passages_assets() == []
    assert PASSAGES not in deps("enriched")

    configure(passages="embedded")

    assert [asset.key for asset in passages_assets()] == [PASSAGES]
    assert PASSAGES in deps("enriched")
    assert PASSAGES not in deps("generated")

    configure(passage_questions="true")

    assert PASSAGES in deps("generated")


def test_questions_about_passages_need_passages() -> None:
    with pytest.raises(ValueError, match="SDG_PASSAGE_QUESTIONS needs SDG_PASSAGES"):
        Settings(passage_questions=True)


def test_it_is_gated_indexed_and_published_with_what_was_refused(
    passages: Path, store: Store, instance: dg.DagsterInstance
) -> None:
    made = materialize(instance)

    assert (made["rows"], made["refused"], made["licences"]) == (1, 1, {"CC-BY-4.0": 1})
    assert "| p1 | passages | missing field | licence |" in made["refused_passages"]
    assert [each.id for each in store.read(KEY, Passage)] == ["oslo"]
    index = passage_index(store, str(passages))
    assert index is not None
    assert [each.id for each in index.search("Which city is Oslo? Norway", 3)] == ["oslo"]
    assert passage_index(store, str(passages)) is index, "it is loaded once a process"
    with pytest.raises(StoreError, match="materialize the asset passages first"):
        passage_index(store, "embedded")


def test_a_directory_without_a_usable_passage_fails_with_the_reason(
    tmp_path: Path, configure: Configure, instance: dg.DagsterInstance
) -> None:
    configure(passages=put_passages(tmp_path / "p", raw(licence="Beerware")))

    result = dg.materialize(
        passages_assets(),
        instance=instance,
        run_config={"loggers": QUIET},
        raise_on_error=False,
    )

    assert not result.success
    (failure,) = failures(result)
    assert "no passage can be used: passages: unknown licence (1)" in failure


def test_enriched_makes_missing_passages_cites_them_and_is_stale_when_they_change(
    mirror: Path, passages: Path, store: Store, instance: dg.DagsterInstance, employ: Employ
) -> None:
    employ(ScriptedTeacher(ask_about_oslo))

    result = run("quiz", subtasks="quiz_a", instance=instance)

    assert result.success, failures(result)
    rows = list(store.read(PartitionKey("quiz", "enriched", "quiz_a"), EnrichedExample))
    assert [row.knowledge for row in rows] == ["Cities have numbers."] * 4
    assert {row.passages[0].id for row in rows} == {"oslo"}
    assert metadata(instance, "quiz", "enriched", "quiz_a")["knowledge_written"] == 4
    tasks = [cached_catalog(settings().catalog).task("quiz")]
    assert first_stale(instance, tasks) == []

    put_passages(passages, raw(id="oslo", title="Oslo", text=f"{OSLO} It lies on a fjord."))
    materialize(instance)

    (stale,) = first_stale(instance, tasks)
    assert (stale.stage, stale.changed) == ("enriched", ("passages",))


def test_passages_are_part_of_the_solvers_version_only_while_they_are_on(
    configure: Configure,
) -> None:
    identity = ScriptedTeacher(lambda _: "").identity
    off = {role: version_of(role, identity) for role in TEACHERS}

    configure(passages="embedded")

    on = {role: version_of(role, identity) for role in TEACHERS}
    changed = {role for role in TEACHERS if on[role] != off[role]}
    assert changed == {Role.SOLVER}
    assert on[Role.SOLVER].startswith(off[Role.SOLVER])
