"""Topics that questions can be about, in three levels: root → field → leaf.

`topics/tree/` has one file a root, `topics/kinds.yaml` kinds of persons, places and sources, and
`topics/domains.yaml` the parts of the tree for each domain of the catalog. All of it was written
for this project and is under its licence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from sdg_assets.catalog.files import faults, read_yaml
from sdg_assets.environment import nearest
from sdg_assets.errors import CatalogError

DIRECTORY = Path(__file__).parent / "topics"
ALL = "all"
"""The part that is the whole tree."""
KIND_NAMES = ("persons", "places", "sources")

# One to six words. Commas and colons would read as several topics in a prompt.
Phrase = Annotated[str, Field(pattern=r"^[^\s,:/]+( [^\s,:/]+){0,5}$")]
Phrases = Annotated[list[Phrase], Field(min_length=1)]
Parts = Literal["all"] | Annotated[list[str], Field(min_length=1)]

_T = TypeVar("_T")
_FIELDS = TypeAdapter(dict[Phrase, Phrases])
_KINDS = TypeAdapter(dict[str, Phrases])
_DOMAINS = TypeAdapter(dict[str, Parts])


@dataclass(frozen=True)
class Topic:
    """A leaf of the tree with its place."""

    root: str
    field: str
    leaf: str

    @property
    def path(self) -> str:
        """`root/field/leaf`, the topic's name in rows."""
        return f"{self.root}/{self.field}/{self.leaf}"


@dataclass(frozen=True)
class TopicTree:
    """The tree, the kinds, and the parts for each domain.

    Attributes:
        fields: Root → field → leaves.
        kinds: Name of a kind (`persons`, `places`, `sources`) → phrases.
        domains: Domain of the catalog → names of parts.
        version: Hash of all of these. Another version may draw other topics.
    """

    fields: Mapping[str, Mapping[str, Sequence[str]]]
    kinds: Mapping[str, Sequence[str]]
    domains: Mapping[str, Sequence[str]]
    version: str

    def topics(self, parts: Sequence[str]) -> list[Topic]:
        """The leaves of these parts, each once.

        Args:
            parts: Names of roots, `root/field`, or `all`.

        Raises:
            CatalogError: There is no part of this name.
        """
        for part in parts:
            if fault := self.fault(part):
                raise CatalogError(fault)
        return [
            Topic(root, field, leaf)
            for root, fields in self.fields.items()
            for field, leaves in fields.items()
            if not {ALL, root, f"{root}/{field}"}.isdisjoint(parts)
            for leaf in leaves
        ]

    def fault(self, part: str) -> str | None:
        """What is wrong with the name of a part; None if nothing is."""
        if part in self._names:
            return None
        return f"the topic tree has no part {part!r}; {nearest(part, self._names)}"

    @cached_property
    def _names(self) -> frozenset[str]:
        by_root = (
            {root, *(f"{root}/{field}" for field in fields)} for root, fields in self.fields.items()
        )
        return frozenset({ALL}.union(*by_root))

    def parts_of_domain(self, domain: str) -> Sequence[str]:
        """The parts for a domain of the catalog; empty if the domain has none."""
        return self.domains.get(domain.removeprefix("multilingual "), ())


@cache
def topic_tree(directory: Path = DIRECTORY) -> TopicTree:
    """Reads the tree; once a process, when it is first needed.

    Raises:
        CatalogError: A file is malformed, a phrase comes twice, or a domain names an unknown part.
    """
    files = sorted((directory / "tree").glob("*.yaml"))
    fields = {file.stem: _read(file, _FIELDS) for file in files}
    kinds = _read(directory / "kinds.yaml", _KINDS)
    domains = {
        domain: [parts] if isinstance(parts, str) else parts
        for domain, parts in _read(directory / "domains.yaml", _DOMAINS).items()
    }
    tree = TopicTree(fields, kinds, domains, _version(fields, kinds, domains))
    if problems := [f"{directory}: {fault}" for fault in _faults(tree)]:
        raise CatalogError("topics:\n" + "\n".join(problems))
    return tree


def _faults(tree: TopicTree) -> Iterator[str]:
    leaves = [topic.leaf for topic in tree.topics([ALL])]
    for phrases in (leaves, *tree.kinds.values()):
        repeated = [text for text, n in Counter(map(str.casefold, phrases)).items() if n > 1]
        if repeated:
            yield f"written twice: {', '.join(sorted(repeated))}; leave one of each"
    if tree.kinds.keys() != set(KIND_NAMES):
        yield f"kinds.yaml must have {', '.join(KIND_NAMES)}; it has {', '.join(tree.kinds)}"
    for domain, parts in tree.domains.items():
        for part in parts:
            if fault := tree.fault(part):
                yield f"domains.yaml: {domain}: {fault}"


def _read(file: Path, adapter: TypeAdapter[_T]) -> _T:
    try:
        return adapter.validate_python(read_yaml(file))
    except ValidationError as error:
        raise CatalogError(f"{file}: {faults(error)}") from error


def _version(
    fields: Mapping[str, Mapping[str, Sequence[str]]],
    kinds: Mapping[str, Sequence[str]],
    domains: Mapping[str, Sequence[str]],
) -> str:
    lines = [
        f"{root}/{field}/{leaf}"
        for root, by_field in fields.items()
        for field, leaves in by_field.items()
        for leaf in leaves
    ]
    lines += [f"{kind}/{phrase}" for kind, phrases in kinds.items() for phrase in phrases]
    lines += [f"{domain}/{part}" for domain, parts in domains.items() for part in parts]
    return blake2b("\n".join(lines).encode(), digest_size=4).hexdigest()
