"""Runs that another node drives: wait for one, follow what happens in it, stop it.

All of it goes through the store. A notification wakes whoever waits; because it may be lost, everybody also looks
now and then. An outage of the store is waited out, and so is a change of the run's owner; a store that
refuses for good to be read is nobody's to wait for.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from flowstone.assets.partition_keys import decode_partition
from flowstone.backoff import Backoff
from flowstone.errors import RunNotFound, RuntimeStopping, StoreUnavailable
from flowstone.runs.events import RunCancelRequested, StepProgressed
from flowstone.runs.records import Status
from flowstone.runtime.run.closing import cancel_run
from flowstone.runtime.run.takeover import is_known, take_up
from flowstone.store.cluster import Notification
from flowstone.store.protocol import StaleWrite, StoreRefused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from flowstone.assets.partition_view import PartitionView
    from flowstone.runs.events import Event
    from flowstone.runs.records import RunRecord, RunSpec, StepKey
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.control import Cancel
    from flowstone.runtime.run.local_runs import LocalRuns
    from flowstone.runtime.services.notifications import Wakeup
    from flowstone.store.cluster import Cluster
    from flowstone.store.protocol import Store

__all__ = ["RemoteRuns", "status_elsewhere"]

_POLL = 0.5  # Seconds until the first look that no notification asked for.
_MOST_PARKED = 1000  # That are looked through for a step.
_LONGEST_POLL = 4.0  # Where notifications arrive, they are seldom lost.


class RemoteRuns:
    """What can be done with a run that does not live in this process."""

    def __init__(self, ctx: RuntimeContext, cluster: Cluster) -> None:
        self._ctx = ctx
        self._cluster = cluster

    def goes_on(self, error: BaseException | None) -> bool:
        """Whether a run that this node gave up goes on: somebody else drives it, or this node will again."""
        return isinstance(error, StaleWrite | StoreUnavailable) and not isinstance(error, StoreRefused)

    async def overdue(self, run: RunRecord) -> bool:
        """Whether a cancelled run was cancelled because its time was over: the first reason on record counts."""
        after = 0
        while run.request.timeout is not None and (page := await self._page(run.id, after)):
            after = page[-1][0]
            for _, event in page:
                if isinstance(event, RunCancelRequested):
                    return event.reason == "timeout"
        return False

    async def submit(
        self, run: RunRecord, runs: LocalRuns, create: Callable[[RunRecord], Awaitable[str]] | None = None
    ) -> str:
        """Put a run into the queue, or have `create` do it; the id of the run, or of one that there is instead.

        If the caller is cancelled meanwhile, nobody knows of the run: it is cancelled as well.
        """
        create = create or self._submit
        try:
            run_id = await create(run)
        except asyncio.CancelledError:
            await self._withdraw(run, runs, create)
            raise
        # This node need not wait for the message.
        self._ctx.notifications.heard(Notification("queued", run.pipeline))
        return run_id

    async def _submit(self, run: RunRecord) -> str:
        return (await self._cluster.submit(run)).id

    async def _withdraw(
        self, run: RunRecord, runs: LocalRuns, create: Callable[[RunRecord], Awaitable[str]]
    ) -> None:
        """Whether the run was written is not known: so it is written for certain, and cancelled."""

        async def end(_waits: bool) -> None:
            if await create(run) == run.id:
                await self._cluster.request_cancel(run.id, "caller")

        await runs.abandoned.see_through(run.id, end)

    async def ended(
        self, run_id: str, unfinished: Callable[[RunRecord], Awaitable[None]] | None = None
    ) -> RunRecord:
        """Return the run when it has ended, whoever drives it by then.

        Args:
            run_id: The run.
            unfinished: Called with the run at each look at which it has not ended.

        Raises:
            RunNotFound: There is no such run, or retention has removed it.
            RuntimeStopping: This runtime has stopped; the run may go on.
            StoreUnavailable: The store refuses for good to be read: what becomes of the run cannot be known.
        """
        longest = _LONGEST_POLL if self._cluster.listens else _POLL
        backoff = Backoff(_POLL, longest, self._ctx.random)
        with self._ctx.notifications.end_of(run_id) as woken:
            while (record := await self._look(run_id)) is None or not record.status.terminal:
                if record is not None and unfinished is not None:
                    await unfinished(record)
                await woken.wait_or(self._ctx.clock, backoff.pause())
                if self._ctx.notifications.closed:
                    raise RuntimeStopping(f"The runtime has stopped; run {run_id} may go on in another one.")
            return record

    async def take_back(self, run: RunRecord, runs: LocalRuns) -> None:
        """Go on here with a parked run that was woken, though this node takes no work: its caller waits here."""
        if run.owner is not None or run.status is not Status.RUNNING:
            return
        with suppress(StoreUnavailable):  # The next look will do it.
            taken = await self._cluster.take_back(run.id, self._ctx.node)
            if taken is not None:
                await take_up(self._ctx, runs, self._cluster, taken)

    async def cancel(self, run_id: str, why: Cancel, runs: LocalRuns) -> None:
        """Have its owner stop it, and return when it has stopped; stop it here if nobody is there to do that."""
        await self._cluster.request_cancel(run_id, why.reason, by=why.by, comment=why.comment)
        await self.ended(run_id, partial(self._cancel_if_left, runs))

    async def _cancel_if_left(self, runs: LocalRuns, run: RunRecord) -> None:
        """A run that nobody drives would wait until a node has room for it, and for ever where none takes it."""
        peers = self._ctx.peers
        if run.owner is not None and not peers.gone(run.owner):
            return
        with suppress(StaleWrite):  # Somebody came to take it.
            if run.owner is None and runs.open and is_known(self._ctx, run):
                await self.take_back(run, runs)  # It ends as one that is driven here.
                return
            if any(run.pipeline in watched.node.pipelines for watched in peers.all_alive()):
                return
            with suppress(StoreUnavailable):  # The next look will do it.
                await cancel_run(self._ctx, run)

    async def events(self, run_id: str) -> AsyncIterator[Event]:
        """What is recorded of the run, in order, until it has ended; and its progress, if it lives here."""
        after = 0
        async with self._ctx.stream.subscribe((), run_id) as live:
            with self._ctx.notifications.end_of(run_id) as woken:
                live.on_offer = woken
                while True:
                    record = await self._look(run_id)
                    while page := await self._page(run_id, after):
                        after = page[-1][0]
                        for _, event in page:
                            yield event
                    if record is not None and record.status.terminal:
                        return
                    await self._next(woken)
                    for published in live.taken():
                        if isinstance(published, StepProgressed):
                            yield published

    async def _next(self, woken: Wakeup) -> None:
        await woken.wait_or(self._ctx.clock, _POLL)
        if self._ctx.notifications.closed:
            raise RuntimeStopping("The runtime has stopped; the run may go on in another one.")

    async def _page(self, run_id: str, after: int) -> Sequence[tuple[int, Event]]:
        try:
            return await self._ctx.store.events(run_id, after=after)
        except StoreRefused:
            raise
        except StoreUnavailable:
            return ()

    async def _look(self, run_id: str) -> RunRecord | None:
        """The run's head, or None if the store is away."""
        try:
            record = await self._ctx.store.run(run_id)
        except StoreRefused:
            raise
        except StoreUnavailable:
            return None
        if record is None:
            raise RunNotFound(f"There is no run {run_id!r}: it was mistyped, or removed by retention.")
        return record


async def status_elsewhere(store: Store, view: PartitionView, key: StepKey) -> Status | None:
    """`waiting`, or `running` if it has begun in an unfinished run, or `queued` if one was asked for it; else None.

    A step upstream of what a run was asked for is not known before it begins: only its owner has the plan.
    """
    if await store.waits.waiting(key):
        return Status.WAITING
    found: Sequence[tuple[RunRecord, bool]] = ()
    if store.cluster is not None:
        found = await store.cluster.under_way(key)
    elif await store.waits.waiting():
        parked = await store.runs(statuses=(Status.WAITING,), limit=_MOST_PARKED)
        found = [(run, False) for run in parked if await store.step(run.id, key) is None]
    if any(begun for _, begun in found):
        return Status.RUNNING
    return Status.QUEUED if any(_asks_for(run.request, view, key) for run, _ in found) else None


def _asks_for(request: RunSpec, view: PartitionView, key: StepKey) -> bool:
    asset, partition_key = key
    if asset not in request.targets:
        return False
    share = request.beside.get(asset, "same")
    if share != "same":
        return share == "once" and partition_key is None
    if request.span is None or partition_key is None:
        return partition_key in request.keys
    keys = view.set_of(request.asset) if request.asset in view.graph else None
    if keys is None:
        return False
    first, last = (decode_partition(end) for end in request.span)
    return decode_partition(partition_key) in keys.between(first, last)
