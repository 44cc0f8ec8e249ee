from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from sdg_assets.assets.filling import TeacherWiring
from sdg_assets.assets.wiring import Wiring, wiring_of
from sdg_assets.checks.table import stage_checks
from sdg_assets.records import Example, Stage
from sdg_assets.stages.stage import (
    REMADE_STAGES,
    ROW_STAGES,
    STAGES,
    TASK_STAGES,
    TEACHER_STAGES,
    Pool,
)
from sdg_assets_tests.support.package import modules

NAMES = "records.py"
ALLOWED = {
    ("answers/extraction.py", "normalized"),  # the name of a function, in `__all__`
    # Headings of tables: fields of a plan and of a funnel. The command imports no records for them.
    ("cli/plan.py", "seeds"),
    ("cli/funnel.py", "seeds"),
    ("cli/funnel.py", "generated"),
}


def stage_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, text) of every string literal that is a stage's name, without docstrings."""
    statements = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    names = {stage.value for stage in Stage}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in names and id(node) not in statements:
            yield node.lineno, str(node.value)


def test_a_stage_is_named_in_one_place() -> None:
    written = [
        f"{module}:{line}: {name!r}"
        for module, tree in modules()
        if module != NAMES
        for line, name in stage_names(tree)
        if (module, name) not in ALLOWED
    ]
    assert not written, f"say Stage.…, or add a column to the table: {', '.join(written)}"


def test_a_stage_that_is_named_in_a_text_is_seen_and_one_in_a_docstring_is_not() -> None:
    source = '"""seeds"""\nfirst = "seeds"\nmore = {"a": ["filtered"]}\nother = "seeds of it"\n'

    assert list(stage_names(ast.parse(source))) == [(2, "seeds"), (3, "filtered")]


def test_every_stage_has_a_row_and_reads_only_stages_before_it() -> None:
    order = list(Stage)

    assert list(STAGES) == order
    for stage, row in STAGES.items():
        assert all(order.index(above) < order.index(stage) for above in row.inputs)


def test_stages_are_listed_in_the_order_in_which_they_are_made() -> None:
    assert TASK_STAGES == ("heldout", "seeds", "normalized", "generated", "enriched", "filtered")
    assert TASK_STAGES[1:] == ROW_STAGES
    assert TEACHER_STAGES == ("generated", "enriched")
    assert TASK_STAGES[2:] == REMADE_STAGES


def test_stages_with_a_teacher_and_no_others_wait_for_a_gpu() -> None:
    assert [s for s in Stage if STAGES[s].pool is Pool.GPU] == list(TEACHER_STAGES)


def test_stages_that_are_compared_with_benchmarks_check_contamination_or_map_seeds() -> None:
    gated = [stage for stage in Stage if STAGES[stage].is_gated_against_benchmarks]

    assert gated == [Stage.NORMALIZED, Stage.FILTERED]
    for stage in gated:
        assert STAGES[stage].maps_seeds or "no_contamination" in stage_checks(stage)


@pytest.mark.parametrize("stage", ROW_STAGES)
def test_every_stage_with_rows_is_wired(stage: Stage) -> None:
    assert isinstance(wiring_of(stage), TeacherWiring if STAGES[stage].has_fill else Wiring)


@pytest.mark.parametrize("stage", [s for s in ROW_STAGES if s is not Stage.SEEDS])
def test_rows_are_examples_from_normalized_on(stage: Stage) -> None:
    assert issubclass(STAGES[stage].record, Example)
