"""Every knob of a deployment, from the environment (`SDG_*`), validated once.

Knobs of a single run (how many seeds, votes, examples) are run config in `assets/`, with their
defaults here. Secrets are not settings: hub tokens and object-store keys stay in the variables
their libraries read (`HF_TOKEN`, `AWS_*`) and are never copied.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from sdg_assets.addresses import BUCKET_URL, Credentials, split_credentials
from sdg_assets.environment import EnvironmentSettings, Json, from_environment
from sdg_assets.records import Role
from sdg_assets.thresholds import overridden

_PASSWORD = re.compile(r"(?![/~.])[^@]*:[^@]*@")  # in no hub id and no path
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
OWNER = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+|team:[A-Za-z0-9_-]+")


class Settings(EnvironmentSettings):
    """What the environment says; each field is `SDG_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix="SDG_", frozen=True)
    # Read where they are used, because they are secrets or facts of the machine.
    read_elsewhere = frozenset({"SDG_API_KEY", "SDG_CACHE", "SDG_TEACHER_SOURCE"})
    prefixes_elsewhere = ("SDG_K8S_",)

    store: Path | str = Field(
        default=Path("data"),
        description="directory that stage files lie in, or s3://bucket/prefix",
    )
    catalog: Path | None = Field(default=None, description="directory used instead of the built-in")
    allow_canary: Annotated[frozenset[str], NoDecode] = Field(
        default=frozenset(),
        description="tasks seeded although their rows ask not to be trained on; names with commas",
    )
    without_benchmarks: Annotated[frozenset[str], NoDecode] = Field(
        default=frozenset(),
        description="protected benchmarks that rows need not be checked against, e.g. those that "
        "you have no access to; names with commas, or `all`. Releases name them",
    )
    seed_source: str = Field(
        default="samples", description="where seed rows are read: samples, hub or mirror:<dir>"
    )
    teacher: str = Field(
        default="qwen2.5-coder-1.5b",
        description="key of teachers.yaml, hub id, directory or address: a name that a backend "
        "serves",
    )
    solver: str | None = Field(default=None, description="the solver, if not the teacher")
    judge: str | None = Field(default=None, description="the judge, if not the teacher")
    judge_api: Literal["rubric", "reward", "score"] = Field(
        default="rubric",
        description="rubric: the judge is a chat model that rates by criteria; reward: a reward "
        "model at a vLLM server's /classify; score: a scoring model at its /score",
    )
    with_judge: bool | None = Field(
        default=None,
        description="whether verified rows are judged; unset: if the judge's card "
        "in teachers.yaml does not say that it cannot",
    )
    engine: Json[dict[str, Any]] = Field(
        default_factory=dict, description="vLLM engine arguments as JSON, on top of the card's"
    )
    owners: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="who to ask, as the UI shows: e-mail addresses or team:NAME, with commas",
    )
    sensor_seconds: int = Field(default=30, ge=1, description="between two looks of a sensor")
    keep_runs_days: int = Field(
        default=30, ge=1, description="days that runs which materialized nothing are kept"
    )
    executor: Literal["in_process", "multiprocess", "k8s"] = "in_process"
    retries: int = Field(default=1, ge=0, description="of a step that failed for now; not for good")
    allow_unsandboxed_code: bool = False

    max_seeds: int | None = Field(default=None, ge=1, description="cap on seeds a subtask")
    examples_per_seed: int = Field(default=1, ge=1)
    shots: int = Field(
        default=2, ge=1, description="seeds shown to the writer, the anchor included"
    )
    writer_temperature: float = Field(default=0.9, ge=0, le=2)
    writer_max_tokens: int = Field(default=512, ge=16)
    solver_temperature: float = Field(default=0.7, ge=0, le=2)
    solver_max_tokens: int = Field(default=512, ge=16)
    votes: int = Field(default=3, ge=1, description="solver answers a question")
    adaptive_voting: bool = Field(
        default=True, description="stop asking once the votes left could change nothing"
    )
    majority: float = Field(default=0.5, ge=0, lt=1, description="share that must be exceeded")
    accept_corrections: bool = Field(
        default=False, description="whether a strong majority against the writer corrects it"
    )
    correction_share: float = Field(
        default=0.8, gt=0.5, le=1, description="share of the planned votes that is strong"
    )
    with_knowledge: bool = True
    release_name: str = Field(default="Task-seeded synthetic Q&A", min_length=1)
    push_to: str | None = Field(
        default=None, pattern=r"^[\w.-]+/[\w.-]+$", description="Hub repository for releases"
    )
    text_style: Literal["plain", "chatml"] = Field(
        default="plain", description="of a release's training texts: no markup, or ChatML's"
    )
    gates: Json[dict[str, Any]] = Field(
        default_factory=dict, description="thresholds as JSON; `preview` prints their names"
    )
    min_yield: float = Field(default=0.1, ge=0, le=1, description="accepted share that warns below")
    duplicate_search: Literal["local", "spark"] = Field(
        default="local", description="engine of the release's search for copies across partitions"
    )
    concurrency: int = Field(default=64, ge=1, description="requests inside the engine at a time")
    stalled_minutes: float = Field(
        default=10,
        gt=0,
        description="minutes without a token after which a teacher counts as frozen: the step "
        "fails for now, and a retry goes on where it was",
    )
    _credentials: dict[str, Credentials] = PrivateAttr(default_factory=dict)
    """Address of a teacher → the name and password that stood in it; never shown or stored."""

    @model_validator(mode="after")
    def _addresses_hold_no_secrets(self) -> Self:
        """Whoever shows a teacher's name shows no password; teachers get it from here."""
        for field in ("teacher", "solver", "judge"):
            name = getattr(self, field) or ""
            is_address = _SCHEME.match(name) is not None
            if _PASSWORD.match(name) and not is_address:
                raise ValueError(f"SDG_{field.upper()}: write it as http://user:password@host:port")
            if is_address:
                address, credentials = split_credentials(name)
                vars(self)[field] = address  # the model is frozen for everybody else
                if credentials:
                    self._credentials[address] = credentials
        return self

    @field_validator("store", mode="before")
    @classmethod
    def _directory_or_bucket(cls, value: Any) -> Any:  # noqa: ANN401 – the variable's text, or path
        if isinstance(value, str) and "://" in value:
            if not BUCKET_URL.fullmatch(value):
                raise ValueError("is neither a directory nor s3://bucket/prefix")
            return value
        return Path(value)

    @field_validator("seed_source")
    @classmethod
    def _known_source(cls, value: str) -> str:
        if value not in ("samples", "hub") and not re.fullmatch(r"mirror:.*\S.*", value):
            raise ValueError("must be samples, hub or mirror:<directory>")
        return value

    @field_validator("gates")
    @classmethod
    def _known_thresholds(cls, value: dict[str, Any]) -> dict[str, Any]:
        overridden(value)
        return value

    @field_validator("allow_canary", "owners", "without_benchmarks", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:  # noqa: ANN401 – the variable's text, or names
        return (
            [n.strip() for n in value.split(",") if n.strip()] if isinstance(value, str) else value
        )

    @field_validator("owners")
    @classmethod
    def _addresses_or_teams(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := sorted(o for o in value if not OWNER.fullmatch(o)):
            raise ValueError(f"{', '.join(wrong)}: neither an e-mail address nor team:NAME")
        return value

    def teacher_of(self, role: Role) -> str:
        """The teacher that plays a role."""
        return {Role.SOLVER: self.solver, Role.JUDGE: self.judge}.get(role) or self.teacher

    def credentials_of(self, role: Role) -> Credentials | None:
        """The name and password for the server that plays a role."""
        return self._credentials.get(self.teacher_of(role))

    @property
    def stalled_seconds(self) -> float:
        """`stalled_minutes` in seconds."""
        return 60 * self.stalled_minutes


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The validated environment.

    Raises:
        PermanentError: A variable has a value it must not have, or a name that nothing reads; the
            message names each of them.
    """
    return from_environment(Settings)
