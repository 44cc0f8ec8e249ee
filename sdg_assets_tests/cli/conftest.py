from __future__ import annotations

from sdg_assets_tests.release.conftest import hub

__all__ = ["hub"]
