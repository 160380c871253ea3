"""An attempt whose history and values are in this process's memory: the recipe of attempt.py without its waits.

Where the store is a `MemoryStore` and the values are a `MemoryIO`'s there is nothing to wait for but the function.
So the start is one call, the inputs are looked up, the value is put down and the end is recorded in the same turn
of the loop: the only coroutines are the function and the guard around it. It pays off where steps are many and
short; a step costs a third less.

Only what nearly every step does has a second recipe. Whatever is out of the ordinary takes the first one from there
on: a timeout, resources, a thread or a process, an input that is missing or another run's, a value that cannot be
kept, a failure, a cancel. `tests/runtime/test_memory_attempt.py` states that both record the same.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from flowstone.actors.spawn import OWNER
from flowstone.assets.one_shot import PLAIN, find_one_shot
from flowstone.assets.output import Output
from flowstone.assets.partition_mapping import NoPartition
from flowstone.runs import endings
from flowstone.runs.events import StepStarted
from flowstone.runs.records import Failure, Input
from flowstone.runtime.run.attempt import Attempt
from flowstone.runtime.run.inputs import constants_of, needs_of
from flowstone.store.event_log import event_of
from flowstone.store.sanitise import sanitised_record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.assets.asset import Asset
    from flowstone.io.memory import MemoryIO
    from flowstone.runs.endings import AttemptResult
    from flowstone.runs.plan import AssetPlan, RunPlan
    from flowstone.runs.records import Materialization
    from flowstone.runtime.services.io_manager import IOManagerActor
    from flowstone.store.history import History
    from flowstone.store.run_log import RunLog

__all__ = ["MemoryAttempt"]

_ABSENT: Final = object()


class MemoryAttempt(Attempt):
    """An attempt of a runtime whose `RuntimeContext.memory` is there."""

    async def run(self) -> AttemptResult:
        """As `Attempt.run`."""
        ctx = self._ctx
        memory = ctx.memory
        assert memory is not None
        handle: Any = self.handle
        if handle is None:  # Begun before whoever began it knows the handle.
            handle = OWNER.get()
            self.handle = handle
        handle.work = self
        self.started_at = ctx.clock.now()
        started = (self.started_at, self.run_id, self.asset_name, self.key, self.number, ctx.node)
        log = memory.log_of(self.run_id)
        log.start(started, self.epoch)
        if ctx.stream.heard:
            ctx.stream.publish(StepStarted(*started))
        arguments = self._arguments_at_hand(memory)
        if arguments is None:
            return await self._conclude(self._produce_in_time())
        context = None
        if self.asset.context_parameter is not None:
            step = self.asset_name, self.key
            answers = None if self.number == 1 else memory.waits.answers(self.run_id, step)
            context = arguments[self.asset.context_parameter] = self._context({}, answers)
        try:
            ok, value = await self._call_on_loop(arguments)
        except (asyncio.CancelledError, GeneratorExit) as error:
            return await self._end(self._interrupted(error))
        if not ok or self._notes is not None or (context is not None and context.waits_for is not None):
            return await self._conclude(self._produced(context, (ok, value)))
        if context is not None:
            self._metadata = dict(context.metadata)
        if self.stopping is not None or self.over or handle.halt is not None:
            return await self._end(Failure("abandoned", "stopped"))
        record = self._kept_at_hand(value)
        if record is None:
            return await self._conclude(self._keep(value))
        self._succeed(record, memory, log)
        return record

    def _succeed(self, record: Materialization, memory: History, log: RunLog) -> None:
        kept = record
        if record.metadata or record.code_version is not None or record.data_version is not None:
            kept = sanitised_record(record)
        log.succeed(kept, self.epoch)
        memory.ledger.record(kept)
        if self._ctx.stream.heard:
            self._ctx.stream.publish(event_of(record))

    def _arguments_at_hand(self, memory: History) -> dict[str, Any] | None:
        """The arguments, if all of this attempt is in memory; None if it is not, and nothing has been done then."""
        plan = self._asset_plan
        recipe: _StepTemplate | None = plan.recipe
        if recipe is None:
            recipe = plan.recipe = _StepTemplate(self._plan, plan)
        manager = self._ctx.io.get(self.asset.io)
        if self.refusal is not None or not recipe.plain or manager is None or manager.memory is None:
            return None
        if recipe.counterparts is None:
            return self._arguments_by_mapping(memory, manager, manager.memory)
        run_id, values = self.run_id, manager.memory.values
        arguments = {**recipe.constants}
        inputs: list[Input] = []
        for name, parameter, own in recipe.counterparts:
            key = self.key if own else None
            record = memory.ledger.newest(name, key)
            if record is None or (record.run_id != run_id and self._plan.number(name, key) is not None):
                return None
            value = values.get(record.location, _ABSENT)
            if value is _ABSENT:
                return None  # It is another manager's, or gone.
            inputs.append(Input(name, key, record.run_id, record.attempt, record.data_version))
            if parameter is not None:
                arguments[parameter] = value
        self.inputs = tuple(inputs)
        manager.loaded += recipe.loads
        return arguments

    def _arguments_by_mapping(
        self, memory: History, manager: IOManagerActor, kept: MemoryIO
    ) -> dict[str, Any] | None:
        """The same where a step needs other partitions than its own of an upstream asset, or many."""
        plan, run_id, values, asset = self._plan, self.run_id, kept.values, self.asset
        needs = needs_of(plan.graph, plan.view, asset, self.partition, self.key)
        arguments = {} if len(needs) == len(asset.dependencies) else constants_of(plan.graph, asset)
        inputs: list[Input] = []
        loads = 0
        for need in needs:
            loaded: dict[Any, Any] = {}
            for partition, (name, key) in zip(need.values, need.keys, strict=True):
                record = memory.ledger.newest(name, key)
                if record is None or (record.run_id != run_id and plan.number(name, key) is not None):
                    return None
                value = loaded[partition] = values.get(record.location, _ABSENT)
                if value is _ABSENT:
                    return None
                inputs.append(Input(name, key, record.run_id, record.attempt, record.data_version))
            parameter = need.dependency.parameter
            if not loaded:
                return None
            if parameter is not None:
                arguments[parameter] = loaded if need.many else loaded[need.values[0]]
                loads += len(loaded)
        self.inputs = tuple(inputs)
        manager.loaded += loads
        return arguments

    def _kept_at_hand(self, returned: Any) -> Materialization | None:
        """Put down the value and make the record of it; None if that needs more than a dict."""
        value, version = returned, None
        if issubclass(type(returned), Output):
            value, version = self._unwrapped(returned)
        manager = self._ctx.io.get(self.asset.io)
        if manager is None or manager.memory is None:
            return None
        if type(value) not in PLAIN and find_one_shot(value) is not None:
            return None
        location = manager.memory.put(self.asset_name, self.key, self.run_id, self.number, value)
        if location is None:
            return None
        manager.stored += 1
        return endings.success(self, self._ctx.clock.now(), version, location, None)


class _StepTemplate:
    """What is the same for each step of an asset in a plan.

    Attributes:
        plain: Whether nothing has to be waited for but the function, if the values are in memory.
        constants: The arguments that constants are for.
        counterparts: The upstream assets of which a step needs one value, the parameters these are for, and whether
            it is that of its own partition: otherwise the asset has none. None if it needs others of any asset.
        loads: How many values are loaded for them.
    """

    __slots__ = ("constants", "counterparts", "loads", "plain")

    def __init__(self, run_plan: RunPlan, plan: AssetPlan) -> None:
        asset = run_plan.graph.assets[plan.asset]
        self.plain = (
            asset.run_in == "loop"
            and asset.timeout is None
            and asset.config_parameter is None
            and not asset.requires
            and not asset.is_constant
            and not asset.routes_to
            and all(each.takes != "outcome" for each in asset.dependencies)
        )
        self.constants = constants_of(run_plan.graph, asset)
        self.counterparts = _counterparts(run_plan, plan, asset)
        self.loads = sum(parameter is not None for _, parameter, _ in self.counterparts or ())


def _counterparts(
    run_plan: RunPlan, plan: AssetPlan, asset: Asset[..., Any]
) -> Sequence[tuple[str, str | None, bool]] | None:
    assets = run_plan.graph.assets
    aligned = {edge.name for edge in plan.edges if edge.aligned}
    found = []
    for dependency in asset.dependencies:
        upstream = assets[dependency.asset]
        if upstream.is_constant or dependency.is_bare_choice:
            continue
        own = upstream.name in aligned or asset.partitions is upstream.partitions is None
        mapping = run_plan.graph.mapping_of(asset.name, upstream.name)
        if not own and (upstream.partitions is not None or type(mapping) is not NoPartition):
            return None
        found.append((upstream.name, dependency.parameter, own))
    return tuple(found)
