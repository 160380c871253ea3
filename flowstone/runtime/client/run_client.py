"""Runs from the outside: start one, wait for it, cancel it, read what it gave.

Stands between the public `Runtime` and the processes: everything here works by run id and reads the store, so
it is the same for a run that lives in this process and for one that ended long ago.

Map of this file
    start, check_ready, submit      from a request to a run
    compute                         a run that others may share
    finished, ended                 waiting for it
    cancel, drain                   stopping it
    record, run_status, result, events      what there is to know of it
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar, cast

from flowstone.actors.spawn import OWNER
from flowstone.assets.asset import Asset
from flowstone.assets.dynamic_partitions import DynamicPartitions
from flowstone.assets.partition_keys import decode_partition, encode_partition
from flowstone.assets.partition_view import PartitionView
from flowstone.errors import (
    ArgumentError,
    PartitionError,
    RunNotFound,
    RuntimeStopping,
    StoreUnavailable,
    WaitsForItself,
)
from flowstone.runs.audit import Act
from flowstone.runs.events import RunCancelRequested
from flowstone.runs.records import Status
from flowstone.runs.targets import targets_label
from flowstone.runtime.client.askers import asker, checked_reason
from flowstone.runtime.client.failure_errors import raise_unless_succeeded
from flowstone.runtime.client.once import Once
from flowstone.runtime.client.progress import report_progress
from flowstone.runtime.client.requests import asset_named
from flowstone.runtime.client.result import RunResult
from flowstone.runtime.client.single_flight import SingleFlight
from flowstone.runtime.run.closing import cancel_run
from flowstone.runtime.run.control import Cancel, Drain
from flowstone.runtime.run.nesting import without_slot
from flowstone.runtime.run.planning import PlanCache, dynamic_keys
from flowstone.runtime.run.readiness import check_inputs
from flowstone.runtime.run.takeover import resume
from flowstone.runtime.run.values import load_value
from flowstone.store.callers import Caller
from flowstone.store.protocol import KeyTaken

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractContextManager

    from flowstone.assets.graph import AssetGraph
    from flowstone.runs.events import Event
    from flowstone.runs.records import Materialization, RunRecord, RunSpec
    from flowstone.runtime.client.progress import Progress
    from flowstone.runtime.client.single_flight import Ended, Terms
    from flowstone.runtime.cluster.remote_runs import RemoteRuns
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.attempt import Attempt
    from flowstone.runtime.run.live_run import LiveRun
    from flowstone.runtime.run.local_runs import LocalRuns

__all__ = ["RunClient", "event_identity"]

T = TypeVar("T")

_POLL = 0.2  # Seconds between two looks at a run that another process drives.


class RunClient:
    """What can be done with runs."""

    def __init__(self, ctx: RuntimeContext, runs: LocalRuns) -> None:
        self._ctx = ctx
        self._runs = runs
        self._plans = PlanCache()
        self._remote = _remote(ctx)
        self.once = Once(ctx.store)
        self._shared = SingleFlight(ctx, runs, self)
        runs.abandoned.cancel = self.cancel
        if self._remote is not None:
            runs.abandoned.goes_on = self._remote.goes_on

    def require_usable(self) -> None:
        """Raise unless the runtime runs, and the caller is on its loop."""
        self._ctx.affinity.require()

    def asker(self, by: str | None) -> str | None:
        """Who asks for something, as the caller says it; else whoever the runtime acts for."""
        return asker(by, self._ctx.actor)

    def act(self, by: str | None, reason: str = "") -> Act:
        """Somebody does something now, for the reason that they give."""
        return Act(self._ctx.clock.now(), self.asker(by), checked_reason(reason))

    async def view(self) -> PartitionView:
        """The partitions as they are now."""
        snapshot = self._ctx.snapshot
        dynamic = await dynamic_keys(self._ctx) if snapshot.dynamic else None
        return PartitionView(snapshot.graph, self._ctx.clock.now(), dynamic)

    async def start(
        self,
        view: PartitionView,
        request: RunSpec,
        *,
        raises: bool = True,
        on_progress: Callable[[Progress], Any] | None = None,
    ) -> LiveRun:
        """Plan a request, write it down and start it, for a caller who waits, and is raised what fails or not.

        With `on_progress` this returns when the run is over and all of it has been reported.
        """
        self._runs.refuse_if_closed()
        plan = self._plans.plan(view, request)
        attempt = self.own_attempt()
        within = None if attempt is None else attempt.run_id
        if on_progress is None:
            return await self._runs.start(
                plan, request, awaited=True, raises=raises, at_once=True, within=within
            )
        async with self._ctx.stream.subscribe(("step",)) as events:
            run = await self._runs.start(plan, request, awaited=True, raises=raises, within=within)
            await self._cancelling(run, report_progress(events, run, on_progress))
        return run

    def coming(self, *, joins: bool) -> AbstractContextManager[int | None]:
        """A call is made that may join a run: which one, for `Terms`. It computes within the block."""
        return self._shared.flights.coming(joins=joins)

    async def compute(self, view: PartitionView, request: RunSpec, terms: Terms) -> Ended:
        """Plan a request, start it or join the run that is under way for it, and wait; raises as `finished`."""
        self._runs.refuse_if_closed()
        return await self._shared.compute(self._plans.plan(view, request), request, terms)

    async def check_ready(self, view: PartitionView, request: RunSpec) -> None:
        """Refuse before anything is written where an upstream value is not there that the run does not compute.

        Raises:
            DependencyNotReady: `.missing` lists every one.
        """
        if request.beside:
            plan = self._plans.plan(view, request)
            steps = map(plan.step, range(plan.total))
            await check_inputs(self._ctx.store, view, steps, lambda key: plan.number(*key) is not None)
        elif view.graph[request.asset].dependencies:  # It is the only step.
            key = request.keys[0]
            partition = None if key is None else decode_partition(key)
            await check_inputs(self._ctx.store, view, iter([(request.asset, partition, key)]))

    async def submit(
        self,
        view: PartitionView,
        request: RunSpec,
        key: str | None = None,
        priority: int = 0,
        *,
        join: bool = False,
        run_id: str | None = None,
    ) -> tuple[str, bool]:
        """Plan a request, write it down and start it, unless a run has its key; the run, and whether it is new.

        With `join` neither if one is under way for the same request. Where several nodes share the store, the run
        is put into the queue, and any of them starts it. `run_id` is its id; None: a new one.

        Raises:
            StaleWrite: A run has the id, and it was not put into a queue.
        """
        self._runs.refuse_if_closed()
        plan = self._plans.plan(view, request)
        if join:
            return await self._shared.submit(plan, request, key, priority)
        if self._remote is not None:
            run = self._runs.describe(plan, request, key, priority, run_id=run_id)
            submitted = await self._remote.submit(run, self._runs)
            return submitted, submitted == run.id
        while True:
            known = None if key is None else await self._ctx.store.run_with_key(key)
            if known is not None:
                return known.id, False
            with suppress(KeyTaken):  # Somebody was faster.
                started = await self._runs.start(plan, request, key, priority, run_id=run_id)
                return started.record.id, True

    async def queued(self, run: RunRecord, create: Callable[[RunRecord], Awaitable[str]]) -> str:
        """Have `create` put a run into the queue that several nodes share; the run that there is then."""
        assert self._remote is not None
        return await self._remote.submit(run, self._runs, create)

    async def ended_here(self, run: LiveRun) -> Status:
        """Wait for the end of a run that was started here, and give a slot back meanwhile."""
        if run.status is not None and run.status is not Status.CANCELLED:
            return run.status  # It was over in its first turn.
        self._refuse_circle(run.record.id, "wait for the end of")
        status, _ = await self._aside(self._outcome(run), run.record.id)
        return status

    async def finished(self, run: LiveRun) -> Status:
        """Wait for a run on behalf of a caller: if the caller is cancelled, so is the run.

        Raises:
            TimeoutError: The run's own timeout cancelled it.
            CancelledError: The caller was cancelled, and the run has stopped.
            WaitsForItself: A step of the run waits for the run of the caller.
        """
        if run.status is not None and run.status is not Status.CANCELLED:
            return run.status  # It was over in its first turn.
        self._refuse_circle(run.record.id, "wait for the end of")
        try:
            status, timed_out = await self._aside(self._outcome(run), run.record.id)
        except asyncio.CancelledError:
            await self._runs.abandoned.abandon(run)
            raise
        if timed_out:
            raise TimeoutError(
                f"Run {run.record.id} took longer than its timeout of {run.record.request.timeout:g} s "
                "and was cancelled."
            )
        return status

    async def _outcome(self, run: LiveRun) -> tuple[Status, bool]:
        """How a run ended, here or, if this node had to give it up, elsewhere; and whether its time was over."""
        first = run
        await run.wait()
        while run.parked and self._remote is None:
            await self._attend(run.record.id)
            resumed = await self._runs.parked.resumed(run.record.id)
            if resumed is None:
                record = await self.record(run.record.id)
                return record.status, await self._overdue(record)
            resumed.outlives = first.outlives
            run = resumed
            await run.wait()
            first.caught_by(run)
        if run.parked and self._remote is not None:
            return await self._elsewhere(first, self._remote)
        if run.error is None:
            assert run.status is not None
            cancelled = run.status is Status.CANCELLED
            return run.status, cancelled and (run.cancelled == "timeout" or await self._overdue(run.record))
        if self._remote is None or not self._remote.goes_on(run.error):
            raise run.error
        return await self._elsewhere(first, self._remote)

    async def _elsewhere(self, run: LiveRun, remote: RemoteRuns) -> tuple[Status, bool]:
        """As `_outcome`, of a run that is not driven here now; whoever goes on with it here knows who waits."""
        take_back = None if self._runs.worker else self._take_back
        with self._runs.parked.awaited(run.record.id) as awaited:
            awaited.resumes = take_back is not None
            await self._attend(run.record.id)
            record = await remote.ended(run.record.id, take_back)
        if awaited.run is not None:
            run.caught_by(awaited.run)
        return record.status, record.status is Status.CANCELLED and await remote.overdue(record)

    async def _attend(self, run_id: str) -> None:
        """Whoever joins a run that nobody drives cannot see that the call that started it waits still."""
        with suppress(StoreUnavailable):  # Then its caller is held for one who cannot leave.
            await self._ctx.store.callers.attend(run_id, Caller(run_id, self._ctx.node))

    async def _take_back(self, record: RunRecord) -> None:
        assert self._remote is not None
        await self._remote.take_back(record, self._runs)

    async def _overdue(self, record: RunRecord) -> bool:
        """Whether a cancelled run was cancelled because its time was over: the first reason on record counts."""
        after = 0
        while record.request.timeout is not None and (
            page := await self._ctx.store.events(record.id, after=after)
        ):
            after = page[-1][0]
            for _, event in page:
                if isinstance(event, RunCancelRequested):
                    return event.reason == "timeout"
        return False

    def detach(self, run_id: str) -> None:
        """A run is not cancelled with the call that waits for it, from here on."""
        self._runs.abandoned.detached.add(run_id)
        if (live := self._runs.live.get(run_id)) is not None:
            live.outlives = self._ctx.store.lasts

    async def ended(self, run_id: str, *, rescue: bool = False) -> BaseException | None:
        """Return when a run has ended, whoever drives it; with what its only failed step raised, if at hand.

        With `rescue` this node goes on with the run if nobody else would, though it takes no work of others.
        """
        self._refuse_circle(run_id, "wait for the end of")
        live = self._runs.live.get(run_id)
        if live is not None:
            live.awaited = live.raises = True
            await self._aside(self._outcome(live), run_id)
            return live.take_caught()
        if self._remote is not None:
            take_back = self._take_back if rescue and not self._runs.worker else None
            with self._runs.parked.awaited(run_id) as awaited:
                awaited.resumes = awaited.resumes or take_back is not None
                await self._aside(self._remote.ended(run_id, take_back), run_id)
            return awaited.take_caught()
        while not (record := await self.record(run_id)).status.terminal:
            if (error := self._runs.lost.get(run_id)) is not None:
                raise error
            if not self._ctx.affinity.running:
                raise RuntimeStopping(f"The runtime has stopped; run {run_id} may go on in another one.")
            if (
                record.status is Status.WAITING
                and (resumed := await self._runs.parked.resumed(run_id)) is not None
            ):
                await self._aside(self._outcome(resumed), run_id)
                return resumed.take_caught()
            await self._ctx.clock.sleep(_POLL)
        return None

    async def cancel(self, run_id: str, why: Cancel) -> None:
        """Stop a run and return when it has stopped."""
        while True:
            live = self._runs.live.get(run_id)
            if live is not None:
                live.ask(why)
                await live.wait()
                if not live.parked and not self._runs.abandoned.goes_on(live.error):
                    return
            record = await self.record(run_id)
            if record.status.terminal:
                return
            if self._remote is not None:
                await self._remote.cancel(run_id, why, self._runs)
                return
            await self._cancel_left(record, why)  # It may have gone on meanwhile, and be parked again.

    async def _cancel_left(self, record: RunRecord, why: Cancel) -> None:
        """End a run as cancelled that nobody drives, without starting anything of it."""
        run = await resume(self._ctx, self._runs, record, why)
        if run is not None:
            await run.wait()
            if run.error is not None:
                raise run.error  # It goes on, or is left as it was.
        elif not (await self.record(record.id)).status.terminal:
            await cancel_run(self._ctx, record, why)  # By somebody who does not know what it consists of.
            self._runs.parked.end(record.id)

    async def drain(self, run_id: str, by: str | None = None) -> None:
        """Let a run's running steps finish, start no others, and return when it has stopped."""
        self._refuse_circle(run_id, "drain and wait for")
        live = self._runs.live.get(run_id)
        if live is None:
            await self.cancel(run_id, Cancel("asked", by=by))
            return
        live.ask(Drain(by))
        await live.wait()
        if live.parked or (self._remote is not None and self._remote.goes_on(live.error)):
            # It was parked, or another node took it over, and did not hear of it.
            await self.cancel(run_id, Cancel("asked", by=by))

    async def record(self, run_id: str) -> RunRecord:
        """The run's head. Raises `RunNotFound`."""
        record = await self._ctx.store.run(run_id)
        if record is None:
            raise RunNotFound(f"There is no run {run_id!r}: it was mistyped, or removed by retention.")
        return record

    async def run_status(self, run_id: str) -> Status:
        live = self._runs.live.get(run_id)
        record = await self.record(run_id)
        if live is not None and live.state is not None and not record.status.terminal:
            return Status.WAITING if live.state.waits else Status.RUNNING
        return record.status

    @property
    def graph(self) -> AssetGraph:
        """The definitions of now."""
        return self._ctx.snapshot.graph

    async def judge(self, result: RunResult, cause: BaseException | None) -> None:
        """Raise what became of a run that did not succeed."""
        raise_unless_succeeded(result, cause, self.graph)

    async def result(self, run_id: str) -> RunResult:
        record = await self.record(run_id)
        locate = _locator(record, await self.view())
        return await RunResult.of(
            record, self._ctx.store, locate=locate, load=self._value, affinity=self._ctx.affinity
        )

    async def events(self, run_id: str) -> AsyncIterator[Event]:
        """Recorded events first, then those that come; none twice, none left out."""
        if self._remote is not None:
            # Some of its steps may run on other nodes, and the run itself may move: the store has them all.
            await self.record(run_id)
            async for event in self._remote.events(run_id):
                yield event
            return
        async with self._ctx.stream.subscribe((), run_id) as live:
            record = await self.record(run_id)
            driven = self._runs.live.get(run_id)
            if driven is not None:
                driven.followed_by(live)
            seen: set[tuple[object, ...]] = set()
            after = 0
            while page := await self._ctx.store.events(run_id, after=after):
                for number, event in page:
                    after = number
                    seen.add(event_identity(event))
                    yield event
            if driven is None and record.status is Status.WAITING:
                self._runs.parked.follow(run_id, live)
            elif record.status.terminal or driven is None:
                return
            async for published in live:
                event = cast("Event", published)  # It is the run's.
                if event_identity(event) not in seen:
                    yield event

    async def _cancelling(self, run: LiveRun, work: Awaitable[None]) -> None:
        """Do something on the side of a run: if it is cancelled, or fails, so is the run."""
        try:
            await self._aside(work, run.record.id)
        except BaseException:
            await self._runs.abandoned.abandon(run)
            raise

    def _aside(self, work: Awaitable[T], run_id: str) -> Awaitable[T]:
        """Something that waits for a run; if an asset does so, it gives its slot back meanwhile."""
        attempt = self.own_attempt()
        return work if attempt is None else without_slot(attempt, self._ctx, work, run_id)

    async def located(self, run_id: str, asset: Any, partition: Any) -> tuple[str | None, str | None]:
        """The asset and the partition key that are meant of a run, None for all; raises if there is no such run."""
        record = await self.record(run_id)
        return (None, None) if asset is None else _locator(record, await self.view())(asset, partition)

    def own_attempt(self) -> Attempt | None:
        """The attempt whose function calls, if one does."""
        owner = OWNER.get()
        return None if owner is None else self._runs.attempt_of(owner)

    def _refuse_circle(self, run_id: str, what: str) -> None:
        attempt = self.own_attempt()
        if attempt is not None and self._runs.nested.is_held_up_by(run_id, attempt.run_id):
            raise WaitsForItself(
                f"{attempt.name} would {what} run {run_id}, which cannot end before {attempt.name} does: let the "
                "asset return, and wait outside of it."
            )

    def refuse_within_step(self) -> None:
        """Raise `WaitsForItself` where an asset of this runtime is about to end it."""
        attempt = self.own_attempt()
        if attempt is not None:
            raise WaitsForItself(
                f"{attempt.name} would end the runtime that runs it, which waits for {attempt.name}: let the asset "
                "return, and end the runtime outside of it."
            )

    async def _value(self, record: Materialization) -> Any:
        """A value of a result, which may be asked for when the runtime has ended."""
        return await load_value(self._ctx, record)


def _locator(record: RunRecord, view: PartitionView) -> Callable[[Any, Any], tuple[str, str | None]]:
    """How a result reads its `asset` and `partition` arguments: as the graph does, where it knows them."""
    graph = view.graph

    def locate(asset: Any, partition: Any) -> tuple[str, str | None]:
        if asset is None:
            asset = _only_target(record)
        if isinstance(asset, Asset):
            asset = asset.name  # The run may have one that the graph does not have any more.
        name = asset if isinstance(asset, str) else asset_named(graph, asset).name
        if partition is None:
            return name, None
        if name not in graph or graph[name].partitions is None:
            return name, encode_partition(partition)
        try:
            return name, encode_partition(view.parse(name, partition))
        except PartitionError:
            if not isinstance(graph[name].partitions, DynamicPartitions):
                raise
            return name, encode_partition(partition)  # A key that was removed since the run.

    return locate


def _only_target(record: RunRecord) -> str:
    if record.request.beside:
        raise ArgumentError(
            f"Run {record.id} is of several assets, {targets_label(record.request)}: say which, as in "
            f"value({record.asset!r})."
        )
    return record.asset


def event_identity(event: Event) -> tuple[object, ...]:
    """What makes an event of a run unique: a step starts and ends an attempt once, and notes more by name in it."""
    noted = getattr(event, "attempt", None), getattr(event, "name", None), getattr(event, "hash", None)
    return event.kind, event.asset, event.partition_key, *noted, event.at


def _remote(ctx: RuntimeContext) -> RemoteRuns | None:
    cluster = ctx.store.cluster
    if cluster is None:
        return None
    from flowstone.runtime.cluster.remote_runs import RemoteRuns  # noqa: PLC0415 - few runtimes need it

    return RemoteRuns(ctx, cluster)
