"""Which model a server serves: the server's answer at `/v1/models`, and the matching card.

A server reports a name (`id`). vLLM also reports where its weights come from (`root`: a hub id or a
path). The name is free text of `--served-model-name`, so `root` takes precedence:

- a hub id names the model, but not which revision is served;
- a snapshot of the Hub's cache (`…/models--org--name/snapshots/<commit>`) is model and commit;
- the directory of a packaged teacher names that file and its hash;
- for any other path, or none, the name is used: as a hub id, or literally.

A revision that the server does not report is `unknown`. The operator may state it, in a card of
their own catalog that matches the server's name or root: by its key, or with `served_as`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from sdg_assets.errors import TeacherError
from sdg_assets.records import TeacherStamp
from sdg_assets.teacher.models import (
    COMMIT,
    HUB_ID,
    TeacherCard,
    card_of_model,
    has_own_cards,
    teacher_cards,
)
from sdg_assets.teacher.requests import TeacherIdentity
from sdg_assets.teacher.weights.packaged import directory_of

log = logging.getLogger(__name__)

UNKNOWN_REVISION = "unknown"
DEFAULT_LENGTH = 4096
MODELS_SHOWN = 10
"""Names of a server's models that an error quotes."""
_SNAPSHOT = re.compile(
    r"(?:^|/)models--(?P<organization>[^/]+?)--(?P<name>[^/]+)/snapshots/(?P<commit>[0-9a-f]{40})/?"
)


@dataclass(frozen=True)
class ServedModel:
    """A server's description of the model that it serves."""

    url: str
    name: str
    """The model's name in requests."""
    root: str = ""
    """Where the weights come from; empty if the server does not report it."""
    max_model_len: int = DEFAULT_LENGTH
    knows_length: bool = True
    """Whether `max_model_len` was reported or set, and is not just the default."""

    @classmethod
    def of(cls, url: str, listing: Mapping[str, Any], otherwise: int | None = None) -> ServedModel:
        """The only base model of `/v1/models`.

        Args:
            url: The server's address, for errors.
            listing: The server's answer at `/v1/models`.
            otherwise: The context's length in tokens if the listing does not state it.

        Raises:
            TeacherError: The server lists no model, or several.
        """
        model = asked_model(url, listing)
        length = model.get("max_model_len") or otherwise
        return cls(
            url,
            str(model["id"]),
            str(model.get("root") or ""),
            int(length or DEFAULT_LENGTH),
            knows_length=length is not None,
        )

    @property
    def description(self) -> str:
        """Name, weights and length. Servers whose answers may be mixed have equal ones."""
        weights = _weights(self.root, None)
        # Two machines may keep the same snapshot in different directories.
        source = f"{weights.model} at {weights.revision}" if weights.revision else self.root
        return f"{self.name} ({f'{source}, ' if source else ''}{self.max_model_len} tokens)"


def asked_model(url: str, listing: Mapping[str, Any], wanted: str = "") -> Mapping[str, Any]:
    """The entry of `/v1/models` that the teacher is.

    LoRA adapters are asked only by name. Several names of one model (vLLM's `--served-model-name a
    b`) have the same weights: the first is used.

    Args:
        url: The server's address, for errors.
        listing: The server's answer at `/v1/models`.
        wanted: The name of the model; empty: the server has one.

    Raises:
        TeacherError: The server lists no model, or not the wanted one, or several.
    """
    models: dict[str, Mapping[str, Any]] = {}
    for model in listing.get("data") or []:
        models.setdefault(str(model["id"]), model)
    if not models:
        raise TeacherError(f"teacher {url}: the server lists no model at /v1/models")
    named = ", ".join([*models][:MODELS_SHOWN]) + ", …" * (len(models) > MODELS_SHOWN)
    if wanted:
        if wanted not in models:
            raise TeacherError(
                f"teacher {url}: the server does not list the model {wanted}; it lists {named}"
            )
        return models[wanted]
    bases = [model for model in models.values() if not model.get("parent")] or [*models.values()]
    roots = {model.get("root") for model in bases}
    if len(bases) > 1 and (len(roots) > 1 or None in roots or "" in roots):
        raise TeacherError(
            f"teacher {url}: the server has several models ({named}); name one after the address: "
            f"{url}#{bases[0]['id']}"
        )
    return bases[0]


@dataclass(frozen=True)
class _Weights:
    """The facts in `root`; a field is empty if `root` does not state it."""

    model: str = ""
    revision: str = ""


def identity_of_served(served: ServedModel, catalog: Path | None = None) -> TeacherIdentity:
    """The identity of the model behind an address; every row that it writes records it.

    Args:
        served: The server's description of its model.
        catalog: Directory whose `teachers.yaml` is used instead of the built-in one.

    Returns:
        The identity. If the revision is unknown, it includes name and root: nothing else
        distinguishes two models then.

    Raises:
        TeacherError: The matching card contradicts the server, or two cards match.
    """
    weights = _weights(served.root, catalog)
    stated = _stated(served, catalog)
    if stated:
        _agree(served, weights, stated)
    elif weights.model and HUB_ID.fullmatch(served.name) and served.name != weights.model:
        log.warning(
            "teacher %s: the server calls itself %s but serves %s, which is what its rows will say",
            served.url, served.name, weights.model,
        )  # fmt: skip
    if stated:
        card = stated
    elif weights.model:
        card = card_of_model(weights.model, catalog=catalog)
    else:
        card = card_of_model(served.name, served.root, catalog=catalog)
    revision = weights.revision or _stated_revision(served, stated) or UNKNOWN_REVISION
    settings: dict[str, Any] = {}
    if revision == UNKNOWN_REVISION:
        settings = {"served_as": served.name} | ({"root": served.root} if served.root else {})
        log.warning(
            "teacher %s: the server does not say which revision of %s it serves, so rows will say"
            " `unknown`. To state it, give teachers.yaml of your catalog (SDG_CATALOG) a card with"
            " `served_as: [%s]` and its `revision`",
            served.url, card.model, served.name,
        )  # fmt: skip
    stamp = TeacherStamp(model=card.model, revision=revision, license=card.license)
    return TeacherIdentity(
        stamp,
        settings,
        card.judges,
        card.teacher_class,
        card.thinking,
        card.sampling,
        card.verifier,
        served.max_model_len if served.knows_length else None,
    )


def _weights(root: str, catalog: Path | None) -> _Weights:
    if match := _SNAPSHOT.search(root):
        return _Weights(f"{match['organization']}/{match['name']}", match["commit"])
    directory = PurePosixPath(root).name
    for card in teacher_cards(catalog).values():
        if card.packaged and directory == directory_of(card.name, card.packaged, Path()).name:
            return _Weights(card.model, card.packaged.revision)
    return _Weights(root) if HUB_ID.fullmatch(root) else _Weights()


def _stated(served: ServedModel, catalog: Path | None) -> TeacherCard | None:
    """The card that the operator wrote for this server's name or root."""
    names = {served.name, served.root} - {""}
    is_own = has_own_cards(catalog)
    cards = [
        card
        for card in teacher_cards(catalog).values()
        if names & set(card.served_as) or (is_own and card.name in names)
    ]
    if len(cards) > 1:
        raise TeacherError(
            f"teacher {served.url}: {' and '.join(card.name for card in cards)} of teachers.yaml"
            f" are both cards of {served.name}; leave one"
        )
    return cards[0] if cards else None


def _stated_revision(served: ServedModel, stated: TeacherCard | None) -> str:
    """The revision that a card states for the server; empty if it states none."""
    if not stated or stated.revision == "main":
        return ""
    # A packaged file's hash describes the package; it describes the server only by `served_as`.
    if stated.packaged and not {served.name, served.root} & set(stated.served_as):
        return ""
    return stated.revision


def _agree(served: ServedModel, weights: _Weights, stated: TeacherCard) -> None:
    """Compares a card with the server's own description.

    Raises:
        TeacherError: They contradict each other.
    """
    says = f"teacher {served.url}: the server says that {served.name} is"
    advice = f"correct the card {stated.name} of teachers.yaml, or the address"
    card_path = Path(stated.model).is_absolute()
    other_path = card_path and served.root.startswith("/") and served.root != stated.model
    if (weights.model and weights.model != stated.model) or other_path:
        raise TeacherError(
            f"{says} {weights.model or served.root}, its card says {stated.model}; {advice}"
        )
    pinned = COMMIT.fullmatch(stated.revision) or stated.revision.startswith("sha256:")
    # A packaged card has two pins: the file's hash, and the Hub's commit of the same model.
    if pinned and weights.revision not in ("", stated.revision, stated.hub_revision):
        raise TeacherError(
            f"{says} {stated.model} at {weights.revision}, its card says {stated.revision};"
            f" {advice}"
        )
