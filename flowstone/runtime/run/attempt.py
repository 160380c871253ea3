"""One attempt of one step: the place where user code runs.

    start recorded → resources set up → inputs loaded → function called → value stored → end recorded

The value is durable before the record says success, and the record names the very object. Whatever goes wrong
on the way becomes a failure with a kind; only the end of the attempt is an event. An attempt that is told to
stop ends as *stopped*, whatever its function makes of that: cancelled means stopped. One that waits ends as that.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from flowstone.actors import Crashed, Normal
from flowstone.actors.spawn import OWNER
from flowstone.assets.context import Context
from flowstone.assets.output import Output
from flowstone.assets.partition_labels import partition_label
from flowstone.errors import DependencyNotReady, IOManagerError, ResourceUnavailable
from flowstone.io.manager import Target
from flowstone.runs import endings
from flowstone.runs.events import (
    StepCancelled,
    StepFailed,
    StepProgressed,
    StepRetried,
    StepStarted,
    StepSucceeded,
    StepWaiting,
)
from flowstone.runs.records import Failure
from flowstone.runs.retry_policy import next_delay
from flowstone.runtime.execution.child_tasks import CHILD_TASKS, ChildTasks
from flowstone.runtime.execution.deadline import Deadline
from flowstone.runtime.execution.guard import (
    WAITING,
    absorb_cancels,
    call,
    call_async,
    describe,
    outcome_of,
)
from flowstone.runtime.run.applicant import StepApplicant
from flowstone.runtime.run.inputs import load_inputs, needs_of
from flowstone.runtime.run.notes import AttemptNotes
from flowstone.runtime.run.route import with_choice
from flowstone.store.cluster import Notification
from flowstone.store.json_safe import json_safe
from flowstone.store.protocol import StaleWrite, StoreRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from datetime import datetime

    from flowstone.actors import Exit, TaskHandle
    from flowstone.assets.asset import Asset
    from flowstone.assets.waiting import Answers
    from flowstone.runs.endings import AttemptEnd, AttemptResult
    from flowstone.runs.plan import RunPlan
    from flowstone.runs.records import Input
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.execution.guard import Outcome
    from flowstone.threads import ThreadCall

__all__ = ["Attempt", "AttemptIdentity"]

_log = logging.getLogger(__name__)

_NO_PROGRESS = (None, None)

AttemptIdentity = tuple[str, str, str | None, int]
"""Run, asset, partition key and number."""


class Attempt(StepApplicant):
    """An attempt, from its start to the event that ends it.

    Attributes:
        caught: What the function raised, if it can be shown to people.
        exclusive: Whether no other step of this process may run beside it.
        needs_slot: Whether it starts only when there is a slot for it.
        epoch: The epoch of its run, under which it records what happens; raised if the run changes its owner
            while another node, this one, goes on with the attempt.
        stopping: Why it was told to stop: the run is being `cancelled`, its `timeout` is over, or its node's
            `shutdown` leaves it to another one.
        on_over: Called when its task has ended, with what `run` returned if it lived to record its end.
        over: Set when its task has ended, by whatever means; nothing may be recorded from then on.
        inputs: The upstream values that were loaded for it.
        started_at: When it started, or None.
        config: All fields of the config that its function takes, as JSON, or None.
        progress: The fraction and the message that its function gave last.
        thread: The call of its function, if that is synchronous and under way.
        slot_waiters: Those of its tasks that wait until it holds a slot again (nesting.py).
        awaits: The runs whose ends it waits for (nesting.py).
    """

    # The class's until they change: what most attempts never have takes no time of theirs.
    stopping: Literal["cancelled", "timeout", "shutdown"] | None = None
    over = False
    needs_slot = True
    caught: BaseException | None = None
    awaits: tuple[str, ...] = ()
    slot_waiters: tuple[asyncio.Future[None], ...] = ()
    on_over: Callable[[Attempt, AttemptResult | None, Exit], None] | None = None
    started_at: datetime | None = None
    config: Mapping[str, Any] | None = None
    inputs: tuple[Input, ...] = ()
    progress: tuple[float | None, str | None] = _NO_PROGRESS
    thread: ThreadCall[Outcome] | None = None
    _metadata: Mapping[str, Any] = MappingProxyType({})
    _payload: bytes | None = None
    _child_tasks: ChildTasks | None = None
    _deadline: Deadline | None = None
    _notes: AttemptNotes | None = None

    def __init__(
        self,
        ctx: RuntimeContext,
        plan: RunPlan,
        run_id: str,
        epoch: int,
        step: int,
        number: int,
        *,
        exclusive: bool = False,
        failed: int = 0,
    ) -> None:
        self._asset_plan = asset_plan = plan.of(step)
        self.asset_name, self.partition, self.key = asset_plan.step(step)
        self.asset: Asset[..., Any] = plan.graph.assets[self.asset_name]
        asset = self.asset
        self.version = asset.version
        self.io = asset.io
        self.run_id = run_id
        self.epoch = epoch
        self.step = step
        self.number = number
        self.exclusive = exclusive
        self._ctx = ctx
        self._plan = plan
        self._failed_before = failed
        if asset.pools or asset.rate:
            self.pools, self.rate = asset.pools, asset.rate
        if asset.config_parameter is not None:
            self.config = plan.configs[self.asset_name].record

    @property
    def name(self) -> str:
        """`asset` or `asset[key]`, as people know the step."""
        return (
            self.asset.name if self.key is None else f"{self.asset.name}[{partition_label(self.partition)}]"
        )

    @property
    def metadata(self) -> Any:
        """What the asset noted, as JSON: the record says the same everywhere, whatever the store."""
        return json_safe(self._metadata) if self._metadata else {}

    @property
    def identity(self) -> AttemptIdentity:
        """What tells it from every other attempt."""
        return self.run_id, self.asset.name, self.key, self.number

    # Its life -----------------------------------------------------------------------------------------------

    async def run(self) -> AttemptResult:
        """Make the attempt and return what was recorded as its end.

        Raises:
            CancelledError: The whole run is being stopped or restarted, not this step: nothing is recorded,
                so that whoever goes on with the run makes the attempt again.
        """
        self._know_handle()
        self.started_at = self._ctx.clock.now()
        return await self._conclude(self._begin_and_produce())

    def _know_handle(self) -> None:
        """Begun eagerly, it runs before whoever began it knows the handle."""
        if self.handle is None:
            handle: Any = OWNER.get()
            self.handle = handle

    async def _conclude(self, work: Coroutine[Any, Any, StepSucceeded | StepWaiting | Failure]) -> AttemptEnd:
        """Record what comes of `work` as the end."""
        result: StepSucceeded | StepWaiting | Failure | None
        try:
            result = await work
        except StoreRefused as error:
            result = self._refused(error)
        except (asyncio.CancelledError, GeneratorExit) as error:
            result = self._interrupted(error)
        return await self._end(result)

    def _interrupted(self, error: asyncio.CancelledError | GeneratorExit) -> Failure | None:
        """The failure if one of our own awaits was interrupted; inside the guard a cancel is an outcome."""
        if isinstance(error, GeneratorExit):
            # Raised by something the function awaited, Python closes the function and throws it at us instead.
            return describe(error, self.asset.retry)
        if self.stopping is None:
            raise error
        return None

    async def _end(self, result: StepSucceeded | StepWaiting | Failure | None) -> AttemptEnd:
        if self.over:
            # The task was killed and its coroutine is being closed: recording now would be a zombie's word.
            raise GeneratorExit
        if self.stopping is None and self.handle is not None and self.handle.cancelled_by_us:
            raise asyncio.CancelledError
        return await self._record(self._ending(result))

    def stop(self, why: Literal["cancelled", "timeout", "shutdown"]) -> None:
        """Begin to stop it: one cancel, the deadline, then the kill."""
        if self.stopping is None:
            self.stopping = why
            if self._child_tasks is not None:
                self._child_tasks.sign(self.name)
            if self.handle is not None:
                self.handle.cancel()

    def hold(self) -> None:
        """Begin nothing more of it; what it has begun may end. Of a call of a function there are no parts."""

    def task_over(self, handle: TaskHandle, how: Exit) -> None:
        """Its task has ended. A thread that is still inside the function is abandoned, by name."""
        self.over = True
        if self._child_tasks is not None:
            self._child_tasks.closed = self._child_tasks.killed = True
        if self.thread is not None and self._ctx.threads.abandon(self.thread):
            with suppress(BaseException):  # The handlers of a log are the application's.
                _log.error(
                    "%s cannot be stopped: its thread was abandoned and goes on until it returns", self.name
                )
        if self.on_over is not None:
            self.on_over(self, handle.result if isinstance(how, Normal) else None, how)

    def killed(self, how: Exit) -> AttemptEnd:
        """The event for an attempt whose task was killed, or crashed: it could not record its own end."""
        limit = self._ctx.settings.cancel_timeout
        words = f"{self.name} did not stop within {limit:g} s after it was told to; it was abandoned."
        if self.stopping == "timeout":
            failure = Failure("timeout", f"{self._timed_out()} {words}", retryable=self._retries_timeouts())
            return self._failed(failure)
        if self.stopping == "cancelled":
            return self._cancelled(Failure("abandoned", words))
        if self.stopping == "shutdown":
            return self.handed_over()
        if isinstance(how, Crashed):
            return self._failed(describe(how.error, self.asset.retry))
        return self._failed(Failure("error", f"The attempt of {self.name} ended without an outcome: {how}."))

    # The recipe ---------------------------------------------------------------------------------------------

    async def _begin_and_produce(self) -> StepSucceeded | StepWaiting | Failure:
        assert self.started_at is not None
        event = StepStarted(self.started_at, self.run_id, self.asset_name, self.key, self.number)
        await self._ctx.record(event, self.epoch)
        return await self._produce_in_time()

    async def _produce(self) -> StepSucceeded | StepWaiting | Failure:
        if self.refusal is not None:
            return self.refusal
        asset, ctx = self.asset, self._ctx
        try:
            required = sorted(asset.requires) if asset.requires else ()
            resources = {name: await ctx.resource(name) for name in required}
        except ResourceUnavailable as error:
            return Failure("resource", str(error), retryable=True)
        try:
            arguments = await self._load()
        except DependencyNotReady as error:
            return Failure("dependency", error.sentence)
        except IOManagerError as error:
            return describe(error, asset.retry, "io")
        for given in asset.resource_parameters:
            arguments[given.parameter] = resources[given.resource]
        if asset.config_parameter is not None:
            arguments[asset.config_parameter.parameter] = self._plan.configs[asset.name].value
        context = self._context(resources, await self._answers())
        if asset.context_parameter is not None:
            arguments[asset.context_parameter] = context
        ok, result = await self._call(arguments)
        return await self._produced(context, (ok, result))

    async def _produced(
        self, context: Context | None, outcome: tuple[bool, Any]
    ) -> StepSucceeded | StepWaiting | Failure:
        """What came of the function, whose value is stored."""
        ok, result = outcome
        if context is not None:
            if self._notes is not None:
                await self._notes.written()
            ok, result = self._noted(context, outcome)
        if not ok:
            ended: Failure | StepWaiting = result
            return ended
        if self._unwanted():
            return Failure("abandoned", "stopped")
        return await self._keep(result)

    def _unwanted(self) -> bool:
        """Whether nobody wants its value any more."""
        handle = self.handle
        return self.stopping is not None or self.over or (handle is not None and handle.halt is not None)

    async def _produce_in_time(self) -> StepSucceeded | StepWaiting | Failure:
        limit = self.asset.timeout
        if limit is None:
            return await self._produce()
        self._deadline = deadline = Deadline(self._ctx.clock, limit, partial(self.stop, "timeout"))
        deadline.run()
        try:
            return await self._produce()
        finally:
            deadline.close()

    async def _load(self) -> dict[str, Any]:
        plan, asset = self._plan, self.asset
        if not asset.dependencies:
            return {}
        needs = needs_of(plan.graph, plan.view, asset, self.partition, self.key)
        arguments, self.inputs = await load_inputs(self._ctx, plan, asset, self.partition, needs, self.run_id)
        return arguments

    async def _answers(self) -> Answers | None:
        """What the step has of its waits; it can have nothing before its first attempt."""
        if self.number == 1 or self.asset.context_parameter is None:
            return None
        return await self._ctx.store.waits.answers(self.run_id, (self.asset_name, self.key))

    def _context(self, resources: dict[str, Any], answers: Answers | None) -> Context | None:
        if self.asset.context_parameter is None:
            return None
        return Context(
            self.asset.name,
            self.partition,
            self.key,
            self.run_id,
            self.number,
            resources,
            self._progressed,
            answers,
            self._make_notes,
            partial(self._ctx.turn, self),
        )

    def _make_notes(self) -> AttemptNotes:
        self._notes = AttemptNotes(self._ctx, self)
        return self._notes

    def _noted(self, context: Context, outcome: tuple[bool, Any]) -> tuple[bool, Any]:
        """The outcome, with what the function noted and asked for through its context."""
        # A copy, also of a failure's: what the asset's own tasks note later is not part of the record.
        self._metadata = dict(context.metadata)
        if context.waits_for is None:
            return outcome
        ok, result = outcome
        if ok or result != WAITING:
            return False, endings.swallowed(self.name, context.waits_for, None if ok else result)
        return False, endings.waits(self, self._ctx.clock.now(), context.waits_for)

    async def _call(self, arguments: dict[str, Any]) -> Outcome:
        asset = self.asset
        if asset.is_constant:
            return True, asset.value
        if asset.run_in == "loop":
            return await self._call_on_loop(arguments)
        on_start = None
        if self._deadline is not None:
            # What it spends in a queue is not its own time.
            self._deadline.pause()
            on_start = self._deadline.run
        if asset.run_in == "process":
            return await self._ctx.processes().call(self.name, asset, arguments, on_start)
        self.thread = self._ctx.threads.start(
            self.name, partial(call, asset.function, arguments, asset.retry, self._catch), on_start
        )
        outcome = await outcome_of(self.thread)
        self.thread = None
        return outcome

    async def _call_on_loop(self, arguments: dict[str, Any]) -> Outcome:
        """Call it here. When it has returned, nothing that it set in motion goes on."""
        self._child_tasks = child_tasks = ChildTasks()
        outside = CHILD_TASKS.set(child_tasks)
        outcome = await call_async(self.asset.function, arguments, self.asset.retry, self._catch)
        CHILD_TASKS.reset(outside)
        handle = self.handle
        if handle is not None and handle.task is not None and (child_tasks.tasks or handle.task.cancelling()):
            await self._clear_away(handle, handle.task, child_tasks)
        return outcome

    async def _clear_away(self, handle: TaskHandle, task: asyncio.Task[Any], child_tasks: ChildTasks) -> None:
        """What the function has left: cancels of its own task, and tasks of its own."""
        if self.over:
            return  # Its coroutine is being closed: no more awaits.
        if task.cancelling():
            await absorb_cancels(task)
        if child_tasks.tasks:
            left = await child_tasks.dismiss(self._ctx.clock, self._ctx.settings.cancel_timeout)
            if left:
                child_tasks.sign(self.name)
                handle.supervisor.abandon(left, None)

    def _catch(self, error: BaseException) -> None:
        """Keep what the function raised, for whoever is raised the failure."""
        self.caught = error

    async def _keep(self, value: Any) -> StepSucceeded | Failure:
        """Store the value; the record of success names the object it became."""
        asset = self.asset
        if asset.routes_to and isinstance(value := with_choice(asset, value), Failure):
            return value
        value, version = self._unwrapped(value)
        try:
            stored = await self._ctx.io_manager(asset.io).store(
                Target(asset.name, self.key, self.run_id, self.number), value
            )
        except IOManagerError as error:
            return describe(error, asset.retry, "io")
        self._payload = stored.payload
        return endings.succeeded(
            self,
            self._ctx.clock.now(),
            data_version=version if version is not None else stored.digest,
            location=stored.location,
            size=stored.size,
        )

    def _unwrapped(self, value: Any) -> tuple[Any, str | None]:
        """The value that the function returned, and its data version if it came with one in an `Output`."""
        if not issubclass(type(value), Output):  # isinstance() would ask the value's `__class__`.
            return value, None
        if value.metadata:
            self._metadata = {**self._metadata, **value.metadata}
        return value.value, value.data_version

    # The end ------------------------------------------------------------------------------------------------

    def _ending(self, result: StepSucceeded | StepWaiting | Failure | None) -> AttemptEnd:
        if self.stopping == "cancelled":
            return self._cancelled(None)
        if self.stopping == "timeout":
            return self._failed(Failure("timeout", self._timed_out(), retryable=self._retries_timeouts()))
        if self.stopping == "shutdown" and not isinstance(result, StepSucceeded | StepWaiting):
            return self.handed_over()
        assert result is not None
        if isinstance(result, Failure) and result.kind == "skip":
            return endings.declined(self, self._ctx.clock.now(), result)
        return self._failed(result) if isinstance(result, Failure) else result

    def _failed(self, failure: Failure) -> StepFailed | StepRetried:
        # Attempts that went with a process, or were stopped with one, were not the asset's fault.
        tried = self._failed_before + 1
        delay = next_delay(self.asset.retry, tried, failure, self._ctx.random)
        now = self._ctx.clock.now()
        if delay is not None:
            return endings.retried(self, now, failure, delay)
        return endings.failed(self, now, failure)

    def handed_over(self) -> StepRetried:
        """The event for an attempt whose node goes away: the next one is another node's."""
        return endings.handed_over(self, self._ctx.clock.now())

    def refused(self, error: StoreRefused) -> AttemptEnd:
        """The event for an attempt whose end the store would not have, whatever it was: it is not retried."""
        return self._failed(self._refused(error))

    def withdrawn(self) -> StepCancelled:
        """The event for an attempt that was cancelled before it began."""
        return self._cancelled(None)

    def _cancelled(self, failure: Failure | None) -> StepCancelled:
        return endings.cancelled(self, self._ctx.clock.now(), failure)

    async def _record(self, event: AttemptEnd) -> AttemptEnd:
        """Record the end. A write that was interrupted may have been made: what is recorded is what happened."""
        payload = self._payload if type(event) is StepSucceeded else None
        try:
            await self._ctx.record(event, self.epoch, payload)
            if type(event) is StepWaiting:
                self._ctx.notifications.heard(Notification("deadline"))
        except IOManagerError as error:
            # The store does not take the value that the IO manager left to it.
            return await self._record(self._failed(describe(error, self.asset.retry, "io")))
        except StoreRefused as error:
            if type(event) is StepFailed and event.materialization.failure == self._refused(error):
                raise
            return await self._record(self._failed(self._refused(error)))
        except asyncio.CancelledError:
            if self.stopping is None or self.over:
                raise
            try:
                instead = self.handed_over() if self.stopping == "shutdown" else self._cancelled(None)
                await self._ctx.record(instead, self.epoch)
            except StaleWrite:
                return await self.recorded()
            return instead
        return event

    def _refused(self, error: StoreRefused) -> Failure:
        """The failure of a step of which the store will not have something; with nothing that could be to blame."""
        self._metadata, self.inputs, self._payload = {}, (), None
        return Failure("store", str(error))

    async def recorded(self) -> AttemptEnd:
        """The end that is recorded of its step. Raises `StaleWrite` if there is none: the run moved on."""
        record = await self._ctx.store.step(self.run_id, (self.asset.name, self.key))
        event = None if record is None else endings.as_recorded(record, self.number)
        if event is None:
            raise StaleWrite(f"{self.name} is not this run's any more.")
        return event

    def _timed_out(self) -> str:
        return f"TimeoutError: {self.name} took longer than its timeout of {self.asset.timeout:g} s."

    def _retries_timeouts(self) -> bool:
        retry = self.asset.retry
        return retry is not None and issubclass(TimeoutError, retry.on)

    def _progressed(self, fraction: float, message: str | None) -> None:
        """Keep and publish what `context.progress` says, from whatever thread; not recorded."""
        self.progress = fraction, message
        handle, stream = self.handle, self._ctx.stream
        if handle is None or handle.task is None or not stream.heard:
            return
        event = StepProgressed(
            self._ctx.clock.now(), self.run_id, self.asset.name, self.key, self.number, fraction, message
        )
        handle.task.get_loop().call_soon_threadsafe(stream.publish, event)
