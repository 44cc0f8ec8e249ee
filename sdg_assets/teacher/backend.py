"""What a backend of teachers is: all that the pipeline must know of a way to run a teacher."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sdg_assets.addresses import Credentials
from sdg_assets.records import Role
from sdg_assets.settings import Settings
from sdg_assets.teacher.models import TeacherCard
from sdg_assets.teacher.requests import Teacher, TeacherIdentity

TeacherApi = Literal["rubric", "reward", "score"]
"""How a teacher is asked: as a chat model (`rubric`), or for a score (`SDG_JUDGE_API`)."""
STALLED_SECONDS = 600.0


@dataclass(frozen=True)
class TeacherSpec:
    """A teacher that is wanted, and what the deployment says of it.

    Roles that name the same teacher have equal specs, and so share one engine or client.
    """

    name: str
    """As the setting says it, without a user and password."""
    api: TeacherApi = "rubric"
    catalog: Path | None = None
    """Directory whose `teachers.yaml` is used instead of the built-in one."""
    engine: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Arguments of an engine, on top of the card's."""
    concurrency: int = 64
    """Requests under way at a time."""
    stalled_seconds: float = STALLED_SECONDS
    """A teacher that produces no token for so long counts as frozen."""
    credentials: Credentials | None = field(default=None, repr=False)
    """The user and password that stood in the name."""

    @classmethod
    def of(cls, settings: Settings, role: Role) -> TeacherSpec:
        """The teacher that plays a role.

        A scoring model plays the judge and nothing else, so the judge that is asked for scores is
        never the teacher by default: its name is empty until `SDG_JUDGE` is set.
        """
        scores = role is Role.JUDGE and settings.judge_api != "rubric"
        return cls(
            name=(settings.judge or "") if scores else settings.teacher_of(role),
            api=settings.judge_api if scores else "rubric",
            catalog=settings.catalog,
            engine=settings.engine,
            concurrency=settings.concurrency,
            stalled_seconds=settings.stalled_seconds,
            credentials=settings.credentials_of(role),
        )


class Backend(ABC):
    """A way to run teachers: in this process, behind a server, or at a provider.

    Every method but `open` and `identity` asks nobody and loads nothing: the code location calls
    them to lay out pods.
    """

    name: str
    """Shown in errors that name backends."""
    kind: str
    """What Dagster's graph shows beside a teacher of this backend."""
    apis: tuple[TeacherApi, ...] = ("rubric",)
    """How its teachers can be asked."""
    takes_credentials: bool = False
    """Whether it uses a user and password that stand in a teacher's name."""

    @abstractmethod
    def serves(self, spec: TeacherSpec) -> bool:
        """Whether the teacher is one of this backend's, by its name; the API is one of `apis`."""

    @abstractmethod
    def names(self, catalog: Path | None) -> str:
        """Which names it serves, for the error on a name that no backend serves.

        Args:
            catalog: Directory whose `teachers.yaml` is used instead of the built-in one.
        """

    @abstractmethod
    def open(self, spec: TeacherSpec) -> Teacher:
        """The teacher, ready to be asked; the same one for equal specs.

        Raises:
            TeacherError: There is no such teacher, or it cannot work as configured.
            TransientError: Download, memory or connection failed; a rerun may succeed.
        """

    @abstractmethod
    def identity(self, spec: TeacherSpec) -> TeacherIdentity:
        """Who the teacher is, found out without loading a model.

        Raises:
            PermanentError: There is no such teacher.
            TransientError: Whoever knows is not reached.
        """

    def card(self, spec: TeacherSpec) -> TeacherCard | None:
        """What is known of the model before anybody is asked; None if nothing is."""
        return None

    def loaded(self, spec: TeacherSpec) -> TeacherCard | None:
        """The card of the model that it loads into the process of a step.

        The step's pod then has the GPUs and the memory that the card asks for. None: the model
        runs elsewhere, and the pod is small.

        Raises:
            PermanentError: There is no such teacher.
        """
        return None

    def needs_internet(self, spec: TeacherSpec, *, cached: bool) -> bool:
        """Whether a pod that asks the teacher must reach the internet.

        Args:
            spec: The teacher.
            cached: Whether models lie on a volume of the pod.
        """
        return False

    def stop_unused(self, wanted: Collection[TeacherSpec]) -> None:  # noqa: B027 – most hold nothing
        """Gives back what teachers other than these hold in this process."""
