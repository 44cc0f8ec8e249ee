"""A person's morning: a real browser against what `make ui` starts."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import dagster as dg
import pytest
from playwright.sync_api import Page, expect, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from sdg_assets.checks.table import stage_checks
from sdg_assets_tests.browser.capitals import Geographer, write_capitals
from sdg_assets_tests.operation.deployment import (
    ROOT,
    Deployment,
    free_port,
    processes,
    wait_for_port,
)
from sdg_assets_tests.support.runs import materialized
from sdg_assets_tests.support.stages import ROW_ASSETS, TASK_ASSETS
from sdg_assets_tests.support.teacher_server import teacher_server

# Where the README's pictures lie: SDGTEST_SCREENSHOTS=<this folder> makes them anew.
SCREENSHOTS = Path(__file__).parent / "screenshots"
WAIT_MS = 120_000
SHORT_WAIT_MS = 10_000


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = os.environ.get("SDGTEST_SCREENSHOTS")
    return Path(folder) if folder else tmp_path_factory.mktemp("screenshots")


def command_of_make_ui(port: int) -> list[str]:
    """What `make ui` runs, with this Python's environment."""
    recipe = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", "ui", f"PORT={port}", f"VENV={sys.prefix}"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    program, *arguments = shlex.split(recipe.splitlines()[-1])
    assert program == f"{sys.prefix}/bin/dagster"
    return ["-m", "dagster", *arguments]


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    place = tmp_path_factory.mktemp("ui")
    write_capitals(place)
    home, port = place / "home", free_port()
    home.mkdir()
    shutil.copy(ROOT / "dagster.yaml", home)
    with teacher_server(Geographer()) as teacher:
        env = {
            **os.environ,
            "DAGSTER_HOME": str(home),
            "SDG_CATALOG": str(place / "catalog"),
            "SDG_SEED_SOURCE": f"mirror:{place / 'mirror'}",
            "SDG_STORE": str(place / "store"),
            "SDG_TEACHER": teacher.url,
            "SDG_OWNERS": "team:data",
        }
        with (
            dg.DagsterInstance.from_config(str(home)) as instance,
            processes(place, env) as start,
        ):
            start("ui", command_of_make_ui(port))
            wait_for_port(port)
            yield Deployment(home, instance, port)


@pytest.fixture(scope="module")
def page(ui: Deployment) -> Iterator[Page]:
    chromium = shutil.which("chromium")
    assert chromium, "no chromium: install Debian's package chromium, as .ci/setup does"
    with sync_playwright() as playwright:
        # Chromium's own sandbox refuses to start as root, which CI is.
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": 1440, "height": 800}, base_url=ui.url)
        opened.set_default_timeout(WAIT_MS)
        expect.set_options(timeout=WAIT_MS)
        yield opened
        browser.close()


def open_launch_dialog(page: Page) -> None:
    page.get_by_role("button", name="Materialize all").click()
    # Dagster asks first: protected/heldout is in another group. The task's `heldout` hashes it.
    unmade = page.get_by_text("upstream assets listed below have not been materialized yet")
    partitions = page.get_by_role("button", name="Missing", exact=True)
    expect(unmade.or_(partitions).first).to_be_visible()
    if unmade.is_visible():
        page.get_by_role("button", name="Confirm").click()


def choose_partition(page: Page, partition: str) -> None:
    """Chooses from the dialog's list, which can close by itself while Dagster loads its rows."""
    field = page.get_by_text("Select a partition or create one")
    item = page.locator("a, li, [role=menuitem], [role=option]").filter(has_text=partition).last
    launch = page.get_by_role("button", name="Launch 1 run")
    for _ in range(10):
        with suppress(PlaywrightTimeout):
            if field.is_visible():
                field.click(timeout=SHORT_WAIT_MS)
            item.click(timeout=SHORT_WAIT_MS)
            page.keyboard.press("Escape")
        if launch.is_visible():
            return
    pytest.fail(f"the dialog does not let one choose {partition}")


def materialize_europe(page: Page, ui: Deployment) -> None:
    """Materializes the partition `capitals_europe` in the browser, once for all tests."""
    if "capitals_europe" in materialized(ui.instance, "capitals", "filtered"):
        return
    open_graph(page)
    open_launch_dialog(page)
    choose_partition(page, "capitals_europe")
    page.get_by_role("button", name="Launch 1 run").click()
    expect(page.get_by_text("Launched run")).to_be_visible()
    ui.wait(lambda: "capitals_europe" in materialized(ui.instance, "capitals", "filtered"))
    ui.wait(ui.idle)


def open_graph(page: Page) -> None:
    page.goto("/locations/sdg_assets/asset-groups/capitals")
    for stage in TASK_ASSETS:
        expect(page.get_by_text(stage, exact=True).first).to_be_visible()


def test_a_person_materializes_a_partition_and_sees_it_green(
    page: Page, ui: Deployment, pictures: Path
) -> None:
    materialize_europe(page, ui)

    page.goto("/assets/capitals/filtered?view=overview")
    picture = page.get_by_role("img", name="funnel")
    expect(picture).to_be_visible()
    # Beside the open navigation the overview is narrowest: refused rows, on the right, are seen.
    definition = page.get_by_text("Definition", exact=True).bounding_box()
    assert definition
    assert picture.evaluate("p => p.getBoundingClientRect().right") < definition["x"]
    page.get_by_role("button", name="Hide navigation").click()
    open_graph(page)
    for _ in range(2):
        page.get_by_role("button", name="zoom_in").click()
    expect(page.get_by_text("33% filled").nth(4)).to_be_visible()
    passed = len(stage_checks("filtered"))
    expect(page.get_by_text(f"{passed} / {passed} Passed")).to_be_visible()
    page.screenshot(path=pictures / "graph.png")

    page.goto("/assets/capitals/filtered?view=partitions&partition=capitals_europe")
    expect(page.get_by_text("Materialized", exact=True)).to_be_visible()
    funnel = page.get_by_role("img", name="funnel")
    expect(funnel).to_be_visible()
    assert funnel.evaluate("picture => picture.complete && picture.naturalWidth > 200")
    expect(page.get_by_text("Which city is the capital of").first).to_be_visible()
    expect(page.get_by_text("rejected_by_verification")).to_be_visible()
    page.screenshot(path=pictures / "partition.png")

    page.goto("/assets/capitals/filtered?view=checks")
    expect(page.get_by_text("Succeeded").first).to_be_visible()
    for check in stage_checks("filtered"):
        expect(page.get_by_text(check, exact=True).first).to_be_visible()
    expect(page.get_by_text("capitals_europe").first).to_be_visible()
    page.screenshot(path=pictures / "checks.png")


def test_a_backfill_of_what_is_missing_leaves_the_rest_alone(
    page: Page, ui: Deployment, pictures: Path
) -> None:
    materialize_europe(page, ui)
    done = {s: len(events(ui, s, "capitals_europe")) for s in ROW_ASSETS}
    open_graph(page)
    open_launch_dialog(page)
    page.get_by_role("button", name="Missing", exact=True).click()
    page.get_by_role("button", name="Launch backfill").click()
    expect(page.get_by_text("backfill").first).to_be_visible()
    ui.wait(lambda: ui.instance.get_backfills())
    (backfill,) = ui.instance.get_backfills()
    page.goto(f"/runs/b/{backfill.backfill_id}?tab=overview")
    expect(page.get_by_text("filtered").first).to_be_visible()
    two = {"capitals_asia", "capitals_africa"}
    ui.wait(lambda: two <= materialized(ui.instance, "capitals", "normalized"))
    page.screenshot(path=pictures / "backfill.png")

    assert {s: len(events(ui, s, "capitals_europe")) for s in ROW_ASSETS} == done


def events(ui: Deployment, stage: str, partition: str) -> list[dg.EventLogRecord]:
    found = ui.instance.fetch_materializations(
        dg.AssetRecordsFilter(dg.AssetKey(["capitals", stage]), asset_partitions=[partition]),
        limit=100,
    )
    return list(found.records)


def test_the_jobs_and_what_runs_by_itself_are_there_and_off(page: Page, pictures: Path) -> None:
    page.goto("/jobs")
    for job in ("one_task", "one_domain", "everything_missing", "everything_stale", "release"):
        expect(page.get_by_text(job, exact=True).first).to_be_visible()
    page.goto("/automation")
    for name in ("observe_teachers", "remake_stale", "fill_missing", "operations_daily"):
        expect(page.get_by_text(name, exact=True).first).to_be_visible()
    expect(page.get_by_text(re.compile("6:00"))).to_be_visible()
    page.screenshot(path=pictures / "automation.png")
