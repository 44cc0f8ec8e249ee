"""The teachers of one partition, each with its completion log."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from sdg_assets.assets.full_context import refuse_full_context
from sdg_assets.catalog import SubtaskSpec
from sdg_assets.enrichment.judge import Judge
from sdg_assets.enrichment.probe import Probe
from sdg_assets.errors import SdgError
from sdg_assets.records import Example, Role, content_id
from sdg_assets.settings import Settings
from sdg_assets.stages.prompt_versions import log_versions
from sdg_assets.store.partitions import Store
from sdg_assets.teacher import is_played, open_teachers
from sdg_assets.teacher.conversation import Desk, settle
from sdg_assets.teacher.log.answers import Answers
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.stopping import flushed

logger = logging.getLogger(__name__)


@contextmanager
def desks_of(
    store: Store,
    spec: SubtaskSpec,
    roles: Iterable[Role],
    settings: Settings,
    *,
    are_shared: bool = False,
) -> Iterator[dict[Role, Desk]]:
    """Opens the roles' teachers and their completion logs.

    A different teacher or prompt version gets a new log. If the block fails, this waits for the
    requests under way and logs their answers. If the block is interrupted, only answers that have
    already arrived are logged, so that the run ends at once.

    Args:
        store: Holds the logs.
        spec: The subtask.
        roles: The roles whose teachers are needed.
        settings: Say which teacher plays which role.
        are_shared: Whether other processes add to the same logs at the same time.

    Yields:
        Role → desk.

    Raises:
        TeacherError: As for `open_teachers`, or a teacher's output leaves no room for a prompt.
    """
    folder = store.completions_dir(spec.task, spec.key)
    with ExitStack() as opened:
        desks = {}
        for role, teacher in open_teachers(settings, roles).items():
            refuse_full_context(role, teacher, settings)
            teacher_class = teacher.identity.teacher_class
            versions = log_versions(role, spec.answer_kind, settings.judge_api, teacher_class)
            prompts = content_id(versions)[:8]
            name = f"{role}-{teacher.identity.fingerprint}-{prompts}.jsonl"
            log = opened.enter_context(CompletionLog(folder / name, is_shared=are_shared))
            opened.enter_context(flushed(log.sync))
            desks[role] = Desk(teacher, log)
        try:
            yield desks
        except BaseException as failure:
            try:
                settle(desks.values(), wait=isinstance(failure, Exception))
            except SdgError as error:  # must not hide the failure of the block
                logger.warning("%s: answers to open requests are lost: %s", spec.key, error)
            raise


def answers_of(desks: Mapping[Role, Desk]) -> dict[Role, Answers]:
    """Role → the answers in its log so far."""
    return {role: desk.log.answers() for role, desk in desks.items()}


def played(roles: Iterable[Role], settings: Settings) -> list[Role]:
    """The given roles without those that nobody plays: the judge or the probe."""
    return [role for role in roles if is_played(settings, role)]


def probe_of(desks: Mapping[Role, Desk], settings: Settings) -> Probe | None:
    """The probe; None if the settings name no probe.

    Args:
        desks: The desks of the partition.
        settings: Give its thinking mode.
    """
    if Role.PROBE not in desks:
        return None
    return Probe(desks[Role.PROBE].teacher, settings.thinking.get(Role.PROBE, ""))


def judge_of(
    desks: Mapping[Role, Desk],
    spec: SubtaskSpec,
    seeds: Mapping[str, Example],
    settings: Settings,
) -> Judge | None:
    """The judge; None if the settings name no judge.

    Args:
        desks: The desks of the partition.
        spec: The subtask.
        seeds: Seed id → seed, for the seeds of the rows to judge.
        settings: Give the API that the judge is called with, its thinking mode, and whether it may
            judge its own rows.
    """
    if Role.JUDGE not in desks:
        return None
    thinking = settings.thinking.get(Role.JUDGE, "")
    return Judge(
        desks[Role.JUDGE].teacher,
        settings.judge_api,
        spec.frame,
        seeds,
        thinking,
        settings.judge_may_be_writer,
    )
