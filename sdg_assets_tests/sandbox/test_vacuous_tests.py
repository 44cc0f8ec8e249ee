"""Tests that prove nothing are refused; programs cannot redefine the names that check them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sdg_assets import sandbox
from sdg_assets.answers.programs import passes, proof_of
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.gates import row_gates, verification
from sdg_assets.gates.duplicates import Duplicates
from sdg_assets.records import AnswerKind, EnrichedExample, Example, Proof, Rejection, Role
from sdg_assets.sandbox import Interface, interface, run_program
from sdg_assets.stages.enriched import EnrichmentReport
from sdg_assets.stages.filtered import filter_rows
from sdg_assets.teacher.conversation import Desk
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.requests import Request
from sdg_assets.thresholds import Thresholds
from sdg_assets_tests.benchmarks.sandbox_throughput import mbpp
from sdg_assets_tests.benchmarks.shapes import CHEATS, HONEST, VACUOUS
from sdg_assets_tests.support.builders import needs_mirror
from sdg_assets_tests.support.conversations import enriched_with
from sdg_assets_tests.support.records import enriched, example, generated
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher

DOUBLE = "def double(x):\n    return 2 * x"
SAMPLES = Path(sandbox.__file__).parents[1] / "sources/samples/google-research-datasets/mbpp/full"
SOUND = ["assert double(2) == 4", "assert double(3) == 6"]

pytestmark = pytest.mark.skipif(
    sandbox.isolation() is sandbox.Isolation.none, reason="nothing here isolates programs"
)


def row(program: str, tests: list[str]) -> Example:
    return example(answer_kind=AnswerKind.CODE, question="Write f.", answer=program, tests=tests)


def proof(program: str, *tests: str) -> Proof:
    its_proof = proof_of(row(program, list(tests)))
    assert its_proof, "the program fails its tests"
    return its_proof


# ---------------------------------------------------------------- refused and accepted tests


@pytest.mark.parametrize("shape", VACUOUS)
def test_vacuous_tests_are_refused(shape: str) -> None:
    program, tests = VACUOUS[shape]

    assert proof(program, *tests).fault


@pytest.mark.parametrize("shape", HONEST)
def test_honest_tests_are_accepted(shape: str) -> None:
    program, tests = HONEST[shape]

    its_proof = proof(program, *tests)

    assert not its_proof.fault
    assert its_proof.killed + len(its_proof.alike) == its_proof.mutants


@pytest.mark.parametrize("trick", CHEATS)
def test_a_program_does_not_pass_by_redefining_names_of_its_tests(trick: str) -> None:
    program, tests, cheat = CHEATS[trick]
    honest = row(program, tests)

    assert passes(program, honest)
    assert not passes(cheat, honest)


def test_the_refusal_names_the_test_and_the_mutant_that_passes() -> None:
    assert proof(DOUBLE, SOUND[0], "assert double(3) or True").fault == (
        "test 'assert double(3) or True' holds whatever double returns"
    )
    assert proof(DOUBLE, SOUND[0], "assert callable(double)").fault == (
        "test 'assert callable(double)' never calls double"
    )
    assert proof(DOUBLE, "assert double(2) >= 4", "assert double(3) >= 6").fault == (
        "no test fails when double returns wrong values of the right type and size"
    )


def test_tests_that_expect_one_value_are_accepted_and_reported() -> None:
    even = "def even(x):\n    return x % 2 == 0"

    one_value = proof(even, "assert even(2) == True", "assert even(4) == True")
    both_values = proof(even, "assert even(2) == True", "assert even(3) == False")

    assert "constant" in one_value.alike
    assert "constant" not in both_values.alike
    assert not one_value.fault


def test_a_program_that_fails_its_tests_has_no_proof() -> None:
    assert proof_of(row("def double(x):\n    return x", SOUND)) is None


def test_mutants_answer_instead_of_a_slow_program() -> None:
    slow = "import time\ndef double(x):\n    time.sleep(0.5)\n    return 2 * x"

    outcome = run_program(slow, SOUND, prove=True, limits=sandbox.Limits(seconds=3))

    assert outcome.passed  # nine mutants of two calls would take nine seconds
    assert outcome.proof
    assert not outcome.proof.fault


def test_a_test_that_asks_a_mutant_endlessly_is_stopped() -> None:
    until = "x = 1\nwhile double(x) != 8:\n    x += 1\nassert x == 4"

    assert not proof(DOUBLE, until, *SOUND).fault


@pytest.mark.parametrize("proof_text", ["null", '{"x": 1}', "7"])
def test_a_test_cannot_forge_the_verdict(proof_text: str) -> None:
    forged = f'{{"passed": true, "reason": "passed", "seal": "", "proof": {proof_text}}}'
    forger = (
        f"import os\nfor fd in range(3, 40):\n    try: os.write(fd, {forged.encode()!r})\n"
        "    except OSError: pass\nassert double(2) == 5"
    )

    assert not run_program(DOUBLE, [forger], prove=True).passed


# ---------------------------------------------------------------- which names cross


def test_names_of_the_library_are_imported_for_the_tests() -> None:
    code = "from math import isclose, sqrt\nimport os.path\ndef root(x):\n    return sqrt(x)"

    crossing = interface(code, ["assert isclose(root(4), 2)"])

    assert crossing == Interface(functions=("root",), imports=("from math import isclose",))


def test_names_that_a_test_defines_do_not_cross() -> None:
    code = "def near(a, b):\n    return True\ndef root(x):\n    return x**0.5"
    near = "def near(a, b):\n    return abs(a - b) < 1e-6\nassert near(root(4), 2)"

    assert interface(code, [near]).functions == ("root",)


def test_functions_classes_values_and_fixtures_are_distinguished() -> None:
    code = "LIMIT = 3\nclass Node:\n    pass\ndepth = lambda node: 1\n"
    tests = ["root = Node()", "assert depth(root) < LIMIT"]

    assert interface(code, tests) == Interface(
        functions=("depth",), classes=("Node",), values=("LIMIT",), fixtures=(0,)
    )


@pytest.mark.parametrize(
    ("code", "tests"), [("def f(:", ["assert f(1)"]), ("def f(x): return x", ["assert f("])]
)
def test_nothing_crosses_if_code_or_tests_do_not_parse(code: str, tests: list[str]) -> None:
    assert interface(code, tests) == Interface()
    assert not run_program(code, tests).passed


# ---------------------------------------------------------------- rows


def enriched_by(solver: ScriptedTeacher, tmp_path: Path, tests: list[str]) -> EnrichedExample:
    example = generated(
        answer_kind=AnswerKind.CODE, question="Write double.", answer=DOUBLE, tests=tests
    )
    report = EnrichmentReport()
    with CompletionLog(tmp_path / "log") as log:
        desks = {Role.SOLVER: Desk(solver, log)}
        knobs = SolverKnobs(with_knowledge=False)
        (row,) = enriched_with(desks, [example], knobs, report=report)
    assert isinstance(row, EnrichedExample)
    assert row.proof
    numbers = report.numbers()
    assert numbers["mutants_tried"] == row.proof.mutants
    assert numbers["mutants_killed"] == row.proof.killed
    assert numbers["rows_with_vacuous_tests"] == bool(row.proof.fault)
    return row


def test_a_row_with_vacuous_tests_is_kept_as_refused_and_costs_no_vote(tmp_path: Path) -> None:
    def solve(request: Request) -> str:
        raise AssertionError("a row with vacuous tests needs no vote")

    vacuous = enriched_by(ScriptedTeacher(solve), tmp_path, [SOUND[0], "assert double(3) or True"])
    (refused,) = filter_rows(lambda: [vacuous], row_gates(Thresholds()), [Duplicates([])])

    assert (vacuous.outcome, vacuous.votes_cast) == ("vacuous_tests", 0)
    assert isinstance(refused, Rejection)
    assert (refused.gate, refused.reason) == ("verification", "vacuous tests")
    assert refused.detail == "test 'assert double(3) or True' holds whatever double returns"
    assert refused.row["id"] == vacuous.id
    assert refused.scores["mutants_killed"] < refused.scores["mutants"]


def test_a_verified_row_records_how_many_mutants_its_tests_kill(tmp_path: Path) -> None:
    solver = ScriptedTeacher(lambda request: f"Add it.\n```python\n{DOUBLE}\n```")

    verified = enriched_by(solver, tmp_path, SOUND)

    assert verified.outcome == "agreed"
    assert verified.proof == Proof(mutants=9, killed=9, alike=[])
    assert verification.refusal_of(verified) is None


def test_a_verified_program_without_a_proof_is_refused() -> None:
    unproven = enriched(
        answer_kind=AnswerKind.CODE, question="Write double.", answer=DOUBLE, tests=SOUND
    )

    refusal = verification.refusal_of(unproven)

    assert refusal
    assert refusal.reason == "vacuous tests"


# ---------------------------------------------------------------- MBPP


def test_references_of_the_sample_are_accepted() -> None:
    lines = (SAMPLES / "train.jsonl").read_text("utf-8").splitlines()
    for line in lines:
        fields = json.loads(line)
        setup = [fields["test_setup_code"]] if fields["test_setup_code"] else []
        assert not proof(fields["code"], *setup, *fields["test_list"]).fault, fields["code"]


@needs_mirror
def test_unusual_references_are_accepted() -> None:
    """Objects as arguments, a setup, a builtin's name, an import, one value for all tests."""
    odd = ("class ", "import sys", "def sum(", "def clear_tuple", "hamming_Distance", "def check(")
    programs = [p for p in mbpp(prove=True) if any(part in p.code for part in odd)]

    for program, outcome in zip(programs, sandbox.run_programs(programs), strict=True):
        assert outcome.passed, (program, outcome)
        assert outcome.proof
        assert not outcome.proof.fault, program
