"""How hard a verified row is: the share of a weaker model's answers that are right.

The probe answers the question as the solver does, blind and with the choices in another order each
time, but always `probe_answers` times. A low pass rate means a hard row, or an unclear one that the
solver happened to agree on; so the rate belongs to the named model and says nothing without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from sdg_assets.enrichment.base import Enrichment, EnrichmentContext
from sdg_assets.enrichment.forms import vote_prompts
from sdg_assets.enrichment.votes import read_ballot, sameness, vote_request
from sdg_assets.records import AnswerKind, EnrichedExample, JudgeApi, Role, TeacherClass
from sdg_assets.teacher.conversation import Work
from sdg_assets.teacher.prompts import Prompt
from sdg_assets.teacher.requests import UNANSWERED, TeacherFacts


@dataclass(frozen=True)
class Probe:
    """The weaker teacher, and its thinking mode; empty: the model's default."""

    teacher: TeacherFacts
    thinking: str = ""


class ProbeEnrichment(Enrichment):
    """Has every verified row answered by the probe, if there is one."""

    name = "probe"
    role = Role.PROBE
    columns = frozenset({"pass_rate", "probe_answers", "probe"})

    def prompts(self, kind: AnswerKind, judge_api: JudgeApi) -> Sequence[Prompt]:
        """The prompts of votes, for all classes of teachers."""
        each = (self.prompts_for(kind, judge_api, name) for name in get_args(TeacherClass))
        return list(dict.fromkeys(prompt for prompts in each for prompt in prompts))

    def prompts_for(
        self, kind: AnswerKind, judge_api: JudgeApi, teacher_class: TeacherClass
    ) -> Sequence[Prompt]:
        """The prompt of a vote."""
        del judge_api
        return vote_prompts(kind, teacher_class)

    def ask(self, row: EnrichedExample, context: EnrichmentContext) -> Work[Mapping[str, Any]]:
        """Makes all requests at once; adds nothing if the probe cannot be asked about the row."""
        probe, count = context.teachers[self.role], context.knobs.probe_answers
        thinking = context.thinking.get(self.role, "")
        # The solver's temperature and length are no setting of the probe.
        knobs = replace(context.knobs, temperature=None, max_tokens=None, thinking=thinking)
        asked = [vote_request(row, number, probe, knobs, role=self.role) for number in range(count)]
        completions = yield [request for _, request in asked]
        if any(completion.finish_reason in UNANSWERED for completion in completions):
            return {}
        same = sameness(row)
        ballots = [
            read_ballot(completion, presented)
            for (presented, _), completion in zip(asked, completions, strict=True)
        ]
        right = sum(b.answer is not None and same(b.answer, row.answer) for b in ballots)
        return {
            "pass_rate": right / count,
            "probe_answers": count,
            "probe": probe.identity.stamp,
        }

    def numbers(self, added: Mapping[str, Any]) -> Mapping[str, float]:
        """`rows_probed` and `probe_right_answers`."""
        if not added:
            return {"rows_not_probed": 1}
        right = round(added["pass_rate"] * added["probe_answers"])
        return {"rows_probed": 1, "probe_right_answers": right}


ENRICHMENT = ProbeEnrichment()
