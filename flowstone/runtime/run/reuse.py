"""Which steps of a run need not run, because a current value is good enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowstone.assets.partition_labels import step_label
from flowstone.runs import endings
from flowstone.runs.freshness import stale_reason
from flowstone.runs.reasons import ALL, MISSING, Reason
from flowstone.runs.records import Status
from flowstone.runs.run_config import changed_config
from flowstone.runtime.run.inputs import needs_of
from flowstone.runtime.run.messages import Checked

if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine, Mapping, Sequence

    from flowstone.runs.events import StepReused
    from flowstone.runs.plan import RunPlan
    from flowstone.runs.records import Materialization, StepKey
    from flowstone.runs.state import RunState
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.live_run import LiveRun
    from flowstone.store.protocol import Store

__all__ = ["CurrentValues", "Reuses", "known_to_be_needed"]

_MOST: Final = 500  # Steps that are looked up ahead of those that were asked for.
_SUCCEEDED: Final = (Status.SUCCEEDED, Status.REUSED)


class Reuses:
    """Looks up which steps of a run need not run.

    A chain of steps that each wait for the one before, such as the days of an asset that takes its own past, would
    be asked for one after another. So as long as all that is looked up is reused, what waits for that alone is
    looked up with it, twice as many steps each time: a chain that has to be computed costs nothing more.

    Args:
        ctx: What the runtime offers.
        run: The run.
    """

    def __init__(self, ctx: RuntimeContext, run: LiveRun) -> None:
        self._ctx = ctx
        self._run = run
        self._reach = 0  # How many steps are looked up ahead.

    def look_up(self, state: RunState, epoch: int, steps: Sequence[int]) -> Coroutine[None, None, Checked]:
        """`find` for these steps, and for as many ahead of them as may be reused as well."""
        return self.find(epoch, steps, state.ahead(steps, self._reach))

    async def find(self, epoch: int, steps: Sequence[int], ahead: Sequence[int]) -> Checked:
        """Look up, record and publish the reuses among steps whose upstream is done; return the others beside them.

        Args:
            epoch: Under which they are recorded.
            steps: The steps.
            ahead: Steps that wait for these and for one another alone, each after those that it waits for.
        """
        plan, ctx = self._run.plan, self._ctx
        values = await CurrentValues.of(ctx.store, plan, (*steps, *ahead))
        await ctx.look_at_origins(values.records)
        reused: list[tuple[int, StepReused]] = []
        needed: list[int] = []
        undone: set[int] = set()
        now = ctx.clock.now()
        for place, step in enumerate((*steps, *ahead)):
            if place >= len(steps) and any(not undone.isdisjoint(each) for each in plan.upstream(step)):
                undone.add(step)  # Nothing is known of it before those are computed.
            elif (found := values.current(step)) is None or values.reason_to_run(step) is not None:
                undone.add(step)
                needed.append(step)
            else:
                reused.append((step, endings.reused(found, self._run.record.id, now)))
        if reused:
            await ctx.record_many([event for _, event in reused], epoch)
        self._reach = 0 if undone or ctx.memory is not None else min(_MOST, 2 * self._reach + 1)
        return Checked(reused, tuple(needed))


def known_to_be_needed(ctx: RuntimeContext, plan: RunPlan, steps: Sequence[int]) -> list[int]:
    """Those of the steps that have no value at all, where all values are in memory; none where they are not."""
    if ctx.memory is None:
        return []
    ledger = ctx.memory.ledger
    return [
        step
        for step in steps
        if not ledger.knows(plan.of(step).asset) or ledger.newest(*_key(plan, step)) is None
    ]


class CurrentValues:
    """What is current of some steps and of what they are computed from, asked for at once.

    Attributes:
        records: What is current of the steps themselves.
    """

    def __init__(self, plan: RunPlan) -> None:
        self._plan = plan
        self._found: dict[StepKey, Materialization] = {}
        self.records: Collection[Materialization] = ()
        self._upstream: dict[int, list[StepKey]] = {}
        self._before: Mapping[StepKey, Materialization] = {}  # Of the run that is retried.

    @classmethod
    async def of(cls, store: Store, plan: RunPlan, steps: Sequence[int]) -> CurrentValues:
        """Look them up: in two questions at most."""
        values = cls(plan)
        keys = {step: _key(plan, step) for step in steps}
        found = values._found
        found.update(await store.current(list(keys.values())))
        values.records = tuple(found.values())
        if plan.request.retry_of is not None:
            values._before = await store.steps_of(plan.request.retry_of, list(found))
        for step, key in keys.items():
            if key in found and plan.of(step).refresh == "stale":
                values._upstream[step] = values._needed_by(step, found[key])
        asked = set(keys.values())
        others = {key for needed in values._upstream.values() for key in needed if key not in asked}
        if others:
            found.update(await store.current(list(others)))
        return values

    def _needed_by(self, step: int, current: Materialization) -> list[StepKey]:
        plan = self._plan
        asset = plan.graph.assets[plan.of(step).asset]
        needs = needs_of(plan.graph, plan.view, asset, current.partition, current.partition_key)
        return [key for need in needs for key in need.keys]

    def current(self, step: int) -> Materialization | None:
        """The current materialization of one of the steps."""
        return self._found.get(_key(self._plan, step))

    def reason_to_run(
        self, step: int, pending: Collection[StepKey] = (), config: Mapping[str, Any] | None = None
    ) -> Reason | None:
        """Why a step must run although it has a current value, or None if the value may be reused.

        Args:
            step: The step's number.
            pending: Upstream steps that will run before it; only a preview has any.
            config: The config that it would be computed with, as JSON; default: what the plan says.
        """
        plan = self._plan
        asset_plan, current = plan.of(step), self.current(step)
        if current is None:
            return MISSING
        if plan.request.retry_of is not None and not self._succeeded_before(step):
            return Reason("failed", f"it did not succeed in run {plan.request.retry_of}")
        planned = plan.configs.get(asset_plan.asset) if plan.configs else None
        recorded = config if config is not None or planned is None else planned.record
        if asset_plan.refresh == "missing":
            # Of a config that the run was given, there is a value only if it was computed with that one.
            given = asset_plan.asset in plan.request.config
            changed = changed_config(current.config, recorded) if given else None
            return None if changed is None else Reason("config", changed)
        if asset_plan.refresh == "all":
            return ALL
        keys = self._upstream[step]
        if pending:
            for key in keys:
                if key in pending:
                    return Reason("upstream", f"{step_label(*key)} will be computed again", key)
        upstream = {key: self._found.get(key) for key in keys}
        return stale_reason(current, plan.graph.assets[asset_plan.asset].version, upstream, recorded)

    def _succeeded_before(self, step: int) -> bool:
        """Whether it succeeded in the run that is retried."""
        record = self._before.get(_key(self._plan, step))
        return record is not None and record.status in _SUCCEEDED


def _key(plan: RunPlan, step: int) -> StepKey:
    asset, _, key = plan.step(step)
    return asset, key
