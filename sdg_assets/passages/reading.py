"""Reads passages from a directory, a dataset or this package, and refuses those it cannot use.

A directory holds `.jsonl` and `.parquet` files, one passage a row, and `.md` and `.txt` files, one
passage a file, whose front matter (YAML between two lines `---`) has the other fields.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from sdg_assets.answers.unspaced import words_in
from sdg_assets.catalog import RecordMapping, SubtaskSpec
from sdg_assets.catalog.licences import licences
from sdg_assets.errors import SeedSourceError
from sdg_assets.records import Passage, Rejection
from sdg_assets.sources.source import json_rows, open_source, parquet_rows

EMBEDDED = "embedded"
FOLDER = Path(__file__).parent / "embedded"
GATE = "passages"
FIELDS = ("id", "title", "text", "licence", "source")
MOST_WORDS = 500
"""A prompt holds several passages, and a background rests on a few sentences of them."""
_TEXT_FILES, _TABLES = (".md", ".txt"), (".jsonl", ".parquet")
_DATASET = re.compile(r"([\w.-]+/[\w.-]+)(?::([\w.-]+))?(?::([\w.-]+))?")
_FRONT_MATTER = re.compile(r"\A\ufeff?---[ \t]*\n(.*?)\n---[ \t]*\n(.*)\Z", re.DOTALL)


def name_of(setting: str) -> str:
    """What a set of passages is recorded as: the setting; the embedded ones with their version."""
    if setting != EMBEDDED:
        return setting
    digest = hashlib.sha256()
    for file in sorted(FOLDER.iterdir()):
        digest.update(file.read_bytes())
    return f"{EMBEDDED}@{digest.hexdigest()[:8]}"


def read_passages(setting: str, seed_source: str) -> Iterator[Passage | Rejection]:
    """Reads the passages that `SDG_PASSAGES` names, in the order of file names and rows.

    Args:
        setting: `embedded`, a directory, or a dataset as `org/name`, `org/name:config` or
            `org/name:config:split`.
        seed_source: Where a dataset is read from, as `SDG_SEED_SOURCE`.

    Yields:
        A `Passage`, or a `Rejection` by gate `passages`: `missing field`, `empty field`, `not
        text`, `no front matter`, `unknown licence`, `licence forbids adaptations`, `too long` or
        `duplicate id`.

    Raises:
        SeedSourceError: The directory, the dataset or a file cannot be read, or there is nothing
            to read.
    """
    ids: set[str] = set()
    for row in _rows(setting, seed_source):
        passage = row if isinstance(row, Rejection) else passage_of(row)
        if isinstance(passage, Rejection):
            yield passage
        elif passage.id in ids:
            yield _refused(passage.model_dump(), "duplicate id", passage.id)
        else:
            ids.add(passage.id)
            yield passage


def passage_of(row: Mapping[str, Any]) -> Passage | Rejection:
    """The passage in a row with the fields `FIELDS`; `license` stands for `licence`, too."""
    values = {"licence": row.get("license"), **row}
    if missing := [name for name in FIELDS if values.get(name) is None]:
        return _refused(row, "missing field", ", ".join(missing))
    fields = {name: values[name] for name in FIELDS}
    fields["id"] = str(fields["id"])  # datasets number their rows
    if wrong := [name for name, value in fields.items() if not isinstance(value, str)]:
        return _refused(row, "not text", ", ".join(wrong))
    if empty := [name for name, value in fields.items() if not value.strip()]:
        return _refused(row, "empty field", ", ".join(empty))
    licence = fields.pop("licence").strip()
    if licence not in licences().data:
        return _refused(row, "unknown licence", f"{licence}: not in catalog/licences.yaml")
    if "no_derivatives" in licences().of_data(licence).asks:
        return _refused(row, "licence forbids adaptations", licence)
    if (count := words_in(fields["text"], characters=1)) > MOST_WORDS:
        return _refused(row, "too long", f"{count} words, at most {MOST_WORDS}: split it")
    return Passage(**fields, license=licence)


def _rows(setting: str, seed_source: str) -> Iterator[Mapping[str, Any] | Rejection]:
    directory = FOLDER if setting == EMBEDDED else Path(setting).expanduser()
    if directory.is_dir():
        files = sorted(
            file for file in directory.rglob("*") if file.suffix in (*_TABLES, *_TEXT_FILES)
        )
        if not files:
            raise SeedSourceError(
                f"SDG_PASSAGES={setting}: holds no file that ends in "
                f"{', '.join((*_TABLES, *_TEXT_FILES))}"
            )
        for file in files:
            yield from _rows_of(file, str(file.relative_to(directory)))
    elif dataset := _DATASET.fullmatch(setting):
        name, config, split = dataset.groups()
        record = RecordMapping(question="{{text}}", answer="{{title}}")
        spec = SubtaskSpec.of_split(GATE, name, config or "default", split or "train", record)
        yield from open_source(seed_source).rows(spec, spec.split)
    else:
        raise SeedSourceError(
            f"SDG_PASSAGES={setting}: is neither {EMBEDDED}, nor an existing directory, nor a "
            "dataset (org/name, org/name:config or org/name:config:split)"
        )


def _rows_of(file: Path, name: str) -> Iterator[Mapping[str, Any] | Rejection]:
    if file.suffix == ".jsonl":
        yield from json_rows(file)
    elif file.suffix == ".parquet":
        yield from parquet_rows(file)
    else:
        yield _row_of_text(file, name)


def _row_of_text(file: Path, name: str) -> Mapping[str, Any] | Rejection:
    """The fields of a text file; its name is its id, unless its front matter has one."""
    try:
        content = file.read_text("utf-8").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SeedSourceError(f"{file}: not readable as UTF-8: {error}") from error
    parts = _FRONT_MATTER.match(content)
    try:
        # Every value is text: as a date, 2024-02-30 stopped the reading of all passages.
        fields = yaml.load(parts[1], yaml.BaseLoader) if parts else None  # noqa: S506 – safe
    except (yaml.YAMLError, RecursionError) as error:
        problem = " ".join(str(error).split())
        return _refused({"id": name}, "no front matter", f"{name}: not YAML: {problem}")
    if not parts or not isinstance(fields, dict):
        return _refused({"id": name}, "no front matter", name)
    return {"id": name, **fields, "text": parts[2].strip()}


def _refused(row: Mapping[str, Any], reason: str, detail: str = "") -> Rejection:
    plain = {
        str(name): value if isinstance(value, str | int | float | bool | None) else str(value)
        for name, value in row.items()
    }
    return Rejection(gate=GATE, reason=reason, detail=detail, row=plain)
