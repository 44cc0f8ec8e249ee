"""The coverage matrix as a page and as a picture."""

from __future__ import annotations

from io import BytesIO

from sdg_assets.catalog.taxonomy import load_taxonomy
from sdg_assets.release.matrix_page import LINES_SHOWN, matrix_page
from sdg_assets.release.pictures import draw_matrix
from sdg_assets.stages.matrix import Matrix, matrix_of
from sdg_assets_tests.support.builders import seed_task

PNG = b"\x89PNG\r\n"


def matrix(count: int = 5, **rows: int) -> Matrix:
    subtasks = {f"s{n}": {"domain": f"field|{n}"} for n in range(count)}
    task = seed_task(subtasks=subtasks)
    agreement = {key: {"all votes agree": number} for key, number in rows.items()}
    specs = [task.resolve(key) for key in subtasks]
    return matrix_of(specs, agreement, load_taxonomy(), 100, 0.5)


def test_the_page_counts_and_lists_holes_and_surpluses() -> None:
    page = matrix_page(matrix(s0=1500, s1=100, s2=99))

    assert "5 cells for 1,699 rows: 3 holes with fewer than 100 rows, and 1 surpluses" in page
    assert "| all votes agree | 1,699 | 100% |" in page
    _, holes, surpluses = page.split("### ")
    assert holes.startswith("Holes")
    assert (
        "| recall_general | apply_knowledge | field\\|2 | en | multiple_choice | 99 | quiz/s2 |"
    ) in holes
    assert "quiz/s1" not in holes
    assert "| 1,500 | quiz/s0 |" in surpluses


def test_a_long_list_is_counted_exactly_and_shown_in_part() -> None:
    page = matrix_page(matrix(count=LINES_SHOWN + 8, s0=100))

    assert page.count("| 0 | quiz/s") == LINES_SHOWN
    assert "and 7 more lines" in page


def test_the_picture_is_the_same_for_the_same_matrix() -> None:
    pictures = []
    for _ in range(2):
        file = BytesIO()
        draw_matrix(file, matrix(s0=1500, s2=7))
        pictures.append(file.getvalue())

    assert pictures[0].startswith(PNG)
    assert pictures[0] == pictures[1]


def test_a_matrix_without_rows_is_a_picture_too() -> None:
    file = BytesIO()
    draw_matrix(file, matrix())

    assert file.getvalue().startswith(PNG)
