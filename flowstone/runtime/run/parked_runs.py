"""The runs that somebody here waits for or follows while this process does not drive them.

Most of them are parked: all that is left of them waits for somebody else, and nobody drives them until that comes.
Of such a run only what a caller needs is kept. Others are driven by another node.
"""

from __future__ import annotations

from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING
from weakref import WeakSet

from flowstone.actors.waiters import Waiters
from flowstone.errors import RuntimeStopping
from flowstone.store.cluster import Notification

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.live_run import LiveRun
    from flowstone.runtime.services.events import Subscription

__all__ = ["AwaitedRun", "ParkedRuns"]


class AwaitedRun:
    """A run that callers in this process wait for while it is driven elsewhere, or by nobody.

    Attributes:
        callers: How many.
        run: Its last life here, if it came to be driven here, for those who are raised what its steps raised.
        resumes: Whether it goes on here once a step of it is woken, though this node takes no work of others.
    """

    def __init__(self) -> None:
        self.callers = 0
        self.resumes = False
        self.run: LiveRun | None = None

    def take_caught(self) -> BaseException | None:
        """What the only failed step raised, if that is at hand."""
        return None if self.run is None else self.run.take_caught()


class ParkedRuns:
    """What is kept of runs that this process does not drive, for those who wait for them or follow them.

    Args:
        ctx: What the runtime offers.
        live: The runs that this process drives.
        worker: Whether runs are taken that somebody else left or put in the queue.

    Attributes:
        own: The runs that were parked here and not gone on with; None where `worker` is set: it takes any.
    """

    def __init__(self, ctx: RuntimeContext, live: Mapping[str, LiveRun], *, worker: bool) -> None:
        self._ctx = ctx
        self._live = live
        self.own: dict[str, None] | None = None if worker else {}
        self._awaited: dict[str, AwaitedRun] = {}
        self._resumed: dict[str, Waiters[LiveRun | None]] = {}
        self._followers: dict[str, WeakSet[Subscription]] = {}
        self._closed = False

    # Who waits ----------------------------------------------------------------------------------------------

    @contextmanager
    def awaited(self, run_id: str) -> Iterator[AwaitedRun]:
        """Somebody here waits for a run: if it comes to be driven here, within the block, it knows."""
        awaited = self._awaited.setdefault(run_id, AwaitedRun())
        awaited.callers += 1
        try:
            yield awaited
        finally:
            awaited.callers -= 1
            if not awaited.callers:
                del self._awaited[run_id]

    def is_awaited(self, run_id: str) -> bool:
        """Whether somebody is within the block of `awaited` for this run."""
        return run_id in self._awaited

    @property
    def resumes(self) -> Sequence[str]:
        """The parked runs with which this node goes on because callers of its own wait for them."""
        return [run_id for run_id, awaited in self._awaited.items() if awaited.resumes]

    async def resumed(self, run_id: str) -> LiveRun | None:
        """Wait until somebody goes on here with a run that is parked; None if it has ended.

        Raises:
            RuntimeStopping: The runtime has stopped; whoever opens the store next goes on with the run.
        """
        waiters: Waiters[LiveRun | None] | None = None
        try:
            # It was woken while we looked.
            while waiters is None or self._resumed.get(run_id) is not waiters:
                live = self._live.get(run_id)
                if live is not None and not live.parked:
                    return live
                waiters = self._resumed.setdefault(run_id, Waiters())
                record = await self._ctx.store.run(run_id)
                if record is None or record.status.terminal:
                    return None
            live = await waiters.wait()
        finally:
            if waiters is not None and not len(waiters) and self._resumed.get(run_id) is waiters:
                del self._resumed[run_id]
        if live is None and self._closed:
            raise RuntimeStopping(f"The runtime has stopped while run {run_id} waited.")
        return live

    def follow(self, run_id: str, subscription: Subscription) -> None:
        """End a subscription with a run that is parked, once that has been gone on with here."""
        self._followers.setdefault(run_id, WeakSet()).add(subscription)

    # What becomes of them -----------------------------------------------------------------------------------

    def add(self, run: LiveRun) -> None:
        """A run was parked here. It may have a deadline, which is to be heard of."""
        run_id = run.record.id
        if (awaited := self._awaited.get(run_id)) is not None:
            awaited.run = None  # Nothing of a parked run is kept.
        self._ctx.notifications.heard(Notification("deadline"))
        if self._ctx.store.cluster is not None:
            return
        if self.own is not None:
            self.own[run_id] = None
        # Of a step that was woken while the run was being parked, somebody heard who has let go of the run.
        self._ctx.notifications.heard(Notification("woken", run_id))
        for follower in run.take_followers() or ():
            self.follow(run_id, follower)

    def resume(self, run: LiveRun) -> None:
        """A run is driven here, perhaps again: so it is for those who wait for it, and those who follow it."""
        run_id = run.record.id
        if self.own is not None:
            self.own.pop(run_id, None)
        for follower in self._followers.pop(run_id, ()):
            run.followed_by(follower)
        if (awaited := self._awaited.get(run_id)) is not None:
            run.awaited = run.raises = True
            awaited.run = run
        if (waiters := self._resumed.pop(run_id, None)) is not None and len(waiters):
            run.awaited = run.raises = True
            waiters.wake(run)

    def end(self, run_id: str) -> None:
        """A run that was parked has ended without being gone on with: let go of who waits for it or follows it."""
        if self.own is not None:
            self.own.pop(run_id, None)
        for follower in self._followers.pop(run_id, ()):
            follower.close()
        if (waiters := self._resumed.pop(run_id, None)) is not None:
            waiters.wake(None)

    def close(self) -> None:
        """The runtime has stopped, and nothing will go on with them here."""
        self._closed = True
        for waiters in tuple(self._resumed.values()):
            waiters.wake(None)
        for follower in chain.from_iterable(tuple(followers) for followers in self._followers.values()):
            follower.close()
