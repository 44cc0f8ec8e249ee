from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from sdg_assets.assets import factory
from sdg_assets.assets.factory import GPU_STAGES, STAGES, task_assets
from sdg_assets.assets.knobs import StageConfig, from_run_tags
from sdg_assets.assets.teacher import TEACHERS
from sdg_assets.catalog import SubtaskSpec, cached_catalog
from sdg_assets.checks.table import stage_checks
from sdg_assets.gates.duplicates import Duplicates
from sdg_assets.records import EnrichedExample, Example, GeneratedExample, Refusal, Rejection, Role
from sdg_assets.settings import Settings, settings
from sdg_assets.stages.normalized import normalize
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets.teacher.requests import Request
from sdg_assets_tests.conftest import Configure, on_disk
from sdg_assets_tests.support.builders import seed_task, write_catalog
from sdg_assets_tests.support.runs import attempts, checks, failures, materialized, metadata, run
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher, ratings

Employ = Callable[[ScriptedTeacher], ScriptedTeacher]


@pytest.fixture
def employ(monkeypatch: pytest.MonkeyPatch) -> Employ:
    """Makes a scripted teacher play every role."""

    def hire(teacher: ScriptedTeacher) -> ScriptedTeacher:
        def opened(_settings: Settings, _role: Role) -> ScriptedTeacher:
            return teacher

        monkeypatch.setattr("sdg_assets.teacher.open_teacher", opened)
        return teacher

    return hire


@pytest.fixture
def mirror(tmp_path: Path, configure: Configure) -> Path:
    """A catalog of one task with two subtasks, and a mirror that holds rows for both."""
    subtasks = {key: {"config": key} for key in ("quiz_a", "quiz_b")}
    catalog = write_catalog(tmp_path / "catalog", {"subtasks": subtasks})
    root = tmp_path / "mirror"
    for key in subtasks:
        rows = [
            {"question": f"Which city is {key} {n}?", "choices": ["Oslo", "Rome"], "label": n % 2}
            for n in range(4)
        ]
        put_rows(root, key, rows)
    configure(catalog=catalog, seed_source=f"mirror:{root}")
    return root


def put_rows(mirror: Path, config: str, rows: list[dict[str, object]]) -> None:
    folder = mirror / "org" / "quiz" / config
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")


def numbered_cities(count: int) -> list[dict[str, object]]:
    return [
        {"question": f"Which city is number {n}?", "choices": ["Oslo", "Rome"], "label": n % 2}
        for n in range(count)
    ]


def write_and_solve(request: Request) -> str:
    """Writes questions on numbered cities whose answer is Oslo, and solves them right."""
    if request.role is Role.WRITER:
        question = f"Which city has the number {request.id}?"
        return json.dumps({"question": question, "answer": "Oslo", "wrong_answers": ["Rome"]})
    if request.role is Role.JUDGE:
        return ratings()
    if request.prompt_version.startswith("knowledge/"):
        return "Cities have numbers."
    return "I looked it up. Answer: Oslo"


# What is defined


def test_a_task_is_five_assets_in_a_group_of_its_own() -> None:
    assets = task_assets(seed_task())

    assert [a.key.path for a in assets] == [["quiz", stage] for stage in STAGES]
    for asset in assets:
        spec = asset.get_asset_spec()
        assert spec.group_name == "quiz"
        assert (
            spec.tags.items()
            >= {
                "family": "knowledge",
                "domain": "trivia",
                "licence": "MIT",
                "answer_kind": "multiple_choice",
            }.items()
        )


def test_partitions_are_the_subtasks_that_are_switched_on() -> None:
    off = {"enabled": False, "why": "too dull"}
    task = seed_task(subtasks={"quiz_a": {}, "quiz_b": off, "quiz_c": {}})

    for asset in task_assets(task):
        assert asset.partitions_def is not None
        assert asset.partitions_def.get_partition_keys() == ["quiz_a", "quiz_c"]


def test_a_stage_depends_on_what_it_reads() -> None:
    upstream = {
        a.key.path[1]: {"/".join(d.asset_key.path) for d in a.get_asset_spec().deps}
        for a in task_assets(seed_task())
    }

    assert upstream == {
        "seeds": set(),
        "normalized": {"quiz/seeds", "quiz/heldout", "protected/heldout"},
        "generated": {"quiz/normalized", "teacher/writer"},
        "enriched": {"quiz/generated", "quiz/normalized", "teacher/solver", "teacher/judge"},
        "filtered": {"quiz/enriched", "quiz/normalized", "quiz/heldout", "protected/heldout"},
    }


def test_every_stage_has_a_backfill_policy_value_of_its_own() -> None:
    # Stages with equal policies run as one, and a failed subtask would hold its siblings back.
    sizes = [
        asset.backfill_policy.max_partitions_per_run
        for asset in task_assets(seed_task())
        if asset.backfill_policy
    ]

    assert len(set(sizes)) == len(STAGES)


def test_stages_with_a_teacher_take_turns_on_the_gpu() -> None:
    pools = {a.key.path[1]: a.op.pool for a in task_assets(seed_task())}

    assert {stage for stage, pool in pools.items() if pool == "gpu"} == set(GPU_STAGES)


def test_checks_are_partitioned_like_their_asset() -> None:
    for asset in task_assets(seed_task()):
        specs = list(asset.check_specs)
        assert tuple(s.name for s in specs) == stage_checks(asset.key.path[1])
        assert all(s.partitions_def == asset.partitions_def for s in specs)


# What a run does


def test_rows_are_judged_by_a_teacher_that_can_and_by_no_other(
    mirror: Path, store: Store, instance: dg.DagsterInstance, employ: Employ, configure: Configure
) -> None:
    employ(ScriptedTeacher(write_and_solve))

    def scores() -> set[float | None]:
        assert run("quiz", subtasks="quiz_a", instance=instance).success
        rows = store.read(PartitionKey("quiz", "filtered", "quiz_a"), EnrichedExample)
        return {row.judge.score if row.judge else None for row in rows}

    assert scores() == {None}, "the embedded teacher cannot judge"
    configure(judge="Qwen/Qwen3-32B")
    assert scores() == {1.0}
    configure(with_judge=False)
    assert scores() == {None}


def test_what_the_judge_finds_wrong_is_refused(
    mirror: Path, store: Store, instance: dg.DagsterInstance, employ: Employ, configure: Configure
) -> None:
    def strict(request: Request) -> str:
        return ratings(harmless=1) if request.role is Role.JUDGE else write_and_solve(request)

    employ(ScriptedTeacher(strict))
    configure(with_judge=True)

    result = run("quiz", subtasks="quiz_a", instance=instance)

    file = Path(str(checks(result, "filtered", "quiz_a")["rows"].metadata["refused_rows"].value))
    rejected = [Rejection.model_validate_json(line) for line in file.read_bytes().splitlines()]
    assert {(r.gate, r.reason) for r in rejected} == {("judge", "not harmless")}
    assert all(r.scores["harmless"] == 0.0 for r in rejected)


def test_a_partition_goes_through_all_stages_and_the_funnel_adds_up(
    mirror: Path, store: Store, instance: dg.DagsterInstance, employ: Employ
) -> None:
    teacher = employ(ScriptedTeacher(write_and_solve))

    result = run("quiz", subtasks="quiz_a", instance=instance)

    assert result.success, failures(result)
    came_in = 4
    for stage in STAGES:
        assert materialized(instance, "quiz", stage) == {"quiz_a"}
        told = metadata(instance, "quiz", stage, "quiz_a")
        manifest = store.manifest(PartitionKey("quiz", stage, "quiz_a"))
        assert told["rows"] == told["dagster/partition_row_count"] == manifest.rows
        assert told["rows"] + told["rows_rejected"] == came_in
        assert told["path"] == str(store.path(PartitionKey("quiz", stage, "quiz_a")))
        assert f"| accepted | {manifest.rows} |" in told["funnel"]
        came_in = manifest.rows
        found = checks(result, stage, "quiz_a")
        assert set(found) == set(stage_checks(stage))
        assert all(evaluation.passed for evaluation in found.values())
    rows = list(store.read(PartitionKey("quiz", "filtered", "quiz_a"), EnrichedExample))
    assert len(rows) == 4
    assert {r.completion_id for r in rows} <= {r.id for r in teacher.requests}
    told = metadata(instance, "quiz", "generated", "quiz_a")
    assert (told["teacher_requests"], told["teacher_requests_reused"]) == (4, 0)
    assert told["output_tokens"] > 0
    assert "**Answer:** Oslo" in told["samples"]
    assert "answers_corrected" not in metadata(instance, "quiz", "enriched", "quiz_a")
    told = metadata(instance, "quiz", "filtered", "quiz_a")
    assert told["writer"] == told["solver"] == "scripted/teacher@r1"


def test_a_check_lists_every_partition_that_fails_it_and_shows_rows(
    mirror: Path, store: Store, instance: dg.DagsterInstance, employ: Employ, configure: Configure
) -> None:
    configure(min_yield=1, with_judge="false")
    answers: dict[str, str] = {}

    def err_on_every_fourth(request: Request) -> str:
        number = re.search(r"has the number (\w+)", request.messages[-1].content)
        if request.role is Role.WRITER or not number:
            return write_and_solve(request)
        answer = "Oslo" if len(answers) % 4 else "Rome"
        return f"Answer: {answers.setdefault(number[1], answer)}"

    employ(ScriptedTeacher(err_on_every_fourth))
    run("quiz", subtasks="quiz_a", instance=instance)
    result = run("quiz", subtasks="quiz_b", instance=instance)

    found = checks(result, "filtered", "quiz_b")["yield"]
    assert not found.passed
    assert str(found.description).endswith(
        "verification refused most, 1 (majority disagrees 1). "
        "2 of 2 partitions fail this check: quiz_a, quiz_b"
    )
    assert "| verification: majority disagrees" in str(found.metadata["offending_rows"].value)
    failing = str(found.metadata["failing_partitions"].value)
    assert failing.startswith("2 of 2 partitions fail:")
    assert "[quiz_a](/assets/quiz/filtered?view=partitions&partition=quiz_a)" in failing
    passing = checks(result, "filtered", "quiz_b")["schema"]
    assert "failing_partitions" not in passing.metadata
    told = metadata(instance, "quiz", "filtered", "quiz_b")
    assert "### verification: 1 rows" in told["refused_samples"]
    assert told["rejected_path"] == str(
        store.rejected_path(PartitionKey("quiz", "filtered", "quiz_b"))
    )


def test_a_second_run_asks_the_teacher_nothing(
    mirror: Path, store: Store, instance: dg.DagsterInstance, employ: Employ
) -> None:
    employ(ScriptedTeacher(write_and_solve))
    run("quiz", subtasks="quiz_a", instance=instance)
    before = store.manifest(PartitionKey("quiz", "filtered", "quiz_a"))
    silent = employ(ScriptedTeacher(write_and_solve))

    assert run("quiz", subtasks="quiz_a", instance=instance).success

    assert silent.requests == []
    assert store.manifest(PartitionKey("quiz", "filtered", "quiz_a")).sha256 == before.sha256
    assert metadata(instance, "quiz", "enriched", "quiz_a")["teacher_requests_reused"] == 12


def test_another_teacher_is_asked_afresh(
    mirror: Path, store: Store, instance: dg.DagsterInstance, employ: Employ
) -> None:
    first = employ(ScriptedTeacher(write_and_solve))
    run("quiz", STAGES[:3], subtasks="quiz_a", instance=instance)
    stamp = first.identity.stamp.model_copy(update={"revision": "r2"})
    second = employ(ScriptedTeacher(write_and_solve, stamp=stamp))

    run("quiz", ["generated"], subtasks="quiz_a", instance=instance)

    assert len(second.requests) == len(first.requests) == 4
    logs = on_disk(store.completions_dir("quiz", "quiz_a")).iterdir()
    assert len([log for log in logs if log.name.startswith("writer-")]) == 2
    rows = store.read(PartitionKey("quiz", "generated", "quiz_a"), GeneratedExample)
    assert {row.teacher.revision for row in rows} == {"r2"}


def test_a_teacher_that_writes_nothing_usable_fails_its_stage_and_says_why(
    mirror: Path, store: Store, instance: dg.DagsterInstance, employ: Employ
) -> None:
    employ(ScriptedTeacher(lambda _: "What?"))

    result = run("quiz", subtasks="quiz_a", instance=instance)

    (message,) = failures(result)
    assert message.startswith(
        "quiz_a: quiz/generated/quiz_a: rows: 0 of 4 rows are left. Most frequent reasons: "
        "generation: unparsable 4. A partition without rows is not published"
    )
    rows = checks(result, "generated", "quiz_a")["rows"]
    assert (rows.passed, rows.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert not any(check.passed for check in checks(result, "generated", "quiz_a").values())
    assert materialized(instance, "quiz", "generated") == set()
    assert materialized(instance, "quiz", "enriched") == set()


def test_a_solver_that_broke_leaves_the_good_rows_until_a_person_accepts_the_loss(
    mirror: Path, store: Store, instance: dg.DagsterInstance, employ: Employ
) -> None:
    put_rows(mirror, "quiz_a", numbered_cities(20))
    good = employ(ScriptedTeacher(write_and_solve))
    assert run("quiz", subtasks="quiz_a", instance=instance).success
    key = PartitionKey("quiz", "enriched", "quiz_a")
    before = store.manifest(key)

    def broken(request: Request) -> str:
        return write_and_solve(request) if request.role is Role.WRITER else "I cannot say."

    stamp = good.identity.stamp.model_copy(update={"revision": "broken"})
    employ(ScriptedTeacher(broken, stamp=stamp))
    result = run("quiz", ["enriched", "filtered"], subtasks="quiz_a", instance=instance)

    assert store.manifest(key) == before
    rows = checks(result, "enriched", "quiz_a")["rows"]
    assert (rows.passed, rows.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert rows.metadata["rows_before"].value == 20
    assert rows.metadata["rows"].value == 0
    assert "run it with accept_smaller" in str(rows.description)
    assert "| unsolvable | 20 | 0 |" in str(rows.metadata["reasons"].value)
    assert len(list(store.read(PartitionKey("quiz", "filtered", "quiz_a"), EnrichedExample))) == 20

    knob = {"enriched": {"accept_smaller": True}}
    accepted = run("quiz", ["enriched"], subtasks="quiz_a", instance=instance, config=knob)
    assert accepted.success, failures(accepted)
    assert store.manifest(key).info["verified"] == 0


def test_fewer_seeds_are_published_if_they_were_asked_for_and_not_if_the_split_shrank(
    mirror: Path, store: Store, instance: dg.DagsterInstance, employ: Employ, configure: Configure
) -> None:
    employ(ScriptedTeacher(write_and_solve))
    put_rows(mirror, "quiz_a", numbered_cities(40))
    assert run("quiz", subtasks="quiz_a", instance=instance).success
    put_rows(mirror, "quiz_a", numbered_cities(10))

    (message,) = failures(run("quiz", ["seeds"], subtasks="quiz_a", instance=instance))
    assert "rows: 10 of 40 rows are left; in the published version 40 of 40 are" in message
    assert store.manifest(PartitionKey("quiz", "seeds", "quiz_a")).rows == 40

    configure(max_seeds=10)
    result = run("quiz", subtasks="quiz_a", instance=instance)
    assert result.success, failures(result)
    for stage in STAGES:
        assert store.manifest(PartitionKey("quiz", stage, "quiz_a")).rows == 10


def test_rows_that_are_replaced_while_they_are_filtered_are_read_as_one_version(
    mirror: Path,
    store: Store,
    instance: dg.DagsterInstance,
    employ: Employ,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    employ(ScriptedTeacher(write_and_solve))
    assert run("quiz", STAGES[:4], subtasks="quiz_a", instance=instance).success
    enriched = PartitionKey("quiz", "enriched", "quiz_a")
    rows = list(store.read(enriched, EnrichedExample))
    really = Duplicates.refusals

    def replaced_meanwhile(duplicates: Duplicates) -> dict[int, Refusal]:
        with store.write(enriched) as out:
            out.put(rows[0])
        return really(duplicates)  # the stage then reads its rows a second time

    monkeypatch.setattr(Duplicates, "refusals", replaced_meanwhile)
    result = run("quiz", ["filtered"], subtasks="quiz_a", instance=instance)

    assert result.success, failures(result)
    filtered = store.read(PartitionKey("quiz", "filtered", "quiz_a"), EnrichedExample)
    assert list(filtered) == rows


def test_a_run_tag_accepts_the_loss_too(mirror: Path) -> None:
    config = from_run_tags(StageConfig(), {"sdg/accept_smaller": "true"})

    assert config.accept_smaller is True


def test_run_config_goes_before_the_environment(
    mirror: Path,
    instance: dg.DagsterInstance,
    employ: Employ,
    configure: Configure,
) -> None:
    configure(max_seeds=3, votes=1)
    teacher = employ(ScriptedTeacher(write_and_solve))

    config = {"seeds": {"max_seeds": 2}, "generated": {"examples_per_seed": 3}}
    run("quiz", subtasks="quiz_a", instance=instance, config=config)

    assert metadata(instance, "quiz", "seeds", "quiz_a")["rows"] == 2
    assert metadata(instance, "quiz", "generated", "quiz_a")["rows"] == 6
    votes = [r for r in teacher.requests if r.prompt_version.startswith("solve/")]
    assert len(votes) == 6


@pytest.mark.parametrize("together", [True, False])
def test_rows_are_written_until_enough_pass_as_the_run_itself_will_vote(
    mirror: Path, instance: dg.DagsterInstance, employ: Employ, together: bool
) -> None:
    teacher = employ(ScriptedTeacher(write_and_solve))
    knobs = {"sdg/target_accepted": "4", "sdg/votes": "5"}
    run("quiz", ["seeds", "normalized"], subtasks="quiz_a", instance=instance)

    if together:
        config = {"generated": {"target_accepted": 4}, "enriched": {"votes": 5}}
        stages = ["generated", "enriched"]
        run("quiz", stages, subtasks="quiz_a", instance=instance, config=config)
    else:
        run("quiz", ["generated"], subtasks="quiz_a", instance=instance, tags=knobs)

    votes = [r for r in teacher.requests if r.prompt_version.startswith("solve/")]
    written = metadata(instance, "quiz", "generated", "quiz_a")["rows"]
    # Five were planned, so three that agree are the fewest that can decide.
    assert len(votes) == 3 * written
    if together:
        assert metadata(instance, "quiz", "enriched", "quiz_a")["teacher_requests"] == 0


def test_a_re_run_stops_where_its_rows_are_stale_by_now_and_a_persons_run_does_not(
    mirror: Path, instance: dg.DagsterInstance, employ: Employ
) -> None:
    teacher = employ(ScriptedTeacher(write_and_solve))
    run("quiz", subtasks="quiz_a", instance=instance)
    other = {"dagster/data_version": "another"}
    instance.report_runless_asset_event(dg.AssetObservation(TEACHERS[Role.WRITER], tags=other))
    asked = len(teacher.requests)

    remade = {"remake_stale": "true"}
    result = run("quiz", ["enriched"], subtasks="quiz_a", instance=instance, tags=remade)

    assert failed(result).startswith(
        "quiz_a: superseded: quiz/generated/quiz_a is stale by now (teacher/writer changed)"
    )
    assert attempts(result) == 1
    assert len(teacher.requests) == asked
    assert run("quiz", ["enriched"], subtasks="quiz_a", instance=instance).success


# Several partitions in one run


def test_a_range_run_materializes_each_partition_by_itself(
    mirror: Path, store: Store, instance: dg.DagsterInstance
) -> None:
    result = run("quiz", ["seeds", "normalized"], subtasks=("quiz_a", "quiz_b"), instance=instance)

    assert result.success, failures(result)
    assert attempts(result) == 2  # one step a stage, not one a partition
    assert materialized(instance, "quiz", "normalized") == {"quiz_a", "quiz_b"}
    for key in ("quiz_a", "quiz_b"):
        assert metadata(instance, "quiz", "normalized", key)["rows"] == 4
        found = checks(result, "normalized", key)
        assert set(found) == set(stage_checks("normalized"))
        for evaluation in found.values():
            target = evaluation.target_materialization_data
            assert target is not None
            assert target.run_id == result.run_id


@pytest.mark.parametrize("bad", ["quiz_a", "quiz_b"])
def test_a_partition_that_fails_leaves_the_results_of_the_others(
    mirror: Path, store: Store, instance: dg.DagsterInstance, bad: str
) -> None:
    (mirror / "org" / "quiz" / bad / "train.jsonl").unlink()
    good = {"quiz_a": "quiz_b", "quiz_b": "quiz_a"}[bad]

    result = run("quiz", ["seeds"], subtasks=("quiz_a", "quiz_b"), instance=instance)

    assert not result.success
    (message,) = failures(result)
    assert message.startswith(f"{bad}: quiz/{bad}: split 'train' is absent")
    assert good not in message
    assert materialized(instance, "quiz", "seeds") == {good}
    assert store.exists(PartitionKey("quiz", "seeds", good))
    assert not store.exists(PartitionKey("quiz", "seeds", bad))
    assert metadata(instance, "quiz", "seeds", good)["rows"] == 4


def test_even_a_bug_in_one_partition_leaves_the_results_of_the_others(
    mirror: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = ("quiz_a", "quiz_b")
    run("quiz", ["seeds"], subtasks=both, instance=instance)

    def with_a_bug(spec: SubtaskSpec, *arguments: Any, **named: Any) -> Any:
        if spec.key == "quiz_b":
            raise ZeroDivisionError("division by zero")
        return normalize(spec, *arguments, **named)

    monkeypatch.setattr(factory, "normalize", with_a_bug)
    result = run("quiz", ["normalized"], subtasks=both, instance=instance)

    (message,) = failures(result)
    assert "quiz_b: ZeroDivisionError: division by zero" in message
    assert materialized(instance, "quiz", "normalized") == {"quiz_a"}


def test_one_odd_seed_is_refused_and_breaks_nothing(
    mirror: Path, store: Store, instance: dg.DagsterInstance
) -> None:
    # As 122 rows of commonsense_qa (an option twice) and 15 of openbookqa are.
    odd = {"question": "Which city?", "choices": ["Oslo", "Oslo"], "label": 0}
    sound = [
        {"question": f"Which city is number {n}?", "choices": ["Oslo", "Rome"], "label": 0}
        for n in range(30)
    ]
    put_rows(mirror, "quiz_a", [odd, *sound])

    result = run("quiz", ["seeds", "normalized"], subtasks="quiz_a", instance=instance)

    assert result.success, failures(result)
    key = PartitionKey("quiz", "normalized", "quiz_a")
    assert store.manifest(key).rows == 30
    (refused,) = store.read_rejected(key)
    assert (refused.gate, refused.reason) == ("schema", "repeated choices")
    assert refused.row["choices"] == ["Oslo", "Oslo"]
    schema = checks(result, "normalized", "quiz_a")["schema"]
    assert schema.passed
    assert "1 of 31 seeds break it" in str(schema.metadata["summary"].value)
    assert "repeated choices" in str(schema.metadata["offending_rows"].value)


def test_checks_of_the_good_partitions_are_evaluated_when_another_fails(
    mirror: Path, store: Store, instance: dg.DagsterInstance
) -> None:
    run("quiz", ["seeds"], subtasks=("quiz_a", "quiz_b"), instance=instance)
    store.path(PartitionKey("quiz", "seeds", "quiz_b")).unlink()

    result = run("quiz", ["normalized"], subtasks=("quiz_a", "quiz_b"), instance=instance)

    assert not result.success
    assert materialized(instance, "quiz", "normalized") == {"quiz_a"}
    assert all(c.passed for c in checks(result, "normalized", "quiz_a").values())
    assert set(checks(result, "normalized", "quiz_a")) == set(stage_checks("normalized"))
    assert checks(result, "normalized", "quiz_b") == {}


def test_a_broken_invariant_is_not_published_and_its_check_says_why(
    mirror: Path, store: Store, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = ("quiz_a", "quiz_b")
    run("quiz", ["seeds", "normalized"], subtasks=both, instance=instance)
    before = store.manifest(PartitionKey("quiz", "normalized", "quiz_b"))

    def with_a_bug(*arguments: Any, **named: Any) -> Iterator[Example | Rejection]:
        for row in normalize(*arguments, **named):
            bad = isinstance(row, Example) and row.subtask == "quiz_b" and "1?" in row.question
            yield row.model_copy(update={"answer": "Oslo?"}) if bad else row

    monkeypatch.setattr(factory, "normalize", with_a_bug)
    result = run("quiz", ["normalized"], subtasks=both, instance=instance)

    (message,) = failures(result)
    assert message.startswith(
        "quiz_b: quiz/normalized/quiz_b: schema: 1 of 4 seeds break it, more than "
        "broken_seeds=0.05 allows; the partition is not published. Fix the mapping; if the dataset "
        "itself is broken, move the limit in the task's YAML (`gates:`) and say why "
        "(`gates_because:`). Its refused rows lie in "
    )
    assert attempts(result) == 1
    assert store.manifest(PartitionKey("quiz", "normalized", "quiz_b")) == before
    broken = checks(result, "normalized", "quiz_b")["schema"]
    assert (broken.passed, broken.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "answer is not its choice" in str(broken.metadata["offending_rows"].value)
    assert checks(result, "normalized", "quiz_a")["schema"].passed


# Bad input: one clear message that says what and where, and no second attempt


def failed(result: dg.ExecuteInProcessResult) -> str:
    """The one message of a run that failed for good, at the first attempt."""
    assert not result.success
    (message,) = failures(result)
    assert not message.startswith("(not a clear failure)"), message
    assert attempts(result) == 1
    return message


def test_a_missing_mirror_directory(instance: dg.DagsterInstance, configure: Configure) -> None:
    configure(seed_source="mirror:/no/such/hub")

    message = failed(run("arc", ["seeds"], instance=instance))

    assert message.startswith(
        "arc_easy: SDG_SEED_SOURCE=mirror:/no/such/hub: /no/such/hub is not a directory"
    )


def test_a_mirror_without_the_dataset(
    instance: dg.DagsterInstance, configure: Configure, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    configure(seed_source=f"mirror:{tmp_path / 'empty'}")

    message = failed(run("arc", ["seeds"], instance=instance))

    assert "arc/arc_easy: mirror:" in message
    assert "has no allenai/ai2_arc (config ARC-Easy)" in message


def test_a_row_of_a_mirror_that_is_no_json(mirror: Path, instance: dg.DagsterInstance) -> None:
    file = mirror / "org" / "quiz" / "quiz_a" / "train.jsonl"
    file.write_text(file.read_text("utf-8") + "{oops\n", "utf-8")

    message = failed(run("quiz", ["seeds"], subtasks="quiz_a", instance=instance))

    assert message.startswith(f"quiz_a: {file}:5: not JSON")


def test_a_stage_whose_input_is_not_there_yet(instance: dg.DagsterInstance) -> None:
    message = failed(run("arc", ["normalized"], instance=instance))

    assert message.startswith("arc_easy: arc/seeds/arc_easy: not in the store (")
    assert message.endswith("; materialize it first")


@pytest.mark.parametrize(("stage", "upstream"), [("normalized", "seeds"), ("filtered", "enriched")])
def test_a_corrupt_line_in_the_store(
    mirror: Path,
    store: Store,
    instance: dg.DagsterInstance,
    employ: Employ,
    stage: str,
    upstream: str,
) -> None:
    employ(ScriptedTeacher(write_and_solve))
    run("quiz", STAGES, subtasks="quiz_a", instance=instance)
    file = store.path(PartitionKey("quiz", upstream, "quiz_a"))
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:2], b'{"id": "torn\n', *lines[3:]]))

    message = failed(run("quiz", [stage], subtasks="quiz_a", instance=instance))

    assert message.startswith(f"quiz_a: {file}:3: not a ")
    assert message.endswith("materialize the partition again")


def test_a_damaged_line_in_the_completion_log_is_asked_again_and_said(
    mirror: Path, store: Store, instance: dg.DagsterInstance, employ: Employ
) -> None:
    employ(ScriptedTeacher(write_and_solve))
    run("quiz", STAGES[:3], subtasks="quiz_a", instance=instance)
    before = store.manifest(PartitionKey("quiz", "generated", "quiz_a")).sha256
    (log,) = on_disk(store.completions_dir("quiz", "quiz_a")).iterdir()
    log.write_bytes(log.read_bytes().replace(b"number", b"nunber", 1))
    second = employ(ScriptedTeacher(write_and_solve))

    result = run("quiz", ["generated"], subtasks="quiz_a", instance=instance)

    assert result.success, failures(result)
    assert len(second.requests) == 1
    assert store.manifest(PartitionKey("quiz", "generated", "quiz_a")).sha256 == before
    warnings = [e.user_message for e in instance.all_logs(result.run_id)]
    assert any(f"damaged lines: 1 ({log}:1)" in warning for warning in warnings)


def test_a_mapping_that_renders_nothing(
    tmp_path: Path, mirror: Path, instance: dg.DagsterInstance, configure: Configure
) -> None:
    record = {"question": "{{prompt}}", "answer": "{{label}}"}
    configure(
        catalog=write_catalog(
            tmp_path / "wrong", {"record": record, "subtasks": {"quiz_a": {"config": "quiz_a"}}}
        )
    )

    result = run("quiz", ["seeds", "normalized"], instance=instance)

    (message,) = failures(result)
    assert message.startswith(
        "quiz_a: quiz/quiz_a (org/quiz, quiz_a, train): the mapping renders no example from 4 "
        "rows: row 0: record.question: 'prompt' is undefined; row 1: "
    )
    assert attempts(result) == 2  # one a stage


def test_a_catalog_file_that_was_broken_since_the_code_was_loaded(
    tmp_path: Path, mirror: Path, instance: dg.DagsterInstance
) -> None:
    assets = task_assets(cached_catalog(settings().catalog).task("quiz"))
    file = tmp_path / "catalog" / "knowledge" / "quiz.yaml"
    file.write_text("task: [quiz\n", "utf-8")
    cached_catalog.cache_clear()

    result = dg.materialize(
        assets[:1], partition_key="quiz_a", instance=instance, raise_on_error=False
    )

    message = failed(result)
    assert message.startswith(f"quiz_a: catalog:\n{file}: not YAML: ")
    assert "line 2" in message


def test_a_subtask_that_left_the_catalog(
    tmp_path: Path, mirror: Path, instance: dg.DagsterInstance, configure: Configure
) -> None:
    assets = task_assets(cached_catalog(settings().catalog).task("quiz"))
    configure(catalog=write_catalog(tmp_path / "later", {"subtasks": {"quiz_b": {}}}))

    result = dg.materialize(
        assets[:1], partition_key="quiz_a", instance=instance, raise_on_error=False
    )

    assert failed(result) == (
        "quiz_a: seed task 'quiz' has no subtask 'quiz_a'; did you mean quiz_b?"
    )


def test_an_unknown_partition_is_named(mirror: Path, instance: dg.DagsterInstance) -> None:
    with pytest.raises(dg.DagsterError, match="quiz_z"):
        run("quiz", ["seeds"], subtasks="quiz_z", instance=instance)


def test_a_model_path_that_does_not_exist(
    mirror: Path, instance: dg.DagsterInstance, configure: Configure
) -> None:
    run("quiz", ["seeds", "normalized"], subtasks="quiz_a", instance=instance)
    configure(teacher="/no/such/model")

    message = failed(run("quiz", ["generated"], subtasks="quiz_a", instance=instance))

    assert message.startswith("quiz_a: unknown teacher '/no/such/model': not a directory, nor ")
    assert "smollm2-135m" in message


def test_a_directory_that_holds_no_model(
    tmp_path: Path, mirror: Path, instance: dg.DagsterInstance, configure: Configure
) -> None:
    run("quiz", ["seeds", "normalized"], subtasks="quiz_a", instance=instance)
    configure(teacher=tmp_path)

    message = failed(run("quiz", ["generated"], subtasks="quiz_a", instance=instance))

    assert message == (
        f"quiz_a: teacher {tmp_path}: not a model's directory, it has no config.json"
    )


# Retries


def test_what_may_pass_is_tried_again(
    mirror: Path,
    store: Store,
    instance: dg.DagsterInstance,
    employ: Employ,
) -> None:
    # The teacher dies after two answers of four, at the first attempt.
    employ(ScriptedTeacher(write_and_solve, fails_after=2))
    run("quiz", ["seeds", "normalized"], subtasks="quiz_a", instance=instance)

    result = run("quiz", ["generated"], subtasks="quiz_a", instance=instance)

    assert attempts(result) == 2
    (message,) = failures(result)
    assert "quiz_a: the engine died" in message
    (log,) = on_disk(store.completions_dir("quiz", "quiz_a")).iterdir()
    assert len(log.read_bytes().splitlines()) == 2
    healthy = employ(ScriptedTeacher(write_and_solve))
    assert run("quiz", ["generated"], subtasks="quiz_a", instance=instance).success
    assert len(healthy.requests) == 2
