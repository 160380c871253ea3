"""From a run to the request that computes again what did not succeed in it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from flowstone.errors import ArgumentError
from flowstone.remedies import Remedies
from flowstone.runs.planner import plan_run
from flowstone.runs.records import Status
from flowstone.runtime.run.planning import dynamic_keys
from flowstone.runtime.run.takeover import check, view_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.assets.partition_view import PartitionView
    from flowstone.runs.records import Materialization, RunRecord, RunSpec
    from flowstone.runtime.context import RuntimeContext
    from flowstone.store.protocol import Store

__all__ = ["asked_again", "retry_of", "undone"]

_UNDONE: Final = (Status.FAILED, Status.SKIPPED, Status.CANCELLED)
_MOST_KEYS: Final = (
    10_000  # A request with more than that asks for all of its run again, and reuses the rest.
)


async def retry_of(ctx: RuntimeContext, record: RunRecord, by: str | None) -> tuple[PartitionView, RunSpec]:
    """What is to be asked for, by whom, and the partitions as the run saw them.

    Raises:
        ArgumentError: Nothing of the run has failed, or been skipped or cancelled because of something.
        DefinitionError: An asset is gone.
        PartitionError: The partitions are gone.
    """
    left = await undone(ctx.store, record)
    view = view_for(ctx, record, await dynamic_keys(ctx))
    check(view, record)
    return view, _narrowed(view, asked_again(record, by), left)


def asked_again(record: RunRecord, by: str | None) -> RunSpec:
    """The same once more, where what succeeded is reused; right whatever the definitions are."""
    return replace(record.request, refresh="missing", retry_of=record.id, by=by)


async def undone(store: Store, record: RunRecord) -> list[Materialization]:
    """The steps of a run that failed, were skipped because of something, or cancelled; of very many the first.

    Raises:
        ArgumentError: There are none, and the run has not failed as a whole.
    """
    left: list[Materialization] = []
    for status in _UNDONE:
        if record.counts.get(status.value):
            found = await store.steps(record.id, status=status, limit=_MOST_KEYS + 1)
            left += [step for step in found if step.failure is None or step.failure.kind != "skip"]
    if not left and record.status not in (Status.FAILED, Status.CANCELLED):
        raise ArgumentError(
            f"Nothing of run {record.id} has failed or been skipped, so there is nothing to retry.",
            remedies=Remedies(
                "Start it anew to compute all of it again: `runtime.submit(…)`.",
                "Start it anew to compute all of it again: `flowstone materialize` or `flowstone backfill`.",
                "Start it anew to compute all of it again: `POST /api/v1/runs`.",
            ),
        )
    return left


def _narrowed(view: PartitionView, request: RunSpec, left: Sequence[Materialization]) -> RunSpec:
    """Only those keys that did not succeed, if all that is left is part of what these need."""
    alike = {name for name in request.targets if request.beside.get(name, "same") == "same"}
    keys = tuple(dict.fromkeys(step.partition_key for step in left if step.asset in alike))
    if not keys or len(left) > _MOST_KEYS:
        return request
    narrowed = replace(request, keys=keys, span=None)
    plan = plan_run(view.graph, view, narrowed)
    covered = all(plan.number(step.asset, step.partition_key) is not None for step in left)
    return narrowed if covered else request
