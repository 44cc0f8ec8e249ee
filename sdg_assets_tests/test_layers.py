"""Configuration enters at the edge: what lies below gets values and reads no environment."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from sdg_assets_tests.support.package import modules

EDGES = ("assets/", "cli/", "cluster/", "definitions.py")
# What works on a `PartitionContext`, which brings the settings, or is called with values.
INSIDE = (
    "assets/desks.py",
    "assets/heldout_guard.py",
    "assets/knobs.py",
    "assets/partition_context.py",
    "assets/progress.py",
    "assets/reporting.py",
    "assets/wiring/",
    "assets/writing.py",
)
READERS = {"settings", "cluster_settings"}
CLUSTER_ENTRIES = {("cluster/executor.py", "_executor"), ("cluster/pods.py", "pod_tags")}
LOADERS = {"load_catalog", "cached_catalog"}


def calls(tree: ast.AST, names: set[str], inside: str = "") -> Iterator[tuple[str, ast.Call]]:
    """Calls of functions of these names, each with the name of the function that it stands in."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Call) and _name(node.func) in names:
            yield inside, node
        outermost = inside or (node.name if isinstance(node, ast.FunctionDef) else "")
        yield from calls(node, names, outermost)


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def readers() -> set[tuple[str, str]]:
    """Module and outermost function of every place that reads the settings."""
    return {
        (module, function) for module, tree in modules() for function, _ in calls(tree, READERS)
    }


def test_settings_are_read_at_the_edge_and_nowhere_below() -> None:
    below = {
        (module, function)
        for module, function in readers()
        if not module.startswith(EDGES) or module.startswith(INSIDE)
    }
    assert not below, f"take what they need as an argument: {sorted(below)}"


def test_the_cluster_reads_settings_where_it_is_entered() -> None:
    assert {place for place in readers() if place[0].startswith("cluster/")} == CLUSTER_ENTRIES


def test_the_configured_catalog_is_read_with_all_that_the_settings_say_of_it() -> None:
    # `load_catalog(settings().catalog)` would leave out SDG_ALLOW_CANARY, in silence.
    partly = [
        f"{module}:{call.lineno}"
        for module, tree in modules()
        if not module.startswith("catalog/")
        for _, call in calls(tree, LOADERS)
        if call.args or call.keywords
    ]
    assert not partly, f"read it with configured_catalog(settings): {', '.join(partly)}"


def test_a_call_is_seen_wherever_it_stands() -> None:
    source = "a = f(settings().b)\ndef g():\n    return [x.settings() for _ in h]\nsettings\n"

    assert [place for place, _ in calls(ast.parse(source), READERS)] == ["", "g"]
