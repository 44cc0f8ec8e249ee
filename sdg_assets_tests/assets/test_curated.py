from __future__ import annotations

import json
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from sdg_assets.assets import curated
from sdg_assets.assets.curated import curated_asset
from sdg_assets.assets.keys import CURATED
from sdg_assets.assets.release_page import heldout_compared
from sdg_assets.catalog import cached_catalog
from sdg_assets.gates.duplicates import Duplicates
from sdg_assets.heldout.coverage import SplitCoverage
from sdg_assets.heldout.protection import heldout_key
from sdg_assets.heldout.splits import HeldoutRows
from sdg_assets.records import CuratedExample, EnrichedExample, TeacherStamp
from sdg_assets.settings import settings
from sdg_assets.signatures.release import duplicates_across
from sdg_assets.signatures.table import ATTACHMENT
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets_tests.assets.quiz import put_rows, quiz
from sdg_assets_tests.conftest import Configure, on_disk
from sdg_assets_tests.support.builders import seed_task, write_catalog
from sdg_assets_tests.support.heldout import FILLERS, Splits, as_if_read_now
from sdg_assets_tests.support.records import CAPITALS, enriched, source
from sdg_assets_tests.support.runs import QUIET, failures, run
from sdg_assets_tests.support.tokenizers import words_tokenizer

QWEN = TeacherStamp(model="Qwen/Qwen2.5-Coder-1.5B-Instruct", revision="r", license="Apache-2.0")


@pytest.fixture(autouse=True)
def catalog(tmp_path: Path, configure: Configure) -> None:
    """Two tasks: commercial use is allowed for the seeds of one, not for those of the other."""
    free = {"task": "free", "subtasks": {"free_a": {}, "free_b": {}}}
    bound = {"task": "bound", "subtasks": {"bound_a": {}}, "commercial_use": "no"}
    configure(catalog=write_catalog(tmp_path / "catalog", free, bound))


def put(store: Store, task: str, subtask: str, *rows: EnrichedExample) -> None:
    duplicates = Duplicates()
    duplicates.add(rows)
    hold_out(store, task, subtask, FILLERS[0])
    with store.write(PartitionKey(task, "filtered", subtask)) as out:
        for row in rows:
            out.accept(row)
        name = f"{task}/filtered/{subtask}"
        out.attachments[ATTACHMENT] = partial(duplicates.signatures().write_parquet, name)


def hold_out(store: Store, task: str, subtask: str, *questions: str) -> None:
    """Hashes held-out rows with these questions and the answer Paris."""
    heldout_rows = HeldoutRows()
    rows = [{"question": q, "choices": CAPITALS, "label": 0} for q in questions]
    heldout_rows.add(seed_task().resolve("quiz"), "test", Splits(test=rows))
    tables = heldout_rows.tables()
    spec = cached_catalog(settings().catalog).subtask(task, subtask)
    with store.write(heldout_key(task, subtask)) as out:
        for split in heldout_rows.splits if questions else []:
            out.accept(split)
        out.attachments.update(tables.to_bytes())
        out.info = {
            "rows": len(tables.rows),
            "splits": 1,
            "missing": [],
            **as_if_read_now(spec, settings().seed_source),
        }


def evaluations(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    """The release's checks by name."""
    return {e.check_name: e for e in result.get_asset_check_evaluations()}


def row(subtask: str, question: str, **changes: Any) -> EnrichedExample:
    stamps = {"teacher": QWEN, "solver": QWEN, **changes}
    return enriched(subtask=subtask, question=question, **stamps)


def curate(instance: dg.DagsterInstance, **config: Any) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [curated_asset(cached_catalog(settings().catalog))],
        instance=instance,
        run_config={"loggers": QUIET, "ops": {"curated": {"config": config}}},
        raise_on_error=False,
    )


def release_metadata(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = result.get_asset_materialization_events()
    return {k: v.value for k, v in event.materialization.metadata.items()}


def released(result: dg.ExecuteInProcessResult) -> list[CuratedExample]:
    file = Path(release_metadata(result)["path"]) / "multiple_choice" / "train-00000-of-00001.jsonl"
    return [CuratedExample.model_validate_json(line) for line in file.read_bytes().splitlines()]


def test_a_release_holds_every_partition_that_is_there(
    store: Store, instance: dg.DagsterInstance
) -> None:
    put(store, "free", "free_a", row("free_a", "Which river is it?"))
    put(store, "bound", "bound_a", row("bound_a", "Where do the boats of the lake land?"))

    result = curate(instance)

    assert result.success, failures(result)
    assert (release_metadata(result)["rows"], release_metadata(result)["partitions"]) == (2, 2)
    use = {r.subtask: r.commercial_use for r in released(result)}
    assert use == {"free_a": "yes", "bound_a": "no"}
    assert release_metadata(result)["rows_commercial"] == 1
    assert release_metadata(result)["version"] == "1.0.0"


def test_tokens_are_in_the_metadata_or_why_they_are_not(
    store: Store, instance: dg.DagsterInstance, configure: Configure, tmp_path: Path
) -> None:
    put(store, "free", "free_a", row("free_a", "Which river is it?", task="free"))
    configure(store=store.root, catalog=settings().catalog, teacher="http://nowhere:8000")
    assert "is a server" in release_metadata(curate(instance))["tokens"]

    configure(tokenizer=words_tokenizer(tmp_path))
    metadata = release_metadata(curate(instance))
    assert metadata["tokens_answer_only"] == 16
    assert "| free | 16 |" in metadata["tokens"]
    assert metadata["version"] == "1.0.1", "the same rows, described anew"

    configure(tokenizer=tmp_path)
    (message,) = failures(curate(instance))
    assert "SDG_TOKENIZER=" in message
    assert "has no tokenizer.json" in message


def test_what_an_unknown_teacher_wrote_is_of_unclear_use(
    store: Store, instance: dg.DagsterInstance
) -> None:
    stranger = TeacherStamp(model="my-model", revision="r", license="unknown")
    put(store, "free", "free_a", row("free_a", "Which river is it?", teacher=stranger))

    (only,) = released(curate(instance))

    assert only.commercial_use == "unclear"


def test_a_requantization_has_the_licence_and_terms_of_its_weights_but_no_rights_for_sure(
    store: Store, instance: dg.DagsterInstance
) -> None:
    makers = TeacherStamp(model="Qwen/Qwen3-32B-FP8", revision="r", license="Apache-2.0")
    other = TeacherStamp(model="unsloth/Llama-3.3-70B-Instruct", revision="r", license="unknown")
    put(
        store, "free", "free_a",
        row("free_a", "Which river is it?", solver=other),
        row("free_a", "Where do the boats of the lake land?", solver=makers),
    )  # fmt: skip

    result = curate(instance)

    rows = released(result)
    assert [r.commercial_use for r in rows] == ["unclear", "yes"]
    assert rows[0].solver.license == "LicenseRef-Llama-3.3"
    manifest = json.loads(
        (Path(release_metadata(result)["path"]) / "manifest.json").read_text("utf-8")
    )
    terms = manifest["terms"][other.model]
    assert terms.startswith("By its name the model has the weights of meta-llama/Llama-3.3-70B")
    assert 'must begin with "Llama"' in terms


def test_outputs_that_may_not_train_are_kept_out_of_the_commercial_rows(
    store: Store, instance: dg.DagsterInstance
) -> None:
    gemma = TeacherStamp(model="google/gemma-3-27b-it", revision="r", license="LicenseRef-Gemma")
    put(
        store, "free", "free_a",
        row("free_a", "Which river is it?", solver=gemma),
        row("free_a", "Where do the boats of the lake land?"),
    )  # fmt: skip

    result = curate(instance)

    assert [r.commercial_use for r in released(result)] == ["unclear", "yes"]
    manifest = json.loads(
        (Path(release_metadata(result)["path"]) / "manifest.json").read_text("utf-8")
    )
    why = "solver google/gemma-3-27b-it (LicenseRef-Gemma): training on outputs: unclear"
    assert manifest["commercial_rows"] == 1
    assert manifest["not_commercial"] == {why: 1}


def test_a_release_states_licences_that_were_corrected_after_rows_were_made_and_says_so(
    store: Store, instance: dg.DagsterInstance
) -> None:
    made_under = source(dataset="org/free", license="LicenseRef-Earlier")
    put(store, "free", "free_a", row("free_a", "Which river is it?", source=made_under))

    result = curate(instance)

    assert result.success, failures(result)
    (only,) = released(result)
    assert only.source.license == only.license == "MIT", "what the catalog states"
    check = evaluations(result)["current_licences"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "earlier licences of org/free" in str(check.description)
    path = Path(release_metadata(result)["path"])
    manifest = json.loads((path / "manifest.json").read_text("utf-8"))
    assert manifest["relicensed"] == [
        {
            "what": "dataset",
            "name": "org/free",
            "before": "LicenseRef-Earlier",
            "now": "MIT",
            "rows": 1,
        }
    ]
    assert "| org/free | MIT | LicenseRef-Earlier | 1 |" in (path / "SOURCES.md").read_text("utf-8")


def test_rows_of_current_licences_pass_the_check(
    store: Store, instance: dg.DagsterInstance
) -> None:
    put(store, "free", "free_a", row("free_a", "Which river is it?", source=source(license="MIT")))

    result = curate(instance)

    assert evaluations(result)["current_licences"].passed
    page = Path(release_metadata(result)["path"]) / "SOURCES.md"
    assert "Corrected licences" not in page.read_text("utf-8")


def test_two_partitions_give_one_row_of_the_same_question(
    store: Store, instance: dg.DagsterInstance
) -> None:
    put(store, "free", "free_a", row("free_a", "Which river is it?"))
    put(store, "free", "free_b", row("free_b", "which river IS it"))

    result = curate(instance)

    assert (release_metadata(result)["rows"], release_metadata(result)["rows_rejected"]) == (1, 1)


def test_a_release_warns_of_held_out_splits_that_nobody_hashed_and_says_what_to_do(
    store: Store, instance: dg.DagsterInstance
) -> None:
    put(store, "free", "free_a", row("free_a", "Which river is it?"))

    result = curate(instance)

    assert result.success, failures(result)
    check = evaluations(result)["heldout_compared"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    said = str(check.description)
    assert said.startswith("rows were compared with 1 of ")
    assert "not hashed (bound, free): materialize `heldout` of these tasks" in said
    assert "left out by name (" in said
    assert check.metadata["compared"].value == 1
    to_materialize = check.metadata["to_materialize"].value
    assert isinstance(to_materialize, list)
    assert {"bound/bound_a", "free/free_b"} <= {*to_materialize}


def test_the_check_passes_if_all_was_compared_and_names_what_is_switched_off() -> None:
    compared = SplitCoverage("quiz/quiz", "org/quiz", "main", "test", "compared", 7)
    off = SplitCoverage("exam/exam", "org/exam", "main", "test", "switched off")

    check = heldout_compared([compared, off])

    assert check.passed, "nothing can be materialized for it"
    assert "1 switched off (exam): a task that is switched off" in str(check.description)


def test_the_copy_of_a_row_that_was_held_out_since_is_released_in_its_place(
    store: Store, instance: dg.DagsterInstance, configure: Configure
) -> None:
    """Only the exact row is refused; its copy in other words has too small an overlap."""
    configure(gates='{"contamination_overlap": 1.0, "contamination_confirmed_overlap": 1.0}')
    leaked = "Which river runs past the old mill and the bridge of the seven arches?"
    copy = leaked.replace("bridge", "tower")
    put(store, "free", "free_a", row("free_a", leaked))
    put(store, "free", "free_b", row("free_b", copy, vote_share=0.7))
    (kept,) = released(curate(instance))
    assert kept.question == leaked, "the better one of the two"
    hold_out(store, "bound", "bound_a", leaked)

    result = curate(instance)

    assert [r.question for r in released(result)] == [copy]
    path = Path(release_metadata(result)["path"])
    manifest = json.loads((path / "manifest.json").read_text("utf-8"))
    assert manifest["rejected"] == {"contamination: exact row": 1}


def test_a_row_that_was_held_out_since_it_was_filtered_is_not_released(
    store: Store, instance: dg.DagsterInstance
) -> None:
    leaked = "Which river runs past the old mill and the bridge of the seven arches?"
    put(store, "free", "free_a", row("free_a", leaked), row("free_a", "Where do the gulls sleep?"))
    hold_out(store, "bound", "bound_a", leaked)

    result = curate(instance)

    assert (release_metadata(result)["rows"], release_metadata(result)["rows_rejected"]) == (1, 1)
    path = Path(release_metadata(result)["path"])
    manifest = json.loads((path / "manifest.json").read_text("utf-8"))
    assert manifest["rejected"] == {"contamination: exact row": 1}
    (hit,) = manifest["contamination"]
    assert (hit["name"], hit["refused"]) == ("bound/bound_a", 1)
    assert set(manifest["compared_with"]) == {"bound/bound_a", "free/free_a"}
    split_records = [json.loads(line) for line in (path / "heldout.jsonl").read_text().splitlines()]
    reasons = {(s["collection"], s["config"], s["split"]): s["reason"] for s in split_records}
    assert reasons["bound/bound_a", "main", "test"] == "compared"
    assert reasons["free/free_b", "default", "test"] == "not hashed"
    assert reasons["hle", "default", "test"] == "left out by name"
    compared = sum(s["reason"] == "compared" for s in split_records)
    assert manifest["heldout_splits"]["compared"] == compared > 0
    assert manifest["heldout_splits"]["not_compared"]["left out by name"] > 100
    assert "| bound/bound_a | 1 | 0 |" in (path / "README.md").read_text("utf-8")


def test_the_audit_scores_the_accepted_rows_that_come_nearest_to_what_is_held_out(
    store: Store, instance: dg.DagsterInstance
) -> None:
    leaked = "Which river runs past the old mill and the bridge of the seven arches?"
    question = "Which river runs past the old mill and the tower of the town hall?"
    near = row("free_a", question, answer_index=1)
    far = row("free_a", "Where do the gulls sleep?")
    put(store, "free", "free_a", row("free_a", leaked), near, far)
    hold_out(store, "bound", "bound_a", leaked)

    path = Path(release_metadata(curate(instance))["path"])

    audit = (path / "heldout_audit.jsonl").read_text("utf-8")
    entries = {entry["name"]: entry for entry in map(json.loads, audit.splitlines())}
    assert entries.keys() == {"bound/bound_a", "free/free_a"}
    entry = entries["bound/bound_a"]
    assert (entry["compared"], entry["refused"], entry["heldout_rows"]) == (3, 1, 1)
    (nearest,) = entry["nearest"]
    assert nearest["row"] == near.id
    assert 0.3 <= nearest["score"] < 0.9
    assert (entry["least_score"], entries["free/free_a"]["nearest"]) == (0.3, [])
    card = (path / "README.md").read_text("utf-8")
    assert f"| bound/bound_a | 1 | 3 | {nearest['score']:.2f} |" in card
    assert "river" not in audit


def test_nothing_is_released_that_was_compared_with_nothing(
    store: Store, instance: dg.DagsterInstance
) -> None:
    put(store, "free", "free_a", row("free_a", "Which river is it?"))
    store.manifest_path(heldout_key("free", "free_a")).unlink()

    (message,) = failures(curate(instance))

    assert "materialize free/heldout (partition free_a) first" in message


def test_a_partition_that_is_replaced_while_a_release_is_cut_is_in_it_as_one_version(
    store: Store, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, "free", "free_a", row("free_a", "Which river is it?"))
    key = PartitionKey("free", "filtered", "free_a")
    before = store.manifest(key).sha256

    def replaced_meanwhile(*arguments: Any) -> Any:
        verdicts = duplicates_across(*arguments)
        question = "Which of the two lakes is it?"
        put(store, "free", "free_a", row("free_a", question), row("free_a", f"{question}!"))
        return verdicts

    monkeypatch.setattr(curated, "duplicates_across", replaced_meanwhile)
    result = curate(instance)

    assert result.success, failures(result)
    assert [r.question for r in released(result)] == ["Which river is it?"]
    manifest = json.loads(
        (Path(release_metadata(result)["path"]) / "manifest.json").read_text("utf-8")
    )
    assert manifest["inputs"] == {"free/filtered/free_a": before}
    assert store.manifest(key).sha256 != before


def test_nothing_is_released_whose_held_out_split_was_empty(
    store: Store, instance: dg.DagsterInstance
) -> None:
    put(store, "free", "free_a", row("free_a", "Which river is it?"))
    hold_out(store, "free", "free_a")

    (message,) = failures(curate(instance))

    assert "free/free_a: held-out splits without rows in samples: all of them" in message


def test_only_the_tasks_that_are_named_are_released(
    store: Store, instance: dg.DagsterInstance
) -> None:
    put(store, "free", "free_a", row("free_a", "Which river is it?"))
    put(store, "bound", "bound_a", row("bound_a", "Where do the boats of the lake land?"))

    result = curate(instance, tasks=["bound"])

    assert [r.subtask for r in released(result)] == ["bound_a"]


def test_a_task_that_is_named_twice_is_released_once(
    store: Store, instance: dg.DagsterInstance
) -> None:
    put(store, "free", "free_a", row("free_a", "Which river is it?"))

    result = curate(instance, tasks=["free", "free"])

    assert (release_metadata(result)["rows"], release_metadata(result)["rows_rejected"]) == (1, 0)
    assert release_metadata(result)["partitions"] == 1


def test_a_task_draws_its_own_line_for_near_duplicates(
    store: Store, instance: dg.DagsterInstance, tmp_path: Path, configure: Configure
) -> None:
    alike = {"task": "alike", "subtasks": {"alike_a": {}, "alike_b": {}}}
    tasks = [{**alike, "gates": {"near_duplicate_similarity": 0.95}}]
    configure(catalog=write_catalog(tmp_path / "own", *tasks))
    stops = "the old mill, the bridge, the two towers, the market, the lake and the"
    for subtask, end in (("alike_a", "harbour"), ("alike_b", "orchard")):
        put(store, "alike", subtask, row(subtask, f"Which city lies behind {stops} {end}?"))

    own_threshold = release_metadata(curate(instance))
    configure(catalog=write_catalog(tmp_path / "usual", alike))
    default_threshold = release_metadata(curate(instance))

    assert (own_threshold["rows"], own_threshold["rows_rejected"]) == (2, 0)
    assert (default_threshold["rows"], default_threshold["rows_rejected"]) == (1, 1), (
        "the pair is near, elsewhere"
    )


def test_a_partition_without_accepted_rows_holds_no_release_up(
    store: Store, instance: dg.DagsterInstance
) -> None:
    put(store, "free", "free_a")
    put(store, "free", "free_b", row("free_b", "Which river is it?"))

    assert release_metadata(curate(instance))["rows"] == 1


def test_the_page_of_a_release_says_who_wrote_it_and_why_rows_are_not_commercial(
    store: Store, instance: dg.DagsterInstance
) -> None:
    put(store, "free", "free_a", row("free_a", "Which river is it?"))
    bound = row("bound_a", "Where do the boats of the lake land?", task="bound")
    put(store, "bound", "bound_a", bound)

    page = release_metadata(curate(instance))

    assert f"| writer | {QWEN.model} | r | 2 |" in page["teachers"]
    assert "| bound | 1 | 0 | 1 |" in page["tasks"]
    assert "| seeds of bound (MIT): commercial use: no | 1 |" in page["not_commercial"]
    assert page["stale_inputs"] == "none"
    assert page["card"].startswith("# Task-seeded synthetic Q&A")
    assert page["card_path"] == f"{page['path']}/README.md"


def test_stale_inputs_are_a_warning_on_the_page_of_a_release(
    tmp_path: Path, instance: dg.DagsterInstance, configure: Configure, store: Store
) -> None:
    mirror = quiz(tmp_path, configure, "quiz_a", "quiz_b")
    run("quiz", ["seeds", "normalized"], subtasks=("quiz_a", "quiz_b"), instance=instance)
    put_rows(mirror, "quiz_b", rows=5)
    run("quiz", ["seeds"], subtasks=("quiz_a", "quiz_b"), instance=instance)
    for subtask in ("quiz_a", "quiz_b"):
        put(store, "quiz", subtask, row(subtask, f"Which river runs through {subtask}?"))

    result = curate(instance)

    assert result.success, failures(result)
    check = evaluations(result)["fresh_inputs"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "1 partitions are stale" in str(check.description)
    assert "- quiz/normalized/quiz_b" in release_metadata(result)["stale_inputs"]


def test_a_release_may_have_an_age_from_which_on_it_is_too_old(configure: Configure) -> None:
    def policy() -> dg.FreshnessPolicy | None:
        asset = curated_asset(cached_catalog(settings().catalog))
        return asset.get_asset_spec(CURATED).freshness_policy

    assert policy() is None
    configure(release_max_age_days=30)
    assert policy() == dg.FreshnessPolicy.time_window(fail_window=timedelta(days=30))


def test_a_push_needs_a_repository(store: Store, instance: dg.DagsterInstance) -> None:
    put(store, "free", "free_a", row("free_a", "Which river is it?"))

    (message,) = failures(curate(instance, push=True))

    assert message == "push: set SDG_PUSH_TO to the Hub repository, organization/name"


def test_the_same_partitions_give_the_same_release_again(
    store: Store, instance: dg.DagsterInstance
) -> None:
    put(store, "free", "free_a", row("free_a", "Which river is it?"))
    first = release_metadata(curate(instance))

    assert release_metadata(curate(instance))["release"] == first["release"]
    put(store, "free", "free_a", row("free_a", "Which sea is it?"))
    assert release_metadata(curate(instance))["release"] != first["release"]


def test_a_release_names_the_content_of_each_partition(
    store: Store, instance: dg.DagsterInstance
) -> None:
    put(store, "free", "free_a", row("free_a", "Which river is it?"))

    result = curate(instance)

    manifest = json.loads(
        (Path(release_metadata(result)["path"]) / "manifest.json").read_text("utf-8")
    )
    key = PartitionKey("free", "filtered", "free_a")
    assert manifest["inputs"] == {"free/filtered/free_a": store.manifest(key).sha256}


def test_a_corrupt_partition_leaves_the_releases_as_they_were(
    store: Store, instance: dg.DagsterInstance
) -> None:
    put(store, "free", "free_a", row("free_a", "Which river is it?"))
    first = release_metadata(curate(instance))
    file = store.path(PartitionKey("free", "filtered", "free_a"))
    file.write_bytes(b"{oops\n")

    result = curate(instance)

    assert not result.success
    assert [p.name for p in on_disk(store.root / "curated").iterdir() if p.is_dir()] == [
        first["release"]
    ]


def test_a_corrupt_partition_is_named_by_file_and_line(
    store: Store, instance: dg.DagsterInstance
) -> None:
    put(store, "free", "free_a", row("free_a", "Which river is it?"))
    file = store.path(PartitionKey("free", "filtered", "free_a"))
    file.write_bytes(b"{oops\n")

    (message,) = failures(curate(instance))

    assert message.startswith(f"{file}:1: not a EnrichedExample")


def test_its_coverage_is_that_of_the_subtasks_in_it(
    instance: dg.DagsterInstance, store: Store
) -> None:
    put(store, "free", "free_a", row("free_a", "Which city is the capital of France?"))

    result = curate(instance)

    assert result.success, failures(result)
    path = Path(release_metadata(result)["path"])
    (cell,) = map(json.loads, (path / "coverage.jsonl").read_text("utf-8").splitlines())
    assert (cell["rows"], cell["subtasks"]) == (1, ["free/free_a"])
    assert "fewer than 100 rows" in (path / "README.md").read_text("utf-8")
