from __future__ import annotations

from collections.abc import Iterator

import pytest

from sdg_assets_tests.support.vllm_server import vllm_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real vLLM server with the quick teacher."""
    with vllm_server(tmp_path_factory.mktemp("server") / "log") as url:
        yield url
