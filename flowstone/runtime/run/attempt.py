"""One attempt of one step: the place where user code runs.

    start recorded → resources set up → inputs loaded → function called → value stored → end recorded

The value is durable before the record says success, and the record names the very object. Whatever goes wrong
on the way becomes a failure with a kind; only the end of the attempt is an event. An attempt that is told to
stop ends as *stopped*, whatever its function makes of that: cancelled means stopped. One that waits ends as that.
Which event it ends with, and how that is recorded, is in `recorded_attempt.py`.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from flowstone.actors import Normal
from flowstone.actors.spawn import OWNER
from flowstone.assets.context import Context
from flowstone.assets.output import Output
from flowstone.errors import DependencyNotReady, IOManagerError, ResourceUnavailable
from flowstone.io.manager import Target
from flowstone.runs import endings
from flowstone.runs.events import (
    StepProgressed,
    StepStarted,
    StepSucceeded,
    StepWaiting,
)
from flowstone.runs.records import Failure
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
from flowstone.runtime.run.inputs import load_inputs, needs_of
from flowstone.runtime.run.notes import AttemptNotes
from flowstone.runtime.run.recorded_attempt import RecordedAttempt
from flowstone.runtime.run.route import with_choice
from flowstone.store.protocol import StoreRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from flowstone.actors import Exit, TaskHandle
    from flowstone.assets.waiting import Answers
    from flowstone.runs.endings import AttemptEnd, AttemptResult
    from flowstone.runtime.execution.guard import Outcome
    from flowstone.runtime.services.attempt_logs import AttemptLog
    from flowstone.thread_calls import ThreadCall

__all__ = ["Attempt"]

_log = logging.getLogger(__name__)

_NO_PROGRESS = (None, None)


class Attempt(RecordedAttempt):
    """An attempt, from its start to the event that ends it.

    Attributes:
        caught: What the function raised, if it can be shown to people.
        needs_slot: Whether it starts only when there is a slot for it.
        on_over: Called when its task has ended, with what `run` returned if it lived to record its end.
        progress: The fraction and the message that its function gave last.
        thread: The call of its function, if that is synchronous and under way.
        slot_waiters: Those of its tasks that wait until it holds a slot again (nesting.py).
        awaits: The runs whose ends it waits for (nesting.py).
        log: What its code has logged and printed; None as long as that is nothing.
    """

    # The class's until they change: what most attempts never have takes no time of theirs.
    needs_slot = True
    caught: BaseException | None = None
    awaits: tuple[str, ...] = ()
    slot_waiters: tuple[asyncio.Future[None], ...] = ()
    on_over: Callable[[Attempt, AttemptResult | None, Exit], None] | None = None
    progress: tuple[float | None, str | None] = _NO_PROGRESS
    thread: ThreadCall[Outcome] | None = None
    log: AttemptLog | None = None
    _child_tasks: ChildTasks | None = None
    _deadline: Deadline | None = None
    _notes: AttemptNotes | None = None

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
        """Begun eagerly, it runs before whoever began it knows the handle. What its code says is found by that."""
        if self.handle is None:
            handle: Any = OWNER.get()
            self.handle = handle
        assert self.handle is not None
        self.handle.work = self

    def open_log(self) -> AttemptLog:
        """Its log, to which its code says something."""
        return self._ctx.logs.open(self, (self.run_id, self.asset_name, self.key, self.number))

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
        if self.log is not None:
            self.log.end()
        if self._child_tasks is not None:
            self._child_tasks.closed = self._child_tasks.killed = True
        if self.thread is not None and self._ctx.threads.abandon(self.thread):
            with suppress(BaseException):  # The handlers of a log are the application's.
                _log.error(
                    "%s cannot be stopped: its thread was abandoned and goes on until it returns", self.name
                )
        if self.on_over is not None:
            self.on_over(self, handle.result if isinstance(how, Normal) else None, how)

    # The recipe ---------------------------------------------------------------------------------------------

    async def _begin_and_produce(self) -> StepSucceeded | StepWaiting | Failure:
        assert self.started_at is not None
        step = self.run_id, self.asset_name, self.key
        event = StepStarted(self.started_at, *step, self.number, self._ctx.node)
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
            self._say,
        )

    def _say(self, level: int, message: str, fields: Mapping[str, Any]) -> None:
        """Keep what `context.log` says, from whatever thread."""
        (self.log or self.open_log()).say(level, message, fields)

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
            return await self._ctx.processes().call(
                self.name, asset, arguments, on_start, lambda: self.log or self.open_log()
            )
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
