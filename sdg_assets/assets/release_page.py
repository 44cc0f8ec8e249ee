"""Metadata of a release for its page in the UI."""

from collections.abc import Collection, Iterable, Mapping, Sequence

import dagster as dg

from sdg_assets.checks.release import CURRENT_LICENCES, FRESH_INPUTS, HELDOUT_COMPARED
from sdg_assets.heldout.coverage import REMEDIES, SplitCoverage, names_of, not_compared
from sdg_assets.release import Release
from sdg_assets.release.tokens import TokenSizes
from sdg_assets.stages.relicensed import Relicensed
from sdg_assets.store.places import Place
from sdg_assets.teacher.tokenizer import NoTokenizer

STALE_SHOWN = 20
NAMES_SHOWN = 20
"""Tasks and benchmarks that a check's description names for each reason."""
Metadata = dict[str, dg.MetadataValue | int | float | str]


def release_metadata(release: Release[Place], partitions: int, stale: Sequence[str]) -> Metadata:
    """Counts, which the UI plots over releases, and tables.

    Args:
        release: The release.
        partitions: Number of `filtered` partitions in it.
        stale: Its stale and incomplete inputs, as `task/stage/subtask`.
    """
    figures = release.statistics
    sampled = [task.diversity for task in figures.tasks.values() if task.diversity]
    mean = {
        name: sum(getattr(diversity, name) for diversity in sampled) / len(sampled)
        for name in ("distinct_2", "self_similarity")
        if sampled
    }
    teachers = [(*key, count) for key, count in sorted(figures.teachers.items())]
    tasks = [
        (name, task.rows, task.commercial, task.anchors)
        for name, task in sorted(figures.tasks.items())
    ]
    shares = [
        (name, count, f"{count / figures.rows:.0%}")
        for name, count in figures.variations.most_common()
    ]
    rejected = sorted(figures.rejected.items(), key=lambda item: (-item[1], item[0]))
    return {
        "rows": figures.rows,
        "rows_rejected": figures.rejected.total(),
        "partitions": partitions,
        "release": release.id,
        "version": release.version,
        "path": dg.MetadataValue.path(str(release.path)),
        "card": dg.MetadataValue.md(_card(release)),
        "card_path": dg.MetadataValue.path(str(release.path / "README.md")),
        **{f"rows_{family}": count for family, count in figures.families.items()},
        "rows_commercial": figures.commercial,
        **_tokens(figures.tokens),
        "not_commercial": _table(
            ("why not commercial", "rows"), figures.not_commercial.most_common()
        )
        if figures.not_commercial
        else "every row is",
        "teachers": _table(("role", "model", "revision", "rows"), teachers),
        "tasks": _table(("task", "rows", "commercial", "seeds used"), tasks),
        "stale_inputs": stale_inputs(stale),
        "answers_corrected": figures.corrected,
        "seeds_used": sum(task.anchors for task in figures.tasks.values()),
        **{f"diversity_{name}": round(value, 4) for name, value in mean.items()},
        "variations": _table(("variation", "rows", "share"), shares),
        "rejected": dg.MetadataValue.json(dict(rejected)),
    }


def _tokens(sizes: TokenSizes) -> Metadata:
    """Tokens by variant, which the UI plots, and a table by task; or why none were counted."""
    if isinstance(sizes.tokenizer, NoTokenizer):
        return {"tokens": f"not counted: {sizes.tokenizer.reason}"}
    variants = sizes.of_variants()
    tasks = [
        (task, *(f"{size.tokens:,}" if (size := by.get(v)) else "–" for v in variants))
        for task, by in sizes.by("task").items()
    ]
    lengths = [(tokens, *by.values()) for tokens, by in sizes.histogram().items()]
    return {
        **{f"tokens_{variant}": size.tokens for variant, size in variants.items()},
        "tokens": _table(("task", *variants), tasks),
        "tokens_of_a_text": _table(("tokens", *variants), lengths),
        "tokenizer": f"{sizes.tokenizer.name}@{sizes.tokenizer.revision}",
    }


def stale_inputs(stale: Sequence[str]) -> dg.MetadataValue | str:
    """The number of stale inputs and the names of the first `STALE_SHOWN`."""
    if not stale:
        return "none"
    lines = [f"- {name}" for name in stale[:STALE_SHOWN]]
    if len(stale) > STALE_SHOWN:
        lines.append(f"- and {len(stale) - STALE_SHOWN} more")
    return dg.MetadataValue.md("\n".join([f"{len(stale)} stale:", "", *lines]))


def freshness(stale: Sequence[str]) -> dg.AssetCheckResult:
    """The check that no input of the release is stale. A failure is a warning."""
    return dg.AssetCheckResult(
        check_name=FRESH_INPUTS.name,
        passed=not stale,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{len(stale)} partitions are stale: a teacher, its prompts or the rows they "
        "were made from have changed, or a budget of tokens ended them. Materialize them again, "
        "then `curated`"
        if stale
        else "every partition was made from the current versions of its inputs",
        metadata={"stale_inputs": stale_inputs(stale)},
    )


def current_licences(relicensed: Mapping[Relicensed, int]) -> dg.AssetCheckResult:
    """The check that no licence was corrected since rows were made. A failure is a warning.

    Args:
        relicensed: Corrected licence → the rows that were made under the earlier one.
    """
    table = [(c.name, c.before, c.now, rows) for c, rows in sorted(relicensed.items())]
    names = sorted({corrected.name for corrected in relicensed})
    return dg.AssetCheckResult(
        check_name=CURRENT_LICENCES.name,
        passed=not relicensed,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"rows were made under earlier licences of {', '.join(names[:STALE_SHOWN])}: "
        "the release states the corrected ones, and leaves out of `commercial` what the earlier "
        "ones forbid. Materialize the tasks again from `seeds` on; no teacher is asked anew"
        if relicensed
        else "rows state the licences of catalog and cards",
        metadata={"corrected": _table(("of", "earlier", "licence", "rows"), table)}
        if relicensed
        else {},
    )


def heldout_compared(coverage: Collection[SplitCoverage]) -> dg.AssetCheckResult:
    """The check that rows were compared with all that is held out. A failure is a warning.

    A partition demands the hashes of its own held-out splits and of the protected benchmarks. Those
    of other tasks are compared if somebody hashed them: whoever tries one subtask must not read the
    datasets of a hundred tasks. So a release says which are missing. The check fails if something
    can be done about it: tasks that are switched off have no hashes, and are only counted.

    Args:
        coverage: Every held-out split, and whether rows were compared with it.
    """
    groups = not_compared(coverage)
    compared = sum(split.compared for split in coverage)
    reasons = "; ".join(
        f"{len(splits):,} {reason} ({names_of(splits, NAMES_SHOWN)}): {REMEDIES[reason]}"
        for reason, splits in groups.items()
    )
    partitions = dict.fromkeys(s.collection for s in groups.get("not hashed", ()))
    return dg.AssetCheckResult(
        check_name=HELDOUT_COMPARED.name,
        passed=not groups.keys() - {"switched off"},
        severity=dg.AssetCheckSeverity.WARN,
        description=f"rows were compared with {compared:,} of {len(coverage):,} held-out splits"
        + (f". Not compared: {reasons}" if groups else ""),
        metadata={
            "compared": compared,
            **{reason.replace(" ", "_"): len(splits) for reason, splits in groups.items()},
            "to_materialize": dg.MetadataValue.json(list(partitions)),
        },
    )


def _card(release: Release[Place]) -> str:
    """The dataset card without its header and pictures, which are files of the release."""
    page = (release.path / "README.md").read_bytes().decode().split("---\n", 2)[2]
    return "\n".join(line for line in page.splitlines() if not line.startswith("![")).strip()


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> dg.MetadataValue:
    lines = [header, ["---"] * len(header), *rows]
    cells = ([str(cell).replace("|", "\\|") for cell in line] for line in lines)
    return dg.MetadataValue.md("\n".join(f"| {' | '.join(line)} |" for line in cells))
