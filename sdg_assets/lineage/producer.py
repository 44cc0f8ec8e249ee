"""Who makes the events: this package and its version, as a package URL."""

from __future__ import annotations

from importlib.metadata import version

PRODUCER = f"pkg:pypi/sdg-assets@{version('sdg-assets')}"
