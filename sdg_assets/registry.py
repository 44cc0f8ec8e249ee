"""Open sets: gates, answer kinds, enrichments and teacher backends register by being there.

A member is a module that has the set's attribute, say `GATE`. Built-in members lie in the set's
package, say `sdg_assets.gates`; others are found through entry points of a group of that name, so
that a package of one's own adds a member without a change to this one:

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
    """What the modules of an open set export.

    Args:
        package: Full name of the set's package, which is also the group of its entry points.
        attribute: Name under which a module exports its member.

    Returns:
        The members: built-in ones by module name, then those of other packages by entry point.

    Raises:
        PermanentError: An entry point cannot be imported or has no such attribute.
    """
    path = import_module(package).__path__
    built_in = [import_module(f"{package}.{info.name}") for info in pkgutil.iter_modules(path)]
    own = [vars(module)[attribute] for module in built_in if attribute in vars(module)]
    return (*own, *_of_other_packages(package, attribute))


def exported(module: str, attribute: str) -> tuple[object, ...]:
    """What one module above lists under a name, for a lower layer that must not import it.

    Args:
        module: Full name of the module.
        attribute: The name, of a tuple.
    """
    return tuple(vars(import_module(module))[attribute])


def _of_other_packages(group: str, attribute: str) -> list[object]:
    theirs = []
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
        theirs.append(vars(module)[attribute])
    return theirs
