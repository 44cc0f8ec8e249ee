"""Reads YAML files of the catalog; every fault becomes a `CatalogError`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from sdg_assets.errors import CatalogError

# libyaml parses the catalog five times as fast. It is missing only on rare platforms.
_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_SafeLoader):  # type: ignore[misc]  # the base class depends on the platform
    """Refuses duplicate keys, of which PyYAML silently keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(set(keys)) < len(keys):
            duplicate = next(key for key in keys if keys.count(key) > 1)
            lines = [key.start_mark.line + 1 for key, _ in node.value if key.value == duplicate]
            raise yaml.YAMLError(f"duplicate key {duplicate!r} in line {lines[1]}")
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def read_yaml(file: Path) -> Any:  # noqa: ANN401 – any YAML value
    """Parses a YAML file.

    Raises:
        CatalogError: The file cannot be read, is not YAML, or contains a key twice.
    """
    try:
        return yaml.load(file.read_text("utf-8"), Loader=_Loader)  # noqa: S506 – a safe loader
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogError(f"{file}: not readable: {error}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise CatalogError(f"{file}: not YAML: {' '.join(str(error).split())}") from error


def faults(error: ValidationError) -> str:
    """All faults of a pydantic error on one line: `<field>: <message>; …`."""
    return "; ".join(
        f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors()
    )
