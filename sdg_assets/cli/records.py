"""`sdg records`: writes the reference of all records, `docs/records.md`, from their models."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sdg_assets.cli import terminal

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from sdg_assets.records import Record

_HEAD = """\
# Records

One line of JSON is one record. Each stage's record has the fields of the one before and adds its \
own; the tables below list only what is new. This page is written from the models in \
`sdg_assets/records.py` by `sdg records > docs/records.md`, and a test keeps it current.
"""


def records() -> int:
    """Describe every field of every record in the files of the store and of a release."""
    terminal.write(page().rstrip())
    return 0


def page() -> str:
    """The reference as Markdown: each record's description and a table of its own fields."""
    parts = [_HEAD]
    for stage, described in _sections().items():
        parts.append(f"## {stage}\n")
        parts += ["\n".join(_section(record)) + "\n" for record in described]
    return "\n".join(parts)


def _sections() -> dict[str, list[type[Record]]]:
    """The records in the order of the stages, each followed by the records nested in it."""
    from sdg_assets import records as r
    from sdg_assets.store.notes import Note

    enriched: list[type[Record]] = [r.EnrichedExample, r.Vote, r.Proof, r.Judgement, r.Rubric]
    enriched += [r.Equivalence, r.Verdict]
    return {
        "`seeds`": [r.Seed, r.Source],
        "`normalized`": [r.Example],
        "`generated`": [r.GeneratedExample, r.TeacherStamp, r.CitedPassage],
        "`enriched` and `filtered`": [*enriched, r.Addition],
        "`curated`": [r.CuratedExample, r.Contribution],
        "`passages`": [r.Passage],
        "Refused rows of every stage": [r.Rejection],
        "Notes of people on rows (`sdg browse`)": [Note],
    }


def _section(record: type[Record]) -> Iterator[str]:
    from sdg_assets.records import Record

    base = record.__bases__[0]
    inherited = base.model_fields if issubclass(base, Record) else {}
    yield f"### {record.__name__}\n"
    yield inspect.cleandoc(record.__doc__ or "")
    if inherited:
        yield f"\nHas the fields of {base.__name__}, and:"
    yield "\n| field | type | default | meaning |\n|---|---|---|---|"
    described = record.model_json_schema()["properties"]
    for name, field in record.model_fields.items():
        if name not in inherited:
            meaning = described[name].get("description", field.description or "")
            meaning = " ".join(meaning.replace("|", "\\|").split())
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
