"""A release on disk: two families as JSONL and Parquet, a manifest and a dataset card.

Everything is written into a directory beside its place and moved there in one step, so no half
release is ever visible. The same inputs give byte-identical data files and the same release id,
which is a hash of them: a release that is there and whole is never touched again.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import IO

from sdg_assets.examples import CuratedExample, Rejection, content_id, polars_schema

FAMILIES = ("multiple_choice", "generative")


@dataclass(frozen=True)
class Release:
    """What was cut."""

    id: str
    path: Path
    rows: int
    rejected: int
    families: Mapping[str, int]
    commercial: int


def write_release(
    root: Path, inputs: Mapping[str, str], rows: Iterable[CuratedExample | Rejection]
) -> Release:
    """Writes `<root>/curated/<release id>/`.

    Args:
        root: The store.
        inputs: Partition → hash of its content.
        rows: What `curate` yields.

    Returns:
        The release. It is named after code version, inputs and content: the catalog's licences
        change rows as well.
    """
    code = version("sdg-assets")
    tmp = root / "curated" / f".{os.getpid()}-{secrets.token_hex(4)}.tmp"
    tmp.mkdir(parents=True)
    try:
        counts, licences, commercial, rejected = _write_rows(tmp, rows)
        for family in FAMILIES:
            if counts[family]:
                _write_parquet(tmp / family)
        files = _hashes(tmp)
        release_id = content_id(code, dict(inputs), files)[:12]
        manifest = {
            "release": release_id,
            "code_version": code,
            "inputs": dict(sorted(inputs.items())),
            "rows": {family: counts[family] for family in FAMILIES},
            "commercial_rows": commercial,
            "licences": dict(sorted(licences.items())),
            "rejected": rejected,
            "files": files,
        }
        (tmp / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")
        (tmp / "README.md").write_text(_card(release_id, counts, licences), "utf-8")
        place = root / "curated" / release_id
        if _hashes(place) != _hashes(tmp):
            if place.exists():  # damaged by hand
                place.rename(tmp.with_suffix(".damaged"))
            tmp.rename(place)
    finally:
        shutil.rmtree(tmp, ignore_errors=True)
        shutil.rmtree(tmp.with_suffix(".damaged"), ignore_errors=True)
    return Release(release_id, place, counts.total(), rejected, dict(counts), commercial)


def _hashes(directory: Path) -> dict[str, str]:
    files = {}
    for file in sorted(f for f in directory.rglob("*") if f.is_file()):
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        files[str(file.relative_to(directory))] = digest
    return files


def _write_rows(
    directory: Path, rows: Iterable[CuratedExample | Rejection]
) -> tuple[Counter[str], Counter[str], int, int]:
    counts: Counter[str] = Counter()
    licences: Counter[str] = Counter()
    commercial = rejected = 0
    outs: dict[str, IO[bytes]] = {}
    try:
        for row in rows:
            name = "rejected" if isinstance(row, Rejection) else row.answer_kind.family
            if name not in outs:
                (directory / name).mkdir()
                outs[name] = (directory / name / "train.jsonl").open("wb")
            outs[name].write(row.model_dump_json().encode() + b"\n")
            if isinstance(row, Rejection):
                rejected += 1
                continue
            counts[name] += 1
            licences[row.license] += 1
            commercial += row.commercial_use == "yes"
    finally:
        for out in outs.values():
            out.close()
    return counts, licences, commercial, rejected


def _write_parquet(directory: Path) -> None:
    import polars as pl

    schema = polars_schema(CuratedExample)
    variants = pl.Struct(
        {name: pl.String() for name in ("answer_only", "with_reasoning", "with_context")}
    )
    schema["text"] = variants
    frame = pl.scan_ndjson(directory / "train.jsonl", schema=schema)
    frame.sink_parquet(directory / "train.parquet")


def _card(release_id: str, counts: Counter[str], licences: Counter[str]) -> str:
    configs = "\n".join(
        f"- config_name: {family}\n  data_files: {family}/train.parquet"
        for family in FAMILIES
        if counts[family]
    )
    shares = "\n".join(f"| {name} | {count} |" for name, count in licences.most_common())
    return (
        f"---\nconfigs:\n{configs}\n---\n\n# Release {release_id}\n\n"
        f"{counts.total()} synthetic question-answer pairs, seeded by training splits of public "
        "task datasets and verified by blind majority votes.\n\n"
        f"| seed licence | rows |\n|---|---|\n{shares}\n\n"
        "Each row says which seeds, teacher, prompt and votes it comes from.\n"
    )
