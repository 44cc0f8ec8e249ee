"""A person reads rows with `sdg browse`: a real browser against the program."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from sdg_assets.store.notes import notes_of
from sdg_assets.store.partitions import Store
from sdg_assets_tests.browse.library import fill, seeds
from sdg_assets_tests.support.command import PROGRAM

WAIT_MS = 30_000


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browse")
    fill(folder / "data")
    return folder


@pytest.fixture(scope="module")
def address(root: Path) -> Iterator[str]:
    """Where `sdg browse` shows the store."""
    environment = {**os.environ, "SDG_STORE": "data", "SDG_CACHE": str(root / "cache")}
    pipe = subprocess.PIPE
    command = [*PROGRAM, "browse", "--port", "0"]
    with subprocess.Popen(command, env=environment, stdout=pipe, cwd=root, text=True) as program:
        assert program.stdout
        yield program.stdout.readline().strip()
        program.terminate()


@pytest.fixture(scope="module")
def requested() -> list[str]:
    """The addresses of all that the browser has asked for."""
    return []


@pytest.fixture(scope="module")
def page(address: str, requested: list[str]) -> Iterator[Page]:
    chromium = shutil.which("chromium")
    assert chromium, "no chromium: install Debian's package chromium, as .ci/setup does"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": 1280, "height": 800}, base_url=address)
        opened.set_default_timeout(WAIT_MS)
        expect.set_options(timeout=WAIT_MS)
        opened.on("request", lambda request: requested.append(request.url))
        yield opened
        browser.close()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pictures go: SDGTEST_SCREENSHOTS=docs/pictures makes those of the docs anew."""
    folder = os.environ.get("SDGTEST_SCREENSHOTS")
    return Path(folder) if folder else tmp_path_factory.mktemp("screenshots")


def press(page: Page, key: str) -> None:
    """Presses a key once the page's script runs, which listens to it."""
    page.wait_for_load_state("load")
    page.keyboard.press(key)


def test_a_person_finds_the_rows_whose_majority_disagrees_and_reads_one(
    page: Page, pictures: Path
) -> None:
    page.goto("/")
    page.screenshot(path=pictures / "browse_start.png")
    page.get_by_role("link", name="gsm8k/gsm8k").click()
    page.get_by_role("link", name="majority disagrees").click()
    expect(page.locator("#count")).to_contain_text("4 of 24 rows")
    expect(page.locator(".list [data-row]")).to_have_count(4)

    press(page, "j")
    press(page, "Enter")

    expect(page.locator(".votes tbody tr").first).to_contain_text("41")
    expect(page.locator(".votes tbody tr").nth(1)).to_contain_text("42")
    expect(page.locator("details.trace")).to_have_count(3)
    expect(page.get_by_text("The answer is 41.").first).to_be_visible()
    expect(page.locator("#seeds")).to_contain_text(seeds()[1].question)
    page.screenshot(path=pictures / "browse_row.png")
    press(page, "j")
    expect(page.locator("#seeds")).to_contain_text(seeds()[4].question)
    press(page, "k")
    expect(page.locator(".trail")).to_contain_text("1 of 4")


def test_the_person_notes_what_is_wrong(page: Page, root: Path) -> None:
    page.get_by_label("Your name").fill("ann")
    page.get_by_label("bad").check()
    press(page, "Escape")
    page.get_by_label("Why").fill("<b>42</b> is right")
    page.get_by_role("button", name="Save").click()

    expect(page.locator("#note")).to_contain_text("<b>42</b> is right")
    (note,) = notes_of(Store(root / "data"), "gsm8k", "gsm8k")
    assert (note.reviewer, note.verdict, note.why) == ("ann", "bad", "<b>42</b> is right")
    press(page, "u")
    expect(page.locator(".list .bad")).to_contain_text("bad (ann)")


def test_search_filters_and_export_give_the_same_rows(page: Page, pictures: Path) -> None:
    page.goto("/subtasks/gsm8k/gsm8k/filtered")
    press(page, "/")
    page.keyboard.type("farmer")
    press(page, "Enter")
    expect(page.locator("#count")).to_contain_text("18 of 24 rows")
    page.locator('[data-facet="teacher"]').get_by_text("org/small").click()
    expect(page.locator("#count")).to_contain_text("9 of 24 rows")
    page.screenshot(path=pictures / "browse_rows.png")

    with page.expect_download() as download:
        page.get_by_role("link", name="JSONL").click()

    lines = Path(download.value.path()).read_bytes().splitlines()
    rows = [entry.get("row", entry) for entry in map(json.loads, lines)]
    assert {row["teacher"]["model"] for row in rows} == {"org/small"}
    assert len(rows) == 9


def test_the_person_compares_two_teachers(page: Page) -> None:
    page.get_by_role("link", name="compare").click()

    figures = page.locator("#figures tr", has_text="yield")
    expect(figures).to_contain_text("67 %")
    expect(figures).to_contain_text("100 %")
    expect(page.locator(".pair")).to_have_count(12)
    page.get_by_label("writer").first.select_option("org/strong @ r2")
    expect(figures.locator("td").first).to_contain_text("100 %")


def test_a_script_in_a_row_stays_text_and_nothing_comes_from_elsewhere(
    page: Page, address: str, requested: list[str]
) -> None:
    page.goto("/subtasks/gsm8k/gsm8k/filtered?q=owned")
    page.locator("[data-row] a").first.click()

    expect(page.locator("article .text").first).to_contain_text("<script>document.title='owned'")
    assert "owned" not in page.title()
    press(page, "?")
    expect(page.get_by_role("dialog")).to_be_visible()
    assert {url[: len(address)] for url in requested if not url.startswith("data:")} == {address}


def test_it_is_dark_for_those_who_like_it_dark(page: Page) -> None:
    page.emulate_media(color_scheme="dark")

    ground = page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
    assert ground == "rgb(21, 24, 28)"
