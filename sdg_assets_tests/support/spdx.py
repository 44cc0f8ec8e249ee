"""Reads a release's `spdx.json` with SPDX's own model, and says what is wrong with it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from spdx_python_model.bindings import v3_0_1 as model

LICENCES = ("hasDeclaredLicense", "hasConcludedLicense")
"""The relationships that the profile `dataset` asks for: one of each for every data set."""
Element = dict[str, Any]


class Bill:
    """The elements of an SPDX document.

    Args:
        file: The document.

    Raises:
        Exception: The model refuses it: an unknown type or property, a value of another type or
            vocabulary, or too few values. The model's errors are of several types.
    """

    def __init__(self, file: Path) -> None:
        document = json.loads(file.read_text("utf-8"))
        objects = model.SHACLObjectSet()
        model.JSONLDDeserializer().deserialize_data(document, objects)
        model.JSONLDSerializer().serialize_data(objects)  # this counts each property's values
        self._missing = objects.missing_ids
        self._elements: list[Element] = [e for e in document["@graph"] if "spdxId" in e]
        self._ids = {element["spdxId"]: element for element in self._elements}

    def faults(self) -> list[str]:
        """What is wrong with a document that the model reads."""
        links = Counter((e["from"], e["relationshipType"]) for e in self.of_type("Relationship"))
        return [
            *(f"{spdx_id} is no element" for spdx_id in sorted(self._missing)),
            *(
                f"{package['name']}: {links[package['spdxId'], kind]} times {kind}"
                for package in self.of_type("dataset_DatasetPackage")
                for kind in LICENCES
                if links[package["spdxId"], kind] != 1
            ),
        ]

    def of_type(self, name: str) -> list[Element]:
        """The elements of a type, in the order of the document."""
        return [element for element in self._elements if element["type"] == name]

    def named(self, name: str) -> Element:
        """The only element with this name."""
        (element,) = (e for e in self._elements if e.get("name") == name)
        return element

    def release(self) -> Element:
        """The data set that the document is about."""
        (document,) = self.of_type("SpdxDocument")
        (root,) = document["rootElement"]
        return self._ids[root]

    def targets(self, source: Element, kind: str) -> list[Element]:
        """The elements that an element is related to; an individual of SPDX has an id only."""
        return [
            self._ids.get(target, {"spdxId": target})
            for link in self.of_type("Relationship")
            if (link["from"], link["relationshipType"]) == (source["spdxId"], kind)
            for target in link["to"]
        ]
