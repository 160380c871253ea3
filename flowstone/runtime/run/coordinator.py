"""The actor that drives one run: it feeds what happens to the pure state machine and carries out its orders.

It owns no decision (those are `RunState`'s) and does no I/O of its own while steps run: attempts record their
own ends and then tell the coordinator; look-ups and batches of records run as tasks beside the attempts. So its
mailbox is never blocked, and a cancel gets in whatever the store does.

The end of an attempt is handled where it happens, as long as nobody has asked anything of the run: at once between
two messages, within one after it. Otherwise it is a message like every other one, and waits behind what was asked.

After a crash its supervisor stops every attempt and starts a fresh coordinator, which claims the run again (so
that nothing of the last incarnation can be recorded any more), replays what is recorded and goes on.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, assert_never

from flowstone.errors import StoreUnavailable
from flowstone.runs.commands import (
    BeginStep,
    CancelSteps,
    CheckSteps,
    Command,
    FinishRun,
    HoldStarts,
    ParkRun,
    RecordCancelled,
    RecordSkipped,
    RetryDue,
    RetryStep,
    StartStep,
    StepsNeeded,
)
from flowstone.runs.events import (
    RunCancelRequested,
    RunFinished,
    StepFailed,
    StepWaiting,
)
from flowstone.runs.records import Materialization, Status
from flowstone.runs.state import RunState
from flowstone.runtime.run.beside import Beside
from flowstone.runtime.run.control import Cancel, Drain, GiveUp, Look, Release
from flowstone.runtime.run.kinds import attempt_maker
from flowstone.runtime.run.launches import Launches
from flowstone.runtime.run.messages import (
    Asked,
    Broken,
    Checked,
    Driver,
    HandledHere,
    NextTurn,
    Recorded,
    Signalled,
    StepEnded,
)
from flowstone.runtime.run.other_ends import OtherEnds
from flowstone.runtime.run.parking import Parking
from flowstone.runtime.run.releasing import release
from flowstone.runtime.run.replay import replay, seconds_spent
from flowstone.runtime.run.reuse import Reuses, known_to_be_needed
from flowstone.runtime.run.start_record import StartRecord
from flowstone.store.protocol import StaleWrite

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from flowstone.actors import Exit, Me, TaskSupervisor
    from flowstone.actors.early import EarlyMe
    from flowstone.runs.commands import Signal
    from flowstone.runs.endings import AttemptResult
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.attempt import Attempt
    from flowstone.runtime.run.control import Control
    from flowstone.runtime.run.live_run import LiveRun
    from flowstone.runtime.run.messages import Message, OtherMessage
    from flowstone.runtime.run.remote_steps import RemoteSteps, Spread
    from flowstone.store.cluster import StepLease

__all__ = ["RunCoordinator"]


class RunCoordinator(Driver):
    """Drives one run from its plan to its final status.

    Args:
        ctx: What the runtime offers.
        run: The run.
        steps: Where attempts and their helpers run: a sibling, stopped and restarted together with this.
        spread: What lets other nodes execute steps of a backfill, if there may be other nodes.
    """

    def __init__(
        self, ctx: RuntimeContext, run: LiveRun, steps: TaskSupervisor, spread: Spread | None = None
    ) -> None:
        self._spread = spread
        self._ctx = ctx
        self._run = run
        self._steps = steps
        self._epoch = run.record.epoch
        self._attempts: dict[int, Attempt] = {}
        self._launches = Launches(ctx, run, steps, self._attempts, self._tell)
        limit = run.record.request.max_parallel or ctx.settings.max_concurrency
        knows = None if ctx.memory is None else ctx.memory.ledger.knows
        self._state = RunState(run.plan, max_parallel=limit, knows=knows)
        self._final: Status | None = None
        self._releasing = False
        self._draining = False
        self._drained_by: str | None = None
        self._ended: deque[tuple[Attempt, AttemptResult | None, Exit]] = deque()
        self._needed: list[int] = []  # Steps of which it is known that they must run.
        self._busy = True  # Until it has begun, and whenever it is within a message.
        self._beside = Beside(steps)
        self._parking = Parking(ctx, run, self._state, self._beside)
        self._other_ends = OtherEnds(ctx, run, self._state, self._beside, self._parking)
        self._remote_steps: RemoteSteps | None = None
        self._kept: dict[int, StepLease] = {}
        self._start_record = StartRecord(ctx, run, self._beside)
        self._reuses = Reuses(ctx, run)
        self._me: Me | EarlyMe
        self._early: EarlyMe | None = None  # If it has been begun before it is started.

    def on_start(self, me: Me) -> None:
        self._me = self._launches.me = self._beside.me = me
        if self._early is not None:
            self._early.become(me)

    def handle(self, message: Message) -> Coroutine[Any, Any, None] | None:
        """Plain for the messages that come with the steps; only ending a run waits for anything."""
        self._busy = True
        if isinstance(message, StepEnded):
            self._step_ended(message.attempt, message.end, message.exit)
        elif isinstance(message, NextTurn):
            self._launches.go_on()
        else:
            self._take(message)
        return self._after_message()

    def _take(self, message: OtherMessage) -> None:
        match message:
            case HandledHere(error):
                if error is not None:
                    raise error
            case Checked(reused, needed):
                self._start_record.looked()
                for step, event in reused:
                    self._state.reused(event, step)
                self._obey(self._state.apply(StepsNeeded(needed)))
            case Recorded(events, steps):
                for recorded, step in zip(events, steps, strict=True):
                    self._obey(self._state.apply(recorded, step))
                self._parking.look_after(events)
            case Signalled(signal):
                self._obey(self._state.apply(signal))
            case Asked(request):
                self._obey_request(request)
            case Broken(error):
                self._give_up(error)
            case _:
                assert_never(message)

    def _obey_request(self, request: Control) -> None:
        match request:
            case Cancel():
                self._obey(self._state.apply(self._record_cancel(request)))
            case Drain(by):
                self._drained_by = by
                self._hold()
            case GiveUp():
                self._give_up(StaleWrite(f"run {self._run.record.id} is driven by another node"))
            case Release():
                self._begin_release()
            case Look():
                self._parking.look()
            case _:
                assert_never(request)

    def _after_message(self) -> Coroutine[Any, Any, None] | None:
        """After a message: end the run if it has come to its end."""
        self._handle_ended()
        if self._final is not None:
            return self._finish(self._final)
        if self._releasing and not (self._attempts or self._other_ends.writing):
            return self._release()
        if self._remote_steps is not None:
            self._remote_steps.flush()
        if self._draining and not (self._remote_steps or self._launches.under_way()):
            self._run.ask(Cancel("asked", by=self._drained_by))
        elif self._parking.due:
            return self._park()
        self._busy = False
        return None

    def _handle_ended(self) -> None:
        """Handle the ends that came up meanwhile: those of attempts that ended as soon as they were begun."""
        while self._ended or self._needed:
            if self._needed:
                needed, self._needed = tuple(self._needed), []
                self._obey(self._state.apply(StepsNeeded(needed)))
                continue
            attempt, end, how = self._ended.popleft()
            if self._run.requests:
                self._me.ref.cast(StepEnded(attempt, end, how))
            else:
                self._step_ended(attempt, end, how)

    def _handle_here(self, signal: Signal | None = None) -> None:
        """Handle ends between two messages: what a message would come to, in fewer steps."""
        self._busy = True
        try:
            if signal is not None:
                self._obey(self._state.apply(signal))
            self._handle_ended()
            if self._final is not None or self._parking.due:
                self._me.ref.cast(HandledHere())  # The rest waits for the store.
                return
            if self._remote_steps is not None:
                self._remote_steps.flush()
        except BaseException as error:  # It is the actor that crashes, not the attempt.
            self._me.ref.cast(HandledHere(error))
        else:
            self._busy = False

    async def begin(self, me: EarlyMe) -> None:
        """Begin before this is an actor: in the turn of whoever asks for the run."""
        self._me = self._launches.me = self._beside.me = self._early = me
        await self._go_on()

    async def handle_continue(self, me: Me) -> None:  # noqa: ARG002 - the hook's signature
        """Replay and go on. Not in `on_start`, which must not need the store to answer."""
        early, self._early = self._early, None
        if early is None:
            await self._go_on()
        else:
            early.raise_error()

    async def _go_on(self) -> None:
        try:
            await self._begin()
        except (StoreUnavailable, StaleWrite) as error:
            # An outage, or somebody else's run by now; a restart would meet the same.
            self._give_up(error)
            return
        ending = self._after_message()
        if ending is not None:
            await ending

    def on_stop(self, exit: Exit) -> None:  # noqa: A002, ARG002 - the hook's signature
        self._busy = True
        self._run.listen_no_more()
        if self._remote_steps is not None:
            self._remote_steps.close()
        self._launches.withdraw()

    # Beginning ----------------------------------------------------------------------------------------------

    async def _begin(self) -> None:
        run = self._run
        spent = 0.0
        if run.fresh:
            run.fresh = False
        else:
            spent = await seconds_spent(self._ctx, run)
            self._kept = await replay(self._ctx, run, self._state)
        self._epoch = self._other_ends.epoch = run.record.epoch
        self._remote_steps = self._make_remote_steps()
        self._launches.places.elsewhere = self._remote_steps
        self._attempt = attempt_maker(self._ctx, run.plan, self._steps, self._remote_steps)
        request = run.record.request
        await self._start_record.make(self._epoch)
        if request.timeout is not None:
            run.driven_from = self._me.clock.monotonic() - spent
            self._me.clock.call_later(max(0.0, request.timeout - spent), partial(run.ask, Cancel("timeout")))
        run.state = self._state
        run.attempts = self._attempts
        for step, lease in self._kept.items():
            assert self._remote_steps is not None
            self._remote_steps.keep(lease, step)
        # Before anything starts, so that nothing is started that would be stopped at once.
        for asked in run.listen(lambda request: self._me.ref.cast(Asked(request))):
            if isinstance(asked, Cancel):
                self._state.replay(self._record_cancel(asked))
            else:
                self._obey_request(asked)
        if run.over:
            return
        orders = self._state.begin(self._kept)
        if not any(type(order) is CheckSteps for order in orders):
            self._start_record.write()
        self._obey(orders)
        self._parking.look()

    def _make_remote_steps(self) -> RemoteSteps | None:
        """Only backfills and items spread: other runs are over before another node has heard of them."""
        if self._spread is None or not self._run.spreads:
            return None
        return self._spread(
            self._run,
            start=partial(self._beside.do, "steps on other nodes"),
            ended=self._beside.recorded,
            lost=self._signal,
            refused=lambda error: self._me.ref.cast(Broken(error)),
        )

    # Carrying out -------------------------------------------------------------------------------------------

    def _obey(self, commands: Sequence[Command]) -> None:
        for command in commands:
            match command:
                case StartStep():
                    self._start(command)
                case BeginStep(step):
                    self._launches.places.begin(step)
                case CheckSteps(steps):
                    self._look_up(steps)
                case RetryStep(step, delay):
                    self._me.clock.call_later(delay, partial(self._signal, RetryDue(step)))
                case RecordSkipped(steps):
                    self._other_ends.skip(steps)
                case RecordCancelled(steps):
                    self._other_ends.cancel(steps)
                case CancelSteps(steps):
                    self._stop_attempts(steps)
                case FinishRun() | ParkRun():
                    self._rest(command)
                case _:
                    assert_never(command)

    def _rest(self, order: FinishRun | ParkRun) -> None:
        if isinstance(order, FinishRun):
            self._final = order.status
        else:
            self._parking.request(self._me.clock, partial(self._me.ref.cast, HandledHere()))

    def _look_up(self, steps: Sequence[int]) -> None:
        """Look which steps need not run; of some that is known at once."""
        needed = known_to_be_needed(self._ctx, self._run.plan, steps)
        self._needed += needed
        if left := sorted(set(steps).difference(needed)):
            self._start_record.looking()
            look_up = self._reuses.look_up(self._state, self._epoch, left)
            self._beside.do("look up current values", look_up, self._me.ref.cast)

    def _start(self, order: StartStep) -> None:
        run, step = self._run, order.step
        if order.exclusive and self._other_ends.lose_if_too_often(order):
            return
        if self._remote_steps is not None and self._remote_steps.takes(order, self._launches.places.busy):
            return
        attempt = self._attempt(
            self._ctx,
            run.plan,
            run.record.id,
            self._epoch,
            step,
            order.attempt,
            exclusive=order.exclusive,
            failed=order.failed,
        )
        attempt.on_over = self._attempt_over
        self._attempts[step] = attempt
        self._launches.add(attempt)

    def _attempt_over(self, attempt: Attempt, end: AttemptResult | None, how: Exit) -> None:
        if self._run.plan.limited and self._attempts.get(attempt.step) is attempt:
            self._state.vacated(attempt.step)
        self._ctx.admission.leave(attempt)
        if self._run.requests:
            self._me.ref.cast(StepEnded(attempt, end, how))
            return
        self._ended.append((attempt, end, how))
        if not self._busy and self._me.ref.alive:
            self._handle_here()

    def _stop_attempts(self, steps: Sequence[int]) -> None:
        for step in steps:
            attempt = self._attempts.get(step)
            if attempt is None:
                if self._remote_steps is not None:
                    self._remote_steps.cancels(step)
            elif attempt.handle is not None:
                attempt.stop("cancelled")
            else:  # It waits for a slot and never began.
                del self._attempts[step]
                if attempt.exclusive or attempt.pools or attempt.rate:
                    self._ctx.admission.withdraw(attempt)
                self._other_ends.withdraw(attempt)

    def _step_ended(self, attempt: Attempt, end: AttemptResult | None, how: Exit) -> None:
        step = attempt.step
        if self._attempts.get(step) is not attempt:
            return
        del self._attempts[step]
        if self._remote_steps is not None:
            self._remote_steps.stayed(step, attempt.asset.name)
        if isinstance(end, Materialization):
            self._obey(self._state.succeeded(step, attempt.number, end))
        elif end is not None:
            if type(end) is StepFailed:
                self._run.step_failed(attempt.caught if attempt.stopping is None else None)
            attempt.caught = None
            self._obey(self._state.apply(end, step))
            if type(end) is StepWaiting:
                self._parking.look_after([end])
        elif (error := self._other_ends.broke_off(attempt, how)) is not None:
            self._give_up(error)

    def _signal(self, signal: Signal) -> None:
        self._me.ref.cast(Signalled(signal))

    def _tell(self, signal: Signal) -> None:
        """As `_signal`, at once."""
        if self._me.ref.alive and self._busy:
            self._obey(self._state.apply(signal))
        elif self._me.ref.alive:
            self._handle_here(signal)

    # Ending -------------------------------------------------------------------------------------------------

    def _hold(self) -> None:
        """Let what has begun end, and begin nothing more: neither steps, nor items, nor what waits for its turn."""
        self._draining = True
        self._obey(self._state.apply(HoldStarts()))
        self._launches.hold(parts=True)
        if self._remote_steps is not None:
            self._remote_steps.hold()

    def _record_cancel(self, request: Cancel) -> RunCancelRequested:
        self._start_record.write()
        run = self._run.record
        event = request.event(run, self._ctx.clock.now())
        if request.recorded:
            self._ctx.learn([event])
        else:
            self._beside.do("record the cancel", self._ctx.record_many([event], self._epoch))
        return event

    async def _finish(self, status: Status) -> None:
        run, ctx = self._run, self._ctx
        event = RunFinished(ctx.clock.now(), run.record.id, run.record.request.asset, status)
        try:
            await ctx.record(event, self._epoch)
        except (StoreUnavailable, StaleWrite) as error:
            self._give_up(error)
            return
        run.finish(status)
        if self._remote_steps is not None:
            with suppress(StoreUnavailable):  # What is left over is in nobody's way.
                await self._remote_steps.clear()
        self._me.stop()

    async def _park(self) -> None:
        """Let go of the run until a step of it is woken; if one was by now, go on."""
        try:
            self._busy = parked = await self._parking.park(self._epoch)
        except (StoreUnavailable, StaleWrite) as error:
            self._give_up(error)
            return
        if parked:
            self._run.park(moves=self._ctx.store.cluster is not None)
            self._me.stop()
        else:
            self._parking.look()

    def _begin_release(self) -> None:
        """Stop what runs here, as nobody's failure; the run is let go of when it has stopped."""
        self._releasing = True
        self._state.apply(HoldStarts())
        self._launches.release()

    async def _release(self) -> None:
        await release(self._ctx, self._run)
        self._me.stop()

    def _give_up(self, error: BaseException) -> None:
        """Nothing can be recorded any more: stop here, and leave the rest to whoever opens the store next."""
        self._final = None
        self._run.fail(error)
        self._me.stop()
