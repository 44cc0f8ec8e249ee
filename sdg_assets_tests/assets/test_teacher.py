from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import pytest

from sdg_assets.assets.teacher import NOBODY, TEACHERS, teacher_assets, version_of
from sdg_assets.records import Role, TeacherStamp
from sdg_assets.teacher.requests import TeacherIdentity
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.runs import QUIET, failures
from sdg_assets_tests.support.teacher_server import TeacherServer, teacher_server


@pytest.fixture
def model(tmp_path: Path, configure: Configure) -> Path:
    """A model's directory with the files that determine its revision."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}", "utf-8")
    (folder / "model.safetensors").write_bytes(b"weights")
    configure(teacher=folder, judge_may_be_writer=True)
    return folder


def observe(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    definitions = dg.Definitions(
        assets=[teacher_assets()],
        jobs=[dg.define_asset_job("observe", dg.AssetSelection.assets(*TEACHERS.values()))],
    )
    return definitions.resolve_job_def("observe").execute_in_process(
        instance=instance, run_config={"loggers": QUIET}, raise_on_error=False
    )


def versions(instance: dg.DagsterInstance) -> dict[Role, str]:
    """Role → the newest observed version of its teacher."""
    result = observe(instance)
    assert result.success, failures(result)
    observed_versions = {}
    for role, key in TEACHERS.items():
        (record,) = instance.fetch_observations(key, limit=1).records
        observed_versions[role] = (record.event_log_entry.tags or {})["dagster/data_version"]
    return observed_versions


def changed(before: dict[Role, str], after: dict[Role, str]) -> set[str]:
    return {role.value for role in Role if before[role] != after[role]}


def test_the_same_teacher_has_the_same_version(model: Path, instance: dg.DagsterInstance) -> None:
    assert versions(instance) == versions(instance)


def test_other_weights_are_another_version_for_every_role(
    model: Path, instance: dg.DagsterInstance
) -> None:
    before = versions(instance)
    (model / "model.safetensors").write_bytes(b"other weights")

    assert changed(before, versions(instance)) == {"writer", "solver", "judge"}


def test_another_solver_changes_the_solver_alone(
    model: Path, tmp_path: Path, instance: dg.DagsterInstance, configure: Configure
) -> None:
    before = versions(instance)
    configure(solver="org/other@" + "0" * 40)

    assert changed(before, versions(instance)) == {"solver"}


@pytest.mark.parametrize(
    ("engine", "roles"),
    [({"dtype": "float16"}, {"writer", "solver", "judge"}), ({"max_num_seqs": 8}, set())],
)
def test_engine_settings_count_if_they_change_numbers(
    model: Path,
    instance: dg.DagsterInstance,
    configure: Configure,
    engine: dict[str, object],
    roles: set[str],
) -> None:
    before = versions(instance)
    configure(engine=json.dumps(engine))

    assert changed(before, versions(instance)) == roles


def test_roles_have_prompts_of_their_own() -> None:
    identity = TeacherIdentity(TeacherStamp(model="m", revision="r", license="MIT"))

    assert version_of(Role.WRITER, identity) != version_of(Role.SOLVER, identity)
    assert version_of(Role.WRITER, identity).startswith("m@r+")


@pytest.mark.parametrize("model", ["Qwen/Qwen2.5-Coder-1.5B-Instruct", "org/unheard-of"])
def test_a_served_model_that_cannot_judge_plays_no_judge(
    model: str, instance: dg.DagsterInstance, configure: Configure
) -> None:
    with teacher_server(TeacherServer()) as server:
        server.model = model
        configure(teacher=server.url, judge_may_be_writer=True)

        observed_versions = versions(instance)

    assert observed_versions[Role.SOLVER].startswith(f"{model}@")
    assert (observed_versions[Role.JUDGE] == NOBODY) is model.startswith("Qwen/")


def test_a_teacher_that_is_not_there_is_a_clear_failure(
    instance: dg.DagsterInstance, configure: Configure
) -> None:
    configure(teacher="/no/such/model")

    (message,) = failures(observe(instance))

    assert message.startswith("unknown teacher '/no/such/model'")
