"""Uploading. The Hub itself is the one part that cannot be here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

from sdg_assets.errors import PermanentError, TransientError
from sdg_assets.release.push import push


class Hub:
    """Takes what is uploaded, or raises."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def create_repo(self, repository: str, **options: Any) -> None:
        self.calls.append((repository, options))
        if self.error:
            raise self.error

    def upload_folder(self, **options: Any) -> Any:
        self.calls.append((options["repo_id"], options))
        commit_url = f"https://hub/{options['repo_id']}/commit/1"
        return type("Commit", (), {"commit_url": commit_url})()


def connected(monkeypatch: pytest.MonkeyPatch, error: Exception | None = None) -> Hub:
    hub = Hub(error)
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: hub)
    return hub


def http_error(status: int) -> HfHubHTTPError:
    import httpx

    request = httpx.Request("POST", "https://hub/api")
    return HfHubHTTPError("refused", response=httpx.Response(status, request=request))


def test_a_release_becomes_one_commit_of_a_private_dataset(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hub = connected(monkeypatch)

    assert push(tmp_path / "abc123", "org/qa") == "https://hub/org/qa/commit/1"

    (created, as_what), (uploaded, how) = hub.calls
    assert (created, uploaded) == ("org/qa", "org/qa")
    assert (as_what["private"], as_what["repo_type"]) == (True, "dataset")
    assert how["folder_path"] == tmp_path / "abc123"
    assert how["commit_message"] == "Release abc123"


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_is_permanent_and_names_the_token(
    status: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    connected(monkeypatch, http_error(status))

    with pytest.raises(PermanentError, match="HF_TOKEN must be allowed"):
        push(tmp_path, "org/qa")


def test_a_missing_token_is_permanent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    connected(monkeypatch, LocalTokenNotFoundError("none"))

    with pytest.raises(PermanentError, match="set HF_TOKEN"):
        push(tmp_path, "org/qa")


def test_a_busy_hub_may_be_asked_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    connected(monkeypatch, http_error(503))

    with pytest.raises(TransientError, match="HTTP 503"):
        push(tmp_path, "org/qa")
