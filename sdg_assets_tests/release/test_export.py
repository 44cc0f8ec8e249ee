from __future__ import annotations

import json
from pathlib import Path

import datasets
import pytest

from sdg_assets.errors import PermanentError
from sdg_assets.release.export import export
from sdg_assets_tests.cli.test_release import cut_once, two  # noqa: F401 – fixtures
from sdg_assets_tests.release.test_release import cut
from sdg_assets_tests.support.command import sdg


def _texts(folder: Path) -> list[str]:
    files = sorted(folder.rglob("*.jsonl"))
    return [json.loads(line)["text"] for file in files for line in file.read_text().splitlines()]


def test_every_row_with_such_a_text_is_there_once_and_in_another_order(tmp_path: Path) -> None:
    release = cut(tmp_path / "store")

    written = export(release.path, tmp_path / "texts", variant="with_context", bytes_per_shard=2000)

    counts = {e.family: (e.rows, e.without) for e in written}
    assert counts == {"multiple_choice": (40, 0), "generative": (0, 40)}, "no background there"
    assert len(written[0].files) > 2
    rows = [
        json.loads(line)
        for line in (release.path / "multiple_choice" / "train-00000-of-00001.jsonl").open()
    ]
    in_order = [row["text"]["with_context"] for row in rows]
    texts = _texts(tmp_path / "texts")
    assert sorted(texts) == sorted(in_order)
    assert texts != in_order
    assert {path.name for path in (tmp_path / "texts").iterdir()} == {"multiple_choice"}


def test_the_order_follows_from_the_seed_alone(tmp_path: Path) -> None:
    release = cut(tmp_path / "store")

    def shuffled(name: str, seed: int) -> list[str]:
        export(release.path, tmp_path / name, variant="answer_only", seed=seed)
        return _texts(tmp_path / name)

    assert shuffled("a", 1) == shuffled("b", 1)
    assert shuffled("c", 2) != shuffled("a2", 1)


def test_datasets_loads_an_export(tmp_path: Path) -> None:
    release = cut(tmp_path / "store")
    export(release.path, tmp_path / "texts", variant="answer_only", commercial=True)

    rows = datasets.load_dataset(
        "json",
        data_files=str(tmp_path / "texts" / "generative" / "*.jsonl"),
        split="train",
        cache_dir=str(tmp_path / "cache"),
    )
    assert len(rows) == 40
    assert set(rows.column_names) == {"id", "task", "license", "text"}
    assert set(rows["license"]) == {"CC0-1.0"}


def test_an_export_never_mixes_with_other_files(tmp_path: Path) -> None:
    release = cut(tmp_path / "store")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "other").touch()
    with pytest.raises(PermanentError, match="is not empty"):
        export(release.path, tmp_path / "texts", variant="answer_only")


def test_the_command_says_what_it_wrote(two: tuple[Path, Path], tmp_path: Path) -> None:  # noqa: F811
    done = sdg("release", "export", str(tmp_path / "texts"), "--variant", "answer_only")

    assert done.exit_code == 0
    rows = [line.split()[:3] for line in done.stdout.splitlines()[1:]]
    assert rows == [["multiple_choice", "4", "0"], ["generative", "4", "0"]]
    assert sdg("release", "export", str(tmp_path / "x"), "--variant", "long").exit_code == 2
