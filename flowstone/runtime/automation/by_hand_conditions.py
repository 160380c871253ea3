"""What a condition does when somebody asks for it: its asset is computed, whatever the condition says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flowstone.assets.partition_view import PartitionView
from flowstone.errors import AutomationError, FlowstoneError
from flowstone.runs.automation import Fire, Move
from flowstone.runtime.automation.condition_instants import latest_keys
from flowstone.runtime.automation.condition_runs import condition_runs
from flowstone.runtime.automation.condition_state import AssetState, encoded
from flowstone.runtime.execution.guard import describe
from flowstone.runtime.run.planning import dynamic_keys

if TYPE_CHECKING:
    from flowstone.assets.automation.asset_condition import Condition
    from flowstone.runs.automation import AutomationRecord
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.local_runs import LocalRuns

__all__ = ["fire_condition"]


async def fire_condition(
    ctx: RuntimeContext, runs: LocalRuns, condition: Condition, record: AutomationRecord, by: str
) -> Move:
    """The change by which an asset is computed: what a tick of a cron is about.

    Raises:
        AutomationError: It cannot be computed.
    """
    snapshot = ctx.snapshot
    now = ctx.clock.now()
    view = PartitionView(snapshot.graph, now, await dynamic_keys(ctx) if snapshot.dynamic else None)
    state = AssetState(condition, record, snapshot.graph[condition.name].version or "")
    due = [key for key in latest_keys(view.set_of(condition.name)) if encoded(key) not in state.run_of]
    asked = []
    try:
        for run, keys in condition_runs(runs, view, condition.name, due, "by hand", missing=False):
            asked.append(replace(run, join=False))
            state.begin_run(run.record.id, dict.fromkeys(map(encoded, keys), ""))
    except (FlowstoneError, TypeError, ValueError) as error:
        failure = describe(error, None)
        raise AutomationError(f"{condition.name!r} cannot be computed: {failure.message}", failure) from error
    fire = Fire(now, "started", by=by)
    return Move(record.key, record.version, state.cursor(), state.pending(), asked, fire)
