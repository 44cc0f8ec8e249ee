"""The backends of teachers: one module each, which exports the backend as `BACKEND`.

To add a backend, write such a module in your own package and name it in an entry point. Its
teachers can then be named in `SDG_TEACHER`, `SDG_SOLVER` and `SDG_JUDGE`:

    [project.entry-points."sdg_assets.teacher.backends"]
    bedrock = "my_teachers.bedrock"
"""

from __future__ import annotations

from sdg_assets.errors import PermanentError, TeacherError
from sdg_assets.registry import members
from sdg_assets.teacher.backend import Backend, TeacherSpec


def backends() -> list[Backend]:
    """All backends: the built-in ones, then those of other packages.

    Raises:
        PermanentError: An entry point is broken, or does not export a backend.
    """
    known = []
    for member in members(__name__, "BACKEND"):
        if not isinstance(member, Backend):
            raise PermanentError(
                f"{member!r} is no backend of teachers: a module of the group {__name__} must "
                "export a BACKEND that is an instance of sdg_assets.teacher.backend.Backend"
            )
        known.append(member)
    return known


def backend_of(spec: TeacherSpec) -> Backend:
    """The one backend that serves a teacher.

    Raises:
        TeacherError: No backend serves it, several do, or the one does not use the password in the
            name, or cannot work with the settings.
        PermanentError: A backend of another package is broken.
    """
    candidates = [backend for backend in backends() if spec.api in backend.apis]
    serving = [backend for backend in candidates if backend.serves(spec)]
    if not serving:
        raise TeacherError(_unknown(spec, candidates))
    if len(serving) > 1:
        names = " and ".join(backend.name for backend in serving)
        raise TeacherError(
            f"teacher {spec.name!r}: the backends {names} both serve it; rename the teacher, or "
            "uninstall the package of one"
        )
    (backend,) = serving
    backend.check(spec)
    if spec.credentials and not backend.takes_credentials:
        raise TeacherError(
            f"teacher {spec.name!r}: the backend {backend.name} uses no user and password; take "
            "them out of the name"
        )
    return backend


def _unknown(spec: TeacherSpec, candidates: list[Backend]) -> str:
    names = [backend.names(spec.catalog) for backend in candidates]
    if spec.api != "rubric":
        return f"SDG_JUDGE_API={spec.api} needs SDG_JUDGE={' or '.join(names)}"
    return f"unknown teacher {spec.name!r}: neither {' nor '.join(names)}"
