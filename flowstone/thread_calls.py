"""One blocking call on its way through a thread: queued, made, and its outcome handed back to the loop.

Whoever waits for it may be cancelled at any moment, and a thread cannot be interrupted. So its end is decided on
the loop: the outcome is taken by whoever waits, or undone. `threads.py` has the threads.
"""

from __future__ import annotations

import asyncio
import contextvars
from contextlib import suppress
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CallState", "ThreadCall"]

T = TypeVar("T")


class CallState(Enum):
    """Where a call to a thread stands."""

    QUEUED = auto()
    RUNNING = auto()
    DONE = auto()
    GIVEN_UP = auto()


class Watch(Protocol):
    """What a loop's method `thread_call` returns, where it has one: its time stands still for a call."""

    def begins(self) -> None:
        """A thread is about to make it; on that thread."""

    def ends(self) -> None:
        """Nothing more is to come of it; from whatever thread, and perhaps more than once."""


class CallPool(Protocol):
    """What is to be known of the pool whose threads make a call, which is `Threads`."""

    limit: int

    def withdraw(self, job: ThreadCall[Any]) -> bool:
        """Take a call back that no thread has begun with. False if a thread is inside it."""

    def start(self, name: str, call: Callable[[], Any]) -> object:
        """Queue a call."""


class ThreadCall(Generic[T]):
    """One call on its way through a thread.

    The future only says that there is an outcome. The outcome itself, a result or an error, is taken out of the
    call by whoever wants it: frames that the error's traceback keeps alive lead to the call, and must not lead
    from there to the error.

    Attributes:
        name: Who it is for, as people know it.
        state: Changed under the pool's lock only, so that giving up and starting exclude each other.
        lent: Whether another thread may work in the place of its own; likewise.
        left: Whether whoever waited for it has left.
    """

    __slots__ = (
        "_call",
        "_cancel_listeners",
        "_cancelled",
        "_context",
        "_done",
        "_loop",
        "_on_start",
        "_outcome",
        "_pool",
        "_undo",
        "_watch",
        "left",
        "lent",
        "name",
        "state",
    )

    def __init__(
        self,
        pool: CallPool,
        name: str,
        call: Callable[[], T],
        on_start: Callable[[], object] | None,
        undo: Callable[[T], object] | None,
    ) -> None:
        self.name = name
        self.state = CallState.QUEUED
        self.lent = False
        self.left = False
        self._call: Callable[[], T] | None = call
        self._context = contextvars.copy_context()
        self._loop = asyncio.get_running_loop()
        self._on_start = on_start
        self._undo = undo
        self._pool = pool
        self._cancelled: Literal["no", "not announced", "announced"] = "no"
        self._cancel_listeners: tuple[Callable[[], object], ...] = ()
        self._outcome: tuple[T | None, BaseException | None] = (None, None)
        watch: Callable[[ThreadCall[T]], Watch] | None = getattr(self._loop, "thread_call", None)
        self._watch = None if watch is None else watch(self)
        self._done: asyncio.Future[None] = self._loop.create_future()

    async def wait(self) -> T:
        """The call's result; raises what it raised.

        Cancelled while a thread is inside the call, it goes on waiting: a thread cannot be interrupted, and
        until it returns the call has not stopped; `when_cancelled` may make it return. Whoever cannot wait any
        longer abandons the call.

        Raises:
            CancelledError: Cancelled while no thread is inside the call.
        """
        while not self._done.done():
            try:
                await self._done
            except asyncio.CancelledError:
                if self._pool.withdraw(self):
                    raise
                self._announce_cancel()
                self._done = self._loop.create_future()  # The cancel has spoilt the one we waited for.
        return self.result()

    def when_cancelled(self, tell: Callable[[], object]) -> None:
        """Have `tell` called with the first cancel while a thread is inside the call, to make the call return.

        It is called at once if there has been a cancel of which nobody was told.
        """
        self._cancel_listeners = (*self._cancel_listeners, tell)
        if self._cancelled == "not announced":
            self._announce_cancel()

    def forget(self, tell: Callable[[], object]) -> None:
        """Call it no more."""
        self._cancel_listeners = tuple(each for each in self._cancel_listeners if each != tell)

    def _announce_cancel(self) -> None:
        if self._cancelled != "announced":
            self._cancelled = "announced" if self._cancel_listeners else "not announced"
            for tell in self._cancel_listeners:
                tell()

    async def wait_or_leave(self) -> T:
        """As `wait`, but cancelled it leaves at once: a result that nobody will receive any more is undone."""
        received = False
        try:
            await self._done
            received = True
        finally:
            # Not `except CancelledError`: a coroutine that is closed instead of cancelled ends here as well.
            if not received:
                self._leave()
        return self.result()

    def when_done(self, tell: Callable[[ThreadCall[T]], object]) -> None:
        """Call `tell` with this on the loop once there is an outcome."""
        self._done.add_done_callback(lambda _: tell(self))

    def result(self) -> T:
        """What the call returned, or raise what it raised; once."""
        (result, error), self._outcome = self._outcome, (None, None)
        if error is None:
            return result  # type: ignore[return-value]  # an outcome without an error has a result of type T
        try:
            raise error
        finally:
            del error

    def make(self) -> None:
        """Make the call; on a worker thread. Nothing leaves it."""
        call, self._call = self._call, None
        assert call is not None
        if self._watch is not None:
            self._watch.begins()
        try:
            if self._on_start is not None:
                self._loop.call_soon_threadsafe(self._on_start)
            self._outcome = (self._context.run(call), None)
        except BaseException as error:  # A StopIteration, set on a future, would leave its waiter waiting.
            self._outcome = (None, error)

    def fail(self, error: BaseException) -> None:
        """It cannot be made."""
        self._outcome = (None, error)

    def deliver(self) -> None:
        """Tell the loop that there is an outcome, from whatever thread."""
        try:
            self._loop.call_soon_threadsafe(self._set)
        except RuntimeError:  # The loop is closed: nobody waits any more.
            self._undo_result()

    def unwatch(self) -> None:
        """It is over, or was given up: a loop whose time stands still for it may go on."""
        if self._watch is not None:
            self._watch.ends()

    @property
    def pool(self) -> CallPool:
        """Whose threads make it."""
        return self._pool

    def _set(self) -> None:
        self.unwatch()
        if self.left or self._done.done():  # Done by a cancel of which its waiter does not know yet.
            self._discard()
        else:
            self._done.set_result(None)

    def _leave(self) -> None:
        self.left = True
        if self._pool.withdraw(self) and self._done.done() and not self._done.cancelled():
            self._discard()  # It was delivered and then lost to a cancel in the same turn of the loop.

    def _discard(self) -> None:
        if self._undo is None:
            self._outcome = (None, None)
        else:
            self._pool.start(self.name, self._undo_result)

    def _undo_result(self) -> None:
        """Tidy up after a call whose waiter has left: nobody is there to be told of a failure."""
        with suppress(BaseException):
            result = self.result()
            if self._undo is not None:
                self._undo(result)
