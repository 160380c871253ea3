"""The process of a listener: it reads what is to be delivered, and has the function called for each event.

Of one run, one event at a time and in order; of several runs, several at a time. A call that fails is made again
after a while, and holds up nobody but its own run. What has failed often enough, or waits behind too many others
that failed, is given up: that is on record, and the first time since a success it is an event. So a listener that
always raises is called for each event, and neither stops nor grows.

What was delivered is recorded in batches, while other calls go on. A process that dies before that delivers it
again: at least once, not exactly once.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from flowstone.counting import count
from flowstone.errors import StoreUnavailable
from flowstone.runs.automation import subject_of
from flowstone.runs.automation_events import AutomationFailed
from flowstone.runs.records import Failure
from flowstone.runtime.automation.definitions import define_again
from flowstone.runtime.automation.functions import is_called_on_loop
from flowstone.runtime.automation.lanes import Lanes
from flowstone.runtime.automation.leadership import ASKS_AGAIN, Leadership
from flowstone.runtime.automation.problems import ListenerProblems, subject
from flowstone.runtime.automation.told import Told
from flowstone.runtime.execution.guard import call, call_async, describe
from flowstone.runtime.services.notifications import Wakeup
from flowstone.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flowstone.actors import TaskSupervisor
    from flowstone.actors.clock import Timer
    from flowstone.actors.tasks import TaskHandle
    from flowstone.assets.automation.listener import Listener
    from flowstone.runs.automation import AutomationKey
    from flowstone.runtime.automation.lanes import Lane
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.execution.guard import Outcome
    from flowstone.runtime.run.local_runs import LocalRuns
    from flowstone.store.cluster import Notification
    from flowstone.store.deliveries import Delivery, DeliveryKey

__all__ = ["ATTEMPTS", "MOST_BLOCKED", "ListenerDriver", "pause_after"]

ATTEMPTS: Final = 10
"""So often an event is delivered to a listener that fails, over 1.7 to 3.4 hours; then it is given up."""

MOST_BLOCKED: Final = 1_000
"""So many runs may wait for another attempt at once; beyond that, who has waited longest is given up."""

_PAGE: Final = 500  # Deliveries that are read at once.
_HELD: Final = 2_000  # Deliveries that are held, beyond which no more are read.
_BATCH: Final = 100  # So many deliveries are recorded at once, while others are made.
_GAP: Final = (
    0.02  # Seconds between two questions to a database that has nothing more to say, or two such batches.
)
_FIRST_PAUSE: Final = 1.0
_FACTOR: Final = 4.0
_LONGEST_PAUSE: Final = 3_600.0
_TOO_MANY: Final = f"More than {MOST_BLOCKED:,} runs wait for another attempt."
_STUCK: Final = 1.0  # Seconds between two looks whether calls that could not be stopped have come back.
_RETRY: Final = (
    1.0  # Seconds after which a store that is away is asked again, or before a restart does anything.
)


def pause_after(attempts: int, failure: Failure, spread: float) -> float:
    """Seconds until the next attempt, after so many failed ones; `spread` from 0.5 to 1 keeps them out of step."""
    if failure.after is not None:
        return max(0.0, failure.after)
    longest: float = min(_LONGEST_PAUSE, _FIRST_PAUSE * _FACTOR ** (attempts - 1))
    return longest * spread


class ListenerDriver:
    """Delivers events to one listener, if that is this node's part; else watches whose it is.

    Args:
        ctx: What the runtime offers.
        runs: Say whether this node drains.
        key: Which automation.
        listener: What it is.
        calls: Where its function is called.
        restarted: Whether this is not its first incarnation.
    """

    def __init__(
        self,
        ctx: RuntimeContext,
        runs: LocalRuns,
        key: AutomationKey,
        listener: Listener,
        calls: TaskSupervisor,
        *,
        restarted: bool,
    ) -> None:
        self._ctx = ctx
        self._runs = runs
        self._key = key
        self._listener = listener
        self._calls = calls
        self._restarted = restarted
        self._subject = subject("listener", listener.name)
        self._wake = Wakeup()
        self._leadership = Leadership(ctx, key)
        self._paused: bool | None = None  # Not known.
        self._foreign = False  # Whether another node has defined it otherwise.
        self._read_at = -math.inf  # By the monotonic clock.
        self._lanes = Lanes()
        self._done: list[DeliveryKey] = []  # Delivered, and not on record yet.
        self._failures: deque[tuple[Lane, Failure]] = deque()
        self._open = False  # Whether calls may begin.
        self._news = True
        self._quiet_since: float | None = None  # When there was nothing to read.
        self._failing = False  # Since it was given up on an event it has not succeeded.
        self._running = 0
        self._late = 0  # Calls that were cancelled because of their time, and are not over.
        self._recovered = False  # Whether one has succeeded since a call was late.
        self._problems = ListenerProblems(ctx, listener.name)
        self._told = Told(ctx, key)
        self._recording: Timer | None = None  # Until then what is delivered gathers, to be recorded at once.
        self._gap_of_store = 0.0 if ctx.store.cluster is None else _GAP
        self._threads: Threads | None = None

    async def run(self, started: Callable[[], None]) -> None:
        started()
        self._wake()
        kinds = ("deliveries", "automation", "nodes", "look", "draining")
        try:
            with self._ctx.notifications.on(self._heard, *kinds):  # type: ignore[arg-type] # each is one
                delay: float | None = None
                if self._restarted:
                    await self._ctx.clock.sleep(_RETRY)
                while True:
                    await self._wake.wait_or(self._ctx.clock, delay)
                    delay = await self._turn()
        finally:
            self._problems.slow = self._problems.failing = ""
            if self._threads is not None:
                self._threads.close()
            if self._recording is not None:
                self._recording.cancel()

    def _heard(self, notification: Notification) -> None:
        if notification.kind == "deliveries":
            if notification.subject == self._key[0]:
                self._news = True
                self._wake()
        elif notification.kind == "automation":
            if notification.subject == subject_of(self._key):
                self._paused = None
                self._leadership.ask_again()
                self._wake()
        elif notification.kind == "draining" or self._leadership.concerns(notification):
            self._wake()

    # A turn -------------------------------------------------------------------------------------------------

    async def _turn(self) -> float | None:
        """Record what ended, read what is new and begin calls; seconds after which to do so again, or None."""
        try:
            self._open = self._open and self._leadership.held
            if self._ctx.store.cluster is not None and not self._runs.open:
                await self._leave(
                    self._leadership.hand_over
                )  # While this node ends its work, another one goes on.
                return None
            held = self._leadership.held
            if not await self._leadership.take_back():
                self._problems.failing = ""  # That is for whoever goes on to say.
                return None
            await self._settle()
            if await self._is_paused(takes_over=not held):
                self._open = False
                self._problems.failing = ""
                if self._foreign:
                    await self._leave(self._leadership.stand_back)
                    return None
                # A notification may be lost.
                return None if self._ctx.store.cluster is None else self._ctx.settings.lease
            self._lanes.release(self._ctx.clock.monotonic())
            pause = await self._read()
            self._open = True
            self._begin()
        except StoreUnavailable as error:
            self._open = False
            self._ctx.alarms.set("store", f"it does not say what {self._subject} is to be told: {error}")
            return _RETRY
        if self._ctx.store.cluster is not None:
            pause = min(pause or ASKS_AGAIN, ASKS_AGAIN)
        if self._hangs():
            pause = min(pause or _STUCK, _STUCK)  # Of a thread that comes back nobody hears.
        due = self._lanes.next_due()
        if due is not None:
            wait = max(0.0, due - self._ctx.clock.monotonic())
            pause = wait if pause is None else min(pause, wait)
        remembers = self._told.due()
        if remembers is not None:
            pause = remembers if pause is None else min(pause, remembers)
        return pause

    async def _leave(self, hand_over: Callable[[], Awaitable[None]]) -> None:
        """Let another node go on once the calls under way are over and recorded, so that none is made twice."""
        self._open = False
        await self._settle()
        if self._running:
            return  # The end of the last one wakes this.
        self._lanes = Lanes()
        self._news = True
        await hand_over()
        self._problems.failing = ""  # That is for whoever drives it to say.

    async def _is_paused(self, *, takes_over: bool) -> bool:
        """Whether nothing is to be delivered here: it is paused, or defined otherwise by a node that drives it.

        If that does not, because this one `takes_over`, it is defined as it is here.
        """
        self._foreign = False
        known = self._ctx.snapshot.automations.get(self._key[1])
        if known is None or known[1] != self._listener:
            return True  # This node has other definitions by now, and this process is about to end.
        now = self._ctx.clock.monotonic()
        if self._ctx.store.cluster is not None and now - self._read_at >= ASKS_AGAIN:
            self._paused = None  # That it was paused, or taken away, may not have been heard.
        if self._paused is None:
            self._read_at = now
            record = await self._ctx.store.automations.record(self._key)
            foreign = record is not None and record.text != self._listener.definition
            if record is not None and (record.gone_at is not None or (foreign and takes_over)):
                # A node with other code has been here.
                await define_again(self._ctx, self._key[0], {self._key[1]})
                foreign = False
            self._foreign = foreign and self._ctx.store.cluster is not None
            self._paused = self._foreign or (record is not None and record.paused)
        paused = self._paused
        if paused:
            self._paused = None  # It is asked again at the next turn.
        return paused

    async def _read(self) -> float | None:
        """Read what is new, as far as there is room; seconds after which to go on."""
        while self._news and self._lanes.held < _HELD and self._lanes.ready < _PAGE:
            if (pause := self._gap()) is not None:
                return pause
            self._news = False
            found = await self._ctx.store.deliveries.pending(
                *self._key, limit=_PAGE, but=tuple(self._lanes.keys)
            )
            if not found:
                self._quiet_since = self._ctx.clock.monotonic()
                break
            self._news = True
            self._lanes.add(found)
        return None

    def _gap(self) -> float | None:
        """What is left of the time for which a database is not asked again after it had nothing to say."""
        if self._quiet_since is None or not self._gap_of_store:
            return None
        left = self._quiet_since + self._gap_of_store - self._ctx.clock.monotonic()
        return left if left > 0 else None

    # Calls --------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        while self._running < self._listener.max_parallel and not self._is_stuck():
            lane = self._lanes.next()
            if lane is None:
                return
            self._running += 1
            _Call(self, lane).begin()

    def _is_stuck(self) -> bool:
        """Whether as many calls as it may have at a time cannot be stopped: others would not help."""
        return self._hung() >= self._listener.max_parallel

    def _hung(self) -> int:
        """How many calls are over for the runtime and could not be stopped."""
        hung: int = self._calls.statistics().abandoned
        return hung if self._threads is None else hung + len(self._threads.statistics().abandoned)

    def _hangs(self) -> bool:
        """Whether a call that took too long has still not returned."""
        return self._late > 0 or self._hung() > 0

    def _relieve(self) -> None:
        """What was said of a slow call is over when it has returned and one has succeeded."""
        if self._recovered and not self._hangs():
            self._problems.slow = ""
            self._recovered = False

    def slow(self, delivery: Delivery) -> None:
        """A call has taken too long."""
        self._late += 1
        self._recovered = False
        text = f"its call for {_label(delivery)} has not returned for {self._listener.timeout:g} s"
        self._problems.slow = text
        self._ctx.alarms.set(f"{self._subject} (slow)", f"{text}, and is cancelled")

    def ended(self, lane: Lane, outcome: Outcome, *, late: bool) -> None:
        """A call is over; `late` if it was slow."""
        self._running -= 1
        self._late -= late
        if not outcome[0]:
            self._failures.append((lane, outcome[1]))
            self._wake()
            return
        self._done.append(lane.events[0].key)
        self._told.note(_label(lane.events[0]))
        self._lanes.delivered(lane)
        self._failing = False
        if self._problems.slow:
            self._recovered = True
            self._relieve()
        if self._open:
            self._begin()
        if not self._running or len(self._done) % _BATCH == 0:
            self._wake()
        elif self._recording is None:
            self._recording = self._ctx.clock.call_later(self._gap_of_store, self._wake)

    async def in_thread(self, delivery: Delivery) -> Outcome:
        """Call the function in a thread of the listener's own: what hangs there holds up nobody else."""
        if self._threads is None:
            self._threads = Threads(self._listener.max_parallel, f"flowstone-{self._subject}")
        made = partial(call, partial(self._listener.function, delivery.event), {}, None)
        job = self._threads.start(self._subject, made)
        try:
            return await job.wait_or_leave()
        except asyncio.CancelledError:
            self._threads.abandon(job)
            raise
        except Exception as error:
            return False, describe(error, None)

    # What became of them ------------------------------------------------------------------------------------

    async def _settle(self) -> None:
        """Record what calls have come to; if the store is away, what is left is recorded later."""
        if self._recording is not None:
            self._recording.cancel()
            self._recording = None
        if self._done:
            recorded = len(self._done)
            await self._ctx.store.deliveries.done(*self._key, self._done[:recorded])
            del self._done[:recorded]
        await self._told.remember()
        while self._failures:
            await self._failed(*self._failures[0])
            self._failures.popleft()
        while self._lanes.blocked > MOST_BLOCKED and (lane := self._lanes.longest_blocked()) is not None:
            await self._give_up(lane, Failure("error", _TOO_MANY), lane.events[0].attempts)
        if self._lanes.drop_empty({lane for lane, _ in self._done}):
            self._news = True
        if not self._failing and not self._lanes.blocked:
            self._ctx.alarms.clear(self._subject)
            self._problems.failing = ""
            if not self._hangs():
                self._ctx.alarms.clear(f"{self._subject} (slow)")
        self._relieve()

    async def _failed(self, lane: Lane, failure: Failure) -> None:
        delivery = lane.events[0]
        attempts = delivery.attempts + 1
        self._problems.failing = problem = f"it failed for {_label(delivery)}: {failure.message}"
        self._ctx.alarms.set(self._subject, f"{problem}\n{failure.frames}".rstrip())
        # A cancel that nobody here has sent, as by a client that closes its connections, is no reason to be silent.
        again = failure.retryable or failure.kind == "cancelled_by_asset"
        if attempts >= ATTEMPTS or not again:
            await self._give_up(lane, failure, attempts)
            return
        await self._ctx.store.deliveries.failed(*self._key, delivery.key, failure)
        pause = pause_after(attempts, failure, self._ctx.random.uniform(0.5, 1.0))
        self._lanes.block(lane, self._ctx.clock.monotonic() + pause)

    async def _give_up(self, lane: Lane, failure: Failure, attempts: int) -> None:
        delivery = lane.events[0]
        event = AutomationFailed(self._ctx.clock.now(), self._listener.name, failure, attempts)
        tell = not self._failing
        await self._ctx.store.deliveries.give_up(*self._key, delivery.key, event, tell=tell)
        self._failing = True
        self._lanes.delivered(lane)
        gave_up = f"it is not told of {_label(delivery)} any more, after {count(attempts, 'attempt')}"
        self._problems.failing = f"{gave_up}: {failure.message}"
        self._ctx.alarms.set(self._subject, gave_up)
        if tell:
            self._ctx.stream.publish(event)


class _Call:
    """One call of the function, with its time."""

    def __init__(self, driver: ListenerDriver, lane: Lane) -> None:
        self._driver = driver
        self._lane = lane
        self._delivery = lane.events[0]
        self._handle: TaskHandle | None = None
        self._late = False
        listener = driver._listener
        self._timer = driver._ctx.clock.call_later(listener.timeout, self._expire)

    def begin(self) -> None:
        name = f"{self._driver._subject} for {_label(self._delivery)}"
        handle = self._driver._calls.start(name, self._made())
        self._handle = handle
        handle.call_on_exit(self._over)

    async def _made(self) -> Outcome:
        driver = self._driver
        function = driver._listener.function
        if is_called_on_loop(function):
            return await call_async(partial(function, self._delivery.event), {}, None)
        return await driver.in_thread(self._delivery)

    def _expire(self) -> None:
        self._late = True
        self._driver.slow(self._delivery)
        if self._handle is not None:
            self._handle.cancel()

    def _over(self, handle: TaskHandle, _how: Any) -> None:
        self._timer.cancel()
        if handle.cancelled_by_us and not self._late:
            return  # The listener stops.
        self._driver.ended(self._lane, self._outcome(handle.result, handle.error), late=self._late)

    def _outcome(self, result: Any, error: BaseException | None) -> Outcome:
        if isinstance(result, tuple) and (result[0] or not self._late):
            return result
        if self._late:
            seconds = self._driver._listener.timeout
            message = f"The call took longer than {seconds:g} s."
            return False, Failure("timeout", message, retryable=True)
        return False, describe(error or RuntimeError("the call ended without a result"), None)


def _label(delivery: Delivery) -> str:
    event = delivery.event
    kind = event.exact_kind
    return f"{kind} of run {event.run_id}" if event.run_id else f"{kind} of {event.asset or event.name}"  # type: ignore[union-attr] # those of no run have one
