"""The reference of all records, written from their models: `docs/records.md`."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from typing import Any

from pydantic.fields import FieldInfo

from sdg_assets.records import (
    Contribution,
    CuratedExample,
    EnrichedExample,
    Example,
    GeneratedExample,
    Judgement,
    Proof,
    Record,
    Rejection,
    Rubric,
    Seed,
    Source,
    TeacherStamp,
    Vote,
)

_HEAD = """\
# Records

One line of JSON is one record. Each stage's record has the fields of the one before and adds its \
own; the tables below list only what is new. This page is written from the models in \
`sdg_assets/records.py` by `sdg records > docs/records.md`, and a test keeps it current.
"""
# In the order of the stages; a record is followed by those that are nested in it.
_SECTIONS: dict[str, list[type[Record]]] = {
    "`seeds`": [Seed, Source],
    "`normalized`": [Example],
    "`generated`": [GeneratedExample, TeacherStamp],
    "`enriched` and `filtered`": [EnrichedExample, Vote, Proof, Judgement, Rubric],
    "`curated`": [CuratedExample, Contribution],
    "Refused rows of every stage": [Rejection],
}


def page() -> str:
    """The reference as Markdown: for each record what it is, and a table of its own fields."""
    parts = [_HEAD]
    for stage, records in _SECTIONS.items():
        parts.append(f"## {stage}\n")
        parts += ["\n".join(_section(record)) + "\n" for record in records]
    return "\n".join(parts)


def _section(record: type[Record]) -> Iterator[str]:
    base = record.__bases__[0]
    inherited = base.model_fields if issubclass(base, Record) else {}
    yield f"### {record.__name__}\n"
    yield inspect.cleandoc(record.__doc__ or "")
    if inherited:
        yield f"\nHas the fields of {base.__name__}, and:"
    yield "\n| field | type | default | meaning |\n|---|---|---|---|"
    for name, field in record.model_fields.items():
        if name not in inherited:
            meaning = (field.description or "").replace("|", "\\|")
            yield f"| `{name}` | {_type(field.annotation)} | {_default(field)} | {meaning} |"


def _type(annotation: Any) -> str:  # noqa: ANN401 – annotations have no common type
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    if "[" in str(annotation):
        text = str(annotation)
    text = re.sub(r"Annotated\[(.*?), BeforeValidator\(.*?\)\]", r"\1", text)
    text = re.sub(r"\b(?:typing|sdg_assets(?:\.\w+)*)\.", "", text)
    return text.replace("|", "\\|")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return ""
    value = field.get_default(call_default_factory=True, validated_data={})
    return f"`{json.dumps(value)}`"
