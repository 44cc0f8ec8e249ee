"""`sdg audit`, and what `sdg browse` refuses before it listens."""

from __future__ import annotations

import json
import shutil
import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sdg_assets.records import EnrichedExample
from sdg_assets.store.notes import Note, add_note
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets_tests.browse.library import fill
from sdg_assets_tests.conftest import Configure, on_disk
from sdg_assets_tests.support.command import sdg

FILTERED = PartitionKey("gsm8k", "filtered", "gsm8k")


@pytest.fixture(scope="module")
def filled_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("audit") / "store"
    fill(root)
    return root


@pytest.fixture
def filled(
    filled_once: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Store:
    shutil.copytree(filled_once, on_disk(store.root))
    monkeypatch.setenv("SDG_CACHE", str(tmp_path / "cache"))
    return store


def test_a_sample_names_its_rows_and_where_to_read_them(
    filled: Store, configure: Configure
) -> None:
    configure(browse_url="https://rows.example")
    row = next(iter(filled.read(FILTERED, EnrichedExample)))
    note = Note(row=row.id, stage="filtered", version="v", verdict="bad", reviewer="ann",
                at=datetime.now(UTC))  # fmt: skip
    add_note(filled, "gsm8k", "gsm8k", note)

    done = sdg("audit", "gsm8k/gsm8k", "--sample", "20")

    assert done.exit_code == 0
    assert len(done.stdout.splitlines()) == 21
    assert "1 rows were read by 1 person: 1 of them (100%) were found bad" in done.stderr
    page = "https://rows.example/subtasks/gsm8k/gsm8k/filtered?state=accepted&sample=20"
    assert page in done.stderr


def test_without_a_name_it_is_of_the_latest_release(filled: Store) -> None:
    drawn = json.loads(sdg("audit", "--sample", "4", "--json").stdout)

    assert drawn["address"].startswith("http://127.0.0.1:3080/releases/")
    strata = {(r["row"]["teacher"]["model"], r["row"]["variation"]) for r in drawn["rows"]}
    assert len(strata) == 4, "two writers by two variations"
    assert drawn == json.loads(sdg("audit", "--sample", "4", "--json").stdout), "the same again"


def test_nothing_to_draw_from_is_one_line() -> None:
    assert "there is no release yet" in sdg("audit").stderr
    assert "no such subtask" in sdg("audit", "gsm8k/gsm8k").stderr


def test_an_address_for_others_must_be_meant() -> None:
    done = sdg("browse", "--host", "0.0.0.0")

    assert done.exit_code == 2
    assert "reached by other machines, and the pages ask for no login" in done.stderr


def test_a_port_in_use_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = sdg("browse", "--port", str(taken.getsockname()[1]))

    assert done.exit_code == 2
    assert "choose another --port" in done.stderr
