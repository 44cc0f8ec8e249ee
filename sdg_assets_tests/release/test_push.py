"""Uploading, by the Hub's own client, to a server that speaks the Hub's protocol."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from sdg_assets.errors import PermanentError, TransientError
from sdg_assets.release.push import push
from sdg_assets_tests.release.conftest import OTHER
from sdg_assets_tests.release.test_release import contents
from sdg_assets_tests.support.hub_server import DROPPED, HubServer

MANIFEST = json.dumps({"release": "abc123", "version": "1.2.0"})


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A small release: an LFS file, two other files, and a card with a code example."""
    folder = tmp_path / "curated" / "abc123"
    (folder / "generative").mkdir(parents=True)
    (folder / "generative" / "train.parquet").write_bytes(b"PAR1 rows")
    (folder / "generative" / "train.jsonl").write_bytes(b"{}\n")
    (folder / "manifest.json").write_text(MANIFEST)
    card = '---\nlicense: mit\n---\n# QA\nrows = load_dataset("curated/abc123", "generative")\n'
    (folder / "README.md").write_text(card)
    return folder


def test_a_release_becomes_one_commit_and_replaces_the_one_before(
    hub: HubServer, release: Path
) -> None:
    before = contents(release)

    assert push(release, "org/qa") == f"{hub.url}/datasets/org/qa/commit/1"

    assert hub.commits == ["Release abc123"]
    card = hub.files.pop("README.md").decode()
    assert 'load_dataset("org/qa", "generative")' in card
    assert hub.files == {n: data for n, data in before.items() if n != "README.md"}
    assert contents(release) == before, "the card of the store is its own"
    assert list(hub.tags) == ["v1.2.0"]


def test_the_tag_loads_a_release_after_others_were_pushed(hub: HubServer, release: Path) -> None:
    push(release, "org/qa")
    later = release.with_name("def456")
    shutil.copytree(release, later)
    (later / "manifest.json").write_text(json.dumps({"release": "def456", "version": "1.3.0"}))
    push(later, "org/qa")
    push(release, "org/qa")

    tagged = {tag: json.loads(files["manifest.json"])["release"] for tag, files in hub.tags.items()}
    assert tagged == {"v1.2.0": "abc123", "v1.3.0": "def456"}


def test_a_tag_of_another_store_is_not_moved(hub: HubServer, release: Path) -> None:
    hub.tags["v1.2.0"] = {"manifest.json": json.dumps({"release": "fff999"}).encode()}

    with pytest.raises(PermanentError, match=r"its tag v1\.2\.0 names release fff999, and is not"):
        push(release, "org/qa")
    assert json.loads(hub.tags["v1.2.0"]["manifest.json"])["release"] == "fff999"


def test_a_tag_that_fails_is_set_by_the_next_push(hub: HubServer, release: Path) -> None:
    hub.faults["tag"] = 503, {"error": "busy"}
    with pytest.raises(TransientError, match=r"holds release abc123, whole, without its tag v1\."):
        push(release, "org/qa")
    assert hub.tags == {}

    hub.faults.clear()
    push(release, "org/qa")
    assert list(hub.tags) == ["v1.2.0"]


@pytest.mark.parametrize(
    ("step", "status", "body", "kind", "message_part"),
    [
        ("create", 401, {"error": "?"}, PermanentError, "HTTP 401; HF_TOKEN must be allowed"),
        ("create", 403, {"error": "?"}, PermanentError, "HTTP 403; HF_TOKEN must be allowed"),
        ("create", 503, {"error": "busy"}, TransientError, "the Hub failed: HTTP 503"),
        ("create", DROPPED, "", TransientError, "RemoteProtocolError"),
        ("preupload", 500, {"error": "x"}, TransientError, "the Hub failed: HTTP 500"),
        ("preupload", 404, {"error": "x"}, PermanentError, "HTTP 404; HF_TOKEN must be allowed"),
        ("preupload", 200, b"<html>", TransientError, "JSONDecodeError"),
        ("batch", 413, {"error": "x"}, PermanentError, "the Hub refused it: HTTP 413"),
        ("batch", 402, {"error": "pay"}, PermanentError, "the Hub accepts no more files"),
        ("upload", 500, b"", TransientError, "the Hub failed: HTTP 500"),
        ("upload", DROPPED, b"", TransientError, "RemoteProtocolError"),
        ("upload", 507, b"", PermanentError, "the Hub accepts no more files"),
        ("card", 400, {"errors": [{"message": "no such licence"}]}, PermanentError,
         "the Hub refused the card: Invalid metadata in README.md. - no such licence"),
        ("commit", 429, {"error": "slow"}, TransientError, "the Hub failed: HTTP 429"),
        ("commit", 412, {"error": "moved"}, TransientError, "the Hub failed: HTTP 412"),
        ("commit", 400, {"error": "bad"}, PermanentError, "HTTP 400"),
        ("commit", DROPPED, "", TransientError, "RemoteProtocolError"),
    ],
)  # fmt: skip
def test_a_push_that_fails_says_why_and_which_release_the_repository_holds(
    step: str,
    status: int,
    body: Any,
    kind: type[Exception],
    message_part: str,
    hub: HubServer,
    release: Path,
) -> None:
    hub.faults[step] = status, body
    if step == "create":  # the client also asks whether the repository exists
        hub.faults["info"] = status, body

    with pytest.raises(kind) as caught:
        push(release, "org/qa")

    message = str(caught.value)
    assert message.startswith("push to org/qa: ")
    assert message_part in message
    assert "\n" not in message
    if step == "create":
        assert message.endswith("nothing was uploaded")
    else:
        assert f"holds release {OTHER}, whole, and nothing of abc123" in message
    assert hub.commits == []


def test_a_refusal_of_the_lfs_server_is_reported(hub: HubServer, release: Path) -> None:
    error = {"code": 422, "message": "Repository storage limit reached"}
    hub.faults["batch"] = 200, {"objects": [{"oid": "0" * 64, "size": 1, "error": error}]}

    with pytest.raises(PermanentError, match=r"accepts no more files: LFS batch.* storage limit"):
        push(release, "org/qa")


# Only permanent failures: hf_xet retries transient ones for minutes.
@pytest.mark.parametrize(
    ("status", "message_part"),
    [(401, "HTTP 401; HF_TOKEN must be allowed"), (413, "refused it: HTTP 413")],
)
def test_an_error_of_xet_is_reported(
    status: int, message_part: str, hub: HubServer, release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    hub.faults["xet"] = status, {"error": "no token"}

    with pytest.raises(PermanentError, match=f"{message_part}.*holds release {OTHER}, whole"):
        push(release, "org/qa")


def test_the_next_push_reuses_the_uploads_of_an_interrupted_one(
    hub: HubServer, release: Path
) -> None:
    hub.faults["commit"] = DROPPED, ""
    with pytest.raises(TransientError, match="the next push reuses the files"):
        push(release, "org/qa")
    assert list(hub.uploads.values()) == [b"PAR1 rows"], "uploaded, but not committed"
    assert json.loads(hub.files["manifest.json"])["release"] == OTHER

    hub.faults.clear()
    push(release, "org/qa")

    assert json.loads(hub.files["manifest.json"])["release"] == "abc123"


def test_a_push_whose_commit_response_was_lost_succeeds(hub: HubServer, release: Path) -> None:
    hub.faults["committed"] = DROPPED, ""

    assert push(release, "org/qa") == f"{hub.url}/datasets/org/qa"
    assert list(hub.tags) == ["v1.2.0"]

    assert json.loads(hub.files["manifest.json"])["release"] == "abc123"


@pytest.mark.parametrize(
    ("files", "faults", "message_part"),
    [
        ({}, {}, "the repository holds no release, and nothing of abc123"),
        ({}, {"resolve": (500, b"")}, "the Hub did not answer which release"),
    ],
)
def test_an_empty_repository_is_distinguished_from_one_that_does_not_answer(
    files: dict[str, bytes],
    faults: dict[str, Any],
    message_part: str,
    hub: HubServer,
    release: Path,
) -> None:
    hub.files, hub.faults = files, {"commit": (500, b""), **faults}

    with pytest.raises(TransientError, match=message_part):
        push(release, "org/qa")


def test_a_missing_token_is_permanent(
    hub: HubServer, release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", "/nonexistent")
    refused = 401, {"error": "Invalid username or password."}
    hub.faults = {"create": refused, "info": refused}

    with pytest.raises(PermanentError, match="HF_TOKEN"):
        push(release, "org/qa")


def test_an_unreachable_hub_is_transient(
    release: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")

    with pytest.raises(TransientError, match="push to org/qa: ConnectError"):
        push(release, "org/qa")
