from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from sdg_assets.catalog import cached_catalog
from sdg_assets.definitions import build_definitions, executor_of
from sdg_assets.errors import CatalogError
from sdg_assets.records import Role
from sdg_assets.settings import settings
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.builders import write_catalog
from sdg_assets_tests.support.speed import imports_of_dagster

ROOT = Path(__file__).parents[1]
HEAVY = (
    *("vllm", "torch", "transformers", "datasets", "lm_eval", "text_dedup", "math_verify"),
    "obstore",
)


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A program of this Python's environment, started in the repository."""
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def test_definitions_load_in_six_imports_of_dagster_and_import_nothing_heavy() -> None:
    # Three seconds, the interpreter's start included, where importing dagster takes half a second.
    program = (
        "import sys, time; import sdg_assets.definitions; print(time.process_time())\n"
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )

    ratio, heavy = imports_of_dagster(program, limit=6)

    assert heavy == ["[]"]
    assert ratio < 6


def test_dagster_validates_them(tmp_path: Path) -> None:
    done = command("dagster", "definitions", "validate", DAGSTER_HOME=str(tmp_path))

    assert done.returncode == 0, done.stderr
    assert "Validation successful for code location sdg_assets" in done.stderr + done.stdout


def test_every_enabled_task_the_teachers_the_release_and_operations_are_there() -> None:
    keys = {key.to_user_string() for key in build_definitions().resolve_all_asset_keys()}

    tasks = [task.task for task in cached_catalog().enabled()]
    others = {"curated", "operations", *(f"teacher/{role}" for role in Role)}
    others |= {"coverage", "protected/heldout"}
    assert others <= keys
    assert {f"{task}/{stage}" for task in tasks for stage in ("filtered", "heldout")} <= keys
    assert len(keys) == 6 * len(tasks) + len(others)


def test_a_malformed_catalog_file_is_named_with_its_line(
    tmp_path: Path, configure: Configure
) -> None:
    catalog = write_catalog(tmp_path / "catalog", {})
    file = catalog / "knowledge" / "oops.yaml"
    file.write_text("task: oops\nfamily: [knowledge\n", "utf-8")
    configure(catalog=catalog)

    with pytest.raises(CatalogError) as caught:
        build_definitions()

    message = str(caught.value)
    assert message.startswith(f"catalog:\n{file}: not YAML: ")
    assert "line 3" in message
    assert len(message.splitlines()) == 2


def test_a_malformed_catalog_file_is_what_dagster_tells_the_person(tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path / "catalog", {})
    file = catalog / "knowledge" / "quiz.yaml"
    file.write_text(file.read_text("utf-8").replace("answer_kind", "answer_kid"), "utf-8")

    done = command(
        "dagster", "definitions", "validate", DAGSTER_HOME=str(tmp_path), SDG_CATALOG=str(catalog)
    )

    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert f"{file}: answer_kind: Field required; answer_kid: Extra inputs" in said


def test_a_wrong_setting_is_what_dagster_tells_the_person(tmp_path: Path) -> None:
    done = command(
        "dagster", "definitions", "validate", DAGSTER_HOME=str(tmp_path), SDG_VOTES="none"
    )

    assert done.returncode != 0
    assert "environment: SDG_VOTES='none': " in done.stdout + done.stderr


def test_an_unknown_task_is_named(tmp_path: Path) -> None:
    done = command(
        "dagster", "asset", "materialize", "-m", "sdg_assets.definitions",
        "--select", "arcs/seeds", "--partition", "arc_easy", DAGSTER_HOME=str(tmp_path),
    )  # fmt: skip

    assert done.returncode != 0
    assert "arcs/seeds" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "executor"),
    [("in_process", dg.in_process_executor), ("multiprocess", dg.multiprocess_executor)],
)
def test_the_executor_is_a_setting(
    configure: Configure, name: str, executor: dg.ExecutorDefinition
) -> None:
    configure(executor=name)

    assert executor_of(settings()) is executor
