from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from sdg_assets.browse.app import application
from sdg_assets.store.partitions import Store
from sdg_assets_tests.browse.library import fill


@pytest.fixture(scope="package")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store that all tests of the package look at. Only notes are added to it."""
    root = tmp_path_factory.mktemp("browse") / "store"
    fill(root)
    return Store(root)


@pytest.fixture(scope="package")
def client(filled: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The pages, called without a server."""
    app = application(filled, tmp_path_factory.mktemp("indexes"), patience=None)
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as opened:
        yield opened
