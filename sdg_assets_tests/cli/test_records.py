"""The page on records is the one that the models write."""

from __future__ import annotations

from pathlib import Path

from sdg_assets import records
from sdg_assets.cli.records import page
from sdg_assets.records import Record
from sdg_assets_tests.support.command import sdg

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_on_records_is_current() -> None:
    written = (DOCS / "records.md").read_text("utf-8")
    assert written == page(), "run `sdg records > docs/records.md`"


def test_the_command_prints_the_page() -> None:
    assert sdg("records").stdout.rstrip() == page().rstrip()


def test_every_field_of_every_record_says_what_it_holds() -> None:
    kinds = [kind for kind in vars(records).values() if isinstance(kind, type)]
    models = [kind for kind in kinds if issubclass(kind, Record) and kind is not Record]

    assert len(models) > 10
    for model in models:
        described = model.model_json_schema()["properties"]
        for name, field in model.model_fields.items():
            text = field.description or described[name].get("description")
            assert text, f"{model.__name__}.{name}"
        assert f"### {model.__name__}\n" in page()
