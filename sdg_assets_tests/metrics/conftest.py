from sdg_assets_tests.assets.conftest import employ, mirror

__all__ = ["employ", "mirror"]
