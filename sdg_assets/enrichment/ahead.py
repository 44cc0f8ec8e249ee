"""What a row may need next, asked for before it is certain that the row needs it.

On a CPU with AVX2 only, a decoding step mostly reads the weights: with 6 sequences it took 0.65 s,
with 18 1.1 s. So answers side by side come much sooner than one after the other. One that turns out
not to be needed stays in the log, unread.
"""

from __future__ import annotations

from sdg_assets.enrichment.background import knowledge_request
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.enrichment.votes import vote_request, waves
from sdg_assets.records import GeneratedExample
from sdg_assets.teacher.requests import Request, TeacherFacts


def requests_ahead(
    example: GeneratedExample, solver: TeacherFacts, knobs: SolverKnobs
) -> list[Request]:
    """The votes after the first wave and the background of a row.

    Args:
        example: The row as it was written, whose first votes are under way.
        solver: The solver's teacher.
        knobs: Those that the row is enriched with.

    Returns:
        The requests, as voting and `Background` make them. There is none for a background that is
        written from passages, as its prompt depends on them.
    """
    later = [number for wave in waves(knobs)[1:] for number in wave]
    requests = [vote_request(example, number, solver, knobs)[1] for number in later]
    if knobs.with_knowledge and knobs.passages is None:
        requests.append(knowledge_request(example, 0, solver, knobs))
    return requests
