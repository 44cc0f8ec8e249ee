from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from sdg_assets.release import Cut, Release, write_release
from sdg_assets.release.published import releases
from sdg_assets.store.objects import ObjectPath
from sdg_assets.store.partitions import Store
from sdg_assets.store.places import Place
from sdg_assets_tests.conftest import Configure, on_disk
from sdg_assets_tests.release.test_release import INPUTS, curated_rows
from sdg_assets_tests.support.command import sdg
from sdg_assets_tests.support.hub_server import HubServer

OTHER_INPUTS = INPUTS | {"quiz/filtered/quiz": "cc"}


def cut(root: Place, count: int, inputs: dict[str, str]) -> Release[Place]:
    return write_release(root, Cut(inputs), curated_rows(count))


@pytest.fixture(scope="module")
def cut_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A store with two releases, and their ids, the old one first."""
    root = tmp_path_factory.mktemp("releases") / "store"
    return root, cut(root, 3, INPUTS).id, cut(root, 4, OTHER_INPUTS).id


@pytest.fixture
def two(cut_once: tuple[Path, str, str], store: Store) -> tuple[Path, Path]:
    """The old release and the new one, in the store of this test."""
    root, *ids = cut_once
    shutil.copytree(root, on_disk(store.root))
    old, new = (on_disk(store.root) / "curated" / name for name in ids)
    return old, new


def test_releases_are_listed_with_the_newest_first(two: tuple[Path, Path]) -> None:
    old, new = two

    done = sdg("release", "list")

    assert done.exit_code == 0
    header, first, second = (line.split() for line in done.stdout.splitlines())
    assert header == ["release", "version", "published", "rows", "commercial", "tasks", "MB"]
    assert (first[0], first[-1]) == (new.name, "latest")
    assert second[0] == old.name
    assert (first[1], second[1]) == ("1.1.0", "1.0.0")
    assert first[5:8] == ["8", "4", "2"]  # rows, rows for commercial use, tasks
    listed = json.loads(sdg("release", "list", "--json").stdout)
    assert [(r["release"], r["rows"], r["latest"]) for r in listed] == [
        (new.name, 8, True),
        (old.name, 6, False),
    ]
    assert listed[0]["path"] == str(new)


def test_the_latest_is_shown_unless_another_is_named(two: tuple[Path, Path]) -> None:
    old, new = two

    done = sdg("release", "show")

    assert done.exit_code == 0
    assert done.stdout.startswith(f"release {new.name}, the latest\n  {new}\n")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["commercial", "use", "4"] in lines
    assert ["quiz", "4"] in lines
    assert ["CC0-1.0", "4"] in lines
    assert sdg("release", "show", old.name[:6]).stdout.startswith(f"release {old.name}\n")
    manifest = json.loads(sdg("release", "show", "--json").stdout)
    assert manifest == json.loads((new / "manifest.json").read_text())


def test_diff_prints_the_differences_and_exits_with_1(two: tuple[Path, Path]) -> None:
    old, new = two

    done = sdg("release", "diff", old.name, "--json")

    assert done.exit_code == 1
    differences = json.loads(done.stdout)
    changes = {(d["what"], d["name"]): (d["before"], d["after"]) for d in differences["facts"]}
    added = {"change": "added", "reason": "not there before", "rows": 1}
    assert differences["rows"] == [{"task": task, **added} for task in ("quiz", "sums")]
    assert changes["rows of task", "quiz"] == ("3", "4")
    assert changes["input", "quiz/filtered/quiz"] == ("aa", "cc")
    assert ("input", "sums/filtered/sums") not in changes
    assert ("made by", "code version") not in changes
    table = [
        line.split() for line in sdg("release", "diff", old.name, new.name).stdout.splitlines()
    ]
    assert table[1] == ["quiz", "added", "1", "not", "there", "before"]
    assert ["name", old.name, new.name] in table
    assert ["rows", "of", "task", "quiz", "3", "4"] in table


def test_a_release_does_not_differ_from_itself(two: tuple[Path, Path]) -> None:
    done = sdg("release", "diff", two[1].name)

    assert done.exit_code == 0
    assert done.stdout == f"{two[1].name} and {two[1].name} do not differ\n"


def test_a_damaged_release_is_found_and_not_pushed(two: tuple[Path, Path], hub: HubServer) -> None:
    _, new = two
    assert sdg("release", "show", "--verify").exit_code == 0
    (new / "README.md").write_text("Another card.")

    done = sdg("release", "show", "--verify")
    assert done.exit_code == 1
    assert done.stderr.startswith(f"{new.name} is DAMAGED; ")

    done = sdg("release", "push", "--to", "org/qa")
    assert done.exit_code == 2
    assert "is damaged, so it is not pushed" in done.stderr
    assert hub.commits == []


def test_a_release_is_pushed_and_its_address_printed(
    two: tuple[Path, Path], hub: HubServer, configure: Configure
) -> None:
    old, _ = two
    configure(push_to="org/qa")

    done = sdg("release", "push", old.name)

    assert done.exit_code == 0, done.stderr
    assert done.stdout == f"{hub.url}/datasets/org/qa/commit/1\n"
    assert hub.commits == [f"Release {old.name}"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "zz"], "no release begins with 'zz'; there are: "),
        (["show", ""], "several releases begin with ''; there are: "),
        (["push"], "push: name the Hub repository, organization/name, with --to or in SDG_PUSH_TO"),
    ],
)
def test_an_error_is_one_line(two: tuple[Path, Path], arguments: list[str], message: str) -> None:
    done = sdg("release", *arguments)

    assert done.exit_code == 2
    assert done.stderr.startswith(f"error: {message}")
    assert len(done.stderr.splitlines()) == 1


def test_an_invalid_manifest_is_named(two: tuple[Path, Path]) -> None:
    manifest = two[0] / "manifest.json"
    manifest.write_text("{")

    done = sdg("release", "list")

    assert done.exit_code == 2
    assert done.stderr.startswith(f"error: {manifest}: is not JSON")


def test_without_a_release_it_says_how_to_cut_one() -> None:
    assert "cut one with Dagster's job `release`" in sdg("release", "list").stderr
    done = sdg("release", "show")
    assert done.exit_code == 2
    assert "cut one with Dagster's job `release`" in done.stderr


def test_releases_in_a_bucket_are_found_as_well(bucket: str, configure: Configure) -> None:
    release = cut(ObjectPath.at(bucket), 3, INPUTS)
    configure(store=bucket)

    assert [published.id for published in releases(ObjectPath.at(bucket))] == [release.id]
    done = sdg("release", "show", "--verify")
    assert done.exit_code == 0
    assert done.stdout.startswith(f"release {release.id}, the latest\n  {bucket}/curated/")
