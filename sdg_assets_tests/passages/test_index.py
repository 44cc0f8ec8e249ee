from __future__ import annotations

import pickle
import subprocess
import sys

from sdg_assets.passages.index import indexed
from sdg_assets_tests.support.passages import TWO, index_of, passage


def test_a_question_finds_the_passages_that_it_is_about() -> None:
    index = index_of()

    assert [each.id for each in index.search("Where does the river Loire end?", 3)] == ["loire"]
    assert [each.id for each in index.search("Which capital lies on the Seine? Paris", 3)] == [
        "paris"
    ]


def test_a_question_about_something_else_finds_none() -> None:
    index = index_of()

    assert index.search("How many legs does a spider have? Eight", 3) == []
    assert index.search("Is France large?", 3) == []  # one word in common is a coincidence
    assert index.search("", 3) == []


def test_equal_passages_keep_their_order() -> None:
    copies = [passage(id=str(number)) for number in range(5)]

    found = index_of(copies).search("Which city on the Seine is the capital of France?", 3)

    assert [each.id for each in found] == ["0", "1", "2"]


def test_the_index_has_the_same_bytes_in_another_process() -> None:
    program = (
        "from sdg_assets_tests.support.passages import TWO\n"
        "from sdg_assets.passages.index import indexed\n"
        "print({name: data.hex() for name, data in indexed(TWO).items()})\n"
        "import sys; print('numba' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    there, has_numba = done.stdout.splitlines()
    assert there == str({name: data.hex() for name, data in indexed(TWO).items()})
    # With it, vLLM's engine on a CPU does not start.
    assert has_numba == "False"


def test_a_seed_walks_through_the_passages() -> None:
    index = index_of()

    walk = [index.drawn("boolq:seed-1", number).id for number in range(4)]

    assert set(walk[:2]) == {"paris", "loire"}
    assert walk[:2] == walk[2:]


def test_another_process_gets_an_equal_index() -> None:
    copy = pickle.loads(pickle.dumps(index_of()))

    assert copy.version == index_of().version
    assert [each.id for each in copy.search("Where does the river Loire end?", 3)] == ["loire"]
