from sdg_assets_tests.assets.conftest import mirror

__all__ = ["mirror"]
