"""Every example of `docs/extending.md`, executed as it stands: one new file each, no change."""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import sdg_assets
from sdg_assets.assets.factory import task_assets
from sdg_assets.catalog import load_catalog
from sdg_assets.checks.table import stage_checks
from sdg_assets.cluster.sizing import PodSize, stage_size
from sdg_assets.definitions import defs
from sdg_assets.enrichment.base import enrichments
from sdg_assets.gates import order, row_gates
from sdg_assets.gates.base import Batch
from sdg_assets.records import AnswerKind, Role, Stage
from sdg_assets.registry import members
from sdg_assets.settings import settings
from sdg_assets.stages.prompt_versions import role_versions
from sdg_assets.teacher import open_teacher, prompts
from sdg_assets.teacher.requests import Message
from sdg_assets.thresholds import overridden
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.builders import seed_task
from sdg_assets_tests.support.packages import write_metadata
from sdg_assets_tests.support.records import enriched
from sdg_assets_tests.support.requests import request_of

PACKAGE = Path(str(sdg_assets.__file__)).parent
PAGE = PACKAGE.parent / "docs" / "extending.md"
BLOCK = re.compile(r"^```(?:python|yaml|toml) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES = {match[1]: match[2] for match in BLOCK.finditer(PAGE.read_text("utf-8"))}
KINDS = {
    "subtask": "reasoning/gsm8k/gsm8k_shop.yaml",
    "seed task": "knowledge/river_quiz.yaml",
    "gate": "my_sdg/swearing.py",
    "answer kind": "my_sdg/date.py",
    "enrichment": "my_sdg/hint.py",
    "backend": "my_sdg/bedrock.py",
}


def fingerprint(directory: Path) -> str:
    """Changes when any file of the package does."""
    digest = hashlib.sha256()
    for file in sorted(directory.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            digest.update(str(file.relative_to(directory)).encode() + file.read_bytes())
    return digest.hexdigest()


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What other packages add is looked for anew, before the test and after it."""

    def forget() -> None:
        members.cache_clear()
        prompts.version.cache_clear()
        for name in [name for name in sys.modules if name.split(".")[0] == "my_sdg"]:
            del sys.modules[name]

    forget()
    yield
    forget()


@pytest.fixture(autouse=True)
def nothing_else_changes() -> Iterator[None]:
    """The number of existing files that an example changes is 0."""
    before = fingerprint(PACKAGE)
    yield
    assert fingerprint(PACKAGE) == before


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's package, as `pip install` lays it down: its modules and its entry points."""
    site = tmp_path / "site-packages"
    for name, source in EXAMPLES.items():
        if name.endswith(".py"):
            (site / name).parent.mkdir(parents=True, exist_ok=True)
            (site / name).write_text(source, "utf-8")
    project = tomllib.loads(EXAMPLES["pyproject.toml"])["project"]
    write_metadata(site, project["name"], project["version"], project["entry-points"])
    monkeypatch.syspath_prepend(site)


@pytest.fixture
def own_catalog(tmp_path: Path) -> Path:
    """A copy of the built-in catalog, with the page's files laid into it."""
    catalog = tmp_path / "catalog"
    for family in ("knowledge", "reasoning"):
        shutil.copytree(PACKAGE / "catalog" / family, catalog / family)
    for name, text in EXAMPLES.items():
        if name.endswith(".yaml"):
            (catalog / name).parent.mkdir(exist_ok=True)
            assert not (catalog / name).exists()
            (catalog / name).write_text(text, "utf-8")
    return catalog


def test_the_page_has_one_file_for_each_kind_of_addition() -> None:
    assert set(EXAMPLES) == {*KINDS.values(), "pyproject.toml"}


def test_a_subtask_and_a_seed_task_are_one_file_each(own_catalog: Path) -> None:
    catalog = load_catalog(own_catalog)

    shop, gsm8k = (catalog.subtask("gsm8k", key) for key in ("gsm8k_shop", "gsm8k"))
    assert (shop.dataset, shop.license) == ("my-org/shop-math", "CC-BY-4.0")
    assert (shop.record, shop.heldout_splits) == (gsm8k.record, gsm8k.heldout_splits)
    river = catalog.task("river_quiz")
    assert river in catalog.enabled()
    assert {asset.key.path[1] for asset in task_assets(river)} > {"seeds", "filtered"}


@pytest.mark.usefixtures("install")
def test_a_gate_is_one_module() -> None:
    swears = enriched(question="Zounds, what is the capital of France?")
    lax, strict = overridden({"swear_words": 1}), overridden()

    def refused_by(gates: object) -> set[str]:
        return {gate.name for gate in gates if gate.refusals(Batch([swears]))}  # type: ignore[attr-defined]

    assert order().index("language") < order().index("swearing") < order().index("personal_data")
    assert "no_swearing" in stage_checks(Stage.FILTERED)
    specs = {a.key.path[1]: a.check_specs for a in task_assets(seed_task())}
    assert "no_swearing" in {spec.name for spec in specs["generated"]}
    assert "swearing" in refused_by(row_gates(strict))
    assert "swearing" not in refused_by(row_gates(lax))


@pytest.mark.usefixtures("install")
def test_an_answer_kind_is_one_module() -> None:
    date = AnswerKind("date")

    task = seed_task(answer_kind="date", record={"question": "{{q}}", "answer": "{{a}}"})
    assert task.answer_kind is date
    assert date in AnswerKind
    rendered = prompts.render("solve/date", context="", question="When?", choices=[], tests=[])
    assert "the date alone, as YYYY-MM-DD" in rendered[0].content


@pytest.mark.usefixtures("install")
def test_an_enrichment_is_one_module_and_its_prompt_counts() -> None:
    assert "hint" in {enrichment.name for enrichment in enrichments()}
    assert [v for v in role_versions(Role.SOLVER, "small") if v.startswith("hint@")]


@pytest.mark.usefixtures("install")
def test_a_teacher_backend_is_one_module(configure: Configure) -> None:
    configure(teacher="bedrock:rock-1")
    teacher = open_teacher(settings(), Role.WRITER)
    message = Message(role="user", content="Is it a rock?")
    request = request_of(teacher.identity, [message])

    teacher.submit(request)
    (answer,) = teacher.poll()

    assert answer.text == "A rock says yes."  # type: ignore[union-attr]
    assert teacher.identity.stamp.model == "rock-1"
    assert stage_size(Stage.GENERATED, settings(), cached=False) == PodSize()


def test_without_the_package_nothing_of_it_is_there() -> None:
    assert defs.assets
    assert "swearing" not in order()
    assert "date" not in AnswerKind
    assert "hint" not in {enrichment.name for enrichment in enrichments()}
