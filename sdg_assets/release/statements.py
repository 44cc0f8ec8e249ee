"""What a release says of itself, in sentences; all its descriptions for machines say the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sdg_assets.release.card import CardFacts
from sdg_assets.release.statistics import Statistics


@dataclass(frozen=True)
class Statements:
    """Sentences about a release, each from facts of this release."""

    description: str
    limitations: Sequence[str]
    biases: Sequence[str]
    personal_data: str
    uses: Sequence[str]
    """What the rows are for, and what they are not for."""
    social_impact: str
    collection: str
    """Where the rows come from."""
    preprocessing: Sequence[str]
    """What was done to them."""


def statements(statistics: Statistics, facts: CardFacts) -> Statements:
    """The sentences about a release.

    Args:
        statistics: The counts of the release's rows, after `finish`.
        facts: The facts of the card.
    """
    writers = sorted({m for role, m, _ in statistics.teachers if role == "writer"})
    solvers = sorted({m for role, m, _ in statistics.teachers if role == "solver"})
    languages = ", ".join(f"{n} ({c:,})" for n, c in statistics.languages.most_common())
    domains = ", ".join(f"{n} ({c:,})" for n, c in statistics.domains.most_common(10))
    kinds = ", ".join(f"{n} ({c:,})" for n, c in statistics.kinds.most_common())
    same = sorted(set(writers) & set(solvers))
    compared = (
        f"{facts.compared_with} held-out collections were compared by hashed n-grams; a "
        "translated or freely reworded repeat is not seen."
        if facts.compared_with
        else "The rows were compared with no held-out data."
    )
    return Statements(
        description=f"{statistics.rows:,} synthetic question–answer pairs for language-model "
        f"pretraining, seeded by the training splits of {len(statistics.tasks)} public task "
        "datasets and kept only where blind majority votes agreed with the answer.",
        limitations=[
            "Answers are verified by agreement between models, not by people: a belief that the "
            "models share may be wrong.",
            compared,
            "Shares of tasks are what the gates let through; the pipeline does not balance them. "
            "The data is no benchmark: it resembles the training splits of public ones.",
        ],
        biases=[
            "Questions carry the biases of their seeds and of the writer "
            f"({', '.join(writers)}), answers and explanations those of the solver "
            f"({', '.join(solvers)}).",
            *(
                [f"{', '.join(same)} wrote and verified rows: mistakes that it makes twice stay."]
                if same
                else []
            ),
            f"Rows by language: {languages}. Rows by domain, the ten largest: {domains}.",
        ],
        personal_data="Seeds are public task datasets; no data was collected from people. A gate "
        "searches every row for e-mail addresses, telephone, card and account numbers, and keys; "
        + _refused_for_personal_data(statistics),
        uses=[
            "Pretraining and continued pretraining of language models on questions with answers, "
            f"explanations and background. Rows by kind of answer: {kinds}.",
            "Not for evaluation: rows resemble public benchmarks by intention. Not as a source of "
            "facts on medicine, law or finance without review by people.",
        ],
        social_impact="Models that train on these rows learn what the seeds ask and how the "
        "teachers answer. That makes models cheaper to train, and passes on the teachers' "
        "mistakes and attitudes, which the licence of each row's teachers may also forbid; "
        "`written_by` of each row names them. "
        f"{statistics.commercial:,} of {statistics.rows:,} rows may be used commercially; "
        "SOURCES.md lists what their licences ask for.",
        collection=f"Questions were written by {', '.join(writers)} after rows of public task "
        f"datasets, and answered by {', '.join(solvers)} without sight of the written answer. No "
        "data was collected from people.",
        preprocessing=[
            "Rows of the source datasets were normalized to one form.",
            f"Each written row passed the gates {', '.join(facts.gates)}.",
            compared,
        ],
    )


def _refused_for_personal_data(statistics: Statistics) -> str:
    refused = sum(n for why, n in statistics.rejected.items() if why.startswith("personal_data"))
    return f"the release itself refused {refused:,} rows for it."
