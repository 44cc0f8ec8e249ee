"""The rendered overlays."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import yaml

K8S = Path(__file__).parents[2] / "k8s"
OVERLAYS = ("trial", "production")
KUBECTL = Path(sys.executable).parent / "kubectl"


@cache
def rendered(folder: Path) -> str:
    """The objects of a folder, as `kubectl apply -k` would send them."""
    done = subprocess.run([KUBECTL, "kustomize", folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def manifests(overlay: str) -> list[dict[str, Any]]:
    """The objects of an overlay, as `kubectl apply -k` would send them."""
    return list(yaml.safe_load_all(rendered(K8S / "overlays" / overlay)))


def named(objects: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    """The object of that kind and name."""
    (match,) = (o for o in objects if o["kind"] == kind and o["metadata"]["name"] == name)
    return match
