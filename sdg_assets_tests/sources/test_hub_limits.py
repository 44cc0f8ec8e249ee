"""A Hub that accepts connections and never answers, on a real socket."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator

import huggingface_hub
import pytest
from huggingface_hub import constants

from sdg_assets.errors import TransientError
from sdg_assets.sources import hub_limits
from sdg_assets.sources.hub import HubSource
from sdg_assets.sources.hub_limits import limit_hub_calls
from sdg_assets.teacher.weights import hub
from sdg_assets_tests.support.builders import seed_task


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a Hub that never answers. The time limits of calls are very short."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        monkeypatch.setattr(constants, "ENDPOINT", url)
        monkeypatch.setattr(hub_limits, "LIMITS", dict.fromkeys(hub_limits.LIMITS, 0.2))
        yield url


def test_no_answer_about_a_dataset_is_a_transient_error(silent: str) -> None:
    with pytest.raises(TransientError, match="the Hub did not answer"):
        HubSource().revision(seed_task().resolve("quiz"))


def test_no_answer_about_a_model_is_a_transient_error(
    silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "LOOK_UP_SECONDS", None)

    with pytest.raises(TransientError, match="is not reached"):
        hub.look_up("org/model", "main")


def test_a_call_that_a_library_makes_without_a_limit_has_one(silent: str) -> None:
    limit_hub_calls()

    with pytest.raises(huggingface_hub.errors.HTTPError):
        huggingface_hub.utils.get_session().get(f"{silent}/api/anything", timeout=None)


def test_a_limit_of_the_callers_own_is_kept(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    limit_hub_calls()
    monkeypatch.setattr(hub_limits, "LIMITS", dict.fromkeys(hub_limits.LIMITS, 3600.0))

    with pytest.raises(huggingface_hub.errors.HTTPError):
        huggingface_hub.utils.get_session().get(f"{silent}/api/anything", timeout=0.2)


def test_a_password_in_the_hubs_address_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://user:s3cret@127.0.0.1:9")

    with pytest.raises(TransientError) as caught:
        hub.look_up("org/model", "main")

    assert "s3cret" not in str(caught.value)


def test_limits_are_set_without_loading_the_library_before_it_is_needed() -> None:
    program = (
        "import sys, sdg_assets.sources.hub, sdg_assets.teacher.weights.hub; print(*sys.modules)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()

    assert "huggingface_hub" not in loaded
