"""The Hub is not reachable in tests: its two entry points are replaced; its exceptions are real."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets.exceptions import DatasetNotFoundError
from huggingface_hub import errors as hub

from sdg_assets.errors import SdgError, SeedSourceError, TransientError
from sdg_assets.sources.hub import HubSource
from sdg_assets.stages.seeds import collect_seeds
from sdg_assets_tests.support.builders import seed_task

SPEC = seed_task().resolve("quiz")


class Edge:
    """Scripted answers of the Hub: its files per revision, and the rows of each request."""

    def __init__(self) -> None:
        self.files: dict[str | None, list[str]] = {None: ["data/train.parquet"]}
        self.rows: list[dict[str, Any]] = [{"i": 0}, {"i": 1}]
        self.asked: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        self.fails: Exception | None = None
        self.moved: dict[str, str] = {}

    def dataset_info(self, dataset: str, revision: str | None = None) -> SimpleNamespace:
        if self.fails:
            raise self.fails
        files = [SimpleNamespace(rfilename=file) for file in self.files[revision]]
        sha = f"commit-of-{revision or 'main'}"
        return SimpleNamespace(id=self.moved.get(dataset, dataset), sha=sha, siblings=files)

    def load_dataset(self, *arguments: Any, **options: Any) -> datasets.IterableDataset:
        self.asked.append((arguments, options))
        return datasets.IterableDataset.from_generator(lambda: iter(self.rows))


@pytest.fixture
def edge(monkeypatch: pytest.MonkeyPatch) -> Edge:
    hub_edge = Edge()
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: hub_edge)
    monkeypatch.setattr(datasets, "load_dataset", hub_edge.load_dataset)
    return hub_edge


def test_rows_are_streamed_at_the_commit_that_the_revision_names(edge: Edge) -> None:
    source = HubSource()

    assert source.revision(SPEC) == "commit-of-main"
    assert list(source.rows(SPEC, "train")) == edge.rows
    ((arguments, options),) = edge.asked
    assert arguments == ("org/quiz", "main")
    assert options == {"split": "train", "streaming": True, "revision": "commit-of-main"}


def test_an_old_id_without_an_owner_is_refused_with_its_new_one(edge: Edge) -> None:
    edge.moved = {"quiz": "org/new-quiz"}
    old = SPEC.model_copy(update={"dataset": "quiz"})

    with pytest.raises(SeedSourceError, match="quiz is org/new-quiz on the Hub; write `dataset:"):
        HubSource().revision(old)


def test_a_dataset_that_its_owner_moved_is_read_under_its_old_id(edge: Edge) -> None:
    edge.moved = {"org/quiz": "new-org/quiz"}

    assert list(HubSource().rows(SPEC, "train")) == edge.rows


def test_a_script_dataset_is_read_from_its_parquet_conversion(edge: Edge) -> None:
    edge.files = {
        None: ["quiz.py", "README.md"],
        "refs/convert/parquet": ["main/train/0000.parquet", "main/test/0000.parquet"],
    }
    source = HubSource()

    list(source.rows(SPEC, "train"))

    ((arguments, options),) = edge.asked
    assert arguments == ("parquet",)
    url = "hf://datasets/org/quiz@commit-of-refs/convert/parquet/main/train/*.parquet"
    assert options["data_files"] == url
    assert source.revision(SPEC) == "commit-of-refs/convert/parquet"
    assert source.splits(SPEC) == ["test", "train"]
    assert source.configs("org/quiz") == ["main"]


def test_the_one_config_of_a_converted_dataset_has_the_name_its_script_gave_it(edge: Edge) -> None:
    edge.files = {
        None: ["quiz.py"],
        "refs/convert/parquet": ["plain_text/train/0000.parquet"],
    }
    default = SPEC.model_copy(update={"config": "default"})

    list(HubSource().rows(default, "train"))

    assert edge.asked[0][1]["data_files"].endswith("/plain_text/train/*.parquet")


def test_named_files_are_read_by_their_format(edge: Edge) -> None:
    edge.files = {None: ["quiz.py", "tables/main_train.tsv"]}
    named = SPEC.model_copy(update={"hub_files": "tables/{config}_{split}.tsv"})
    source = HubSource()

    list(source.rows(named, "train"))

    ((arguments, options),) = edge.asked
    assert arguments == ("csv",)
    assert options["sep"] == "\t"
    assert options["data_files"] == "hf://datasets/org/quiz@commit-of-main/tables/main_train.tsv"
    assert source.splits(named) == ["train"]


def test_a_split_that_no_file_matches_is_absent(edge: Edge) -> None:
    named = SPEC.model_copy(update={"hub_files": "{split}.csv"})

    with pytest.raises(SeedSourceError, match="split 'train' is absent from the Hub: no file"):
        list(HubSource().rows(named, "train"))


def answered(status: int, code: str = "", message: str = "") -> Exception:
    """The exception that huggingface_hub raises for an answer of the server."""
    from httpx2 import Request, Response
    from huggingface_hub.utils import hf_raise_for_status

    request = Request("GET", "https://huggingface.co/api/datasets/org/quiz")
    headers = {"X-Error-Code": code, "X-Error-Message": message}
    with pytest.raises(hub.HfHubHTTPError) as caught:
        hf_raise_for_status(Response(status, headers=headers, request=request))
    error: Exception = caught.value
    return error


PAGE = "https://huggingface.co/datasets/org/quiz"


@pytest.mark.parametrize(
    ("make", "kind", "says"),
    [
        (lambda: answered(403, "GatedRepo"), SeedSourceError, f"Accept its licence at {PAGE} and "),
        (
            lambda: answered(401, "GatedRepo"),
            SeedSourceError,
            "set HF_TOKEN to a token of that acc",
        ),
        (lambda: answered(403), SeedSourceError, f"gated on the Hub. Accept its licence at {PAGE}"),
        (
            lambda: DatasetNotFoundError("Dataset 'org/quiz' is a gated dataset on the Hub."),
            SeedSourceError,
            "gated on the Hub",
        ),
        (
            lambda: answered(401, message="Invalid credentials in Authorization header"),
            SeedSourceError,
            "requires a valid token. Set HF_TOKEN",
        ),
        (lambda: hub.LocalTokenNotFoundError("no token"), SeedSourceError, "Set HF_TOKEN"),
        (lambda: answered(404, "RepoNotFound"), SeedSourceError, f"not found on the Hub ({PAGE})"),
        (
            lambda: DatasetNotFoundError("doesn't exist"),
            SeedSourceError,
            "If it is private, set HF",
        ),
        (lambda: answered(404, "RevisionNotFound"), SeedSourceError, "name a script-free copy"),
        (
            lambda: answered(404, "EntryNotFound"),
            SeedSourceError,
            "quiz/quiz (org/quiz, main, train",
        ),
        (lambda: ValueError("Bad split: train."), SeedSourceError, "Bad split: train."),
        (lambda: FileNotFoundError("train.parquet"), SeedSourceError, "train.parquet"),
        (lambda: hub.OfflineModeIsEnabled("offline"), SeedSourceError, "HF_HUB_OFFLINE is set"),
        (lambda: answered(503), TransientError, "the Hub did not answer"),
        (lambda: answered(429), TransientError, "the Hub did not answer"),
        (lambda: hub.HTTPError("Name or service not known"), TransientError, "mirror:<dir>"),
        (lambda: ConnectionError("reset"), TransientError, "Try again"),
        (lambda: TimeoutError("slow"), TransientError, "Try again"),
        (lambda: hub.LocalEntryNotFoundError("no network"), TransientError, "did not answer"),
    ],
)
def test_each_failure_says_what_to_do(
    make: Callable[[], Exception], kind: type[SdgError], says: str, edge: Edge
) -> None:
    edge.fails = make()

    with pytest.raises(SdgError) as caught:
        list(HubSource().rows(SPEC, "train"))

    assert type(caught.value) is kind
    assert says in str(caught.value)
    assert str(caught.value).startswith("quiz/quiz (org/quiz, main, train): ")
    assert caught.value.__cause__ is edge.fails


def test_a_failure_in_the_middle_of_a_stream_is_translated_too(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaking() -> Iterator[dict[str, Any]]:
        yield {"i": 0}
        raise answered(500)

    stream = datasets.IterableDataset.from_generator(breaking)
    monkeypatch.setattr(datasets, "load_dataset", lambda *_arguments, **_options: stream)
    rows = HubSource().rows(SPEC, "train")

    assert next(rows) == {"i": 0}
    with pytest.raises(TransientError):
        next(rows)


def test_columns_with_images_and_audio_are_not_decoded(
    edge: Edge, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    picture, sound = {"bytes": b"\x89PNG", "path": "a.png"}, {"bytes": b"RIFF", "path": "a.wav"}
    features = datasets.Features(
        question=datasets.Value("string"),
        picture=datasets.Image(),
        pages=datasets.List(datasets.Image()),
        sound=datasets.Audio(),
    )
    row = {"question": "What is it?", "picture": picture, "pages": [picture], "sound": sound}
    file = tmp_path / "train.parquet"
    pq.write_table(pa.Table.from_pylist([row], schema=features.arrow_schema), file)
    stream = datasets.Dataset.from_parquet(str(file), cache_dir=str(tmp_path), streaming=True)
    assert stream.features == features, "what the Hub would decode"
    monkeypatch.setattr(datasets, "load_dataset", lambda *_arguments, **_options: stream)

    (seed,) = collect_seeds(SPEC, HubSource())

    assert seed.row["question"] == "What is it?"
    assert seed.row["picture"] == {"bytes": None, "path": "a.png"}
    assert seed.row["sound"] == {"bytes": None, "path": "a.wav"}
    seed.model_dump_json()


def test_other_errors_are_not_translated(edge: Edge) -> None:
    edge.fails = MemoryError()

    with pytest.raises(MemoryError):
        list(HubSource().rows(SPEC, "train"))
