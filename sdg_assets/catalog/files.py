"""Reading the catalog's YAML files: values in, or one `CatalogError` that says what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from sdg_assets.errors import CatalogError

# libyaml parses the whole catalog in a fifth of the time; it is missing only on odd platforms.
_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_SafeLoader):  # type: ignore[misc]  # its base is chosen above
    """Refuses a key that stands twice: YAML keeps the last one and says nothing."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(set(keys)) < len(keys):
            twice = next(key for key in keys if keys.count(key) > 1)
            line = [key.start_mark.line for key, _ in node.value if key.value == twice][1] + 1
            raise yaml.YAMLError(f"the key {twice!r} stands twice, again in line {line}")
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def read_yaml(file: Path) -> Any:  # noqa: ANN401 – whatever the file holds
    """The file's value.

    Raises:
        CatalogError: It cannot be read, or is not YAML.
    """
    try:
        return yaml.load(file.read_text("utf-8"), Loader=_Loader)  # noqa: S506 – a safe loader
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogError(f"{file}: not readable: {error}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise CatalogError(f"{file}: not YAML: {' '.join(str(error).split())}") from error


def faults(error: ValidationError) -> str:
    """What pydantic found wrong, on one line."""
    return "; ".join(
        f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors()
    )
