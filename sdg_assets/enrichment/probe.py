"""How hard a verified row is: the share of a weaker model's answers that are right.

The probe answers the question as the solver does, blind and with the choices in another order each
time, but always `probe_answers` times. A low pass rate means a hard row, or an unclear one that the
solver happened to agree on; so the rate belongs to the named model and says nothing without it.
An answer that was cut off is neither right nor wrong: it is left out of the rate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from sdg_assets.enrichment.base import Enrichment, EnrichmentContext
from sdg_assets.enrichment.forms import vote_prompts
from sdg_assets.enrichment.votes import faults_of, read_ballot, sameness, vote_request
from sdg_assets.records import AnswerKind, EnrichedExample, JudgeApi, Role, TeacherClass
from sdg_assets.teacher.conversation import Work
from sdg_assets.teacher.prompts import Prompt
from sdg_assets.teacher.requests import TeacherFacts


@dataclass(frozen=True)
class Probe:
    """The weaker teacher, and its thinking mode; empty: the model's default."""

    teacher: TeacherFacts
    thinking: str = ""


class ProbeEnrichment(Enrichment):
    """Has every verified row answered by the probe, if there is one."""

    name = "probe"
    role = Role.PROBE
    columns = frozenset({"pass_rate", "probe_answers", "probe", "probe_fault"})

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
        """Makes all requests at once; adds only a fault if all answers were cut off."""
        probe, count = context.teachers[self.role], context.knobs.probe_answers
        thinking = context.thinking.get(self.role, "")
        # The solver's temperature and length are no setting of the probe.
        knobs = replace(context.knobs, temperature=None, max_tokens=None, thinking=thinking)
        asked = [vote_request(row, number, probe, knobs, role=self.role) for number in range(count)]
        completions = yield [request for _, request in asked]
        same = sameness(row)
        ballots = [
            read_ballot(completion, presented)
            for (presented, _), completion in zip(asked, completions, strict=True)
        ]
        faults = Counter(fault.replace("_", " ") for fault in faults_of(ballots)).most_common(1)
        added: dict[str, Any] = {"probe_fault": faults[0][0]} if faults else {}
        whole = [ballot for ballot in ballots if not ballot.fault]
        if not whole:
            return added
        right = sum(b.answer is not None and same(b.answer, row.answer) for b in whole)
        return {
            "pass_rate": right / len(whole),
            "probe_answers": len(whole),
            "probe": probe.identity.stamp,
            **added,
        }

    def numbers(self, added: Mapping[str, Any]) -> Mapping[str, float]:
        """`rows_probed` and `probe_right_answers`, or `probe_` and how the answers were cut off."""
        if "pass_rate" not in added:
            return {f"probe_{added['probe_fault'].replace(' ', '_')}": 1}
        right = round(added["pass_rate"] * added["probe_answers"])
        return {"rows_probed": 1, "probe_right_answers": right}


ENRICHMENT = ProbeEnrichment()
