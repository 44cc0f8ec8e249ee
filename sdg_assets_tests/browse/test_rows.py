"""A vote's trace is found again by what the row says of it, with the choices as it saw them."""

from __future__ import annotations

from pathlib import Path

from sdg_assets.browse.rows import Row, completions_with, traces
from sdg_assets.records import Role
from sdg_assets_tests.support.solvers import Solver, answer, enriched_by


def test_every_vote_of_an_enriched_row_is_found_in_the_log_without_touching_it(
    tmp_path: Path,
) -> None:
    solver = Solver(answer(v) for v in ["Paris", "Rome", "Paris"])
    (row,) = enriched_by(solver, tmp_path, votes=3)
    (log,) = (file for file in tmp_path.iterdir() if file.is_file())
    log.rename(tmp_path / "solver-aaaa-bbbb.jsonl")
    before = (tmp_path / "solver-aaaa-bbbb.jsonl").read_bytes()

    votes = traces(Row(0, row.model_dump(mode="json")), tmp_path)

    assert [(vote.number, vote.answer, vote.agrees) for vote in votes] == [
        (1, "Paris", True),
        (2, "Rome", False),
        (3, "Paris", True),
    ]
    assert completions_with(tmp_path, Role.SOLVER, ["nobody", '"},{"x":"']) == {}
    assert completions_with(tmp_path, Role.JUDGE, row.vote_ids) == {}
    assert (tmp_path / "solver-aaaa-bbbb.jsonl").read_bytes() == before
