"""The taxonomy of what tasks train: behaviours and skills, each with its definition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sdg_assets.catalog.files import faults, read_yaml
from sdg_assets.environment import nearest
from sdg_assets.errors import CatalogError

NAME = "taxonomy.yaml"
BUILT_IN = Path(__file__).parent

Axis = Literal["behaviours", "skills"]
AXES: tuple[Axis, ...] = get_args(Axis)
_Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
_Definition = Annotated[str, Field(min_length=1)]


class Taxonomy(BaseModel):
    """Names and definitions, in the order in which pictures and tables show them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    behaviours: dict[_Name, _Definition] = Field(min_length=1)
    skills: dict[_Name, _Definition] = Field(min_length=1)

    def names(self, axis: Axis) -> Mapping[str, str]:
        """Name → definition of the members of an axis."""
        return self.behaviours if axis == "behaviours" else self.skills

    def faults(self, axis: Axis, names: Sequence[str]) -> Iterator[str]:
        """Yields a text for each unknown or repeated name of an axis.

        Args:
            axis: The axis that the names should belong to.
            names: What a task or subtask says under `axis`.
        """
        known = self.names(axis)
        for name in dict.fromkeys(names):
            if name not in known:
                yield f"{axis}: {name!r} is not in the taxonomy; {nearest(name, known)}"
            elif names.count(name) > 1:
                yield f"{axis}: {name!r} stands there twice"


@lru_cache(maxsize=4)
def load_taxonomy(catalog: Path | None = None) -> Taxonomy:
    """The taxonomy, read once per process.

    Args:
        catalog: Directory that may hold a `taxonomy.yaml`; else the built-in file is read.

    Raises:
        CatalogError: The file is malformed; the message names each fault.
    """
    has_own = catalog is not None and (catalog / NAME).is_file()
    file = (catalog if has_own and catalog else BUILT_IN) / NAME
    try:
        return Taxonomy.model_validate(read_yaml(file))
    except ValidationError as error:
        raise CatalogError(f"{file}: {faults(error)}") from error
