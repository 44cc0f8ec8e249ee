"""Check `fresh_inputs` of a release. `assets/curated.py` evaluates it by Dagster's events."""

from __future__ import annotations

from sdg_assets.checks.check import Check

CHECK = Check(
    name="fresh_inputs",
    description="no partition of the release is stale; a stale one does not block the release",
)
