"""Whether a release meets the standards that its readers rely on; exits 1 and names what it misses.

    python -m sdg_assets_tests.benchmarks.release_standards [--rows 200]

Cuts a release of twelve mirrored subtasks with an Apache, a Gemma and a Llama teacher, twice and
from scratch, and a third one after a writer has changed. Then `mlcroissant` validates and streams
it, SPDX's own model reads its `spdx.json`, `datasets` reads the release and the export, and
Megatron-core's own dataset (extra `megatron`; skipped without it) packs the export for training.
Training rows stand in for a teacher's output, see `mirrored_release`.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
warnings.simplefilter("ignore")

from sdg_assets.release.audit import AUDIT  # noqa: E402
from sdg_assets.release.croissant import CROISSANT, RAI_FIELDS  # noqa: E402
from sdg_assets.release.export import Exported, export  # noqa: E402
from sdg_assets.release.spdx import SPDX  # noqa: E402
from sdg_assets.teacher.models import resolve  # noqa: E402
from sdg_assets.teacher.tokenizer import Tokenizer, tokenizer_of  # noqa: E402
from sdg_assets_tests.benchmarks import mirrored_release  # noqa: E402
from sdg_assets_tests.support.spdx import Bill  # noqa: E402

TEACHER = "smollm2-135m"
VARIANT = "answer_only"
SEQUENCE = 512
DATE = "datePublished"
"""The one recommended property that `croissant.json` leaves out: a date differs from cut to cut."""
OWED = {
    "google/gemma-3-12b-it": "pass on terms",
    "meta-llama/Llama-3.3-70B-Instruct": "naming",
}
"""Teacher → an obligation that its licence brings."""
Facts = dict[str, Any]


def main() -> int:
    """Prints a line for each standard; returns 1 if one is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=200, help="seeds of a subtask at most")
    rows = parser.parse_args().rows
    logging.disable(logging.WARNING)
    resolve(TEACHER)
    missed = []
    with tempfile.TemporaryDirectory(prefix="sdg-") as scratch:
        os.environ["HF_HOME"] = f"{scratch}/hf"
        for name, problem, detail in _standards(Path(scratch), rows):
            print(f"{'MISSED' if problem else 'ok':8}{name}: {problem or detail}", flush=True)
            missed += [name] if problem else []
    print(f"missed: {', '.join(missed)}" if missed else "all standards met")
    return 1 if missed else 0


def _standards(scratch: Path, rows: int) -> Iterator[tuple[str, str, str]]:
    """(name, problem or "", detail) of each standard."""
    stores = [scratch / "one", scratch / "two"]
    for store in stores:
        mirrored_release.fill_store(store, rows)
    release, again = (mirrored_release.cut(store, TEACHER) for store in stores)
    manifest = json.loads((release / "manifest.json").read_text("utf-8"))
    total = sum(manifest["rows"].values())
    subtasks = len(manifest["inputs"])
    yield (
        "a release of ten subtasks or more",
        "" if subtasks >= 10 else f"{subtasks} subtasks",
        f"{subtasks} subtasks, {total:,} rows, version {manifest['version']}",
    )
    yield "two cuts are byte-identical", *_identical(release, again)
    yield "croissant.json is valid and streams", *_streamed(release, manifest)
    yield "eight of eight RAI fields from facts", *_responsible(release, manifest)
    yield "spdx.json is valid, with every source and model", *_bill(release, manifest)
    yield "obligations of three licences", *_obligations(release)
    yield "held-out audit", *_audit(release, manifest, total)
    yield "sizes in tokens", *_tokens(manifest)
    written = export(release, scratch / "export", variant=VARIANT)
    texts = sum(part.rows for part in written)
    yield "datasets reads the release", *_loaded(release, manifest)
    yield "datasets reads the export", *_loaded_texts(written, texts)
    yield "Megatron-core packs the export", *_packed(written, scratch)
    changed = mirrored_release.change_writer(stores[0], rows)
    yield "a changed writer is a minor version", *_changed(stores[0], release, changed)


def _identical(one: Path, two: Path) -> tuple[str, str]:
    contents = [
        {f.relative_to(r).as_posix(): f.read_bytes() for f in r.rglob("*") if f.is_file()}
        for r in (one, two)
    ]
    names = contents[0].keys() | contents[1].keys()
    differing = sorted(n for n in names if contents[0].get(n) != contents[1].get(n))
    return ", ".join(differing), f"{len(names)} files, release {one.name}"


def _streamed(release: Path, manifest: Facts) -> tuple[str, str]:
    import mlcroissant

    dataset = mlcroissant.Dataset(str(release / CROISSANT))
    issues = dataset.metadata.ctx.issues
    if issues.errors or any(DATE not in warning for warning in issues.warnings):
        return issues.report(), ""
    counts = {
        record_set.name: sum(1 for _ in dataset.records(record_set.name))
        for record_set in dataset.metadata.record_sets
    }
    families = {name: counts[name] for name, rows in manifest["rows"].items() if rows}
    expected = {name: rows for name, rows in manifest["rows"].items() if rows}
    commercial = sum(rows for name, rows in counts.items() if name not in families)
    if families != expected or commercial != manifest["commercial_rows"]:
        return f"records {counts}, but the manifest counts {manifest['rows']}", ""
    return "", ", ".join(f"{name} {rows:,} records" for name, rows in counts.items())


def _responsible(release: Path, manifest: Facts) -> tuple[str, str]:
    described = json.loads((release / CROISSANT).read_text("utf-8"))
    teachers = [teacher["model"] for teacher in manifest["teachers"]]
    facts = {
        "rai:dataLimitations": f"{len(manifest['compared_with'])} held-out collections",
        "rai:dataBiases": teachers[0],
        "rai:personalSensitiveInformation": "the release itself refused",
        "rai:dataUseCases": "numeric",
        "rai:dataSocialImpact": f"{manifest['commercial_rows']:,} of",
        "rai:hasSyntheticData": "true",
        "prov:wasDerivedFrom": manifest["sources"][0]["dataset"],
        "prov:wasGeneratedBy": teachers[-1],
    }
    assert facts.keys() == set(RAI_FIELDS)
    empty = [n for n, fact in facts.items() if fact not in json.dumps(described.get(n, ""))]
    return ", ".join(empty), f"{len(facts) - len(empty)} of {len(facts)}"


def _bill(release: Path, manifest: Facts) -> tuple[str, str]:
    try:
        bill = Bill(release / SPDX)
    except Exception as error:  # noqa: BLE001 – the model's errors are of several types
        return f"SPDX's model refuses it: {error}", ""
    root = bill.release()
    origins = {e["name"] for e in bill.targets(root, "descendantOf")}
    files = {e["name"] for e in bill.targets(root, "contains")}
    models = {f"{e['name']} {e['software_packageVersion']}" for e in bill.of_type("ai_AIPackage")}
    absent = [
        *sorted({source["dataset"] for source in manifest["sources"]} - origins),
        *sorted({f"{each['model']} {each['revision']}" for each in manifest["teachers"]} - models),
        *sorted(manifest["files"].keys() - files - {SPDX}),
    ]
    return ", ".join([*bill.faults(), *(f"{name} is missing" for name in absent)]), (
        f"{len(origins)} sources, {len(models)} models, {len(files)} files"
    )


def _obligations(release: Path) -> tuple[str, str]:
    page = (release / "SOURCES.md").read_text("utf-8")
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    absent = [
        f"{duty} towards {teacher}"
        for teacher, duty in OWED.items()
        if not any(line.startswith(f"| {duty}") and f"| {teacher} |" in line for line in lines)
    ]
    return ", ".join(absent), ", ".join(f"{duty} ({name})" for name, duty in OWED.items())


def _audit(release: Path, manifest: Facts, rows: int) -> tuple[str, str]:
    entries = list(map(json.loads, (release / AUDIT).read_text("utf-8").splitlines()))
    if {e["name"] for e in entries} != set(manifest["compared_with"]):
        return "collections are missing", ""
    few = [e["name"] for e in entries if e["compared"] < rows or not e["heldout_rows"]]
    near = [row["score"] for e in entries for row in e["nearest"]]
    refused = sum(e["refused"] for e in entries)
    return ", ".join(few), (
        f"{len(entries)} collections, {refused} refusals, {len(near)} near rows, "
        f"the nearest accepted one scores {max(near, default=0):.2f}"
    )


def _tokens(manifest: Facts) -> tuple[str, str]:
    sizes = manifest["tokens"]
    if "variants" not in sizes:
        return sizes["not_counted"], ""
    texts = {name: f"{size['tokens']:,}" for name, size in sizes["variants"].items()}
    return "", f"{texts} by {sizes['tokenizer']['model']}, {len(sizes['cells'])} cells"


def _loaded(release: Path, manifest: Facts) -> tuple[str, str]:
    import datasets

    datasets.disable_progress_bars()
    configs = manifest["schema"]["configs"]
    rows = {c: len(datasets.load_dataset(str(release), c, split="train")) for c in configs}
    wrong = [name for name, count in manifest["rows"].items() if rows.get(name, 0) != count]
    return ", ".join(wrong), ", ".join(f"{name} {count:,}" for name, count in rows.items())


def _loaded_texts(written: list[Exported], texts: int) -> tuple[str, str]:
    import datasets

    files = [str(file) for part in written for file in part.files]
    rows = datasets.load_dataset("json", data_files=files, split="train")
    is_whole = len(rows) == texts and all(rows["text"])
    return "" if is_whole else f"{len(rows)} of {texts} texts", f"{len(rows):,} texts"


def _packed(written: list[Exported], scratch: Path) -> tuple[str, str]:
    """Indexes the texts as Megatron does, and reads samples of a sequence's length back."""
    try:
        from megatron.core.datasets import gpt_dataset, indexed_dataset
        from megatron.core.datasets.utils import Split
    except ImportError as error:
        return "", f"skipped: install the extra `megatron` ({error})"
    import numpy as np

    tokenizer = _Ids(tokenizer_of(TEACHER))
    prefix = str(scratch / "text_document")
    builder = indexed_dataset.IndexedDatasetBuilder(f"{prefix}.bin", dtype=np.int32)
    tokens = documents = 0
    for file in (file for part in written for file in part.files):
        for line in file.read_text("utf-8").splitlines():
            ids = [*tokenizer.ids(json.loads(line)["text"]), tokenizer.eod]
            builder.add_document(ids, [len(ids)])
            tokens, documents = tokens + len(ids), documents + 1
    builder.finalize(f"{prefix}.idx")
    indexed = indexed_dataset.IndexedDataset(prefix)
    config = gpt_dataset.GPTDatasetConfig(
        random_seed=1, sequence_length=SEQUENCE, blend=([prefix], None), split="1",
        reset_position_ids=False, reset_attention_mask=False, eod_mask_loss=False,
        tokenizer=tokenizer, path_to_cache=str(scratch / "cache"), mid_level_dataset_surplus=0.005,
    )  # fmt: skip
    order = np.arange(documents, dtype=np.int32)
    samples = gpt_dataset.GPTDataset(indexed, prefix, order, None, Split.train, config)
    shapes = {tuple(samples[number]["tokens"].shape) for number in range(len(samples))}
    if len(indexed) != documents or len(samples) != (tokens - 1) // SEQUENCE:
        return f"{len(indexed)} documents and {len(samples)} samples of {tokens} tokens", ""
    if shapes != {(SEQUENCE,)}:
        return f"samples of the shapes {shapes}", ""
    return "", f"{documents:,} documents, {tokens:,} tokens, {len(samples)} samples of {SEQUENCE}"


class _Ids:
    """What Megatron asks of a tokenizer."""

    def __init__(self, tokenizer: object) -> None:
        import tokenizers

        assert isinstance(tokenizer, Tokenizer)
        self._tokenizer = tokenizers.Tokenizer.from_file(str(tokenizer.file))
        self.vocab_size = self._tokenizer.get_vocab_size()
        self.eod = self.pad = self._tokenizer.token_to_id("<|endoftext|>")
        self.unique_identifiers = {"class": tokenizer.name}

    def ids(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)


def _changed(store: Path, before: Path, subtasks: list[str]) -> tuple[str, str]:
    """Cuts once more after the writer of some subtasks has changed, and prints the changelog."""
    after = mirrored_release.cut(store, TEACHER)
    manifest = json.loads((after / "manifest.json").read_text("utf-8"))
    changes = manifest["changes"]
    card = (after / "README.md").read_text("utf-8")
    print(f"\n{card[card.index('## Changes') : card.index('## Limits')]}")
    tasks = {name.split("/")[0] for name in subtasks}
    if (manifest["version"], changes["previous"]) != ("1.1.0", before.name):
        return f"version {manifest['version']} after {changes['previous']}", ""
    if {change["task"] for change in changes["rows"]} != tasks:
        return f"changes in {sorted({c['task'] for c in changes['rows']})}", ""
    return "", f"version 1.1.0: {'; '.join(changes['reasons'])}"


if __name__ == "__main__":
    sys.exit(main())
