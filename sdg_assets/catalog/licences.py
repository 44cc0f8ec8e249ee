"""What licences ask of users of a release: `licences.yaml`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from sdg_assets.catalog.entries import CatalogEntry
from sdg_assets.catalog.files import faults, read_yaml
from sdg_assets.errors import CatalogError

FILE = Path(__file__).parent / "licences.yaml"

Duty = Literal[
    "attribution",
    "notice",
    "changes",
    "share_alike",
    "non_commercial",
    "no_derivatives",
    "naming",
    "display",
    "pass_on_terms",
    "use_policy",
    "large_users",
    "unread",
]
DUTIES: dict[Duty, str] = {
    "attribution": "name the source, its authors and its licence",
    "notice": "keep the copyright and licence notice",
    "changes": "say that the material was changed",
    "share_alike": "pass adaptations on under the same licence",
    "non_commercial": "no commercial use",
    "no_derivatives": "do not pass on adaptations",
    "naming": "begin the name of a model trained on these rows as the licence says",
    "display": "display the notice that the licence prescribes",
    "pass_on_terms": "pass the licence's terms on with a model trained on these rows",
    "use_policy": "keep to the licence's acceptable use policy",
    "large_users": "above the licence's limits of revenue or users, ask for permission or display "
    "the model's name",
    "unread": "read the licence: this package does not know what it asks",
}
"""Every duty that a licence may bring, as an instruction."""


class Licence(CatalogEntry):
    """What one licence asks."""

    url: str = Field(default="", description="where it can be read")
    asks: tuple[Duty, ...] = Field(description="its duties; []: none")
    says: str = Field(default="", description="what the duties' sentences do not tell")

    @property
    def forbids_commercial_use(self) -> bool:
        """Whether nobody may sell what is made of the material; new rows are adaptations of it."""
        return "non_commercial" in self.asks or "no_derivatives" in self.asks


class Licences(CatalogEntry):
    """All licences that were read, by SPDX identifier or `LicenseRef-…`."""

    data: dict[str, Licence] = Field(description="of seed datasets")
    models: dict[str, Licence] = Field(description="of teachers, for their outputs")

    def of_data(self, name: str) -> Licence:
        """What a seed dataset's licence asks; one that nobody has read asks to be read.

        Args:
            name: The licence in any case: the Hub writes `cc-by-nc-4.0`.
        """
        return self._data_by_lower_case.get(name.casefold(), UNREAD)

    @cached_property
    def _data_by_lower_case(self) -> dict[str, Licence]:
        return {name.casefold(): licence for name, licence in self.data.items()}

    def of_model(self, name: str) -> Licence:
        """What a teacher's licence asks of who uses its outputs; see `of_data`."""
        return self.models.get(name, UNREAD)


UNREAD = Licence(asks=("unread",))


@lru_cache(maxsize=1)
def licences() -> Licences:
    """The content of `licences.yaml`.

    Raises:
        CatalogError: The file is malformed.
    """
    try:
        return Licences.model_validate(read_yaml(FILE))
    except ValidationError as error:
        raise CatalogError(f"{FILE}: {faults(error)}") from error


def spdx_expression(names: Iterable[str]) -> str:
    """Licences that all hold, as one SPDX expression: `CC0-1.0 AND LicenseRef-Gemma`.

    Args:
        names: SPDX identifiers or expressions, `LicenseRef-…`, or anything else that a dataset or a
            model states.

    Returns:
        The expression; empty if there is no name, or if one of them is no SPDX identifier
        (`other`, `unknown`).
    """
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    try:
        parts = [str(canonicalize_license_expression(name)) for name in names]
    except InvalidLicenseExpression:
        return ""
    return " AND ".join(f"({p})" if len(parts) > 1 and " OR " in p else p for p in parts)
