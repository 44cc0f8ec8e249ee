from __future__ import annotations

from sdg_assets.records import Content
from sdg_assets.stages.seed_index import SeedCopies, SeedsById
from sdg_assets_tests.support.records import example


def test_a_draft_is_a_copy_only_of_a_seed_with_its_question_context_and_choices() -> None:
    seeds = [
        example(question="Is it so?", context="It is.", choices=["Yes", "No"], answer="Yes"),
        example(question="Is it so?", context="It was.", choices=["Yes", "No"], answer="No"),
    ]
    copies = SeedCopies(seeds)

    assert copies.hold(Content("is it so", "Yes", "It was!", ["No", "Yes"]))
    assert not copies.hold(Content("is it so", "Yes", "It will be.", ["No", "Yes"]))
    assert not copies.hold(Content("Is it not so?", "Yes", "It is.", ["Yes", "No"]))


def test_seeds_are_found_by_their_ids() -> None:
    seeds = [example(id=f"{number:020x}") for number in range(50)]
    by_id = SeedsById(seeds)

    assert [by_id[seed.id] for seed in seeds] == seeds
    assert by_id.get("none of them") is None
    assert list(by_id) == [seed.id for seed in seeds]
