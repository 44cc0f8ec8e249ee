"""The teachers of one partition, each with the log of its completions."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.enrichment.judge import Judge
from sdg_assets.errors import SdgError
from sdg_assets.records import Example, Role, content_id
from sdg_assets.settings import Settings
from sdg_assets.stages.prompt_versions import log_versions
from sdg_assets.store.partitions import Store
from sdg_assets.teacher import has_judge, open_teachers
from sdg_assets.teacher.conversation import Desk, settle
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.stopping import flushed

logger = logging.getLogger(__name__)


@contextmanager
def desks_of(
    store: Store, spec: SubtaskSpec, roles: Iterable[Role], settings: Settings
) -> Iterator[dict[Role, Desk]]:
    """The roles' teachers with their logs; another teacher or prompt starts a log of its own.

    When the block fails, its logs get the answers that are still to come. When it is interrupted,
    they get those that have come: whoever stops a run wants it to end.

    Args:
        store: Where the logs lie.
        spec: The subtask.
        roles: The roles that are asked.
        settings: Who plays which role.

    Yields:
        Role → desk.
    """
    folder = store.completions_dir(spec.task, spec.key)
    with ExitStack() as opened:
        desks = {}
        for role, teacher in open_teachers(settings, roles).items():
            versions = log_versions(role, spec.answer_kind, settings.judge_api)
            made_with = content_id(versions)[:8]
            name = f"{role}-{teacher.identity.fingerprint}-{made_with}.jsonl"
            log = opened.enter_context(CompletionLog(folder / name))
            opened.enter_context(flushed(log.sync))
            desks[role] = Desk(teacher, log)
        try:
            yield desks
        except BaseException as failure:
            try:
                settle(desks, wait=isinstance(failure, Exception))
            except SdgError as error:  # the failure itself is what must be told
                logger.warning("%s: answers that were under way are lost: %s", spec.key, error)
            raise


def played(roles: Iterable[Role], settings: Settings) -> list[Role]:
    """The roles that a teacher plays: there may be no judge."""
    return [role for role in roles if role is not Role.JUDGE or has_judge(settings)]


def judge_of(
    desks: Mapping[Role, Desk],
    spec: SubtaskSpec,
    seeds: Mapping[str, Example],
    settings: Settings,
) -> Judge | None:
    """The judge at its desk; None where nobody judges.

    Args:
        desks: The partition's.
        spec: The subtask.
        seeds: Id → seed, of the rows that are judged.
        settings: How the judge is asked.
    """
    if Role.JUDGE not in desks:
        return None
    return Judge(desks[Role.JUDGE].teacher, settings.judge_api, spec.frame, seeds)
