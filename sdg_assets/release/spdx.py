"""`spdx.json`: a release as a bill of materials, in the format SPDX 3.0.1.

SPDX (https://spdx.github.io/spdx-spec/v3.0.1/) is what lawyers' tools read. The release is a data
set package with the hash of every file. What it descends from are data set packages as well, and
its teachers are AI packages; each states its licence.

What is not known is left out, or `noAssertion` where SPDX wants a value. The specification's text
also asks for a data set's `builtTime`, `releaseTime` and `downloadLocation`: a release has neither
a date nor an address. The one date that its schema requires is the epoch.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

from sdg_assets.catalog.licences import UNREAD, licences, spdx_expression
from sdg_assets.release.card import CardFacts, source_datasets
from sdg_assets.release.croissant import CROISSANT, FORMATS
from sdg_assets.release.publication import MANIFEST
from sdg_assets.release.statements import statements
from sdg_assets.release.statistics import Statistics
from sdg_assets.teacher.server.served import UNKNOWN_REVISION

SPDX = "spdx.json"
CONTEXT = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"
SPEC_VERSION = "3.0.1"
PROFILES = ("core", "software", "dataset", "simpleLicensing", "expandedLicensing")
NO_DATE = "1970-01-01T00:00:00Z"
NO_LICENCE = "expandedlicensing_NoAssertionLicense"
_CREATION = "_:creation"
_MEDIA_TYPES = {
    **FORMATS,
    ".json": "application/json",
    ".md": "text/markdown",
    ".png": "image/png",
}
_LICENCE_REF = re.compile(r"LicenseRef-[\w.-]+")
Json = dict[str, Any]


def render_spdx(statistics: Statistics, facts: CardFacts, files: Mapping[str, str]) -> str:
    """The text of a release's `spdx.json`.

    Args:
        statistics: The counts of the release's rows, after `finish`.
        facts: The facts of the card.
        files: Every other file of the release but the manifest, which is written last → its
            SHA-256.
    """
    document = _Document(facts)
    agent = document.add("SoftwareAgent", "agent", "sdg-assets", name="sdg-assets")
    tool = document.add("Tool", "tool", "sdg-assets", name=f"sdg-assets {facts.code_version}")
    release = _release(document, statistics, facts, files, agent)
    _add_files(document, release, files)
    origins = [*_sources(document, statistics), *_passages(document, statistics)]
    document.relate(release, "descendantOf", origins)
    _add_teachers(document, release, statistics, facts, tool)
    return document.render(root=release, agent=agent, tool=tool)


class _Document:
    """The elements of a document, whose ids begin with a name of this release."""

    def __init__(self, facts: CardFacts) -> None:
        self._title = f"{facts.name} {facts.version}"
        self._namespace = uuid5(NAMESPACE_URL, f"sdg-assets/{facts.release}/{facts.version}").urn
        self._elements: dict[str, Json] = {}

    def add(self, kind: str, group: str, key: str, **fields: Any) -> str:  # noqa: ANN401 – JSON
        """Adds an element, and returns its id; a second one with the same key changes nothing."""
        spdx_id = f"{self._namespace}#{group}/{quote(key)}"
        element = {"type": kind, "spdxId": spdx_id, "creationInfo": _CREATION, **fields}
        self._elements.setdefault(spdx_id, element)
        return spdx_id

    def relate(self, source: str, kind: str, targets: Sequence[str], **fields: str) -> None:
        """Adds a relationship from one element to others, if there are any."""
        if targets:
            self.add(
                "Relationship",
                "relationship",
                f"{len(self._elements)}",
                **{"from": source, "relationshipType": kind, "to": list(targets)},
                **fields,
            )

    def license(self, package: str, names: Iterable[str]) -> None:
        """States the licences of a package, which all hold; whether they do, nobody concluded."""
        stated = sorted(names)
        if expression := spdx_expression(stated):
            self.relate(package, "hasDeclaredLicense", [self._licence(expression)])
        else:
            comment = f"Stated as: {', '.join(stated) or 'nothing'}."
            self.relate(package, "hasDeclaredLicense", [NO_LICENCE], comment=comment)
        self.relate(package, "hasConcludedLicense", [NO_LICENCE])

    def _licence(self, expression: str) -> str:
        own = [
            {"type": "DictionaryEntry", "key": name, "value": self._own_licence(name)}
            for name in dict.fromkeys(_LICENCE_REF.findall(expression))
        ]
        return self.add(
            "simplelicensing_LicenseExpression",
            "licence",
            expression,
            simplelicensing_licenseExpression=expression,
            **({"simplelicensing_customIdToUri": own} if own else {}),
        )

    def _own_licence(self, name: str) -> str:
        """A licence that SPDX does not list. Its text is required, but no release holds it."""
        of_data = licences().of_data(name)
        url = (of_data if of_data is not UNREAD else licences().of_model(name)).url
        return self.add(
            "expandedlicensing_CustomLicense",
            "own-licence",
            name,
            name=name,
            simplelicensing_licenseText=f"Not copied; read it at {url}" if url else "Not copied.",
            **({"expandedlicensing_seeAlso": [url]} if url else {}),
        )

    def render(self, root: str, agent: str, tool: str) -> str:
        """The document's text."""
        creation = {
            "type": "CreationInfo",
            "@id": _CREATION,
            "created": NO_DATE,
            "createdBy": [agent],
            "createdUsing": [tool],
            "specVersion": SPEC_VERSION,
            "comment": "A release has no date, so that the same inputs give the same bytes. "
            "`created` is required, and is the epoch.",
        }
        document = {
            "type": "SpdxDocument",
            "spdxId": f"{self._namespace}#document",
            "creationInfo": _CREATION,
            "name": self._title,
            "profileConformance": list(PROFILES),
            "rootElement": [root],
            "element": list(self._elements),
            "comment": "Facts that are not known are left out: when the release was built and "
            "published, who supplies it and where; who originated its sources and teachers.",
        }
        graph = [creation, document, *self._elements.values()]
        text = json.dumps({"@context": CONTEXT, "@graph": graph}, ensure_ascii=False, indent=1)
        return text + "\n"


def _release(
    document: _Document,
    statistics: Statistics,
    facts: CardFacts,
    files: Mapping[str, str],
    agent: str,
) -> str:
    about = statements(statistics, facts)
    release = document.add(
        "dataset_DatasetPackage",
        "release",
        facts.release,
        name=facts.name,
        description=about.description,
        comment=about.personal_data,
        software_packageVersion=f"{facts.version}+{facts.release}",
        software_primaryPurpose="data",
        originatedBy=[agent],
        verifiedUsing=[_of_all(files)],
        dataset_datasetType=["structured", "text"],
        dataset_datasetSize=statistics.rows,
        dataset_intendedUse=" ".join(about.uses),
        dataset_knownBias=list(about.biases),
        dataset_datasetNoise=" ".join(about.limitations),
        dataset_dataCollectionProcess=about.collection,
        dataset_dataPreprocessing=list(about.preprocessing),
        dataset_hasSensitivePersonalInformation="noAssertion",
    )
    document.license(release, statistics.licences)
    return release


def _of_all(files: Mapping[str, str]) -> Json:
    """One hash for all files: that of their hashes, sorted and joined."""
    return {
        "type": "PackageVerificationCode",
        "algorithm": "sha256",
        "hashValue": hashlib.sha256("".join(sorted(files.values())).encode()).hexdigest(),
        "packageVerificationCodeExcludedFile": [f"./{MANIFEST}", f"./{SPDX}"],
    }


def _add_files(document: _Document, release: str, files: Mapping[str, str]) -> None:
    ids = {
        name: document.add(
            "software_File",
            "file",
            name,
            name=name,
            contentType=_MEDIA_TYPES[PurePosixPath(name).suffix],
            verifiedUsing=[{"type": "Hash", "algorithm": "sha256", "hashValue": sha256}],
        )
        for name, sha256 in sorted(files.items())
    }
    document.relate(release, "contains", list(ids.values()))
    pages = [spdx_id for name, spdx_id in ids.items() if name.endswith(".md")]
    document.relate(release, "hasDocumentation", pages)
    document.relate(release, "hasMetadata", [ids[CROISSANT]])


def _sources(document: _Document, statistics: Statistics) -> list[str]:
    """The data sets that seeds came from."""
    packages = []
    for source in source_datasets(statistics):
        package = document.add(
            "dataset_DatasetPackage",
            "source",
            source.dataset,
            name=source.dataset,
            description=f"Seeds of {source.rows:,} rows of the release.",
            software_packageVersion=", ".join(source.revisions),
            software_homePage=source.url,
            software_primaryPurpose="data",
            dataset_datasetType=["noAssertion"],
        )
        document.license(package, source.licences)
        packages.append(package)
    return packages


def _passages(document: _Document, statistics: Statistics) -> list[str]:
    """The collections of the passages that rows cite."""
    packages = []
    for passages in statistics.owed.passage_sources():
        package = document.add(
            "dataset_DatasetPackage",
            "passages",
            f"{passages.source} {passages.licence}",
            name=f"passages of {passages.source}",
            description=f"{passages.passages:,} passages that rows of the release cite.",
            software_primaryPurpose="data",
            dataset_datasetType=["text"],
        )
        document.license(package, [passages.licence])
        packages.append(package)
    return packages


def _add_teachers(
    document: _Document, release: str, statistics: Statistics, facts: CardFacts, tool: str
) -> None:
    """The models: those that wrote part of a row generate the release, which uses the others."""
    wrote = {(role, m, rev): rows for (m, rev, _, role), rows in statistics.owed.generators.items()}
    generators = {(model, revision) for _, model, revision in wrote}
    roles: dict[tuple[str, str], list[str]] = {}
    for (role, model, revision), rows in sorted({**wrote, **statistics.teachers}.items()):
        roles.setdefault((model, revision), []).append(f"{role} of {rows:,} rows")
    tools = [tool]
    for (model, revision), parts in sorted(roles.items()):
        is_known = revision != UNKNOWN_REVISION
        package = document.add(
            "ai_AIPackage",
            "model",
            f"{model}@{revision}",
            name=model,
            description=f"{', '.join(parts)}.",
            software_primaryPurpose="model",
            **({"software_packageVersion": revision} if is_known else {}),
            **({"comment": facts.terms[model]} if facts.terms.get(model) else {}),
        )
        document.license(package, [statistics.model_licences[model, revision]])
        if (model, revision) in generators:
            document.relate(package, "generates", [release])
        else:
            tools.append(package)
    document.relate(release, "usesTool", tools)
