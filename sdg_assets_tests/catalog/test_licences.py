from __future__ import annotations

import pytest

from sdg_assets.catalog import cached_catalog
from sdg_assets.catalog.licences import licences, spdx_expression

NOT_STATED = {"other", "unknown"}


@pytest.mark.parametrize(
    ("names", "expression"),
    [
        (["MIT"], "MIT"),
        (["apache-2.0", "LicenseRef-Gemma"], "Apache-2.0 AND LicenseRef-Gemma"),
        (["MIT OR Apache-2.0"], "MIT OR Apache-2.0"),
        (["CC0-1.0", "MIT OR Apache-2.0"], "CC0-1.0 AND (MIT OR Apache-2.0)"),
        (["MIT", "other"], ""),
        (["unknown"], ""),
        ([""], ""),
        ([], ""),
    ],
)
def test_licences_become_an_spdx_expression_or_none(names: list[str], expression: str) -> None:
    assert spdx_expression(names) == expression


def test_a_licence_is_known_in_any_case_of_letters() -> None:
    assert licences().of_data("cc-by-nc-4.0").forbids_commercial_use
    assert licences().of_data("CC-BY-ND-4.0").forbids_commercial_use
    assert not licences().of_data("mit").forbids_commercial_use
    assert licences().of_data("my-licence").asks == ("unread",)


def test_every_licence_of_the_catalog_has_its_spdx_identifier() -> None:
    tasks = cached_catalog().tasks.values()
    stated = {task.resolve(key).license for task in tasks for key in task.subtasks}

    names = stated | licences().data.keys() | licences().models.keys()

    assert {name for name in names if spdx_expression([name]) != name} <= NOT_STATED
