from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from sdg_assets.errors import SeedSourceError
from sdg_assets.sources.hub import HubSource
from sdg_assets.sources.source import DirectorySource, open_source
from sdg_assets_tests.support.builders import seed_task

SPEC = seed_task().resolve("quiz")


def parquet(file: Path, rows: list[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    config = tmp_path / "org" / "quiz" / "main"
    parquet(config / "train-00000-of-00002.parquet", [{"i": 0}, {"i": 1}])
    parquet(config / "train-00001-of-00002.parquet", [{"i": 2}])
    parquet(config / "train-hard-00000-of-00001.parquet", [{"i": 99}])
    (config / "test.jsonl").write_text('{"i": 7}\n', "utf-8")
    (config / "README.md").touch()
    return tmp_path


def test_a_split_is_its_files_in_order(mirror: Path) -> None:
    source = open_source(f"mirror:{mirror}")

    assert list(source.rows(SPEC, "train")) == [{"i": 0}, {"i": 1}, {"i": 2}]
    assert list(source.rows(SPEC, "train-hard")) == [{"i": 99}]
    assert list(source.rows(SPEC, "test")) == [{"i": 7}]
    assert source.splits(SPEC) == ["test", "train", "train-hard"]
    assert source.configs("org/quiz") == ["main"]


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
@pytest.mark.parametrize("shard", ["", "-0", "-00000-of-00001", "-00000-of-00001-b42a775f407cee45"])
def test_every_split_that_can_be_read_is_listed(tmp_path: Path, shard: str, suffix: str) -> None:
    config = tmp_path / "org" / "quiz" / "main"
    for split in ("train", "test"):
        file = config / f"{split}{shard}.{suffix}"
        parquet(file, [{"i": split}])
        if suffix == "jsonl":
            file.write_text(f'{{"i": "{split}"}}\n', "utf-8")
    source = open_source(f"mirror:{tmp_path}")

    assert source.splits(SPEC) == ["test", "train"]
    assert list(source.rows(SPEC, "train")) == [{"i": "train"}]
    assert list(source.rows(SPEC, "test")) == [{"i": "test"}]
    assert source.revision(SPEC).startswith("local:")


@pytest.mark.parametrize(
    "name",
    ["0000.parquet", "train_00000_of_00001.parquet", "test-00000-of-00001.v2.jsonl", "a b.jsonl"],
)
def test_a_data_file_whose_split_cannot_be_told_is_an_error(mirror: Path, name: str) -> None:
    (mirror / "org/quiz/main" / name).touch()
    source = open_source(f"mirror:{mirror}")

    with pytest.raises(SeedSourceError, match=r"the name does not tell the split; name it <split>"):
        source.splits(SPEC)
    with pytest.raises(SeedSourceError, match=r"the name does not tell the split"):
        list(source.rows(SPEC, "train"))


def test_the_cache_that_hf_download_leaves_is_no_config(mirror: Path) -> None:
    (mirror / "org/quiz/main").rename(mirror / "org/quiz/default")
    (mirror / "org/quiz/.cache").mkdir()
    source = open_source(f"mirror:{mirror}")

    assert source.configs("org/quiz") == ["default"]
    assert list(source.rows(SPEC, "test")) == [{"i": 7}]


def test_the_revision_changes_with_the_rows(mirror: Path) -> None:
    source = open_source(f"mirror:{mirror}")
    before = source.revision(SPEC)

    parquet(mirror / "org/quiz/main/train-00001-of-00002.parquet", [{"i": 3}])

    assert before.startswith("local:")
    assert source.revision(SPEC) != before


def test_the_error_for_an_absent_split_names_the_existing_ones(mirror: Path) -> None:
    source = open_source(f"mirror:{mirror}")

    with pytest.raises(
        SeedSourceError, match=r"split 'dev' is absent from .*; its splits: test, train"
    ):
        list(source.rows(SPEC, "dev"))


def test_the_error_for_an_absent_dataset_names_the_expected_path(mirror: Path) -> None:
    source = open_source(f"mirror:{mirror}")
    other = SPEC.model_copy(update={"config": "other"})

    with pytest.raises(SeedSourceError, match=r"has no org/quiz \(config other\); expected /"):
        source.revision(other)
    with pytest.raises(SeedSourceError, match="has no org/none"):
        source.configs("org/none")


def test_a_damaged_file_names_itself(mirror: Path) -> None:
    config = mirror / "org" / "quiz" / "main"
    (config / "train-00001-of-00002.parquet").write_bytes(b"PAR1")
    (config / "test.jsonl").write_text('{"i": 7}\n{"i":\n', "utf-8")
    source = open_source(f"mirror:{mirror}")

    with pytest.raises(SeedSourceError, match=r"train-00001-of-00002\.parquet: not readable"):
        list(source.rows(SPEC, "train"))
    with pytest.raises(SeedSourceError, match=r"test\.jsonl:2: not JSON"):
        list(source.rows(SPEC, "test"))


def test_the_setting_chooses_the_source(tmp_path: Path) -> None:
    assert isinstance(open_source("samples"), DirectorySource)
    assert isinstance(open_source("hub"), HubSource)
    with pytest.raises(SeedSourceError, match="SDG_SEED_SOURCE=mirror:/none: /none is not a dir"):
        open_source("mirror:/none")


def test_a_copys_only_config_may_be_called_default(mirror: Path) -> None:
    (mirror / "org/quiz/main").rename(mirror / "org/quiz/default")

    assert list(open_source(f"mirror:{mirror}").rows(SPEC, "test")) == [{"i": 7}]


def test_one_of_several_configs_is_never_taken_for_another(mirror: Path) -> None:
    (mirror / "org/quiz/main").rename(mirror / "org/quiz/default")
    (mirror / "org/quiz/other").mkdir()

    with pytest.raises(SeedSourceError, match="has no org/quiz"):
        list(open_source(f"mirror:{mirror}").rows(SPEC, "test"))


def lines(mirror: Path, content: bytes) -> list[dict[str, Any]]:
    (mirror / "org" / "quiz" / "main" / "test.jsonl").write_bytes(content)
    return list(open_source(f"mirror:{mirror}").rows(SPEC, "test"))


def test_a_byte_order_mark_and_blank_lines_of_jsonl_are_skipped(mirror: Path) -> None:
    assert lines(mirror, b'\xef\xbb\xbf{"i": 1}\r\n\r\n  \n{"i": 2}') == [{"i": 1}, {"i": 2}]


def test_huge_integers_of_jsonl_keep_their_value(mirror: Path) -> None:
    assert lines(mirror, b'{"i": %s}' % (b"9" * 400)) == [{"i": int("9" * 400)}]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"i": "\xff"}', r"test\.jsonl:2: not UTF-8 at byte 7; convert the file"),
        (b'{"i": %s}' % (b"9" * 5000), r"test\.jsonl:2: not JSON: Exceeds the limit"),
        (b"[" * 100_000, r"test\.jsonl:2: nested more than 100 levels deep"),
        (b'{"i": %s}' % (b"[" * 101 + b"]" * 101), r"test\.jsonl:2: nested more than 100 levels"),
        (b'{"i":', r"test\.jsonl:2: not JSON: Expecting value"),
        (b"[1]", r"test\.jsonl:2: expected a JSON object, not list"),
    ],
)
def test_a_line_that_cannot_be_read_names_its_file_and_number(
    mirror: Path, line: bytes, message: str
) -> None:
    with pytest.raises(SeedSourceError, match=message):
        lines(mirror, b'{"i": 1}\n' + line + b"\n")


def test_a_mirror_in_the_home_of_an_unknown_user_is_a_clear_error() -> None:
    with pytest.raises(
        SeedSourceError, match=r"SDG_SEED_SOURCE=mirror:~no-such-user: .*give a full"
    ):
        open_source("mirror:~no-such-user")
