from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

Cases: TypeAlias = Mapping[str, tuple[str, list[str]]]
"""Name → a program and its tests."""
