"""A run that this process drives: what others may wait for and ask of it while it lives."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from flowstone.actors.waiters import Waiters
from flowstone.runtime.run.control import Cancel, Look

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flowstone.runs.plan import RunPlan
    from flowstone.runs.records import RunRecord, Status
    from flowstone.runs.state import RunState
    from flowstone.runtime.run.attempt import Attempt
    from flowstone.runtime.run.control import CancelReason, Control
    from flowstone.runtime.services.events import Subscription

__all__ = ["LiveRun"]


class LiveRun:
    """A run, as the rest of the runtime sees it: what its tree has come to, and what is asked of it.

    It outlives the incarnations of the run's coordinator, so that a waiter need not know that one crashed.

    Attributes:
        record: The run as it was when it was started or adopted.
        plan: Its plan; the same for every incarnation.
        status: Its final status, once it has one.
        state: The state of the current incarnation, once it has begun; to look at, not to touch.
        attempts: Its attempts under way, by step; to look at, not to touch.
        error: Why it ended without one: the store failed, or its supervisor gave up.
        outlives: Whether it outlives this runtime: it was taken from others, or submitted, and the store lasts.
            When the runtime stops it is left to whoever goes on with it, and not cancelled.
        taken: Whether this node has just become its owner: its first incarnation need not claim it.
        awaited: Whether somebody in this process waits for it.
        raises: Whether somebody waits who is raised what its steps raise; only then is an exception kept.
        former: Steps on record that its plan does not have: it was planned by other definitions then.
        driven_from: When it would have begun, on the monotonic clock, had it been driven without a break; of runs
            with a timeout.
        replayed: The number of the last event that was replayed when it was last taken up.
        requests: What has been asked of it, by kind.
        parked: Whether it is driven no more because all that is left of it waits for somebody else.
        takers: How many more than the first are to be given what its only failed step raised.
        on_end: Called once, as soon as it is over.
        interrupted: Whether its tree was stopped by a restart above it, and is to be started again.
    """

    def __init__(self, record: RunRecord, plan: RunPlan, *, fresh: bool) -> None:
        self.record = record
        self.plan = plan
        self.fresh = fresh
        self.requests: dict[type[Control], Control] = {}
        self._listener: Callable[[Control], None] | None = None
        self.status: Status | None = None
        self.error: BaseException | None = None
        self.parked = False
        self.state: RunState | None = None
        self.attempts: Mapping[int, Attempt] = {}
        self.outlives = False
        self.taken = False
        self.former = 0
        self.replayed = 0
        self.driven_from: float | None = None
        self.interrupted = False
        self.awaited = False
        self.raises = False
        self.takers = 0
        self.on_end: Callable[[], None] | None = None
        self._caught: BaseException | None = None
        self._failures = 0
        self._closed = False  # To followers.
        self._followers: weakref.WeakSet[Subscription] | None = None
        self._waiters: Waiters[None] = Waiters()

    @property
    def over(self) -> bool:
        """Whether it has ended, either way, or is parked: another `LiveRun` goes on with it, or another node."""
        return self.status is not None or self.error is not None or self.parked

    @property
    def spreads(self) -> bool:
        """Whether other nodes may execute something of it: steps of a backfill, items of any run."""
        graph = self.plan.graph
        through_items = graph.scatters and any(
            graph[each.asset].each is not None for each in self.plan.assets
        )
        return self.record.request.kind == "backfill" or bool(through_items)

    async def wait(self) -> None:
        """Return when it is over."""
        if not self.over:
            await self._waiters.wait()

    def followed_by(self, subscription: Subscription) -> None:
        """End a subscription with the run, unless its reader has dropped it by then."""
        if self._closed:
            subscription.close()
            return
        if self._followers is None:
            self._followers = weakref.WeakSet()
        self._followers.add(subscription)

    def ask(self, request: Control) -> None:
        """Ask something of it; the first request of each kind counts, but of `Look` each. Harmless when it is over.

        `wait()` tells when it has come of it.
        """
        if self.over or type(request) in self.requests:
            return
        if type(request) is not Look:
            self.requests[type(request)] = request
        if self._listener is not None:
            self._listener(request)

    @property
    def cancelled(self) -> CancelReason | None:
        """Why it is being cancelled, or None."""
        request = self.requests.get(Cancel)
        return request.reason if isinstance(request, Cancel) else None

    def listen(self, listener: Callable[[Control], None]) -> tuple[Control, ...]:
        """Have what is asked from now on told to `listener`; what has been asked before is returned."""
        self._listener = listener
        return tuple(self.requests.values())

    def listen_no_more(self) -> None:
        """Nobody drives it: what is asked is kept for the next one who listens."""
        self._listener = None

    def step_failed(self, caught: BaseException | None) -> None:
        """A step has failed for good, here with this exception if there is one; that of the only one is kept."""
        self._failures += 1
        self._caught = caught if self.raises and self._failures == 1 else None

    def take_caught(self) -> BaseException | None:
        """What the only failed step raised, if that is at hand: for the first who asks, and for so many `takers`.

        Then it is let go of, so that a run that is over holds nobody's frames, and no circle is closed by them.
        """
        caught = self._caught
        if self.takers:
            self.takers -= 1
        else:
            self._caught = None
        return caught

    def caught_by(self, other: LiveRun) -> None:
        """Whoever waited for this run while it was parked is raised what steps of its next life raised."""
        self._caught = other.take_caught()
        self.takers = max(self.takers, other.takers)

    def finish(self, status: Status) -> None:
        """It ended, and its status is recorded."""
        if not self.over:
            self.status = status
            self._wake()

    def fail(self, error: BaseException) -> None:
        """It ended without a recorded status."""
        if not self.over:
            self.error = error
            self._wake()

    def park(self, *, moves: bool) -> None:
        """Nobody drives it until a step is woken; whoever follows it is let go if it may move elsewhere then."""
        if not self.over:
            self.parked = True
            self._tell_end()
            if moves:
                self._close_followers()

    def take_followers(self) -> weakref.WeakSet[Subscription] | None:
        """Those who follow it, for the next one who drives it."""
        followers, self._followers = self._followers, None
        return followers

    def _wake(self) -> None:
        self._tell_end()
        self._close_followers()

    def _tell_end(self) -> None:
        on_end, self.on_end = self.on_end, None
        if on_end is not None:
            on_end()
        self._waiters.wake(None)

    def _close_followers(self) -> None:
        self._closed = True
        for subscription in tuple(self._followers or ()):
            subscription.close()
