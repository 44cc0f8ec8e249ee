"""Check `heldout_complete`. `assets/heldout.py` evaluates it on the splits that it hashes."""

from __future__ import annotations

from sdg_assets.checks.check import Check

CHECK = Check(
    name="heldout_complete",
    description="every held-out split was available, had rows, and was hashed",
)
