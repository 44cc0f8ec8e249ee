from __future__ import annotations

from pathlib import Path

import pytest

from sdg_assets.store.partitions import Store


@pytest.fixture
def directory(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")
