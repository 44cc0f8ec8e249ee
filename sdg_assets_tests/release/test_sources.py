from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from sdg_assets.catalog import load_catalog
from sdg_assets.catalog.licences import DUTIES, licences
from sdg_assets.gates.licence import Terms, strictest_terms
from sdg_assets.records import CitedPassage, CommercialUse, CuratedExample, TeacherStamp
from sdg_assets.release import Cut, Release, write_release
from sdg_assets.release.obligations import obligations
from sdg_assets.stages.curated import curate
from sdg_assets.teacher.models import teacher_cards
from sdg_assets_tests.support.passages import passage
from sdg_assets_tests.support.records import enriched, source

CARDS = {card.model: card for card in teacher_cards().values()}
GEMMA, LLAMA, APACHE = (
    teacher_cards()[name] for name in ("gemma-3-12b", "llama-3.3-70b", "qwen3-32b")
)


def _release(
    root: Path, rows: Mapping[str, str], *, share_alike: bool = True, use: CommercialUse = "yes"
) -> Release[Path]:
    """A release with one row for each (teacher's model, licence of the seed)."""
    cards = strictest_terms(
        (card.model, Terms(card.commercial_use, card.outputs_may_train)) for card in CARDS.values()
    )
    verified = [
        enriched(
            question=f"What is the capital of state {number}?",
            source=source(license=licence, dataset=f"org/seeds-{number}"),
            teacher=_stamp(model),
            solver=_stamp(APACHE.model),
            judge=None,
        )
        for number, (model, licence) in enumerate(rows.items())
    ]
    curated = curate(
        [("all", verified)], lambda _name: {}, lambda _name: {}, {"quiz": use}, cards,
        share_alike=share_alike,
    )  # fmt: skip
    terms = {model: card.terms for model, card in CARDS.items()}
    return write_release(root, Cut({"quiz/filtered/quiz": "aa"}, terms=terms), curated)


def _stamp(model: str) -> TeacherStamp:
    return TeacherStamp(model=model, revision="r1", license=CARDS[model].license)


def test_the_licence_of_every_teacher_and_every_named_seed_licence_was_read() -> None:
    seeds = {
        spec.license
        for task in load_catalog().tasks.values()
        for key in task.subtasks
        for spec in [task.resolve(key)]
    } - {"unknown", "other"}
    assert seeds - licences().data.keys() == set()
    assert {card.license for card in CARDS.values()} - licences().models.keys() == set()


def test_a_gemma_a_llama_and_an_apache_teacher_bring_their_duties_to_their_own_rows(
    tmp_path: Path,
) -> None:
    rows = {GEMMA.model: "CC0-1.0", LLAMA.model: "CC0-1.0", APACHE.model: "CC0-1.0"}
    release = _release(tmp_path, rows)

    owed = release.statistics.owed
    due = obligations(owed.sources, owed.teachers, {})
    assert {(o.duty, o.to, o.rows) for o in due} == {
        ("pass_on_terms", GEMMA.model, 1),
        ("naming", LLAMA.model, 1),
        ("display", LLAMA.model, 1),
        ("use_policy", LLAMA.model, 1),
    }
    page = (release.path / "SOURCES.md").read_text("utf-8")
    assert 'must begin with "Llama"' in page
    assert "passes on the Gemma terms" in page
    assert f"| {APACHE.model} | `r1` | Apache-2.0 | solver | 3 |" in page


def test_the_commercial_page_lists_the_duties_that_remain(tmp_path: Path) -> None:
    rows = {GEMMA.model: "CC0-1.0", LLAMA.model: "CC-BY-SA-4.0", APACHE.model: "CC-BY-4.0"}
    release = _release(tmp_path, rows)

    page = (release.path / "commercial" / "SOURCES.md").read_text("utf-8")
    assert "2 rows whose licences permit commercial use" in page
    assert GEMMA.model not in page, "its outputs may not clearly train"
    assert "| share alike: pass adaptations on under the same licence | org/seeds-1 |" in page
    assert 'must begin with "Llama"' in page
    assert "1 rows come from share-alike seeds" in page
    attribution = (release.path / "commercial" / "ATTRIBUTION.md").read_text("utf-8")
    assert "**org/seeds-1**" in attribution
    assert "**org/seeds-0**" not in attribution
    assert "https://spdx.org/licenses/CC-BY-4.0.html" in attribution


@pytest.mark.parametrize("share_alike", [True, False])
@pytest.mark.parametrize("use", ["yes", "unclear", "no"])
@pytest.mark.parametrize("licence", sorted(licences().data))
def test_share_alike_rows_are_commercial_only_where_the_setting_lets_them(
    licence: str, use: CommercialUse, share_alike: bool
) -> None:
    row = enriched(source=source(license=licence), judge=None)
    terms = {row.teacher.model: Terms("yes", "yes"), row.solver.model: Terms("yes", "yes")}
    (curated,) = curate(
        [("all", [row])],
        lambda _name: {},
        lambda _name: {},
        {"quiz": use},
        terms,
        share_alike=share_alike,
    )

    terms_of_seeds = licences().data[licence]
    binds = "share_alike" in terms_of_seeds.asks
    is_refused = terms_of_seeds.forbids_commercial_use or (binds and not share_alike)
    expected = "no" if is_refused else use
    assert isinstance(curated, CuratedExample)
    assert curated.commercial_use == expected
    reasons = curated.not_commercial
    assert any("without sharing alike" in reason for reason in reasons) == (
        binds and not share_alike
    )


def test_a_licence_that_nobody_read_asks_to_be_read() -> None:
    (due,) = obligations({("org/new", "LicenseRef-New"): 5}, {}, {})
    assert (due.duty, due.text, due.rows) == ("unread", DUTIES["unread"], 5)


def test_every_duty_has_a_licence_that_asks_for_it_and_a_sentence() -> None:
    asked = {d for table in (licences().data, licences().models) for entry in table.values()
             for d in entry.asks}  # fmt: skip
    assert asked == DUTIES.keys() - {"unread"}


def test_cited_passages_are_named_with_their_licence_and_its_duties(tmp_path: Path) -> None:
    atlas = passage(license="CC-BY-SA-4.0")
    rows = [
        enriched(question="Where is Paris?", judge=None, passages=[CitedPassage.of(atlas)]),
        enriched(question="Where is Rome?", judge=None),
    ]
    terms = {rows[0].teacher.model: Terms("yes", "yes"), rows[0].solver.model: Terms("yes", "yes")}
    curated = curate([("all", rows)], lambda _name: {}, lambda _name: {}, {"quiz": "yes"}, terms)
    release = write_release(tmp_path, Cut({"quiz/filtered/quiz": "aa"}), curated)

    page = (release.path / "SOURCES.md").read_text("utf-8")
    assert "| an atlas | CC-BY-SA-4.0 | 1 |" in page
    owed = "share alike: pass adaptations on under the same licence | cited passages"
    assert f"| {owed} | CC-BY-SA-4.0 | 1 |" in page
    attribution = (release.path / "ATTRIBUTION.md").read_text("utf-8")
    assert "- **Paris** (`paris`), an atlas. Licence: [CC-BY-SA-4.0](https://" in attribution
    manifest = json.loads((release.path / "manifest.json").read_text("utf-8"))
    assert manifest["passages"] == [
        {"source": "an atlas", "license": "CC-BY-SA-4.0", "passages": 1}
    ]
    assert manifest["licences"] == {"CC-BY-SA-4.0": 1, "MIT": 2}


def test_a_release_without_passages_does_not_speak_of_them(tmp_path: Path) -> None:
    release = _release(tmp_path, {APACHE.model: "CC0-1.0"})

    for name in ("SOURCES.md", "ATTRIBUTION.md"):
        assert "## Passages" not in (release.path / name).read_text("utf-8")
    assert "passages" not in json.loads((release.path / "manifest.json").read_text("utf-8"))
