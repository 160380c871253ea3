"""An event loop whose time is virtual and whose order is chosen by a seed: asyncio's own tasks run on it unchanged.

It has no selector, so it reaches nothing outside its process by construction. One turn takes one step:

    something is ready       one of it is called; `order` says which (`order.py`), and it may cost time
    a thread has posted      its post is ready (`outside.py`); while a thread works, time stands still
    nothing is ready         time jumps to the next timer, or to what `idle_at` waits for
    nothing at all           `Deadlock`, with who waits for what; too many steps are a `Livelock`

A world is put on it like this; the same seed makes the same run, in any process:

    loop = SimulationLoop(seed=7, order="shuffle", cost=0.0001, budget=100_000)
    first, second = loop.process("first"), loop.process("second")

    async def world() -> None:
        task = first.spawn(node(1, store))        # code of `first`, as is all that it starts
        second.spawn(node(2, store))
        await asyncio.sleep(30.0)                 # seconds of virtual time
        first.kill()                              # its steps are never taken again: no `finally` runs
        second.pause()                            # its steps and timers are put aside ...
        await asyncio.sleep(60.0)
        second.resume()                           # ... and taken now, with its lease long over

    try:
        loop.run_until_complete(world())
    except (Deadlock, Livelock, AssertionError):
        log.error(loop.story())                   # the last steps, with time and process
        raise
    finally:
        loop.dispose()                            # closes it, and silences what was killed

Give each runtime `LoopClock(loop, start)` for a clock and a `Random` made of the seed. What is not on the loop must
follow the seed too: no wall clock, no `hash()` of text, no iteration over sets.

**Cost.** Code takes no time here, so two things that happen at different instants would never race. With `cost`,
each step takes a random time around it and timers come due between any two steps, as in life.
"""

from __future__ import annotations

import asyncio
import gc
import heapq
import itertools
import math
import sys
from collections import deque
from contextlib import contextmanager
from contextvars import Context
from functools import partial
from random import Random
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar
from zlib import crc32

from flowstone.errors import Deadlock, Livelock
from flowstone.testing.simulation.descriptions import described, waiting
from flowstone.testing.simulation.handles import AnyHandle, OwnedHandle, OwnedTimer
from flowstone.testing.simulation.isolated_loop import IsolatedLoop
from flowstone.testing.simulation.order import Order, order_named
from flowstone.testing.simulation.outside import Outside, OutsideCall
from flowstone.testing.simulation.process import PROCESS, Process, ProcessState
from flowstone.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Iterator, Sequence

    from flowstone.thread_calls import ThreadCall

__all__ = ["SimulationLoop"]

T = TypeVar("T")

_BATCH: Final = 64
_STORY: Final = 50
_THREADS: Final = 32
_FEW: Final = 100  # Cancelled timers that are left where they are.


class SimulationLoop(IsolatedLoop):
    """A loop for one simulation.

    Args:
        seed: Of the order and of what steps cost.
        order: `fifo` (asyncio's), `shuffle`, `priorities`, or an `Order`.
        cost: Seconds of virtual time that a step takes on average; 0: none.
        budget: Steps until `Livelock`; None: no limit.
        trace: Whether `digest` follows every step, to compare two runs; it makes steps slower.

    Attributes:
        steps: Steps taken so far.
        digest: A number that depends on every step taken, where `trace` is set.
        cost: Seconds of virtual time that a step takes on average; 0: none.
        still: Whether the budget is one for each instant: it is full again when time has passed.
        until: The last instant that time may come to; beyond, everything waits for ever.
        on_post: Called on whatever thread has posted something.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        order: str | Order = "fifo",
        cost: float = 0.0,
        budget: int | None = None,
        trace: bool = False,
    ) -> None:
        super().__init__()
        self._random = Random(f"cost {seed}")  # noqa: S311 - a seed is the point
        chosen = Random(f"order {seed}")  # noqa: S311 - as above
        try:
            self._order = order_named(order, chosen) if isinstance(order, str) else order
        except ValueError:
            super().close()
            raise
        self.cost = cost
        self._budget = self._left = sys.maxsize if budget is None else budget
        self._trace = trace
        self.steps = 0
        self.digest = 0
        self.still = False
        self.until = math.inf
        self.on_post: Callable[[], None] | None = None
        self._time = 0.0
        self._current: Process | None = None
        self._has_processes = False
        self._ready: deque[AnyHandle] = deque()
        self._scheduled: list[tuple[float, int, OwnedTimer]] = []  # By number where they are due at once.
        self._timers = itertools.count()
        self._timer_cancelled_count = 0
        self._horizons: list[tuple[float, int, asyncio.Future[None]]] = []
        self._serial = itertools.count(1)
        self._last: deque[tuple[float, Process | None, object]] = deque(maxlen=_STORY)
        self._graveyard: list[object] = []
        self._ended = self._disposed = False
        self._threads = Threads(_THREADS, "flowstone-simulation", idle=1.0)
        self.outside = Outside()

    # Time ---------------------------------------------------------------------------------------------------

    def time(self) -> float:
        """Seconds of virtual time since the loop was made."""
        return self._time

    async def idle_at(self, when: float) -> None:
        """Return when it is `when` and all that was due until then has been done."""
        future = self.create_future()
        heapq.heappush(self._horizons, (max(when, self._time), next(self._serial), future))
        await future

    def allow(self, budget: int | None) -> None:
        """Set the budget anew: so many steps from here on."""
        self._budget = self._left = sys.maxsize if budget is None else budget

    # What asyncio asks of a loop ----------------------------------------------------------------------------

    def call_soon(  # type: ignore[override]  # typeshed's variadic types are asyncio's own
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        if self._ended:
            self._check_alive()
        handle = OwnedHandle(callback, args, self, context)
        handle.process = handle._context.get(PROCESS) or self._current if self._has_processes else None
        self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]  # as above
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._time + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]  # as above
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        if self._ended:
            self._check_alive()
        timer = OwnedTimer(when, callback, args, self, context)
        timer.process = timer._context.get(PROCESS) or self._current if self._has_processes else None
        timer._scheduled = True  # Cancelled, it is counted.
        heapq.heappush(self._scheduled, (when, next(self._timers), timer))
        return timer

    def call_soon_threadsafe(  # type: ignore[override]  # as above
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        self._check_alive()
        handle = OwnedHandle(callback, args, self, context)
        handle.process = handle._context.get(PROCESS)
        self.outside.post(handle)
        self._write_to_self()
        return handle

    def create_task(  # type: ignore[override]  # a generator is no coroutine, and no code of ours
        self,
        coro: Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
        **rest: Any,
    ) -> asyncio.Task[T]:
        """As asyncio's; a task that is given no name gets one that is the same in each run."""
        name = name or f"{getattr(coro, '__qualname__', 'task')}-{next(self._serial)}"
        return super().create_task(coro, name=name, context=context, **rest)

    def start(self, coroutine: Coroutine[Any, Any, T], name: str | None, context: Context) -> asyncio.Task[T]:
        """Start a task in a context of its own."""
        return self.create_task(coroutine, name=name, context=context)

    def run_in_executor(  # type: ignore[override]  # as above
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """On a thread, while time stands still."""
        self._check_alive()
        if executor is None:
            return self._threads.submit(partial(func, *args))
        call = self.outside.begin()
        future: asyncio.Future[Any] = asyncio.wrap_future(executor.submit(func, *args), loop=self)
        future.add_done_callback(lambda _: call.ends())
        return future

    def thread_call(self, job: ThreadCall[Any]) -> OutsideCall:
        """`Threads` makes a call for code of this loop."""
        return self.outside.begin(job)

    def new_context(self) -> Context:
        """An empty one, for code of the process that runs."""
        context = Context()
        if self._current is not None:
            context.run(PROCESS.set, self._current)
        return context

    def _check_alive(self) -> None:
        """Killed code that is freed may set something in motion: that goes nowhere."""
        if not self._disposed:
            self._check_closed()  # type: ignore[attr-defined]  # BaseEventLoop's

    def _write_to_self(self) -> None:
        if self.on_post is not None:
            self.on_post()

    def _process_events(self, _: object) -> None:
        """There is no selector, and so there are none."""

    def _timer_handle_cancelled(self, _: asyncio.TimerHandle) -> None:
        self._timer_cancelled_count += 1

    def _run_once(self) -> None:
        if not self.turn():
            self.outside.wait()

    # Turns --------------------------------------------------------------------------------------------------

    def turn(self, most: int = _BATCH) -> bool:
        """Take up to `most` steps. False: nothing goes on until a thread posts something.

        Raises:
            Deadlock: Nothing is ready, and nothing is to come.
            Livelock: The budget is spent.
        """
        ready = self._ready
        until = self.steps + most
        while self.steps < until and not self._stopping:  # type: ignore[attr-defined]  # BaseEventLoop's
            if self._scheduled and self._scheduled[0][0] <= self._time:
                self._take_due()
            if ready:
                if self._left <= 0:
                    self._give_up()
                self._step()
            elif (post := self.outside.take()) is not None:
                ready.append(post)
            elif self.outside.busy:
                return False
            else:
                self._pass_time()
        return True

    def _step(self) -> None:
        handle = self._ready.popleft() if self._order is None else self._chosen(self._order)
        if handle._cancelled:
            return
        process = handle.process
        if process is not None:
            if process.state is not ProcessState.RUNNING:
                if process.state is ProcessState.PAUSED:
                    process.postpone(handle)
                else:
                    self._graveyard.append(handle)
                return
            context = handle._context
            if context.get(PROCESS) is None:
                context.run(PROCESS.set, process)  # What wakes it later may be another's code.
        self._current = process
        self.steps += 1
        self._left -= 1
        self._last.append((self._time, process, handle._callback))
        if self._trace:
            self._digest(handle, process)
        handle._run()
        self._current = None
        if self.cost:
            self._time += self._random.random() * 2.0 * self.cost

    def _chosen(self, order: Order) -> AnyHandle:
        ready = self._ready
        position = order.choose(ready)
        handle = ready[position]
        del ready[position]
        return handle

    def _digest(self, handle: AnyHandle, process: Process | None) -> None:
        line = f"{self._time!r} {process and process.name} {described(handle._callback)}"
        self.digest = crc32(line.encode(), self.digest)

    def _give_up(self) -> NoReturn:
        self._left = self._budget  # For whoever goes on, to end in order.
        raise Livelock(
            f"{self._budget:,} steps were taken {'at one instant' if self.still else 'without an end'}. "
            f"The last ones:\n{self.story(10)}"
        )

    def _pass_time(self) -> None:
        """Nothing is ready: it is the time of what comes next."""
        due = self._next_timer()
        if self._horizons and (due is None or self._horizons[0][0] < due):
            due, _, future = self._horizons[0]
            if not future.done():
                self._move_to(due)
                future.set_result(None)
            heapq.heappop(self._horizons)
        elif due is None:
            raise Deadlock(
                f"Everything waits, and nothing is to come. Waiting:\n{waiting(asyncio.all_tasks(self))}"
            )
        else:
            self._move_to(due)
            self._take_due()

    def _move_to(self, when: float) -> None:
        if when > self.until:
            self.until = math.inf  # For whoever goes on, to end in order.
            raise Deadlock(
                f"It waits for what never comes, although much else goes on. Waiting:\n"
                f"{waiting(asyncio.all_tasks(self))}"
            )
        if when > self._time:
            self._time = when
            if self.still:
                self._left = self._budget

    def _next_timer(self) -> float | None:
        """When the next timer is due that was not cancelled."""
        scheduled = self._scheduled
        if self._timer_cancelled_count > _FEW and self._timer_cancelled_count > len(scheduled) // 2:
            self._scheduled = scheduled = [each for each in scheduled if not each[2]._cancelled]
            heapq.heapify(scheduled)
            self._timer_cancelled_count = 0
        while scheduled and scheduled[0][2]._cancelled:
            heapq.heappop(scheduled)
            self._timer_cancelled_count -= 1
        return scheduled[0][0] if scheduled and scheduled[0][0] < math.inf else None

    def _take_due(self) -> None:
        """Timers that are due are ready."""
        scheduled, now = self._scheduled, self._time
        while scheduled and scheduled[0][0] <= now:
            timer = heapq.heappop(scheduled)[2]
            timer._scheduled = False
            if timer._cancelled:
                self._timer_cancelled_count -= 1
            else:
                self._ready.append(timer)

    # Processes ----------------------------------------------------------------------------------------------

    def process(self, name: str) -> Process:
        """A process of the world."""
        self._has_processes = True
        return Process(self, name)

    @property
    def current(self) -> Process | None:
        """Whose step is being taken; None: the world's own."""
        return self._current

    @contextmanager
    def working_for(self, process: Process) -> Iterator[None]:
        """What is started within is the code of `process`."""
        before, self._current = self._current, process
        try:
            yield
        finally:
            self._current = before

    def go_on(self, handles: Sequence[AnyHandle]) -> None:
        """These were put aside, and are ready now."""
        self._ready.extend(handles)

    def bury(self, handles: Sequence[AnyHandle]) -> None:
        """Keep what was killed: freed, it would run its `finally` after all."""
        self._graveyard.append((*handles, asyncio.all_tasks(self)))

    # The end, and what is told ------------------------------------------------------------------------------

    def story(self, last: int = _STORY) -> str:
        """The last steps, one a line: time, process, and whose step it was."""
        lines = list(self._last)[-last:]
        return "\n".join(
            f"{time:14.6f}  {process.name if process else '-':10}  {described(what)}"
            for time, process, what in lines
        )

    def close(self) -> None:
        """End it. Harmless a second time."""
        self._ended = True
        if not self.is_closed():
            self._threads.close()
            super().close()

    def dispose(self) -> None:
        """Close it, and forget what never ended: killed code that is freed is silent."""
        for task in asyncio.all_tasks(self):
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # asyncio's
        self.close()
        self._disposed = True
        hook, sys.unraisablehook = sys.unraisablehook, _say_nothing
        try:
            self._last.clear()
            self._graveyard.clear()
            gc.collect()
            self._ready.clear()
            self._scheduled.clear()
        finally:
            sys.unraisablehook = hook

    @contextmanager
    def running(self) -> Generator[None]:
        """Be the running loop of this thread, although another one is: for turns within one of its callbacks."""
        outer, hooks = asyncio._get_running_loop(), sys.get_asyncgen_hooks()
        asyncio._set_running_loop(None)
        self._thread_id = get_ident()
        sys.set_asyncgen_hooks(self._asyncgen_firstiter_hook, self._asyncgen_finalizer_hook)  # type: ignore[attr-defined]  # BaseEventLoop's
        asyncio._set_running_loop(self)
        try:
            yield
        finally:
            self._thread_id = None  # type: ignore[assignment]  # as BaseEventLoop does
            sys.set_asyncgen_hooks(*hooks)
            asyncio._set_running_loop(outer)


def _say_nothing(_: object) -> None:
    """What killed code raises when it is freed says nothing about anything."""
