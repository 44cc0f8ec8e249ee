"""Registry of gates, answer kinds, enrichments and teacher backends.

Each member is a module that exports a given attribute, for example `GATE`. Built-in members are the
modules of a package, for example `sdg_assets.gates`. Another package adds a member, without a
change to this one, through an entry point whose group is that package's name:

    [project.entry-points."sdg_assets.gates"]
    profanity = "my_gates.profanity"
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from types import ModuleType

from sdg_assets.errors import PermanentError


@cache
def members(package: str, attribute: str) -> tuple[object, ...]:
    """All members of one kind, for example all gates.

    Args:
        package: Full name of the package of the built-in members; also the entry points' group.
        attribute: Name under which a module exports its member.

    Returns:
        The built-in members, sorted by module name, then the members of other packages, sorted by
        the names of their entry points.

    Raises:
        PermanentError: An entry point cannot be imported, or its module lacks the attribute.
    """
    path = import_module(package).__path__
    built_in = [import_module(f"{package}.{info.name}") for info in pkgutil.iter_modules(path)]
    exports = [vars(module)[attribute] for module in built_in if attribute in vars(module)]
    return (*exports, *_from_entry_points(package, attribute))


def exported(module: str, attribute: str) -> tuple[object, ...]:
    """A tuple from a module of a higher layer, which the caller's layer must not import itself.

    Args:
        module: Full name of the module.
        attribute: Name of the tuple in that module.
    """
    return tuple(vars(import_module(module))[attribute])


def _from_entry_points(group: str, attribute: str) -> list[object]:
    exports = []
    for point in sorted(entry_points(group=group), key=lambda point: point.name):
        try:
            module = point.load()
        except (ImportError, AttributeError) as error:
            raise PermanentError(f"entry point {point.name!r} of {group}: {error}") from error
        if not isinstance(module, ModuleType) or attribute not in vars(module):
            raise PermanentError(
                f"entry point {point.name!r} of {group}: {point.value} must be a module that "
                f"exports {attribute}"
            )
        exports.append(vars(module)[attribute])
    return exports
