"""The interface of a backend: a way to run teachers, as the pipeline uses it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sdg_assets.addresses import Credentials
from sdg_assets.records import JudgeApi, Role
from sdg_assets.settings import Settings
from sdg_assets.teacher.models import TeacherCard
from sdg_assets.teacher.requests import Teacher, TeacherIdentity

STALLED_SECONDS = 600.0
CONCURRENCY = 64
"""Requests under way at a server at a time, if nobody says otherwise."""


@dataclass(frozen=True)
class TeacherSpec:
    """The name of a teacher, and the deployment's settings for it.

    Roles that name the same teacher have equal specs, and so share one engine or client.
    """

    name: str
    """The name in the setting, without users and passwords."""
    api: JudgeApi = "rubric"
    catalog: Path | None = None
    """Directory whose `teachers.yaml` is used instead of the built-in one."""
    engine: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Engine arguments, added to the card's."""
    concurrency: int | None = None
    """Requests under way at a time; None: as many as the teacher can hold."""
    runs_here: bool = True
    """Whether a model that a step loads runs on this machine, and not in a pod elsewhere."""
    stalled_seconds: float = STALLED_SECONDS
    """A teacher that produces no token for this many seconds counts as frozen."""
    credentials: Mapping[str, Credentials] = field(default_factory=dict, hash=False, repr=False)
    """Address of a server → the user and password that its name had in the setting."""

    @classmethod
    def of(cls, settings: Settings, role: Role) -> TeacherSpec:
        """The spec of the teacher that plays a role.

        A scoring model or a verifier can only be the judge. With its API the judge therefore does
        not default to the teacher: its name is empty until `SDG_JUDGE` is set.
        """
        is_special = role is Role.JUDGE and settings.judge_api != "rubric"
        return cls(
            name=(settings.judge or "") if is_special else settings.teacher_of(role),
            api=settings.judge_api if is_special else "rubric",
            catalog=settings.catalog,
            engine=settings.engine,
            concurrency=settings.concurrency,
            runs_here=settings.executor != "k8s",
            stalled_seconds=settings.stalled_seconds,
            credentials=settings.credentials_of(role),
        )


class Backend(ABC):
    """A way to run teachers: in this process, behind a server, or at a provider.

    Only `fetch`, `open` and `identity` may use the network or load a model. The code location calls
    the other methods to configure pods.
    """

    name: str
    """The backend's name, for errors."""
    kind: str
    """The label in Dagster's graph of a teacher of this backend."""
    apis: tuple[JudgeApi, ...] = ("rubric",)
    """The APIs by which its teachers can be asked."""
    takes_credentials: bool = False
    """Whether it uses a user and password in a teacher's name."""

    @abstractmethod
    def serves(self, spec: TeacherSpec) -> bool:
        """Whether this backend serves the teacher, by its name; the API is one of `apis`."""

    @abstractmethod
    def names(self, catalog: Path | None) -> str:
        """The kinds of names it serves, for the error about a name that no backend serves.

        Args:
            catalog: Directory whose `teachers.yaml` is used instead of the built-in one.
        """

    def check(self, spec: TeacherSpec) -> None:  # noqa: B027 – most have nothing to refuse
        """Refuses settings that cannot work, as soon as they are read; uses no network.

        Raises:
            TeacherError: The message says which setting to change.
        """

    def fetch(self, spec: TeacherSpec) -> None:  # noqa: B027 – most have nothing to fetch
        """Puts on this machine's disk what `open` needs; may run in a thread beside other work.

        Raises:
            TeacherError: As for `open`.
            TransientError: As for `open`.
        """

    @abstractmethod
    def open(self, spec: TeacherSpec) -> Teacher:
        """Opens the teacher, or returns the open one of an equal spec.

        Raises:
            TeacherError: There is no such teacher, or it cannot work as configured.
            TransientError: Download, memory or connection failed; a rerun may succeed.
        """

    def counter(self, spec: TeacherSpec) -> Teacher:
        """The teacher, only to count the tokens of prompts: a model's weights are not needed.

        Raises:
            TeacherError: As for `open`.
            TransientError: As for `open`.
        """
        return self.open(spec)

    @abstractmethod
    def identity(self, spec: TeacherSpec) -> TeacherIdentity:
        """The teacher's identity, without loading a model.

        Raises:
            PermanentError: There is no such teacher.
            TransientError: The Hub or the server is not reached.
        """

    def card(self, spec: TeacherSpec) -> TeacherCard | None:
        """The model's card, without using the network; None if it has none."""
        return None

    def loaded(self, spec: TeacherSpec) -> TeacherCard | None:
        """The card of the model that is loaded into the step's own process.

        The step's pod then gets the GPUs and the memory of the card. None: the model runs
        elsewhere, and the pod is small.

        Raises:
            PermanentError: There is no such teacher.
        """
        return None

    def needs_internet(self, spec: TeacherSpec, *, cached: bool) -> bool:
        """Whether a pod that asks the teacher must reach the internet.

        Args:
            spec: The teacher.
            cached: Whether models are on a volume of the pod.
        """
        return False

    def stop_unused(self, wanted: Collection[TeacherSpec]) -> None:  # noqa: B027 – most hold nothing
        """Frees the memory of all other teachers in this process."""
