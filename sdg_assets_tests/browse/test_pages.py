"""What the pages show, asked without a browser."""

from __future__ import annotations

import io
import json
import re
from contextlib import suppress
from html import unescape
from pathlib import Path

import polars as pl
from starlette.testclient import TestClient

from sdg_assets.browse.app import application
from sdg_assets.records import EnrichedExample
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets_tests.browse.library import ARABIC, CHINESE, SCRIPT, seeds
from sdg_assets_tests.support.records import enriched

BASE = "/subtasks/gsm8k/gsm8k"
FILTERED = f"{BASE}/filtered"


def text_of(client: TestClient, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200, answer.text
    return answer.text


def count_of(client: TestClient, query: str) -> int:
    found = re.search(r"<strong>([\d,]+)</strong> of", text_of(client, f"{FILTERED}?{query}"))
    assert found
    return int(found[1])


def test_the_start_names_each_subtask_with_its_rows_yield_and_writer(client: TestClient) -> None:
    page = text_of(client, "/")

    cells = re.findall(r'<td class="right">([^<]*)</td>', page)
    assert cells == ["12", "24", "20", "20", "80 %"]
    assert "org/small" in page
    assert 'aria-sort="ascending"' in page
    assert "gsm8k/gsm8k" not in text_of(client, "/?q=arc")


def test_the_overview_is_sorted_by_any_of_its_columns(client: TestClient) -> None:
    for column in re.findall(r'href="/\?sort=(\w+)"', text_of(client, "/")):
        assert "gsm8k/gsm8k" in text_of(client, f"/?sort={column}&down=1")


def test_a_stage_is_stale_after_its_input_incomplete_with_a_budget_and_failed_after_an_attempt(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path / "store")
    for stage in ("enriched", "filtered", "generated"):
        with store.write(PartitionKey("quiz", stage, "quiz")) as out:
            out.accept(enriched())
            out.info = {"usage": {"unfinished": 3}} if stage == "generated" else {}
    with suppress(ValueError), store.write(PartitionKey("quiz", "filtered", "quiz")) as out:
        out.keep_aside()
        raise ValueError("a check failed")
    pages = TestClient(application(store, tmp_path / "indexes", patience=None), "http://127.0.0.1")

    row = re.search(r"<tr data-row>(.*?)</tr>", text_of(pages, "/"), re.DOTALL)

    assert row
    assert '<span class="warn">enriched</span>' in row[1]
    assert '<span class="warn">generated</span>' in row[1]
    assert '<span class="bad">filtered</span>' in row[1]


def test_filters_search_and_ranges_combine(client: TestClient) -> None:
    assert count_of(client, "") == 24
    assert count_of(client, "state=refused") == 4
    assert count_of(client, "gate=verification&reason=majority+disagrees") == 4
    assert count_of(client, "outcome=agreed&teacher=org/small+%40+r1") == 8
    assert count_of(client, "vote_share_to=0.5") == 4
    assert count_of(client, "judge_from=0.9") == 10, "0.9 as the rows have it"
    assert count_of(client, "q=HENS+buys&variation=harder") == 8
    assert count_of(client, "q=six+times+seven") == 20
    assert count_of(client, "judge_from=&judge_to=&q=") == 24, "forms send empty fields"
    assert count_of(client, "outcome=nobody") == 0


def test_words_without_spaces_are_found(client: TestClient) -> None:
    assert count_of(client, "q=苹果") == 2
    assert count_of(client, "q=果苹") == 0
    assert count_of(client, "q=يساوي") == 2


def test_counts_and_histograms_follow_the_filters(client: TestClient) -> None:
    page = text_of(client, f"{FILTERED}?state=refused")

    facet = re.search(r'data-facet="outcome">(.*?)</ul>', page, re.DOTALL)
    assert facet
    assert re.findall(r'<span dir="auto">(.*?)</span> <span class="count">(\d+)', facet[1]) == [
        ("majority_disagrees", "4")
    ]
    assert "0.333 to 0.417: 4 rows" in page


def test_a_click_on_a_bar_shows_the_rows_that_it_counts(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    shares = [votes / cast for cast in range(1, 10) for votes in range(1, cast + 1)]
    with store.write(PartitionKey("quiz", "filtered", "quiz")) as out:
        for number, share in enumerate(shares):
            out.accept(enriched(id=f"r{number}", vote_share=share))
    pages = TestClient(application(store, tmp_path / "indexes", patience=None), "http://127.0.0.1")
    table = "/subtasks/quiz/quiz/filtered"
    bar = r'<a href="[^"]*\?([^"]*vote_share_from[^"]*)">(?:(?!</a>).)*?: (\d+) rows</title>'

    bars = re.findall(bar, text_of(pages, table), re.DOTALL)

    assert sum(int(rows) for _, rows in bars) == len(shares)
    for query, rows in bars:
        exported = pages.get(f"{table}/export.jsonl?{unescape(query)}")
        assert len(exported.text.splitlines()) == int(rows), query


def test_rows_are_sorted_with_the_empty_values_last(client: TestClient) -> None:
    page = text_of(client, f"{FILTERED}?sort=judge&down=1")

    scores = re.findall(r"judge ([\d.]+)", page[page.index('class="list"') :])
    assert scores == ["0.9"] * 10 + ["0.6"] * 10
    assert page.rindex("refused</span>") > page.rindex("judge 0.6")


def test_texts_of_any_language_stand_in_their_own_direction(client: TestClient) -> None:
    page = text_of(client, f"{FILTERED}?q=يساوي")

    assert f'dir="auto" lang="ar">{ARABIC} (org/small)</span>' in page
    assert f'lang="zh">{CHINESE}' in text_of(client, FILTERED)


def test_a_row_shows_its_votes_traces_seeds_gate_and_completion(client: TestClient) -> None:
    listing = text_of(client, f"{FILTERED}?gate=verification")
    link = re.search(rf'href="({FILTERED}/rows/\d+\?[^"]*)"', listing)
    assert link

    page = text_of(client, unescape(link[1]))

    assert "1 of 4" in page
    assert "2 of 3 votes say 41" in page
    assert page.count("disagrees</span>") == 2
    assert "The answer is 41." in page
    assert seeds()[1].question in page
    assert "2 rows after the same anchor" in page
    assert "Raw completion of the writer" in page
    assert 'rel="next"' in page
    assert 'rel="prev"' not in page


def test_a_draft_that_could_not_be_read_shows_what_the_writer_said(client: TestClient) -> None:
    page = text_of(client, f"{BASE}/generated/rows/24")

    assert "truncated" in page
    assert "A cow" in page
    assert "512 tokens" in page


def test_a_raw_seed_is_shown_with_the_columns_of_its_dataset(client: TestClient) -> None:
    assert "A baker sells 0 loaves" in text_of(client, f"{BASE}/seeds/rows/0")
    assert "<strong>12</strong> of 12" in text_of(client, f"{BASE}/seeds?q=rolls")


class Probed(EnrichedExample):
    """A row of a later version of this package."""

    excerpts: list[dict[str, str]]


def test_votes_that_were_cut_off_are_told_from_votes_without_an_answer(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    with store.write(PartitionKey("quiz", "enriched", "quiz")) as out:
        votes = {"votes": [], "votes_cast": 5, "votes_cut_off": 3, "vote_share": 0.0}
        out.accept(enriched(outcome="truncated_while_thinking", **votes))
    page = "/subtasks/quiz/quiz/enriched"
    with TestClient(
        application(store, tmp_path / "indexes", patience=None), "http://127.0.0.1"
    ) as pages:
        shown = text_of(pages, f"{page}/rows/0")
        assert '<i>cut off</i></td><td class="right">3</td>' in shown
        assert '<i>no answer</i></td><td class="right">2</td>' in shown
        listing = text_of(pages, f"{page}?outcome=truncated_while_thinking")
        assert "<strong>1</strong> of 1" in listing


def test_a_field_that_the_page_does_not_know_is_shown(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    with store.write(PartitionKey("quiz", "filtered", "quiz")) as out:
        for rate in (0.25, 0.75):
            excerpt = {"title": "Rivers", "text": f"The Nile <b>flows</b> {rate}"}
            row = enriched(question=f"Which river at {rate}?")
            out.accept(Probed(**{**dict(row), "pass_rate": rate, "excerpts": [excerpt]}))
    page = "/subtasks/quiz/quiz/filtered"
    with TestClient(
        application(store, tmp_path / "indexes", patience=None), "http://127.0.0.1"
    ) as pages:
        assert "The Nile &lt;b&gt;flows&lt;/b&gt; 0.75" in text_of(pages, f"{page}/rows/1")
        assert "<strong>1</strong> of 2" in text_of(pages, f"{page}?pass_rate_to=0.5")


def test_a_release_has_the_same_pages(client: TestClient) -> None:
    release = re.search(r'href="(/releases/\w+)"', text_of(client, "/releases"))
    assert release

    assert "<strong>20</strong> of 20 rows" in text_of(client, release[1])
    page = text_of(client, f"{release[1]}/rows/0")
    assert "Training texts" in page
    assert seeds()[0].question in page


def test_two_teachers_stand_side_by_side(client: TestClient) -> None:
    page = text_of(client, "/compare?task=gsm8k&subtask=gsm8k")

    cell = '<td class="right">(.*?)</td>'
    figures = dict(re.findall(f'<th scope="row">yield</th>{cell}{cell}', page))
    assert figures == {"67 %": "100 %"}
    assert 'verification: majority disagrees</td><td class="right">33 %' in page
    assert page.count('class="sides even pair"') == 12, "rows after the same seed"


def test_the_selection_is_exported_as_it_is_stored_and_as_parquet(client: TestClient) -> None:
    query = "gate=verification&sort=place"
    lines = client.get(f"{FILTERED}/export.jsonl?{query}").content.splitlines()
    content = client.get(f"{FILTERED}/export.parquet?state=refused").content

    assert [json.loads(line)["gate"] for line in lines] == ["verification"] * 4
    frame = pl.read_parquet(io.BytesIO(content))
    assert frame["outcome"].to_list() == ["majority_disagrees"] * 4
    assert frame["gate"].to_list() == ["verification"] * 4
    assert frame["teacher"].struct.field("model").unique().to_list() == ["org/small"]


def test_a_sample_by_strata_stays_the_same_after_a_rerun_with_equal_rows(tmp_path: Path) -> None:
    samples = []
    for run in ("first", "second"):
        store = Store(tmp_path / "store")
        with store.write(PartitionKey("quiz", "filtered", "quiz")) as out:
            for number in range(60):
                out.accept(enriched(id=f"r{number}", topic=f"t{number % 7}"))
        pages = TestClient(application(store, tmp_path / run, patience=None), "http://127.0.0.1")
        samples.append(pages.get("/subtasks/quiz/quiz/filtered/export.jsonl?sample=5").text)

    assert samples[0] == samples[1]
    assert len(samples[0].splitlines()) == 5


def test_a_sample_by_strata_reads_every_stratum_once(client: TestClient) -> None:
    page = text_of(client, f"{FILTERED}?sample=20&state=accepted")

    assert "<strong>20</strong> of 24" in page
    topics = client.get(f"{FILTERED}/export.jsonl?sample=4&state=accepted").text.splitlines()
    drawn = {(json.loads(t)["teacher"]["model"], json.loads(t)["variation"]) for t in topics}
    assert len(drawn) == 4, "two writers by two variations"


def test_a_row_number_of_a_replaced_version_is_refused(client: TestClient) -> None:
    answer = client.get(f"{FILTERED}/rows/1?v=20200101T000000-00000000")

    assert answer.status_code == 409
    assert "made again" in answer.text


def test_every_page_forbids_everything_that_is_not_its_own(client: TestClient) -> None:
    for url in ("/", FILTERED, f"{FILTERED}/rows/2", "/nowhere", "/static/browse.js"):
        headers = client.get(url).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
    assert SCRIPT not in text_of(client, FILTERED)
