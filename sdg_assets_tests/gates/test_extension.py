"""Gates of another installed package; no existing file mentions them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import sdg_assets
from sdg_assets.assets.factory import task_assets
from sdg_assets.catalog import load_catalog
from sdg_assets.checks.inspection import Inspection
from sdg_assets.checks.outcome import CheckOutcome, broken_invariants
from sdg_assets.checks.table import described, stage_checks
from sdg_assets.errors import CatalogError, PermanentError
from sdg_assets.gates import (
    all_gates,
    gate_checks,
    order,
    row_gates,
    seed_gates,
    set_gates,
    signatures_of,
    text_gates,
    text_refusals,
)
from sdg_assets.records import EnrichedExample, Example, Record, Rejection, Stage
from sdg_assets.registry import members
from sdg_assets.settings import settings
from sdg_assets.signatures.minhash import boilerplate_of
from sdg_assets.signatures.table import sign
from sdg_assets.stages.filtered import filter_rows
from sdg_assets.stages.generated import WriterKnobs
from sdg_assets.stages.normalized import without_refused
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets.teacher.conversation import Desk
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.thresholds import Thresholds, overridden, owners
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.builders import seed_task, write_catalog
from sdg_assets_tests.support.command import sdg
from sdg_assets_tests.support.conversations import written_by
from sdg_assets_tests.support.heldout import nothing_held_out
from sdg_assets_tests.support.packages import installed
from sdg_assets_tests.support.records import enriched, example
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher

GROUP = "sdg_assets.gates"
SWEARING = '''
"""Gate: rows do not swear."""

from dataclasses import dataclass

from pydantic import Field

from sdg_assets.gates.base import Cost, EachRow, GateSpec, Point
from sdg_assets.records import Refusal
from sdg_assets.thresholds import OwnThresholds


class SwearingThresholds(OwnThresholds):
    swear_words: int = Field(default=0, ge=0, description="swear words that a row may contain")


def gate(thresholds):
    def rule(row):
        text = f"{row.context} {row.question} {row.answer}".lower()
        if (count := text.count("zounds")) > thresholds.swear_words:
            return Refusal("swearing", "swear word", "zounds", {"swear_words": count})
        return None

    return EachRow("swearing", rule)


GATE = GateSpec(
    name="swearing",
    rank=35,
    cost=Cost.TEXT,
    points=frozenset({Point.SEED, Point.DRAFT, Point.TEXT, Point.ROW}),
    thresholds=SwearingThresholds,
    build=gate,
    checked_in=("normalized", "generated", "filtered"),
    check="no_swearing",
    description="rows do not swear",
)
'''
# Of several rows of one seed, the one with the smallest id stays.
ONE_PER_SEED = """
from sdg_assets.gates.base import Cost, GateSpec, Point
from sdg_assets.records import Refusal
from sdg_assets.thresholds import NoThresholds


class OnePerSeed:
    def __init__(self, seeds, thresholds):
        self._ids = []

    def add(self, rows):
        self._ids += [(row.seed_ids[0], row.id) for row in rows]

    def refusals(self):
        first = {}
        for seed, row in sorted(self._ids, reverse=True):
            first[seed] = row
        refused = Refusal("one_per_seed", "another row of the seed")
        return {n: refused for n, (seed, row) in enumerate(self._ids) if first[seed] != row}


GATE = GateSpec(
    name="one_per_seed",
    rank=999,
    cost=Cost.FIELDS,
    points=frozenset({Point.SET}),
    thresholds=NoThresholds,
    build_set=OnePerSeed,
    checked_in=("filtered",),
    description="no two rows have one seed",
)
"""
SWEARS = "Zounds, what is the capital of France?"
Install = Callable[[str], None]


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Install]:
    """Installs a package with one module; it replaces the package installed before."""

    def forget() -> None:
        members.cache_clear()
        sys.modules.pop("someones_gate", None)

    def to(source: str) -> None:
        forget()
        site = tmp_path / f"site-{len(list(tmp_path.glob('site-*')))}"
        site.mkdir()
        installed(site, "someones_gate", source, group=GROUP)
        patch.setattr(sys, "path", [str(site), *(p for p in sys.path if str(tmp_path) not in p)])

    with pytest.MonkeyPatch.context() as patch:
        yield to
    forget()


@pytest.fixture
def swearing(install: Install) -> None:
    install(SWEARING)


def filtered(rows: list[EnrichedExample], thresholds: Thresholds) -> list[Record]:
    sets = set_gates(thresholds, lambda: [])
    return list(filter_rows(lambda: rows, row_gates(thresholds, nothing_held_out()), sets))


def inspected(stage: str, *rows: Record, **settings: Any) -> dict[str, CheckOutcome]:
    inspection = Inspection(Stage(stage), heldout=nothing_held_out(), **settings)
    for row in rows:
        inspection.see(row)
    signatures = sign([row for row in rows if isinstance(row, Example)], boilerplate_of([]))
    return {outcome.name: outcome for outcome in inspection.outcomes(signatures)}


def gates_of(rows: list[Record]) -> list[str]:
    return [row.gate if isinstance(row, Rejection) else "" for row in rows]


@pytest.mark.usefixtures("swearing")
def test_its_rank_gives_its_place_in_the_order() -> None:
    names = order()

    assert names[names.index("swearing") - 1 : names.index("swearing") + 2] == (
        "language", "swearing", "personal_data",
    )  # fmt: skip
    assert "swearing" in [gate.name for gate in row_gates(Thresholds())]


def test_no_file_of_the_package_names_it() -> None:
    files = Path(str(sdg_assets.__file__)).parent.rglob("*.py")

    assert not [file for file in files if "swearing" in file.read_text("utf-8")]


@pytest.mark.usefixtures("swearing")
def test_the_stages_that_it_declares_check_it_and_no_other_does() -> None:
    assert gate_checks("generated") == (
        "schema", "format", "language", "no_swearing", "personal_data",
    )  # fmt: skip
    checked = {
        asset.key.path[1]: {spec.name: spec.description for spec in asset.check_specs}
        for asset in task_assets(seed_task())
    }
    for stage, checks in checked.items():
        assert tuple(checks) == stage_checks(stage)
        assert ("no_swearing" in checks) == (stage in ("normalized", "generated", "filtered"))
    assert checked["filtered"]["no_swearing"] == described("no_swearing") == "rows do not swear"


@pytest.mark.usefixtures("swearing")
def test_filtered_refuses_its_rows_and_keeps_them_with_the_reason() -> None:
    bad = enriched(question=SWEARS)

    accepted, refused = filtered([enriched(), bad], Thresholds())

    assert isinstance(accepted, EnrichedExample)
    assert isinstance(refused, Rejection)
    assert (refused.gate, refused.reason, refused.detail) == ("swearing", "swear word", "zounds")
    assert refused.scores == {"swear_words": 1}
    assert refused.row == bad.model_dump(mode="json")


@pytest.mark.usefixtures("swearing")
def test_a_draft_of_the_writer_goes_through_it(tmp_path: Path) -> None:
    draft = {"question": SWEARS, "answer": "Paris", "wrong_answers": ["Rome", "Oslo", "Bern"]}
    teacher = ScriptedTeacher(lambda _: json.dumps(draft))
    spec = seed_task().resolve("quiz")

    with CompletionLog(tmp_path / "log") as log:
        knobs = WriterKnobs(examples_per_seed=1)
        (row,) = written_by(Desk(teacher, log), spec, [example()], knobs)

    assert isinstance(row, Rejection)
    assert (row.gate, row.reason) == ("swearing", "swear word")
    assert row.row["question"] == SWEARS


@pytest.mark.usefixtures("swearing")
def test_seeds_and_texts_go_through_it() -> None:
    seeds = [example(), example(question=SWEARS)]

    assert gates_of(list(without_refused(seeds, seed_gates(Thresholds())))) == ["", "swearing"]
    row = enriched()
    written = [(row, "A country has one capital."), (row, "Zounds! A country has one capital.")]
    assert set(text_refusals(written, text_gates(Thresholds()))) == {1}


@pytest.mark.usefixtures("swearing")
def test_a_row_that_slips_through_is_not_published() -> None:
    other = enriched(question="Where is the Louvre?")
    outcomes = inspected("filtered", other, enriched(question=SWEARS))

    (broken,) = broken_invariants(outcomes.values())
    assert broken.name == "no_swearing"
    assert broken.summary.startswith("1 of 2 rows break it; the partition is not published")
    assert broken.offenders[0].problem == "swear word zounds"


@pytest.mark.usefixtures("swearing")
def test_seeds_that_it_refuses_are_counted_against_the_limit() -> None:
    rows = [example(question=f"Which city has number {n}?") for n in range(9)]
    refused = Rejection(gate="swearing", reason="swear word", row={"id": "row-9"})

    outcome = inspected("normalized", *rows, refused)["no_swearing"]

    assert (outcome.passed, outcome.blocking) == (False, True)
    assert outcome.summary.startswith("1 of 10 seeds break it, more than broken_seeds=0.05 allows")
    allowed = inspected("normalized", *rows, refused, thresholds=Thresholds(broken_seeds=0.1))
    assert allowed["no_swearing"].passed


@pytest.mark.usefixtures("swearing")
def test_its_threshold_is_read_from_a_tasks_yaml_and_from_the_environment(
    tmp_path: Path, configure: Configure
) -> None:
    catalog = write_catalog(tmp_path / "catalog", {"gates": {"swear_words": 1}})
    spec = load_catalog(catalog).subtask("quiz", "quiz")
    configure(gates='{"swear_words": 2, "judge_score": 0.7}')
    once, twice = enriched(question=SWEARS), enriched(question=f"Zounds! {SWEARS}")

    by_default = overridden()
    of_the_environment = overridden(settings().gates)
    of_the_task = overridden(settings().gates, spec.gates)

    assert gates_of(filtered([once, twice], by_default)) == ["swearing", "swearing"]
    assert gates_of(filtered([once, twice], of_the_task)) == ["", "swearing"]
    assert gates_of(filtered([twice], of_the_environment)) == [""]


@pytest.mark.usefixtures("swearing")
def test_a_wrong_value_or_name_of_a_threshold_is_said_in_one_line(
    tmp_path: Path, configure: Configure
) -> None:
    configure(gates='{"swear_words": -1}')
    with pytest.raises(PermanentError) as of_the_environment:
        settings()
    configure(gates="{}")
    catalog = write_catalog(tmp_path / "catalog", {"gates": {"swear_word": 1}})
    with pytest.raises(CatalogError) as of_the_task:
        load_catalog(catalog)

    assert str(of_the_environment.value).endswith(
        "swear_words: Input should be greater than or equal to 0"
    )
    assert str(of_the_task.value).endswith(
        "gates: Value error, swear_word: Extra inputs are not permitted; did you mean swear_words?"
    )


@pytest.mark.usefixtures("swearing")
def test_the_preview_says_what_it_would_drop_and_tries_its_threshold(
    tmp_path: Path, configure: Configure
) -> None:
    configure(catalog=write_catalog(tmp_path / "catalog", {}))
    key = PartitionKey("quiz", "enriched", "quiz")
    with Store(settings().store).write(key) as out:
        out.accept(enriched())
        out.accept(enriched(question=SWEARS))

    dropped = sdg("preview", "quiz").stdout
    kept = sdg("preview", "quiz", "--set", "swear_words=1").stdout

    assert "  swear_words = 0\n" in dropped
    assert "1  50.00%  swearing: swear word" in dropped
    assert "swearing drops 1 that no gate before it does" in dropped
    assert "  swear_words = 1  (default 0)\n" in kept
    assert "swearing:" not in kept


def test_a_gate_over_a_set_comes_before_the_one_that_signs_the_rows(install: Install) -> None:
    install(ONE_PER_SEED)
    rows = [
        enriched(id="b", seed_ids=["s"], question="Where does the river Seine begin?"),
        enriched(id="a", seed_ids=["s"], question="Who designed the tower beside the Seine?"),
        enriched(id="c", seed_ids=["t"], question="Who designed the tower beside the Seine?"),
        enriched(id="d", seed_ids=["u"], question="When was the Louvre opened to the public?"),
    ]
    thresholds = Thresholds()
    sets = set_gates(thresholds, lambda: [])

    out = list(filter_rows(lambda: rows, row_gates(thresholds), sets))

    assert order()[-2:] == ("one_per_seed", "duplicates")
    assert gates_of(list(out)) == ["one_per_seed", "", "duplicates", ""]
    accepted = [row.id for row in out if isinstance(row, EnrichedExample)]
    assert signatures_of(sets).frame["id"].to_list() == accepted == ["a", "d"]
    assert all(o.passed for o in inspected("filtered", rows[1], rows[3]).values())
    (broken,) = broken_invariants(inspected("filtered", rows[0], rows[1]).values())
    assert (broken.name, broken.offenders[0].row) == ("one_per_seed", "b")


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("swear_words: int", "judge_score: int", "the threshold 'judge_score' is declared by"),
        ('name="swearing"', 'name="judge"', "two gates are named 'judge'"),
        ('check="no_swearing"', 'check="licences"', "have a check 'licences'"),
        ('check="no_swearing"', 'check="yield"', "its check needs a name of its own, not 'yield'"),
        ('"generated", "filtered"', '"published"', "unknown stage in checked_in: published"),
        ("build=gate,", "", "only contamination is built from the held-out index"),
        ("build=gate,", "build_set=gate,", "the point `set` needs `build_set`"),
        ("Point.SEED, ", "Point.SET, ", "cannot be combined with another point"),
        ('name="swearing"', 'name="no swearing"', "use lower-case letters, digits and _"),
        ("GATE = GateSpec(", "GATE = dict(", "GATE must be a GateSpec"),
        ("thresholds=SwearingThresholds", "thresholds=int", "must be a subclass of OwnThresholds"),
    ],
)
def test_a_gate_that_contradicts_itself_or_another_is_refused_in_one_sentence(
    install: Install, old: str, new: str, fault: str
) -> None:
    assert old in SWEARING
    install(SWEARING.replace(old, new))

    with pytest.raises(PermanentError) as refused:
        (all_gates(), stage_checks("filtered"), owners())

    assert fault in str(refused.value)
    assert "\n" not in str(refused.value)
