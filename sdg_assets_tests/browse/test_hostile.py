"""Bad input does no harm: it gets one sentence, and nothing but notes is ever written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from sdg_assets.store.partitions import Store
from sdg_assets_tests.browse.test_pages import FILTERED
from sdg_assets_tests.conftest import on_disk

NOTES = f"{FILTERED}/rows/0/notes"
ADDRESSES = (
    "/subtasks/../../etc/passwd",
    "/subtasks/gsm8k/..%2f..%2f..%2fetc/filtered",
    "/subtasks/%2e%2e/gsm8k/filtered",
    "/subtasks/gsm8k/gsm8k/..%2fcompletions",
    "/subtasks/gsm8k/gsm8k/completions",
    "/subtasks/gsm8k/gsm8k/heldout",
    "/subtasks/gsm8k/gsm8k%00/filtered",
    "/subtasks/gsm8k/gsm8k.manifest.json/filtered",
    "/subtasks/curated/gsm8k/filtered",
    "/releases/../gsm8k",
    "/releases/LATEST",
    "/releases/%2e%2e%2fgsm8k",
    "/static/../app.py",
    "/static/%2e%2e/app.py",
    "/static/..%2f..%2fsettings.py",
    f"{FILTERED}/export.csv",
    f"{FILTERED}/export...%2fetc",
    f"{FILTERED}/rows/-1",
    f"{FILTERED}/rows/1e9",
    f"{FILTERED}/rows/99999999999999999999",
    f"{FILTERED}/rows/../../../seeds",
)
QUERIES = (
    "outcome[$ne]=1",
    "unknown=1",
    "page=0",
    "page=-1",
    "page=1e99",
    "page=99999999999999999999",
    "sort=id);DROP TABLE rows;--",
    "sort=__class__",
    "vote_share_from=nan",
    "vote_share_from=inf",
    "vote_share_from=1 OR 1=1",
    "vote_share_between=1",
    "sample=-5",
    "sample=100000000",
    "down=maybe",
    "q=a&q=b",
    "gate=" + "x" * 400,
    "q=" + "x" * 400,
    "filters={}",
)
HARMLESS = (
    "gate=' OR 1=1 --",
    "q=' OR 1=1; DROP TABLE rows; --",
    "q=<script>alert(1)</script>",
    "gate=<img src=x onerror=alert(1)>",
    "q=%00%ff",
    "q=.*(a%2b)%2b$",
    "topic={{7*7}}",
    "reason=%E2%80%AE%0d%0aset-cookie: a=b",
    "page=10000000",
)
FORMS: tuple[dict[str, str], ...] = (
    {},
    {"reviewer": "ann"},
    {"reviewer": "../../evil", "verdict": "bad"},
    {"reviewer": "ann/../../x", "verdict": "bad"},
    {"reviewer": "ann\n", "verdict": "bad\nx"},
    {"reviewer": "", "verdict": "good"},
    {"reviewer": "a" * 41, "verdict": "good"},
    {"reviewer": "20260101T000000-00000000.jsonl", "verdict": "good"},
    {"reviewer": "ann", "verdict": "maybe"},
    {"reviewer": "ann", "verdict": "bad", "why": "x" * 2001},
    {"reviewer": "ann", "verdict": "bad", "why": "x" * 20_000},
)


def tree(store: Store) -> dict[str, bytes]:
    files = (file for file in on_disk(store.root).rglob("*") if file.is_file())
    return {str(file): file.read_bytes() for file in files}


@pytest.fixture(autouse=True)
def nothing_is_written(filled: Store) -> Iterator[None]:
    before = tree(filled)
    yield
    assert tree(filled) == before


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_names_only_what_the_store_lists(client: TestClient, address: str) -> None:
    answer = client.get(address)

    assert answer.status_code in (400, 404)
    assert "root:" not in answer.text
    assert "import annotations" not in answer.text


@pytest.mark.parametrize("query", QUERIES)
def test_a_wrong_parameter_is_one_sentence(client: TestClient, query: str) -> None:
    for page in (FILTERED, f"{FILTERED}/export.jsonl"):
        answer = client.get(f"{page}?{query}")
        assert answer.status_code == 400
        assert 'class="bad"' in answer.text


@pytest.mark.parametrize("query", HARMLESS)
def test_a_text_stays_a_text(client: TestClient, query: str) -> None:
    answer = client.get(f"{FILTERED}?{query}")

    assert answer.status_code == 200
    assert "<script>alert" not in answer.text
    assert "<img src=x" not in answer.text
    assert ">49<" not in answer.text
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("form", FORMS, ids=lambda form: str(form)[:60])
def test_a_wrong_note_is_not_kept(client: TestClient, form: dict[str, str]) -> None:
    assert client.post(NOTES, data=form).status_code == 400


def test_another_site_cannot_send_a_note_or_read_a_page(client: TestClient) -> None:
    form = {"reviewer": "ann", "verdict": "bad"}
    for name, value in (
        ("origin", "http://a.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
    ):
        assert client.post(NOTES, data=form, headers={name: value}).status_code == 403
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400


def test_pages_can_only_be_read(client: TestClient) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        for url in ("/", FILTERED, f"{FILTERED}/rows/0", "/releases", "/static/browse.js"):
            assert client.request(method, url).status_code == 405


def test_reading_every_page_writes_nothing(client: TestClient, tmp_path: Path) -> None:
    for stage in ("seeds", "normalized", "generated", "enriched", "filtered"):
        url = FILTERED.replace("filtered", stage)
        for page in (url, f"{url}/rows/3", f"{url}/export.parquet"):
            assert client.get(page).status_code == 200
