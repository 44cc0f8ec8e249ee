from __future__ import annotations

from pathlib import Path

import pytest

from sdg_assets.catalog import configured_catalog, load_catalog
from sdg_assets.errors import CatalogError
from sdg_assets.settings import Settings
from sdg_assets_tests.support.builders import TASK, seed_task, write_catalog
from sdg_assets_tests.support.speed import imports_of_dagster


def test_loads_a_catalog_from_a_directory(tmp_path: Path) -> None:
    catalog = load_catalog(write_catalog(tmp_path, {}))

    spec = catalog.subtask("quiz", "quiz")

    assert spec.where == "quiz/quiz (org/quiz, main, train)"
    assert spec.license == "MIT"
    assert [task.task for task in catalog.enabled()] == ["quiz"]


def test_a_subtask_may_have_a_file_of_its_own(tmp_path: Path) -> None:
    write_catalog(tmp_path, {})
    (tmp_path / "knowledge" / "quiz").mkdir()
    (tmp_path / "knowledge" / "quiz" / "quiz_more.yaml").write_text("{config: more, rows: 10}\n")

    task = load_catalog(tmp_path).task("quiz")

    assert task.enabled_subtasks() == ["quiz", "quiz_more"]
    assert task.resolve("quiz_more").config == "more"


def test_a_subtask_file_without_a_task_or_with_a_duplicate_key_is_named(tmp_path: Path) -> None:
    write_catalog(tmp_path, {})
    for folder, name in (("quiz", "quiz"), ("quizz", "quiz_more")):
        (tmp_path / "knowledge" / folder).mkdir()
        (tmp_path / "knowledge" / folder / f"{name}.yaml").write_text("{config: more}\n")

    with pytest.raises(CatalogError) as raised:
        load_catalog(tmp_path)

    assert "quiz/quiz.yaml: subtask 'quiz' is also defined in" in str(raised.value)
    assert "quizz/quiz_more.yaml: its task's file quizz.yaml is missing" in str(raised.value)


def test_the_built_in_catalog_loads_as_fast_as_dagster_and_without_heavy_imports() -> None:
    # Half a second where importing dagster takes as long; 0.83 of that on a quiet machine, and more
    # than 1 beside two other test processes.
    program = (
        "import sys, time; from sdg_assets.catalog import load_catalog\n"
        "start = time.process_time(); load_catalog(); print(time.process_time() - start)\n"
        "print([m for m in ('lm_eval', 'datasets', 'torch', 'dagster') if m in sys.modules])"
    )

    ratio, heavy = imports_of_dagster(program, limit=1.25)

    assert heavy == ["[]"]
    assert ratio < 1.25


def test_every_problem_of_every_file_is_named_at_once(tmp_path: Path) -> None:
    write_catalog(tmp_path, {"task": "one", "seed_splits": "train"}, {"task": "two"})
    (tmp_path / "knowledge" / "three.yaml").write_text("task: [", "utf-8")
    (tmp_path / "knowledge" / "four.yaml").write_text("- a list", "utf-8")
    (tmp_path / "knowledge" / "two.yaml").rename(tmp_path / "knowledge" / "five.yaml")

    with pytest.raises(CatalogError) as error:
        load_catalog(tmp_path)

    lines = str(error.value).splitlines()[1:]
    assert [Path(line.split(":")[0]).stem for line in lines] == ["five", "four", "one", "three"]
    assert "name the file two.yaml" in lines[0]
    assert "a mapping is expected, found list" in lines[1]
    assert "seed_splits: Extra inputs are not permitted" in lines[2]
    assert "not YAML" in lines[3]


@pytest.mark.parametrize(
    ("fields", "use"),
    [
        ({}, "yes"),
        ({"dataset": "org/quiz", "license": "MIT"}, "yes"),
        ({"license": "CC-BY-NC-4.0"}, "unclear"),
        ({"dataset": "org/other"}, "unclear"),
        ({"dataset": "org/other", "commercial_use": "yes"}, "yes"),
    ],
)
def test_a_subtask_with_its_own_dataset_or_licence_inherits_no_commercial_use(
    fields: dict[str, str], use: str
) -> None:
    assert seed_task(subtasks={"quiz": fields}).resolve("quiz").commercial_use == use


def test_a_task_without_commercial_use_stays_so_for_every_subtask() -> None:
    task = seed_task(commercial_use="no", subtasks={"quiz": {"dataset": "org/other"}})

    assert task.resolve("quiz").commercial_use == "no"


def test_commercial_use_of_a_licence_that_forbids_it_is_refused(tmp_path: Path) -> None:
    subtasks = {"quiz": {}, "quiz_nc": {"license": "cc-by-nc-4.0", "commercial_use": "yes"}}
    write_catalog(tmp_path, {"subtasks": subtasks})

    with pytest.raises(CatalogError) as error:
        load_catalog(tmp_path)

    [line] = str(error.value).splitlines()[1:]
    assert line.endswith(
        "quiz.yaml: subtasks.quiz_nc: commercial_use is `yes`, but cc-by-nc-4.0 asks: name the "
        "source, its authors and its licence; say that the material was changed; no commercial use"
    )


def test_a_directory_without_catalog_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="no catalog files in knowledge/ or reasoning/"):
        load_catalog(tmp_path)


def test_every_file_with_another_ending_is_named(tmp_path: Path) -> None:
    write_catalog(tmp_path, {})
    (tmp_path / "knowledge" / "quiz").mkdir()
    (tmp_path / "reasoning").mkdir()
    for name in ("taxonomy", "knowledge/quiz/quiz_more", "reasoning/sums"):
        (tmp_path / f"{name}.yml").touch()

    with pytest.raises(CatalogError) as error:
        load_catalog(tmp_path)

    assert [line.split(": ", 1)[1] for line in str(error.value).splitlines()[1:]] == [
        "is not read; name it taxonomy.yaml",
        "is not read; name it quiz_more.yaml",
        "is not read; name it sums.yaml",
    ]


def test_a_disabled_task_or_subtask_needs_a_reason() -> None:
    with pytest.raises(ValueError, match="`enabled: false` needs `why:`"):
        seed_task(enabled=False)
    with pytest.raises(ValueError, match=r"subtasks\.quiz: `enabled: false` needs `why:`"):
        seed_task(subtasks={"quiz": {"enabled": False}})


def test_unknown_names_come_with_a_hint(tmp_path: Path) -> None:
    catalog = load_catalog(write_catalog(tmp_path, {}))

    with pytest.raises(CatalogError, match=r"unknown seed task 'quizz'; did you mean quiz\?"):
        catalog.task("quizz")
    with pytest.raises(CatalogError, match="has no subtask 'x'; known: quiz"):
        catalog.subtask("quiz", "x")


def test_a_disabled_subtask_is_refused_with_its_reason(tmp_path: Path) -> None:
    off = {"enabled": False, "why": "the same rows"}
    subtasks = {**TASK["subtasks"], "copy": off}
    catalog = load_catalog(write_catalog(tmp_path, {"subtasks": subtasks}))

    assert catalog.task("quiz").enabled_subtasks() == ["quiz"]
    with pytest.raises(CatalogError, match="quiz/copy is switched off: the same rows"):
        catalog.subtask("quiz", "copy")


def test_subtask_keys_are_unique_over_tasks(tmp_path: Path) -> None:
    write_catalog(tmp_path, {}, {"task": "other"})

    with pytest.raises(CatalogError, match="subtask 'quiz' is also defined in other"):
        load_catalog(tmp_path)


def test_overlaps_name_tasks_and_do_not_point_at_each_other(tmp_path: Path) -> None:
    write_catalog(
        tmp_path,
        {"overlaps": ["other", "nobody"]},
        {"task": "other", "overlaps": ["quiz"], "subtasks": {"other": {}}},
    )

    with pytest.raises(CatalogError) as error:
        load_catalog(tmp_path)

    assert "overlaps: unknown seed task 'nobody'" in str(error.value)
    assert "overlaps 'other', which also overlaps it" in str(error.value)


def test_each_position_of_a_parallel_task_has_one_owner() -> None:
    keys = [f"quiz_{language}" for language in ("de", "en", "fr", "it")]
    task = seed_task(parallel=True, subtasks={key: {"rows": 1000} for key in keys})
    specs = [task.resolve(key) for key in keys]

    owners = [{spec.owner(position) for spec in specs} for position in range(2000)]

    assert all(len(owner) == 1 for owner in owners)
    shares = [sum(owner == {key} for owner in owners) for key in keys]
    assert min(shares) > 400
    assert task.declared_rows() == 1000


def test_a_language_added_later_moves_no_row_between_the_others() -> None:
    before = seed_task(parallel=True, subtasks={"de": {}, "en": {}}).resolve("de")
    after = seed_task(parallel=True, subtasks={"de": {}, "en": {}, "fr": {}}).resolve("de")

    changed = [(before.owner(i), after.owner(i)) for i in range(1000)]

    assert {new for old, new in changed if new != old} == {"fr"}


@pytest.mark.parametrize(("written", "read"), [(True, "yes"), (False, "no"), ("unclear",) * 2])
def test_a_bare_yes_or_no_is_not_read_as_a_boolean(written: object, read: str) -> None:
    assert seed_task(commercial_use=written).commercial_use == read


def catalog_with(root: Path, text: str) -> Path:
    """A catalog whose only file contains this YAML."""
    write_catalog(root, {})
    (root / "knowledge" / "quiz.yaml").write_text(text, "utf-8")
    return root


def test_a_duplicate_key_is_refused_with_its_line(tmp_path: Path) -> None:
    catalog = catalog_with(tmp_path, "task: quiz\nlicense: MIT\nlicense: Apache-2.0\n")

    with pytest.raises(
        CatalogError, match=r"quiz\.yaml: not YAML: duplicate key 'license' in line 3"
    ):
        load_catalog(catalog)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ({"notes": [1]}, "notes: Input should be a valid string"),
        ({"dataset": "../../etc"}, "dataset: String should match pattern"),
        ({"dataset": "org/../../etc"}, "dataset: String should match pattern"),
        ({"seed_split": "*"}, "seed_split: String should match pattern"),
        ({"heldout_splits": ["../test"]}, r"heldout_splits\.0: String should match pattern"),
        ({"subtasks": {"quiz": {"config": "../main"}}}, "a config must be the name of one folder"),
        ({"subtasks": {"quiz": {"split": "train/.."}}}, "split: String should match pattern"),
        ({"subtasks": {"quiz.rejected": {}}}, "must not end in .rejected"),
        ({"subtasks": {"quiz": {}, "Quiz": {}}}, "'Quiz' differ in case only"),
    ],
)
def test_a_name_that_could_leave_its_folder_or_collide_is_refused(
    tmp_path: Path, field: dict[str, object], message: str
) -> None:
    with pytest.raises(CatalogError, match=message):
        load_catalog(write_catalog(tmp_path, field))


def test_keys_of_two_tasks_may_differ_in_case_only(tmp_path: Path) -> None:
    one = {"task": "one", "subtasks": {"Same": {}}}
    two = {"task": "two", "subtasks": {"same": {}}}

    assert len(load_catalog(write_catalog(tmp_path, one, two)).tasks) == 2


@pytest.mark.parametrize("name", ["curated", "coverage", "operations", "protected", "teacher"])
def test_a_task_cannot_have_the_name_of_an_asset(tmp_path: Path, name: str) -> None:
    with pytest.raises(CatalogError, match=f"{name!r} is the name of an asset of the pipeline"):
        load_catalog(write_catalog(tmp_path, {"task": name}))


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{question", r"record\.question: unexpected end of template"),
        ("{% for x in y %}{{x}}", r"record\.question: Unexpected end of template"),
        ("{{question | shout}}", r"record\.question: No filter named 'shout'"),
    ],
)
def test_an_invalid_template_is_an_error_when_the_catalog_is_loaded(
    tmp_path: Path, template: str, message: str
) -> None:
    record = {**TASK["record"], "question": template}

    with pytest.raises(CatalogError, match=message):
        load_catalog(write_catalog(tmp_path, {"record": record}))


def test_a_template_that_takes_too_long_is_an_error_when_the_catalog_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sdg_assets.catalog.templates.COMPILE_SECONDS", 0.05)
    record = {**TASK["record"], "question": "{{ ('a' * 40 ~ '!') | regex_search('(a+)+$') }}"}

    with pytest.raises(CatalogError, match=r"question: takes more than 0\.05 s to compile"):
        load_catalog(write_catalog(tmp_path, {"record": record}))


@pytest.mark.parametrize(
    ("of_settings", "of_task", "of_subtask"),
    [
        ({"min_pass_rate": 0.8}, {}, {"max_pass_rate": 0.3}),
        ({"min_pass_rate": 0.8}, {"max_pass_rate": 0.3}, {}),
        ({}, {"min_pass_rate": 0.8}, {"max_pass_rate": 0.3}),
    ],
)
def test_thresholds_that_contradict_those_of_another_layer_are_refused(
    tmp_path: Path,
    of_settings: dict[str, float],
    of_task: dict[str, float],
    of_subtask: dict[str, float],
) -> None:
    write_catalog(tmp_path, {"gates": of_task, "subtasks": {"quiz": {"gates": of_subtask}}})

    with pytest.raises(CatalogError, match=r"subtasks\.quiz: gates and SDG_GATES: .*min_pass_rate"):
        configured_catalog(Settings(catalog=tmp_path, gates=of_settings))
