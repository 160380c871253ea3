"""The runs this process drives: starting them, finding them, and what becomes of one whose tree fails.

Map of this file
    start, share, describe, drive           from a plan to a run that lives
    stop_all, wait_all, close               from living runs to none
    _ended, _what_happened                  a run whose tree is gone

What is kept of a run that is parked is in `parked_runs.py`, and which runs wait for which in `nested_runs.py`.
"""

from __future__ import annotations

import asyncio
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from flowstone.actors import ActorDown, Child, Crashed, Shutdown, Supervisor
from flowstone.actors.actor import checkpoint
from flowstone.actors.early import turn_is_spent
from flowstone.actors.tasks import NORMAL
from flowstone.errors import FlowstoneError, RuntimeStopping, StartFailed, SupervisorGaveUp
from flowstone.runs.records import RunRecord, Status
from flowstone.runtime.run.abandoned_runs import AbandonedRuns
from flowstone.runtime.run.control import Cancel, Drain, Release
from flowstone.runtime.run.live_run import LiveRun
from flowstone.runtime.run.nested_runs import NestedRuns
from flowstone.runtime.run.parked_runs import ParkedRuns
from flowstone.runtime.run.snoozed_runs import SnoozedRuns
from flowstone.runtime.run.tree import FirstTurn, run_tree, with_first_turns

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from random import Random

    from flowstone.actors import Exit, ProcessInfo, Runnable
    from flowstone.actors.spawn import Driven
    from flowstone.runs.plan import RunPlan
    from flowstone.runs.records import RunSpec
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.attempt import Attempt
    from flowstone.runtime.run.recorded_attempt import AttemptIdentity
    from flowstone.runtime.run.remote_steps import Spread

__all__ = ["LocalRuns", "new_run_id"]


_MOST_LOST = 1000


class LocalRuns:
    """Starts runs under the dynamic supervisor `runs`.

    Args:
        ctx: What the runtime offers.
        spread: What lets other nodes execute steps, if there may be other nodes.
        worker: Whether runs are taken that somebody else left or put in the queue.

    Attributes:
        live: The runs that are not over, by id, in order of start.
        lost: Why runs of this process ended without a status, by id; the last thousand.
        leased: Attempts that run here for other nodes.
        granted: Attempts that this node is to make for others, begun or not; None of what is done with.
        to_resume: Runs of this node that ended without a status, or were never begun, and why; where several
            nodes share the store, they are gone on with.
        on_gone: Called whenever something that ran here is gone.
        on_change: Called when a run begins, and when something that ran here is gone; one listener.
        snoozed: Runs in the queue that this node leaves alone for a while.
        unfit: Runs in the queue that this node cannot run by its definitions, and why.
        open: Whether new runs are taken.
        worker: Whether runs are taken that somebody else left or put in the queue.
        abandoned: What becomes of runs whose callers were cancelled.
        parked: What is kept of runs that somebody here waits for while they are not driven here.
        nested: Which runs wait for which.
    """

    def __init__(self, ctx: RuntimeContext, spread: Spread | None, *, worker: bool) -> None:
        self._ctx = ctx
        self._spread = spread
        self.live: dict[str, LiveRun] = {}
        self.lost: dict[str, BaseException] = {}
        self.to_resume: dict[str, BaseException | None] = {}
        self.leased: dict[AttemptIdentity, Attempt] = {}
        self.granted: dict[AttemptIdentity, Attempt | None] = {}
        self.on_gone: dict[Callable[[], None], None] = {}
        self.on_change: Callable[[], None] = _ignored
        self.snoozed = SnoozedRuns(ctx.clock)
        self.unfit: dict[str, str] = {}
        self.open = True
        self.worker = worker
        self.abandoned = AbandonedRuns(ctx, self)
        self.parked = ParkedRuns(ctx, self.live, worker=worker)
        self.nested = NestedRuns(self.live, self.leased)
        self._first_turns: dict[str, FirstTurn] = {}  # Of runs that have no tree yet.
        self._gone = asyncio.Event()
        self._supervisor: Supervisor | None = None
        ctx.failures.awaited = self._is_awaited

    def make_supervisor(self) -> Supervisor:
        """The dynamic supervisor of the runs' trees; made again when the part of the tree above it is restarted."""
        self._supervisor = Supervisor([])
        return self._supervisor

    async def start(
        self,
        plan: RunPlan,
        request: RunSpec,
        key: str | None = None,
        priority: int = 0,
        *,
        awaited: bool = False,
        raises: bool = False,
        at_once: bool = False,
        within: str | None = None,
        run_id: str | None = None,
    ) -> LiveRun:
        """Write a new run down and start it; `awaited` and `raises` are what `LiveRun` says.

        With `at_once` it takes its first turn in that of the caller, and may be over when this returns. `within` is
        the run of the step that calls, and is about to wait for this one. `run_id` is its id; None: a new one.

        Raises:
            RuntimeStopping: The runtime drains.
            KeyTaken: An unfinished run has the key.
            StaleWrite: A run has the id.
            StoreUnavailable: The run could not be written down.
        """
        if at_once and self._supervisor is not None and turn_is_spent(self._supervisor):
            await checkpoint()  # In the next turn it may be over at once.
        run = self._new(plan, request, key, priority, awaited=awaited, raises=raises, run_id=run_id)
        try:
            await self._ctx.store.create_run(run.record)
        except asyncio.CancelledError:
            await self.abandoned.withdraw(run, self._create)
            raise
        return await self._drive_within(within, run, at_once=at_once)

    async def share(
        self,
        plan: RunPlan,
        request: RunSpec,
        create: Callable[[RunRecord], Awaitable[str]],
        key: str | None = None,
        priority: int = 0,
        *,
        awaited: bool = False,
        within: str | None = None,
        on_new: Callable[[LiveRun], None] | None = None,
    ) -> tuple[str, LiveRun | None]:
        """As `start`, unless `create` finds a run that will do: its id, and the new run if it is one.

        What it does is safe to repeat, and it is done again where the caller is cancelled meanwhile. A new run is
        told to `on_new` before it does anything.
        """
        if awaited and self._supervisor is not None and turn_is_spent(self._supervisor):
            await checkpoint()
        run = self._new(plan, request, key, priority, awaited=awaited, raises=awaited)
        try:
            run_id = await create(run.record)
        except asyncio.CancelledError:
            await self.abandoned.withdraw(run, create)
            raise
        if run_id != run.record.id:
            return run_id, None
        if on_new is not None:
            on_new(run)
        return run_id, await self._drive_within(within, run, at_once=awaited)

    async def _drive_within(self, within: str | None, run: LiveRun, *, at_once: bool) -> LiveRun:
        """Drive a new run; from its first turn on the run `within`, whose step started it, cannot end before it."""
        if within is None:
            return await self.drive(run, at_once=at_once)
        with self.nested.begun(run.record.id, within=within):
            return await self.drive(run, at_once=at_once)

    def _new(
        self,
        plan: RunPlan,
        request: RunSpec,
        key: str | None,
        priority: int,
        *,
        awaited: bool,
        raises: bool,
        run_id: str | None = None,
    ) -> LiveRun:
        self.refuse_if_closed()
        described = self.describe(plan, request, key, priority, owner=self._ctx.node, run_id=run_id)
        run = LiveRun(described, plan, fresh=True)
        run.awaited = awaited
        run.raises = raises
        run.outlives = self._ctx.store.lasts and not awaited
        return run

    async def _create(self, run: RunRecord) -> str:
        await self._ctx.store.create_run(run)
        return run.id

    def describe(
        self,
        plan: RunPlan,
        request: RunSpec,
        key: str | None,
        priority: int,
        *,
        owner: str | None = None,
        run_id: str | None = None,
    ) -> RunRecord:
        """The record of a new run, which starts at once if it has an owner and else waits for one."""
        now = self._ctx.clock.now()
        return RunRecord(
            id=run_id or new_run_id(self._ctx.random, now.timestamp()),
            pipeline=self._ctx.snapshot.pipelines.get(request.asset, ""),
            request=request,
            status=Status.QUEUED,
            created_at=now,
            started_at=None if owner is None else now,
            owner=owner,
            total=plan.total,
            key=key,
            priority=priority,
        )

    async def drive(self, run: LiveRun, *, at_once: bool = False) -> LiveRun:
        """Start a run that is written down, new or adopted, in a tree of its own.

        With `at_once` it takes its first turn before it has one, and needs none if that was all.
        """
        self.live[run.record.id] = run
        self.on_change()
        self.parked.resume(run)
        if at_once and self._ctx.memory is not None and self._ends_at_once(run):
            return run
        begun = False

        def make() -> Supervisor:
            nonlocal begun
            begun = True
            return run_tree(self._ctx, run, self._spread, self._first_turns)

        child = Child(
            run.record.id,
            make,
            restart="temporary",
            on_exit=partial(self._ended, run),
        )
        try:
            assert self._supervisor is not None, "runs are driven from within the tree"
            await self._supervisor.start_child(child)
        except asyncio.CancelledError:
            # Nobody will wait for it: it must not go on alone. Nor may it stay behind as it was written: the
            # supervisor skips a request that nobody waits for, unless it had begun with it.
            await self.abandoned.abandon(run, unstarted=not begun)
            raise
        except ActorDown as error:
            self._forget(run)
            run.fail(RuntimeStopping("The runtime has stopped, or is stopping: it takes no new runs."))
            await self._drop_first_turn(run)
            raise RuntimeStopping("The runtime has stopped, or is stopping: it takes no new runs.") from error
        except StartFailed:  # It was stopped while it was started.
            await self._drop_first_turn(run)
            raise
        return run

    def _ends_at_once(self, run: LiveRun) -> bool:
        """Take the first turn of a run here and now; whether that was all of it."""
        assert self._supervisor is not None, "runs are driven from within the tree"
        first = self._first_turns[run.record.id] = FirstTurn(self._ctx, run)
        if not first.take(self._supervisor):
            return False
        del self._first_turns[run.record.id]
        self._ended(run, NORMAL)
        return True

    async def _drop_first_turn(self, run: LiveRun) -> None:
        first = self._first_turns.pop(run.record.id, None)
        if first is not None:
            await first.drop()

    def shown(self, tree: ProcessInfo) -> ProcessInfo:
        """The runtime's tree, with the runs in it that have none of their own yet."""
        return with_first_turns(tree, self._first_turns)

    async def resume_interrupted(self) -> None:
        """Go on with the runs whose trees were stopped by a restart above them."""
        for run in tuple(self.live.values()):
            if run.interrupted:
                run.interrupted = False
                await self.drive(run)
        await self.abandoned.resume_interrupted()

    def refuse_if_closed(self) -> None:
        """Raise `RuntimeStopping` if no new runs are taken."""
        if not self.open:
            raise RuntimeStopping("The runtime drains and takes no new runs: start them in another one.")

    def stop_all(self) -> None:
        """Leave to others what outlives this runtime or is executed for them, and cancel the rest."""
        for attempt in tuple(self.leased.values()):
            attempt.stop("shutdown")
        for run in tuple(self.live.values()):
            if run.outlives and not run.requests.keys() & {Cancel, Drain}:  # These end it here.
                run.ask(Release())
            else:
                run.ask(Cancel("shutdown"))

    async def wait_all(self, enough: Callable[[], bool]) -> None:
        """Return when nothing runs here, or when `enough()` is true; `look_again` makes it ask.

        A run is over a few turns of the loop before its tree is gone, so this waits for the tree.
        """
        while (self.live or self.leased or self.abandoned.left) and not enough():
            self._gone.clear()
            await self._gone.wait()

    async def alive(self, run_id: str) -> LiveRun | None:
        """The run, if it is driven here; of one that was parked or given up, once the tree of that life is gone."""
        given_up = self._ctx.store.cluster is None  # Else another node may have it by now.
        while (run := self.live.get(run_id)) is not None and (
            run.parked or (given_up and run.error is not None)
        ):
            self._gone.clear()
            await self._gone.wait()
        return run

    def look_again(self) -> None:
        """Have whoever waits for all runs look again."""
        self._gone.set()

    async def start_beside(self, name: str, make: Callable[[], Runnable]) -> None:
        """Start a process that has to do with a run and is none of its tree; it ends with the runs, or before.

        Raises:
            ActorDown: The runtime has stopped, or is stopping.
        """
        assert self._supervisor is not None, "runs are driven from within the tree"
        await self._supervisor.start_child(Child(name, make, restart="temporary"))

    def close(self) -> None:
        """The tree is gone, and nothing will go on with what it left."""
        for run in tuple(self.live.values()):
            self._forget(run)
            run.fail(self._what_happened(run, Shutdown()))
        self.parked.close()

    def _forget(self, run: LiveRun) -> None:
        self.live.pop(run.record.id, None)
        if run.parked:
            self.parked.add(run)
        self.gone()

    def gone(self) -> None:
        """Something that ran here is gone."""
        self._gone.set()
        self.on_change()
        for callback in tuple(self.on_gone):
            callback()

    def _ended(self, run: LiveRun, how: Exit) -> None:
        """Its tree is gone. Normally its status was recorded before; otherwise say what happened instead.

        If it was stopped by a restart above, it stays live: recovery, restarted after it, goes on with it.
        """
        if not run.over and self.open and isinstance(how, Shutdown) and how.reason is None:
            run.interrupted = True
            return
        self._forget(run)
        if not run.over:
            run.fail(self._what_happened(run, how))
        if run.error is not None:
            self.lost[run.record.id] = run.error
            if self._ctx.store.cluster is not None and self.open:
                self.to_resume[run.record.id] = run.error
            if len(self.lost) > _MOST_LOST:
                del self.lost[next(iter(self.lost))]

    def _what_happened(self, run: LiveRun, how: Exit) -> BaseException:
        error: BaseException | None = None
        if isinstance(how, Crashed):
            error = how.error
        elif isinstance(how, Shutdown):
            error = how.reason if isinstance(how.reason, SupervisorGaveUp) else None
        if error is None:
            return RuntimeStopping(f"Run {run.record.id} was stopped with the runtime before it ended.")
        failed = FlowstoneError(f"Run {run.record.id} was given up: {error}")
        failed.__cause__ = error
        return failed

    def _is_awaited(self, run_id: str) -> bool:
        run = self.live.get(run_id)
        return self.parked.is_awaited(run_id) or (run is not None and run.awaited)

    def attempt_of(self, task: Driven) -> Attempt | None:
        """The attempt that runs in this task, if it is one of this runtime's."""
        own = (attempt for run in self.live.values() for attempt in run.attempts.values())
        return next((each for each in chain(own, self.leased.values()) if each.handle is task), None)


def new_run_id(random: Random, now: float) -> str:
    """Unique by chance, and readable as an instant: 44 bits of milliseconds, then 68 random ones."""
    return f"{int(now * 1000):011x}{random.getrandbits(68):017x}"


def _ignored() -> None:
    """Nobody wants to know."""
