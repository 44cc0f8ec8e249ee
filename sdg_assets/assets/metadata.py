"""Metadata of a partition for the UI: counts to plot, the funnel, sample rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from sdg_assets.assets.changes import Counts, funnel_table
from sdg_assets.assets.keys import partition_page
from sdg_assets.checks.inspection import Inspection
from sdg_assets.checks.outcome import CheckOutcome
from sdg_assets.records import EnrichedExample, Example, Proof, Record
from sdg_assets.store.manifest import Manifest
from sdg_assets.teacher.conversation import Usage

SAMPLES = 3
FAILING_SHOWN = 50
BAR = 20
"""Characters of the longest bar of a histogram."""


def partition_metadata(
    inspection: Inspection,
    samples: Iterable[Record],
    usage: Usage | None,
    path: str,
    replaced: Manifest | None = None,
) -> dict[str, Any]:
    """Metadata of one materialized partition.

    Args:
        inspection: The counts of accepted and rejected rows.
        samples: A few accepted rows.
        usage: The teachers' usage; None for stages without a teacher.
        path: File of the rows.
        replaced: The manifest of the version before; None: this is the first.

    Returns:
        Numbers by name, which the UI plots, and `funnel`, `samples` and `refused_samples` as
        Markdown. Numbers that do not change from run to run are texts, so that the UI does not
        plot them.
    """
    metadata: dict[str, Any] = {
        "dagster/partition_row_count": inspection.rows,
        "rows": inspection.rows,
        "rows_rejected": inspection.rejected.total(),
        **{f"rejected_by_{gate}": count for gate, count in sorted(inspection.rejected.items())},
        "funnel": dg.MetadataValue.md(
            funnel_table(Counts.of(inspection), Counts.published(replaced))
        ),
        "samples": dg.MetadataValue.md(_samples(samples)),
        **_refused(inspection),
        **_pass_rates(inspection),
        "path": dg.MetadataValue.path(path),
    }
    if usage is not None:
        metadata |= usage_metadata(usage)
    return metadata


def usage_metadata(usage: Usage) -> dict[str, Any]:
    """The teachers' usage: counts of requests, tokens and finish reasons, and seconds."""
    return {
        "teacher_requests": usage.requests,
        "teacher_requests_reused": usage.reused,
        "output_tokens_reused": usage.reused_tokens,
        "prompt_tokens": usage.prompt_tokens,
        "output_tokens": usage.output_tokens,
        **_ended_by_budget(usage),
        **({"reasoning_tokens": usage.reasoning_tokens} if usage.reasoning_tokens else {}),
        "teacher_seconds": round(usage.seconds, 2),
        "tokens_per_second": round(usage.tokens_per_second, 2),
        # Servers do not report this rate.
        **({"prefix_cache_hit_rate": round(rate, 4)} if (rate := usage.cache_hit_rate) else {}),
        **{f"finish_{reason}": count for reason, count in sorted(usage.finish_reasons.items())},
    }


def _ended_by_budget(usage: Usage) -> dict[str, Any]:
    """How many rows are missing because the budget was used up; empty if it was not."""
    if not usage.unfinished:
        return {}
    return {"ended_by": "the budget of tokens", "rows_unfinished": usage.unfinished}


def check_metadata(outcome: CheckOutcome) -> dict[str, dg.MetadataValue[Any]]:
    """A check's summary, numbers, reasons for lost rows, and first offending rows."""
    metadata: dict[str, Any] = {"summary": dg.MetadataValue.text(outcome.summary)}
    metadata |= {
        # As text, not as a number: the count of checked rows would plot as a flat line.
        name: dg.MetadataValue.text(f"{value:,.0f}")
        if name == "rows" and outcome.name != "rows"
        else dg.MetadataValue.float(value)
        for name, value in outcome.numbers.items()
    }
    if outcome.reasons:
        lines = ["| why rows were lost | now | before |", "|---|---|---|"]
        most = sorted(outcome.reasons.items(), key=lambda item: -item[1][0])
        lines += [f"| {_cell(reason)} | {now} | {before} |" for reason, (now, before) in most]
        metadata["reasons"] = dg.MetadataValue.md("\n".join(lines))
    if outcome.kept_at:
        metadata["refused_rows"] = dg.MetadataValue.path(outcome.kept_at)
    if outcome.offenders:
        rows = {offender.row: offender.problem for offender in outcome.offenders}
        metadata["offending_rows"] = dg.MetadataValue.md(_table(("row", "problem"), rows))
    return metadata


def contamination_metadata(record: Mapping[str, Any]) -> dict[str, Any]:
    """The contamination gate's results.

    Args:
        record: The entry `contamination` of a manifest's `info`.

    Returns:
        Numbers to plot, and a Markdown table of the overlaps by benchmark if there are any.
    """
    columns = ("refused", "suspicious", "suspicion", "shared_contexts", "highest")
    lines = [f"| benchmark | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    lines += [
        f"| {name} | " + " | ".join(f"{overlap[column]:.4g}" for column in columns) + " |"
        for name, overlap in record["benchmarks"].items()
    ]
    metadata = {
        "contaminated": record["refused"],
        "contamination_suspicious": record["suspicious"],
        "contamination_checked_against": f"{len(record['against'])} held-out sets",
        "contamination_not_checked_against": record["without"],
    }
    if record["benchmarks"]:
        metadata["contamination"] = dg.MetadataValue.md("\n".join(lines))
    return metadata


def paraphrase_metadata(record: Mapping[str, Any]) -> dict[str, Any]:
    """The paraphrase gate's results.

    Args:
        record: The entry `paraphrases` of a manifest's `info`.

    Returns:
        The embedder, numbers to plot, and a Markdown table by benchmark if a row is near one.
    """
    columns = ("refused", "reported", "highest")
    lines = [f"| benchmark | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    lines += [
        f"| {name} | " + " | ".join(f"{near[column]:.4g}" for column in columns) + " |"
        for name, near in record["benchmarks"].items()
    ]
    metadata = {
        "embedder": record["embedder"],
        "paraphrase_lines": " and ".join(map(str, record["lines"])),
        "paraphrases_compared": record["compared"],
        "paraphrases_refused": record["refused"],
        "paraphrases_reported": record["reported"],
        "paraphrases_checked_against": f"{sum(record['against'].values())} questions of "
        f"{len(record['against'])} held-out sets",
    }
    if record["benchmarks"]:
        metadata["paraphrases"] = dg.MetadataValue.md("\n".join(lines))
    return metadata


def _table(header: tuple[str, str], rows: Mapping[str, object]) -> str:
    lines = [f"| {header[0]} | {header[1]} |", "|---|---|"]
    return "\n".join(lines + [f"| {_cell(k)} | {_cell(v)} |" for k, v in rows.items()])


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")[:300]


def _pass_rates(inspection: Inspection) -> dict[str, Any]:
    """The mean pass rate, and rows by pass rate as a table with bars; empty without a probe."""
    if inspection.pass_rate is None:
        return {}
    most, lines = max(inspection.pass_rates.values()), {}
    for rate, rows in sorted(inspection.pass_rates.items()):
        lines[f"{rate:.2f}"] = f"{rows:,} {'█' * round(BAR * rows / most)}"
    return {
        "pass_rate": round(inspection.pass_rate, 4),
        "pass_rates": dg.MetadataValue.md(_table(("pass rate", "rows"), lines)),
    }


def _refused(inspection: Inspection) -> dict[str, dg.MetadataValue[Any]]:
    """Sample refused rows of each gate, as Markdown; the gate with most refusals comes first."""
    parts = []
    for gate, count in inspection.rejected.most_common():
        parts.append(f"### {gate}: {count} rows")
        for refused in inspection.refused[gate]:
            fields = {name: refused.row.get(name) for name in ("question", "choices", "answer")}
            row = {name: value for name, value in fields.items() if value} or {"row": refused.row}
            lines = "\n".join(f"- {name}: {_cell(value)}" for name, value in row.items())
            parts.append(f"**{_cell(refused.reason)}** {_cell(refused.detail)}\n\n{lines}")
    return {"refused_samples": dg.MetadataValue.md("\n\n".join(parts))} if parts else {}


@dataclass(frozen=True)
class Failing:
    """The partitions that fail a check, listed because Dagster shows only one evaluation."""

    asset: dg.AssetKey
    partitions: Sequence[str]
    of: int
    """How many partitions were checked."""

    def description(self, summary: str) -> str:
        """The check's summary, the number of failing partitions and the first `SAMPLES` of them."""
        if not self.partitions:
            return summary
        first = ", ".join(self.partitions[:SAMPLES])
        rest = ", …" if len(self.partitions) > SAMPLES else ""
        count = f"{len(self.partitions)} of {self.of} partitions fail this check: {first}{rest}"
        return f"{summary}. {count}"

    def metadata(self) -> dict[str, dg.MetadataValue[Any]]:
        """`failing_partitions`: a Markdown list of links; empty if no partition fails."""
        if not self.partitions:
            return {}
        asset, first = self.asset.to_user_string(), self.partitions[:FAILING_SHOWN]
        links = "\n".join(f"- [{key}]({partition_page(asset, key)})" for key in first)
        more = len(self.partitions) - FAILING_SHOWN
        rest = f"\n- and {more} more" if more > 0 else ""
        text = f"{len(self.partitions)} of {self.of} partitions fail:\n\n{links}{rest}"
        return {"failing_partitions": dg.MetadataValue.md(text)}


def _proof_summary(proof: Proof) -> str:
    return f"tests kill {proof.killed} of {proof.mutants} mutants {proof.fault}".rstrip()


def _samples(samples: Iterable[Record]) -> str:
    sections = []
    for row in samples:
        if not isinstance(row, Example):
            continue
        lines = [f"**{row.id}**", row.context, row.question]
        lines += [f"- {choice}" for choice in row.choices]
        lines.append(f"**Answer:** {row.answer}")
        if isinstance(row, EnrichedExample):
            votes = ", ".join(f"{vote.answer} ×{vote.count}" for vote in row.votes)
            lines.append(f"*{row.outcome}* – votes: {votes or 'none'}")
            if row.proof:
                lines.append(_proof_summary(row.proof))
            if row.judge:
                lines.append(f"judge: {row.judge.score:.2f} {' '.join(row.judge.reasons)}")
        sections.append("\n\n".join(line for line in lines if line))
    return "\n\n---\n\n".join(sections) or "no rows"
