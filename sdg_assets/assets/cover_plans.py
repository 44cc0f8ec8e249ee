"""The plans of the job `cover`, each a file in the store that its runs name in a tag.

A plan is a file because a backfill has the same tags in all its runs, and Postgres refuses a tag of
more than 2.7 kB: the targets of some 60 subtasks.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, ValidationError

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.errors import PermanentError
from sdg_assets.records import content_id
from sdg_assets.stages.target import Target
from sdg_assets.stages.wishes import CoverRequest
from sdg_assets.store.disk import clear_errors
from sdg_assets.store.partitions import Store
from sdg_assets.store.places import Place, write_atomic


class StoredPlan(BaseModel):
    """What a round of `cover` has written, and what it was asked for."""

    model_config = ConfigDict(frozen=True)

    made_at: datetime
    request: CoverRequest
    """What was asked for in this round."""
    targets: dict[str, Target]
    """`task/subtask` → its target."""

    @property
    def id(self) -> str:
        """The plan's name in the store and in tags."""
        return content_id(self.model_dump_json())[:16]

    def target_of(self, spec: SubtaskSpec) -> Target:
        """The target of a subtask.

        Raises:
            PermanentError: The plan has none.
        """
        name = f"{spec.task}/{spec.key}"
        if name not in self.targets:
            raise PermanentError(f"cover={self.id}: this plan has no target for {name}")
        return self.targets[name]


def write_plan(store: Store, plan: StoredPlan) -> None:
    """Keeps a plan in the store; raises `StoreError` if that is full or may not be written."""
    write_atomic(_place(store, plan.id), plan.model_dump_json(indent=1).encode())


def read_plan(store: Store, plan_id: str) -> StoredPlan:
    """A plan from the store.

    Args:
        store: The store.
        plan_id: From the tag of a run.

    Raises:
        PermanentError: There is no such plan, or its file is damaged.
    """
    place = _place(store, plan_id)
    if not plan_id.isalnum():  # it may not lead out of the folder
        raise PermanentError(f"cover={plan_id}: not the id of a plan")
    try:
        with clear_errors(str(place)):
            return StoredPlan.model_validate_json(place.read_bytes())
    except FileNotFoundError:
        raise PermanentError(
            f"cover={plan_id}: no such plan ({place}); run `cover` again"
        ) from None
    except ValidationError as error:
        raise PermanentError(f"{place}: damaged; run the job `cover` again") from error


def _place(store: Store, plan_id: str) -> Place:
    return store.root / "coverage" / "plans" / f"{plan_id}.json"
