"""Programs and tests of many shapes: vacuous ones, honest ones, and programs that cheat.

A case is a program and its tests. Programs of the vacuous cases pass their tests.
"""

from sdg_assets_tests.benchmarks.shapes.case import Cases
from sdg_assets_tests.benchmarks.shapes.cheats import CHEATS
from sdg_assets_tests.benchmarks.shapes.honest import HONEST
from sdg_assets_tests.benchmarks.shapes.unfailing import UNFAILING
from sdg_assets_tests.benchmarks.shapes.weak import WEAK

VACUOUS: Cases = {**UNFAILING, **WEAK}
"""Tests that a program may pass that does something else altogether."""

__all__ = ["CHEATS", "HONEST", "VACUOUS"]
