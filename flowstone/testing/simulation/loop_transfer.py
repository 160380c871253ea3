"""Taking a coroutine that runs over to a simulated loop, and back: how a test's own body gets virtual time.

`async with Simulation(...)` is entered on an ordinary loop, and a task cannot change its loop. Its coroutine can
change its task: only whoever drives a coroutine decides where it runs.

    enter   the coroutine hands its task a future that stays open, so the task sleeps. A task of the simulated loop
            drives the same coroutine from where it stands: the body of the `async with` runs there
    leave   the coroutine hands the simulated task a sign; that task ends, the future is done, and the first task
            drives on where it was

Meanwhile callbacks on the ordinary loop take the simulated loop's turns, a few steps each, so that everything else
there goes on: timers of real time, other tests' tasks. A cancel of the first task is passed on to the second.

Rejected: a loop in another thread, to which every call of the test would have to cross over; and patching the time
of the loop that runs, which uvloop does not allow.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Coroutine
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final, Self

from flowstone.errors import SimulationError
from flowstone.remedies import Remedies
from flowstone.testing.simulation.outside import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from flowstone.testing.simulation.loop import SimulationLoop

__all__ = ["LoopTransfer"]

_STEPS: Final = 256  # Until the ordinary loop has a turn.
_YEAR: Final = 366 * 86_400.0
_AFTERWARDS: Final = 0.001
"""What a step costs once something has gone wrong: what goes round in circles then takes time, and can be ended."""
_BACK: Final = object()


class LoopTransfer:
    """The way of one coroutine to a simulated loop and back.

    Args:
        loop: The simulated one.
        end: Ends what runs there, for a coroutine that ended there without coming back.
    """

    def __init__(self, loop: SimulationLoop, end: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._loop = loop
        self._end = end
        self._ending = False
        self._outer: asyncio.AbstractEventLoop
        self._task: asyncio.Task[Any]
        self._suspension: _Suspension | None = None
        self._body: _Body
        self._inner: asyncio.Task[None] | None = None
        self._cancelled: list[object] = []
        self._armed = False
        self._impatient: asyncio.TimerHandle | None = None

    async def enter(self) -> None:
        """Return on the simulated loop.

        Raises:
            SimulationError: No task of asyncio's is running.
        """
        self._outer = asyncio.get_running_loop()
        task = asyncio.current_task()
        if task is None:
            raise SimulationError("A simulation is entered in a task of asyncio.")
        self._task = task
        self._suspension = _Suspension(self, self._outer)
        self._suspension._asyncio_future_blocking = True
        try:
            await _hand_over(self._suspension)
        except BaseException:  # A cancel, over there.
            await self.leave()
            raise

    async def leave(self) -> None:
        """Return on the loop that it came from."""
        await _hand_over(_BACK)

    # Driving ------------------------------------------------------------------------------------------------

    def begin(self, context: Context) -> None:
        """The first task sleeps: its coroutine may be driven by another one, in the same context."""
        self._outer.call_soon(self._begin, context, context=Context())

    def _begin(self, context: Context) -> None:
        coroutine: Any = self._task.get_coro()
        self._body = _Body(coroutine, self._loop)
        self._loop.on_post = self._posted
        with self._loop.running():
            self._inner = self._loop.start(self._body, self._task.get_name(), context)
            for message in self._cancelled:
                self._inner.cancel(message)
        self._pump()

    def _pump(self) -> None:
        self._armed = False
        loop, inner, stay = self._loop, self._inner, self._suspension
        if inner is None or stay is None or stay.done():
            return
        try:
            with loop.running():
                goes_on = loop.turn(_STEPS)
        except SimulationError as error:
            goes_on = True
            loop.cost = _AFTERWARDS
            with loop.running():
                self._body.fail(error, inner)
        if inner.done():
            self._ended(inner, stay)
        elif goes_on:
            self._arm()
        else:
            self._impatient = self._outer.call_later(PATIENCE, self._lose_patience, context=Context())

    def _arm(self) -> None:
        if not self._armed:
            self._armed = True
            self._outer.call_soon(self._pump, context=Context())

    def _posted(self) -> None:
        """On whatever thread: something is to be called on the simulated loop."""
        self._outer.call_soon_threadsafe(self._wake, context=Context())

    def _wake(self) -> None:
        if self._impatient is not None:
            self._impatient.cancel()
            self._impatient = None
            self._arm()

    def _lose_patience(self) -> None:
        self._impatient = None
        self._loop.outside.lose_patience()
        self._arm()

    def cancel(self, message: object) -> bool:
        """The first task was cancelled: so is what drives its coroutine now."""
        if self._inner is None:
            self._cancelled.append(message)
        else:
            with self._loop.running():
                self._inner.cancel(message)
            self._wake()
            self._arm()
        return True

    def _ended(self, inner: asyncio.Task[None], stay: _Suspension) -> None:
        if not self._body.left_behind:
            self._loop.on_post = None
            stay.set_result(None)
        elif not self._ending:
            self._ending = True
            with self._loop.running():
                self._inner = self._loop.start(self._end(), "left behind", Context())
            self._arm()
        else:
            self._loop.close()
            self._fail(None if inner.cancelled() else inner.exception())

    def _fail(self, cause: BaseException | None) -> None:
        """The coroutine has ended over there: the first task has nothing left to drive, and fails."""
        error = SimulationError(
            "The coroutine that entered a Simulation ended inside of it, as an async fixture does.",
            remedies=Remedies("Make it in the fixture, and write `async with simulation:` in the test."),
        )
        error.__cause__ = self._body.error or cause
        asyncio.Future.set_exception(self._task, error)


@types.coroutine
def _hand_over(what: object) -> Generator[object, None, None]:
    yield what


class _Suspension(asyncio.Future[None]):
    """What the first task sleeps on."""

    def __init__(self, passage: LoopTransfer, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._passage = passage

    def add_done_callback(
        self, callback: Callable[[Self], object], /, *, context: Context | None = None
    ) -> None:
        """The task has begun to wait for it; `context` is the task's own."""
        super().add_done_callback(callback, context=context)
        self._passage.begin(Context() if context is None else context)

    def cancel(self, msg: object = None) -> bool:
        """Not this is cancelled, but what the coroutine waits for where it is now."""
        return self._passage.cancel(msg)


class _Body(Coroutine[Any, Any, None]):
    """The coroutine, as the task of the simulated loop drives it.

    Attributes:
        left_behind: Whether it has ended without coming back.
        error: What it ended with then, if it was an error.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Any], loop: SimulationLoop) -> None:
        self._coroutine = coroutine
        self._loop = loop
        self._failure: SimulationError | None = None
        self.error: BaseException | None = None
        self.left_behind = False

    def fail(self, failure: SimulationError, task: asyncio.Task[None]) -> None:
        """Raise this in the coroutine, where it waits."""
        self._failure = failure
        task.cancel()

    def send(self, value: Any) -> Any:
        return self._drive(self._coroutine.send, value)

    def throw(self, *error: Any) -> Any:
        failure, self._failure = self._failure, None
        if failure is None:
            return self._drive(self._coroutine.throw, *error)
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        return self._drive(self._coroutine.throw, failure)

    def _drive(self, resume: Callable[..., Any], *given: Any) -> Any:
        self._loop.until = self._loop.time() + _YEAR
        try:
            handed = resume(*given)
        except BaseException as error:
            self.left_behind = True
            self.error = None if isinstance(error, StopIteration) else error
            raise StopIteration from None
        if handed is _BACK:
            raise StopIteration
        return handed

    def close(self) -> None:
        """The first task closes it."""

    def __await__(self) -> Any:
        raise RuntimeError("it is driven by a task")

    def __getattr__(self, name: str) -> Any:
        """The coroutine's frame and the like, for whoever says where it waits."""
        return getattr(self._coroutine, name)
