"""The known teachers, and how a teacher's name becomes a model that an engine can load."""

from __future__ import annotations

import difflib
import hashlib
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Generic, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    ValidationError,
    model_validator,
)

from sdg_assets.catalog.files import read_yaml
from sdg_assets.environment import cache_directory
from sdg_assets.errors import PermanentError, SdgError
from sdg_assets.records import CommercialUse, TeacherClass, VerifierFamily
from sdg_assets.teacher.packaging import is_packaging_of, owner_of
from sdg_assets.teacher.thinking import RecommendedSampling, Thinking
from sdg_assets.teacher.weights import hub
from sdg_assets.teacher.weights.packaged import Packaged, directory_of, fetch_packaged, is_ready

log = logging.getLogger(__name__)
FactT = TypeVar("FactT")

BUILT_IN = Path(__file__).parents[1] / "catalog" / "teachers.yaml"
HUB_ID = re.compile(r"(?P<model>[\w-][\w.-]*/[\w-][\w.-]*)(@(?P<revision>[\w./-]+))?")
COMMIT = re.compile(r"[0-9a-f]{40}")
STRICTEST_FIRST: tuple[CommercialUse, ...] = ("no", "unclear", "yes")
SAMPLES, SAMPLE_BYTES = 64, 4096
LISTED_KEYS = 6
"""How many keys of `teachers.yaml` a message lists."""

TEMPLATE_MODES = ("auto", "hf", "slow")
"""Values of vLLM's `tokenizer_mode` with which a model's own chat template renders prompts."""


class Card(BaseModel):
    """A part of `teachers.yaml`: immutable, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Gpus(Card):
    """GPUs of a model: `tensor_parallel` GPUs for each of `data_parallel` replicas."""

    tensor_parallel: PositiveInt = 1
    data_parallel: PositiveInt = 1

    @property
    def number(self) -> int:
        """GPUs of all replicas together."""
        return self.tensor_parallel * self.data_parallel


class TeacherCard(Card):
    """The facts about a teacher: its pinned revision, its terms, and its resources."""

    name: str
    model: str = Field(description="hub id, or an absolute directory")
    revision: str = Field(default="main", description="hub commit, or sha256:… of a packaged file")
    hub_revision: str | None = Field(default=None, description="Hub commit, if packaged")
    license: str = Field(description="SPDX id, LicenseRef-… where there is none, or unknown")
    license_source: str = Field(description="where the licence can be read")
    outputs_may_train: CommercialUse = Field(description="whether outputs may train other models")
    terms: str = Field(description="conditions for training on outputs")
    commercial_use: CommercialUse
    certainty: Literal["known", "guess"] = Field(description="of the four fields above")
    judges: bool = Field(
        default=True, description="whether it can tell sound items from damaged ones"
    )
    verifier: VerifierFamily | None = Field(
        default=None,
        description="of an answer-equivalence model: the family whose prompt and answers it has",
    )
    served_as: tuple[str, ...] = Field(
        default=(),
        description="names (id or root at /v1/models) under which servers serve this model",
    )
    parameters: str = "unknown"
    teacher_class: TeacherClass = Field(
        default="small",
        alias="class",
        description="how prompts are worded and how long answers may be",
    )
    thinking: Thinking | None = Field(
        default=None, description="how it thinks; absent: the model does not think"
    )
    sampling: RecommendedSampling = Field(
        default=RecommendedSampling(), description="what its makers recommend"
    )
    verified: tuple[Literal["thinking", "sampling", "memory"], ...] = Field(
        default=(), description="parts that were read in a public file, such as the model card"
    )
    gpus: Gpus = Gpus()
    memory_gib: float | None = Field(
        default=None, gt=0, description="weights and KV cache, a replica"
    )
    engine: dict[str, Any] = Field(default_factory=dict, description="passed to vLLM unchanged")
    drafts: tuple[dict[str, Any], ...] = Field(
        default=(),
        description="values of vLLM's `speculative_config` with a published model that drafts for "
        "this one; `sdg tune` tries them on GPUs",
    )
    packaged: Packaged | None = None

    @model_validator(mode="after")
    def _pins_agree(self) -> Self:
        if self.packaged and self.revision != self.packaged.revision:
            raise ValueError(f"revision is {self.revision}, the file's {self.packaged.revision}")
        if self.hub_revision and not self.packaged:
            raise ValueError("hub_revision is for packaged teachers; write it as revision")
        return self


@dataclass(frozen=True)
class ResolvedModel:
    """A resolved teacher: what an engine loads, its card, and the exact revision."""

    path_or_id: str
    card: TeacherCard
    revision: str


def resolve(teacher: str, *, fetch: bool = True, catalog: Path | None = None) -> ResolvedModel:
    """Finds the model of a teacher's name.

    A packaged teacher has two sources. Weights on disk come first, so that they do not change with
    the network; then the Hub; then the packages. `SDG_TEACHER_SOURCE` (`hub`, `packages`, or the
    default `auto`) restricts the sources. Their weights and revisions differ: the packages hold a
    quantized file.

    Args:
        teacher: A key of `teachers.yaml`, a hub id (`org/name`, or `org/name@revision`), or a
            directory.
        fetch: Whether to put the weights on disk. Otherwise only the revision is determined, and
            `path_or_id` may be a hub id or a directory that does not exist yet.
        catalog: Directory whose `teachers.yaml` is used instead of the built-in one.

    Returns:
        The model. The revision is a hub commit, `sha256:…` of a packaged file, or `content:…` of
        a directory.

    Raises:
        PermanentError: No such teacher, no access to it, or it cannot be written to disk.
        TransientError: The Hub or the registry is not reached.
    """
    cards = teacher_cards(catalog)
    directory = Path(teacher).expanduser()
    if teacher and teacher not in cards and directory.is_dir():
        return _from_directory(directory.resolve(), None, cards)
    card = card_of(teacher, catalog)
    _tell(card, cards)
    if card.packaged:
        return _from_hub_or_packages(card, card.packaged, fetch=fetch)
    if Path(card.model).is_absolute():
        return _from_directory(Path(card.model), card, cards)
    return _from_hub(card, card.revision, fetch=fetch)


def resolve_tokenizer(teacher: str, catalog: Path | None = None) -> ResolvedModel:
    """Finds a model to count tokens with; downloads its tokenizer, but not its weights.

    Args:
        teacher: As for `resolve`.
        catalog: As for `resolve`.

    Raises:
        PermanentError: As for `resolve`.
        TransientError: As for `resolve`.
    """
    resolved = resolve(teacher, fetch=False, catalog=catalog)
    if Path(resolved.path_or_id).is_dir():
        return resolved
    if resolved.card.packaged:  # its weights are small
        return resolve(teacher, catalog=catalog)
    directory = hub.download_tokenizer(resolved.card.model, resolved.revision)
    return ResolvedModel(str(directory), resolved.card, directory.name)


@lru_cache(maxsize=8)
def teacher_cards(catalog: Path | None = None) -> dict[str, TeacherCard]:
    """The known teachers.

    Args:
        catalog: Directory that may hold a `teachers.yaml`; else the built-in file is read.

    Returns:
        Key → card, in the file's order.

    Raises:
        PermanentError: The file is malformed; the message names the entry.
    """
    path = catalog / "teachers.yaml" if catalog and has_own_cards(catalog) else BUILT_IN
    entries = read_yaml(path)
    if not isinstance(entries, dict):
        raise PermanentError(f"{path}: must be a mapping of teachers")
    return {name: _parsed(path, name, entry) for name, entry in entries.items()}


def has_own_cards(catalog: Path | None) -> bool:
    """Whether the catalog directory has its own `teachers.yaml`."""
    return catalog is not None and (catalog / "teachers.yaml").is_file()


def card_of(teacher: str, catalog: Path | None = None) -> TeacherCard:
    """The card of a teacher that is a key of `teachers.yaml` or a hub id; uses no network.

    Raises:
        PermanentError: The name is neither.
    """
    cards = teacher_cards(catalog)
    if teacher in cards:
        return cards[teacher]
    if match := HUB_ID.fullmatch(teacher):
        return _hub_card(match["model"], match["revision"], cards)
    raise PermanentError(
        f"unknown teacher {teacher!r}: not a directory, nor a hub id (org/name), nor one of"
        f" {some_keys(teacher, catalog)}"
    )


def packaged_directory(card: TeacherCard) -> Path | None:
    """Where the converted weights of a packaged teacher lie; they need not exist yet.

    Returns:
        The directory; None for a teacher without packages.
    """
    return (
        directory_of(card.name, card.packaged, cache_directory("models")) if card.packaged else None
    )


def some_keys(name: str = "", catalog: Path | None = None) -> str:
    """Keys of `teachers.yaml` for a message: all if they are few, else the ones nearest to a name.

    Args:
        name: What somebody wrote instead of a key.
        catalog: Directory whose `teachers.yaml` is used instead of the built-in one.
    """
    keys = list(teacher_cards(catalog))
    if len(keys) <= LISTED_KEYS:
        return ", ".join(keys)
    near = difflib.get_close_matches(name, keys, n=LISTED_KEYS)
    listed = ", ".join(near or keys[:LISTED_KEYS])
    return f"{listed}, … (`sdg teacher list` prints all {len(keys)})"


def card_of_model(*names: str, catalog: Path | None = None) -> TeacherCard:
    """The card of a model behind a server or on another machine.

    A name that differs from a listed model only in its packaging (`-FP8`, `-GGUF`, a file name, the
    owner of a requantization) gets the listed card; see `_repackaged`.

    Args:
        *names: Names of the model: a hub id, or a path or file name that ends in one.
        catalog: Directory whose `teachers.yaml` is used instead of the built-in one.

    Returns:
        Its entry in `teachers.yaml`, that of the same weights in another packaging, or a card whose
        facts are unknown.
    """
    cards = teacher_cards(catalog)
    for card in cards.values():
        if any(name == card.model or name.endswith(f"/{card.model}") for name in names):
            return card
    named = [name for name in names if name]
    repackaged = (_repackaged(name, "unknown", cards) for name in named)
    card = next(filter(None, repackaged), None) or _implicit(named[0], "unknown")
    _tell(card, cards)
    return card


class ByModel(Mapping[str, FactT], Generic[FactT]):
    """Model → a fact of its card; also for models that are a listed one in another packaging.

    Only the listed models are iterated over.
    """

    def __init__(
        self,
        listed: Mapping[str, FactT],
        fact: Callable[[TeacherCard], FactT],
        catalog: Path | None = None,
    ) -> None:
        """Reads the cards.

        Args:
            listed: The facts of the models that have a card of their own.
            fact: Takes the fact from the card of another packaging.
            catalog: Directory whose `teachers.yaml` is used instead of the built-in one.
        """
        self._listed, self._fact, self._cards = listed, fact, teacher_cards(catalog)
        self._repackaged = cache(self._of_repackaged)

    def __getitem__(self, model: str) -> FactT:
        if model in self._listed:
            return self._listed[model]
        card = self._repackaged(model)
        if card is None:
            raise KeyError(model)
        return self._fact(card)

    def _of_repackaged(self, model: str) -> TeacherCard | None:
        return _repackaged(model, "unknown", self._cards)

    def __iter__(self) -> Iterator[str]:
        return iter(self._listed)

    def __len__(self) -> int:
        return len(self._listed)


def _parsed(path: Path, name: str, entry: Any) -> TeacherCard:  # noqa: ANN401 – as YAML gave it
    try:
        card = TeacherCard.model_validate({"name": name, **entry})
    except (ValidationError, TypeError) as error:
        raise PermanentError(f"{path}: teacher {name}: {error}") from error
    directory = Path(card.model).expanduser()
    if directory.is_absolute():
        return card.model_copy(update={"model": str(directory)})
    return card


def _hub_card(model: str, revision: str | None, cards: dict[str, TeacherCard]) -> TeacherCard:
    for card in cards.values():
        if card.model == model:  # the terms apply under every name of the model
            pin = revision or card.hub_revision or card.revision
            changes = {"revision": pin, "hub_revision": None, "packaged": None}
            return card.model_copy(update=changes)
    revision = revision or "main"
    return _repackaged(model, revision, cards) or _implicit(model, revision)


def _repackaged(name: str, revision: str, cards: Mapping[str, TeacherCard]) -> TeacherCard | None:
    """The card of the listed model whose weights a name has in another packaging.

    It is asked as the listed model is: same class, thinking, sampling and prompts. Memory, GPUs and
    engine arguments depend on the packaging, so they stay unknown. The weights' licence applies,
    unread, hence `certainty: guess`. Anybody can name a model like another one, and NVIDIA, for
    example, adds terms of its own. So what somebody else packaged is nowhere permitted for sure:
    `yes` becomes `unclear`, which keeps its rows out of `commercial/`, as those of any model whose
    licence nobody read.

    Returns:
        The card; None if no listed model has this name, or those of different owners have.
    """
    listed, owner = _same_weights(name, cards), owner_of(name)
    if not listed:
        return None
    is_makers = owner == owner_of(listed[0].model)
    limit: list[CommercialUse] = [] if is_makers else ["unclear"]
    terms = listed[0].terms
    return listed[0].model_copy(
        update={
            "name": _last_part(name),
            "model": name if owner else _last_part(name),
            "revision": revision,
            "hub_revision": None,
            "outputs_may_train": _strictest([c.outputs_may_train for c in listed] + limit),
            "terms": terms if is_makers else f"{_packaged_elsewhere(listed[0])} {terms}",
            "commercial_use": _strictest([c.commercial_use for c in listed] + limit),
            "certainty": "guess",
            "served_as": (),
            "verified": (),
            "gpus": Gpus(),
            "memory_gib": None,
            "engine": {},
            "packaged": None,
        }
    )


def _same_weights(name: str, cards: Mapping[str, TeacherCard]) -> list[TeacherCard]:
    """The cards of the model that a name packages; none if models of several owners are alike."""
    alike = [
        card
        for card in cards.values()
        if HUB_ID.fullmatch(card.model) and is_packaging_of(name, card.model)
    ]
    own = [card for card in alike if owner_of(card.model) == owner_of(name)]
    owners = {owner_of(card.model) for card in alike}
    return own or (alike if len(owners) == 1 else [])


def _packaged_elsewhere(card: TeacherCard) -> str:
    return (
        f"By its name the model has the weights of {card.model}; whoever packaged them may have "
        "added conditions, which were not read. Of the weights:"
    )


def _strictest(uses: Iterable[CommercialUse]) -> CommercialUse:
    return min(uses, key=STRICTEST_FIRST.index)


def _last_part(name: str) -> str:
    """The last part of a hub id or path; other parts of a path are private."""
    return re.split(r"[/\\]", name.rstrip("/\\"))[-1]


def _tell(card: TeacherCard, cards: Mapping[str, TeacherCard]) -> None:
    """Warns of a teacher without a card of its own, and says as what it is asked."""
    if any(card.model == listed.model for listed in cards.values()):
        return
    listed = _same_weights(card.model, cards)
    _warn(card.model, listed[0].model if listed else "", card.license, card.commercial_use)


@cache
def _warn(model: str, weights: str, license_: str, use: CommercialUse) -> None:
    """Warns once a process: every stage resolves its teachers."""
    if weights:
        log.warning(
            "teacher %s: has no card in teachers.yaml. By its name it has the weights of %s: it is "
            "asked as that model, and its licence is taken for %s, unread (commercial use: %s). If "
            "the name misleads, or you read its licence, give it a card in teachers.yaml of your "
            "catalog (SDG_CATALOG)",
            model, weights, license_, use,
        )  # fmt: skip
        return
    log.warning(
        "teacher %s: has no card in teachers.yaml, so it is asked as a small model that cannot "
        "think, and its licence is unknown. Give it a card in teachers.yaml of your catalog "
        "(SDG_CATALOG): `class`, `thinking`, `sampling`, `license`",
        model,
    )


def _implicit(model: str, revision: str) -> TeacherCard:
    return TeacherCard(
        name=Path(model).name,
        model=model,
        revision=revision,
        license="unknown",
        license_source="none: the teacher has no entry in teachers.yaml",
        outputs_may_train="unclear",
        terms="Unknown: read the model's licence, then give it an entry in teachers.yaml.",
        commercial_use="unclear",
        certainty="guess",
    )


def _from_hub_or_packages(card: TeacherCard, packaged: Packaged, *, fetch: bool) -> ResolvedModel:
    source = os.environ.get("SDG_TEACHER_SOURCE", "auto")
    if source not in {"auto", "hub", "packages"}:
        raise PermanentError(f"SDG_TEACHER_SOURCE={source!r}: must be auto, hub or packages")
    cache = cache_directory("models")
    directory = directory_of(card.name, packaged, cache)
    revision = card.hub_revision or "main"
    if source == "hub":
        return _from_hub(card, revision, fetch=fetch)
    from_packages = source == "packages" or is_ready(directory)
    if not from_packages and (hub.cached(card.model, revision) or _hub_has(card.model, revision)):
        return _from_hub(card, revision, fetch=fetch)
    if fetch:
        fetch_packaged(card.name, packaged, cache)
    return ResolvedModel(str(directory), card, card.revision)


def _hub_has(model: str, revision: str) -> bool:
    try:
        hub.look_up(model, revision)
    except SdgError as error:
        log.info("using packages instead of the Hub: %s", error)
        return False
    return True


def _from_hub(card: TeacherCard, revision: str, *, fetch: bool) -> ResolvedModel:
    # A commit never changes, so a copy on disk is current; a branch may have moved.
    on_disk = hub.cached(card.model, revision)
    if on_disk is None or not COMMIT.fullmatch(revision):
        if not fetch:
            return ResolvedModel(card.model, card, _commit(card.model, revision, on_disk))
        on_disk = hub.download(card.model, revision)
    return ResolvedModel(str(on_disk), card, on_disk.name)


def _commit(model: str, revision: str, on_disk: Path | None) -> str:
    if COMMIT.fullmatch(revision):
        return revision
    try:
        return hub.look_up(model, revision)
    except SdgError:
        if on_disk is None:
            raise
        return on_disk.name


def _from_directory(
    directory: Path, card: TeacherCard | None, cards: Mapping[str, TeacherCard]
) -> ResolvedModel:
    revision = _content_revision(directory)
    # Without a card, rows record only the directory's name: its path is private.
    name = directory.name
    card = card or _repackaged(name, revision, cards) or _implicit(name, revision)
    _tell(card, cards)
    return ResolvedModel(str(directory), card, revision)


def _content_revision(directory: Path) -> str:
    """A hash of a model's directory that does not read all weights.

    Text files (configuration, tokenizer, chat template) are hashed completely. Of weight files the
    size and evenly spaced blocks are hashed: the first is the header, and training changes all.
    """
    if not (directory / "config.json").is_file():
        raise PermanentError(f"teacher {directory}: not a model's directory, it has no config.json")
    digest = hashlib.sha256()
    for path in sorted(directory.iterdir()):
        if path.suffix in {".json", ".jinja", ".model", ".txt"}:
            digest.update(f"{path.name}:".encode() + path.read_bytes())
        elif path.suffix in {".safetensors", ".bin"}:
            size = path.stat().st_size
            digest.update(f"{path.name}:{size}:".encode())
            with path.open("rb") as file:
                for sample in range(SAMPLES):
                    file.seek(size * sample // SAMPLES)
                    digest.update(file.read(SAMPLE_BYTES))
    return f"content:{digest.hexdigest()[:12]}"
