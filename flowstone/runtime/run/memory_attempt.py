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
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from flowstone.assets.one_shot import PLAIN, find_one_shot
from flowstone.assets.output import Output
from flowstone.runs import endings
from flowstone.runs.events import StepStarted
from flowstone.runs.records import Failure, Input
from flowstone.runtime.run.attempt import Attempt
from flowstone.runtime.run.inputs import constants_of, needs_of
from flowstone.store.sanitise import sanitised_record

if TYPE_CHECKING:
    from flowstone.runs.endings import AttemptEnd
    from flowstone.runs.events import StepSucceeded
    from flowstone.store.history import History

__all__ = ["MemoryAttempt"]

_ABSENT: Final = object()


class MemoryAttempt(Attempt):
    """An attempt of a runtime whose `RuntimeContext.memory` is there."""

    async def run(self) -> AttemptEnd:
        """As `Attempt.run`."""
        ctx = self._ctx
        memory = ctx.memory
        assert memory is not None
        self.started_at = ctx.clock.now()
        started = (self.started_at, self.run_id, self.asset_name, self.key, self.number)
        memory.start(started, self.epoch)
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
        if context is not None:
            ok, value = self._noted(context, (ok, value))
        if not ok:
            return await self._end(value)
        handle = self.handle
        if self.stopping is not None or self.over or (handle is not None and handle.halt is not None):
            return await self._end(Failure("abandoned", "stopped"))
        event = self._kept_at_hand(value)
        if event is None:
            return await self._conclude(self._keep(value))
        record = event.materialization
        safe = sanitised_record(record)
        memory.succeed(event if safe is record else replace(event, materialization=safe), self.epoch)
        if ctx.stream.heard:
            ctx.stream.publish(event)
        return event

    def _arguments_at_hand(self, memory: History) -> dict[str, Any] | None:
        """The arguments, if all of this attempt is in memory; None if it is not, and nothing has been done then."""
        asset, ctx = self.asset, self._ctx
        manager = ctx.io.get(asset.io)
        if (
            asset.run_in != "loop"
            or asset.timeout is not None
            or asset.requires
            or asset.is_constant
            or asset.config_parameter is not None
            or manager is None
            or manager.memory is None
        ):
            return None
        if not asset.dependencies:
            return {}
        plan, run_id, values = self._plan, self.run_id, manager.memory
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
                    return None  # It is another manager's, or gone.
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

    def _kept_at_hand(self, returned: Any) -> StepSucceeded | None:
        """Put down the value and say so; None if that needs more than a dict."""
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
        now = self._ctx.clock.now()
        return endings.succeeded(self, now, data_version=version, location=location, size=None)
