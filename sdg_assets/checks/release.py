"""Checks of a release. `assets/curated.py` evaluates them; none blocks the release."""

from __future__ import annotations

from sdg_assets.checks.check import Check

FRESH_INPUTS = Check(
    name="fresh_inputs",
    description="no partition of the release is stale; a stale one does not block the release",
)
HELDOUT_COMPARED = Check(
    name="heldout_compared",
    description="rows were compared with every held-out split of the catalog, also of tasks that "
    "are switched off or not in the release, and of the protected benchmarks",
)
CURRENT_LICENCES = Check(
    name="current_licences",
    description="every row was made under the licences that catalog and cards state today",
)
