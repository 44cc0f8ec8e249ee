from __future__ import annotations

import random

from sdg_assets.gates.nearest import KEPT, NearestRows


def test_the_nearest_rows_are_the_same_in_any_order() -> None:
    scores = [(f"row {n % 40}", n * 7 % 100 / 100) for n in range(120)]
    highest = {row: max(score for name, score in scores if name == row) for row, _ in scores}
    expected = sorted(highest.items(), key=lambda item: (item[1], item[0]), reverse=True)[:KEPT]

    for seed in range(3):
        nearest = NearestRows()
        for row, score in random.Random(seed).sample(scores, len(scores)):
            nearest.see("bench", row, score)
        assert nearest.of("bench") == expected
    assert nearest.of("another") == []
