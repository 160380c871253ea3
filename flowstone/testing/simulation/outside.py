"""What happens outside the loop, on threads: time stands still for it, and what comes of it comes in one order.

A thread runs in real time, so two of them would report in an order that no seed decides. The loop therefore takes
what threads post one thing at a time, only when nothing else is ready, and waits for one call at a time:

    1. the first call that has asked the loop for nothing yet: plain functions end in the order of their start
    2. else the one that asked last: it may be what those before wait for

A call that posts nothing for a while, while others have, is passed over: it waits for one of them in a way that
nothing shows. One that posts nothing for long no longer holds up time: then its `timeout=` can end it.

The order of what threads post of which the loop does not know (a user's own) is that of their arrival.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from flowstone.testing.simulation.handles import OwnedHandle
    from flowstone.thread_calls import ThreadCall

__all__ = ["PATIENCE", "Outside", "OutsideCall"]

PATIENCE: Final = 0.25
"""Real seconds for a call before another one is taken."""

_PATIENT: Final = 40
"""Times PATIENCE until time goes on without it: ten seconds."""

_WAITS_FROM: Final = 2
"""Posts from which on a call may wait for the loop: the first one says that it has begun, or has ended."""


class OutsideCall:
    """One call on a thread, as the loop sees it.

    Attributes:
        posts: What it has posted and the loop has not taken.
        taken: How many the loop has taken.
    """

    __slots__ = ("_outside", "job", "posts", "taken", "thread")

    def __init__(self, outside: Outside, job: ThreadCall[Any] | None) -> None:
        self._outside = outside
        self.job = job
        self.posts: deque[OwnedHandle] = deque()
        self.taken = 0
        self.thread = 0

    @property
    def asked(self) -> bool:
        """Whether it may wait for the loop."""
        return self.taken >= _WAITS_FROM

    def begins(self) -> None:
        """On the thread that makes it: what the thread posts from here on is the call's."""
        self.thread = threading.get_ident()
        self._outside.by_thread[self.thread] = self

    def ends(self) -> None:
        """It is over, or nobody waits for it any more."""
        self._outside.end(self)


class Outside:
    """The calls under way on threads, and what they have posted."""

    def __init__(self) -> None:
        self.by_thread: dict[int, OutsideCall] = {}
        self._calls: dict[OutsideCall, None] = {}
        self._strays: deque[OwnedHandle] = deque()
        self._waited = 0
        self._passed_over = False
        self._posted = threading.Event()

    @property
    def busy(self) -> bool:
        """Whether time stands still for something."""
        return bool(self._calls)

    def begin(self, job: ThreadCall[Any] | None = None) -> OutsideCall:
        """A call has been asked for; on the loop's thread."""
        call = OutsideCall(self, job)
        self._calls[call] = None
        return call

    def end(self, call: OutsideCall) -> None:
        """No more is to come of it that the loop should wait for; from whatever thread."""
        self._calls.pop(call, None)
        if self.by_thread.get(call.thread) is call:
            del self.by_thread[call.thread]
        self._strays.extend(call.posts)
        call.posts.clear()
        self._posted.set()

    def post(self, handle: OwnedHandle) -> None:
        """Something is to be called on the loop; from whatever thread."""
        call = self.by_thread.get(threading.get_ident())
        (self._strays if call is None else call.posts).append(handle)
        self._posted.set()

    def take(self) -> OwnedHandle | None:
        """What the loop does next of what was posted; None if there is nothing, or its turn has not come."""
        if self._strays:
            return self._strays.popleft()
        if not self._calls:
            return None
        call = self._expected()
        if not call.posts and self._passed_over:
            call = next((each for each in self._calls if each.posts), call)
        if not call.posts:
            return None
        self._waited, self._passed_over = 0, False
        call.taken += 1
        return call.posts.popleft()

    def wait(self) -> None:
        """Stand still, in real time, until something is posted, or patience is lost."""
        if not self._posted.wait(PATIENCE):
            self.lose_patience()
        self._posted.clear()

    def lose_patience(self) -> None:
        """Nothing was posted for so long."""
        self._waited += 1
        self._passed_over = True
        if self._waited >= _PATIENT and self._calls:
            self._waited = 0
            del self._calls[self._expected()]

    def _expected(self) -> OutsideCall:
        asked = None
        for position, call in enumerate(self._calls):
            if call.asked:
                asked = call
            elif self._has_thread(call, position):
                return call
        return asked or next(iter(self._calls))

    def _has_thread(self, call: OutsideCall, position: int) -> bool:
        """Whether a thread makes it now, or is about to; else it waits for an earlier one to end."""
        if call.job is None or call.taken:
            return True
        pool = call.job.pool
        before = [each.job for each in list(self._calls)[:position]]
        busy = sum(job is not None and job.pool is pool and not job.lent for job in before)
        return busy < pool.limit
