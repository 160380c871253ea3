"""The pure state machine of one run: `apply(event) -> commands`. No I/O, no clock, no randomness.

Map of this file
    RunState.begin / apply              the entries; a third one, `replay`, is that of where a run stands
    "Events"                            one method per thing that can happen
    "Steps"                             from examined to ready, and from ready to an end
    "Commands"                          what is to be done now

What is remembered of a run, and how it comes back after a restart, is in `standing.py`. Which steps are looked at,
and what they wait for, is the window's matter (`window.py`); how often they were attempted, that of `attempts.py`;
who goes on without a value, that of `choices.py`; what is done for many at once, that of `batches.py`. Here is
decided what becomes of each; `starts.py` says which ready step starts next.

Invariants, stated by `tests/runs`: no step starts before its inputs are there, nor while it runs; at most
`max_parallel` run; one that may have ended a process runs alone; recorded ends absorb whatever comes later; a run
is parked only when all that can be done without help is done; replaying the recorded events gives the state that
recorded them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, assert_never

from flowstone.runs.choices import ended_as, is_tolerated
from flowstone.runs.commands import (
    AttemptLost,
    CancelSteps,
    Command,
    FinishRun,
    HoldStarts,
    ParkRun,
    RetryDue,
    RetryStep,
    Signal,
    StepInLine,
    StepServed,
    StepsNeeded,
)
from flowstone.runs.events import (
    Event,
    RunCancelRequested,
    RunFinished,
    RunQueued,
    RunStarted,
    RunWaiting,
    StepCancelled,
    StepFailed,
    StepKept,
    StepProgressed,
    StepRetried,
    StepReused,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    StepTokenIssued,
    StepWaiting,
    StepWoken,
)
from flowstone.runs.records import Status
from flowstone.runs.standing import RunStanding
from flowstone.runs.step_states import (
    CANCELLED,
    CHECKING,
    DECLINED,
    FAILED,
    READY,
    RETRYING,
    REUSED,
    RUNNING,
    SKIPPED,
    SUCCEEDED,
    UNEXAMINED,
    WAITING,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from flowstone.runs.plan import RunPlan
    from flowstone.runs.records import Materialization

__all__ = ["RunState"]

_Knows: TypeAlias = "Callable[[str], bool]"
_Ending: TypeAlias = StepSucceeded | StepFailed | StepCancelled | StepReused | StepSkipped


class RunState(RunStanding):
    """What a run does next, from where it stands.

    Args:
        plan: What the run consists of.
        max_parallel: Steps that may run at a time; at least 1.
        window: Roughly how many steps are looked at ahead of the ones that are done.
        knows: Whether an asset may have a value on record; None: that is not known at once.
    """

    def __init__(
        self, plan: RunPlan, *, max_parallel: int, window: int = 10_000, knows: _Knows | None = None
    ) -> None:
        super().__init__(plan, max_parallel, window)
        self._knows = knows
        self._reuses = plan.reuses
        self._begun = False
        self._finishing = False
        self._orders: list[Command] = []
        self._woken_early: dict[int, int] = {}  # Step -> its attempt, which is not known to wait.

    # Entries ------------------------------------------------------------------------------------------------

    def begin(self, kept: Collection[int] = ()) -> list[Command]:
        """Start, or go on after `replay`: attempts that were in flight are retried, with new numbers.

        Each of them runs alone, because one of them may be what ended the process: then its neighbours do
        not lose an attempt to it again and again.

        Args:
            kept: Steps in flight whose attempts go on, because they ran in another process, which lives.
        """
        self._begun = True
        running = self._starts.running
        interrupted = [step for step in running if step not in kept]
        self._attempts.suspects.update(interrupted)
        for step in interrupted:
            self._attempts.lost(step, self._attempts.of(step))
            del running[step]
        for step in [*interrupted, *self._retrying]:
            self._states[step] = UNEXAMINED
        self._retrying.clear()
        self._window.open(self.running, closing=self.cancelling)
        if self.cancelling:
            self._window.close()
            if running:
                self._orders.append(CancelSteps(self.running))
        self._advance()
        return self._commands()

    def apply(self, event: Event | Signal, step: int | None = None) -> list[Command]:
        """Take in what happened and return what to do.

        Args:
            event: An event or a signal. One that does not fit the step's state (a late answer of an
                attempt that was given up) changes nothing.
            step: The step's number where the caller knows it; found from the event otherwise.
        """
        if type(event) is StepSucceeded:  # Nearly always.
            number = self._number(event) if step is None else step
            if number is None:
                return self._commands()
            return self.succeeded(number, event.attempt, event.materialization)
        match event:
            case StepStarted() | StepProgressed() | RunQueued() | RunStarted() | RunWaiting():
                return []
            case StepKept() | StepTokenIssued():
                return []  # Of the middle of an attempt, and no matter of the run.
            case RetryDue() | StepsNeeded() | StepInLine() | StepServed() | HoldStarts() | AttemptLost():
                self._signalled(event)
            case RunCancelRequested():
                self._cancel()
            case RunFinished():
                self.finished = event.status
                return []
            case _:
                number = self._number(event) if step is None else step
                if number is not None:
                    self._step_changed(event, number)
        return self._commands()

    def succeeded(self, step: int, attempt: int, record: Materialization) -> list[Command]:
        """`apply` of a success; its record may be that of an attempt before, which was taken for lost."""
        if self._states[step] == RUNNING and attempt == self._attempts.numbers.get(step, 1):
            if self._chooses:
                self._window.choose().took(record, step)
            self._starts.over(step)
            self._finish_step(step, SUCCEEDED)
        elif self._batches.recorded(step):
            self._recorded_as(step, SUCCEEDED)
        return self._commands()

    def reused(self, event: StepReused, step: int) -> None:
        """`apply` of the answer of a look-up, but for the orders: they come with the `StepsNeeded` that ends it."""
        self._step_changed(event, step)

    def vacated(self, step: int) -> None:
        """The attempt of a running step is over, and `apply` of its end is to come: its place is free. No orders.

        So its place and the slots of pools that it held are free in one step, and whoever is given these finds it.
        """
        self._starts.vacated(step)

    # Events -------------------------------------------------------------------------------------------------

    def _step_changed(self, event: StepRetried | StepWaiting | StepWoken | _Ending, step: int) -> None:
        match event:
            case StepReused() if self._states[step] == CHECKING and self._batches.checked(step):
                self._note_choice(event, step)
                self._finish_step(step, REUSED)
            case StepFailed() | StepSkipped() | StepCancelled() if self._batches.recorded(step):
                self._recorded_as(step, ended_as(event))
            case StepFailed() | StepSkipped() | StepCancelled() | StepRetried() | StepWaiting() | StepWoken():
                if event.attempt == self._attempts.of(step):
                    self._attempt_changed(event, step)
            case _:
                pass  # A terminal state absorbs it.

    def _attempt_changed(
        self,
        event: StepFailed | StepSkipped | StepCancelled | StepRetried | StepWaiting | StepWoken,
        step: int,
    ) -> None:
        """Something is said of the last attempt of a step; if that is over, it changes nothing."""
        state = self._states[step]
        match event:
            case StepWoken() if state == WAITING:
                self._wake(step, event.attempt)
            case StepWoken() if state == RUNNING:
                self._woken_early[step] = event.attempt
            case StepFailed() if state == WAITING:  # Whoever it waited for said no, or nothing in time.
                self._window.end_wait(step)
                self._parked = False
                self._finish_step(step, FAILED)
            case StepRetried() if state == RUNNING:
                self._starts.over(step)
                self._retry(event, step)
            case StepWaiting() if state == RUNNING:
                self._starts.over(step)
                self._wait(step)
                if self._woken_early.pop(step, None) == event.attempt and not self.cancelling:
                    self._wake(step, event.attempt)
            case StepFailed() | StepSkipped() | StepCancelled() if state == RUNNING:
                self._starts.over(step)
                self._note_choice(event, step)
                self._finish_step(step, ended_as(event))
            case _:
                pass

    def _signalled(self, signal: Signal) -> None:
        match signal:
            case RetryDue(step):
                if self._states[step] == RETRYING:
                    del self._retrying[step]
                    self._starts.unblocked(step)
            case StepsNeeded(steps):
                ready = self._finish_unstarted if self.cancelling else self._starts.source
                for step in self._batches.needed(steps):
                    ready(step)
            case StepInLine() | StepServed():
                self._starts.update(signal)
            case HoldStarts():
                self._starts.held = True
            case AttemptLost(step, attempt, begun):
                if self._states[step] == RUNNING and self._attempts.of(step) == attempt:
                    self._attempt_lost(step, attempt, begun=begun)
            case _:
                assert_never(signal)

    def _attempt_lost(self, step: int, attempt: int, *, begun: bool) -> None:
        self._starts.over(step)
        if self.cancelling:
            self._finish_unstarted(step)
            return
        if begun:
            self._attempts.lost(step, attempt)
            self._starts.exclusive(step)
        else:
            self._attempts.over(step, attempt)
            self._starts.unblocked(step)

    def _retry(self, event: StepRetried, step: int) -> None:
        if self.cancelling:
            self._finish_unstarted(step)
            return
        self._attempts.failed(step, event.attempt, event.failure)
        self._states[step] = RETRYING
        self._retrying[step] = None
        self._orders.append(RetryStep(step, event.delay))

    def _wait(self, step: int) -> None:
        if self.cancelling:
            self._finish_unstarted(step)
            return
        self._window.set_aside(step)
        self._advance()

    def _wake(self, step: int, attempt: int) -> None:
        self._attempts.over(step, attempt)
        self._window.wake(step)
        self._parked = False
        self._advance()

    # Steps --------------------------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Decide what becomes of the steps that the window comes to."""
        for step, found in self._window.walk():
            if self.cancelling:
                self._finish_unstarted(step)
            elif found == READY:
                self._inputs_ready(step, self._starts.source)
            else:
                self._drop(step, self._window.hindrance(step))

    def _inputs_ready(self, step: int, ready: Callable[[int], None]) -> None:
        if self._attempts.numbers and step in self._attempts.numbers:
            if step in self._attempts.suspects:
                self._attempts.suspects.discard(step)
                self._starts.exclusive(step)
            else:
                self._starts.unblocked(step)
        elif self._reuses and (plan := self.plan.of(step)).refresh != "all":
            if self._knows is None or self._knows(plan.asset):
                self._states[step] = CHECKING
                self._batches.to_check[step] = None
            else:  # As if it had been looked up.
                self._starts.source(step)
        else:
            ready(step)

    def _finish_step(self, step: int, code: int) -> None:
        """An attempt or a look-up ended the step; its record is already written."""
        self._states[step] = code
        self._counts[code] += 1
        if self._attempts.numbers:
            self._attempts.forget(step)
        if code < DECLINED and not self._looks and not self._attempts.numbers:
            self._starts.unblock(self._window.release(step))
        else:
            self._follow(step)
        self._close(step)

    def _follow(self, ended: int) -> None:
        """What waits for a step that has ended goes on, or is skipped or cancelled as well, and so downstream."""
        window = self._window
        stack = [ended]
        while stack:
            step = stack.pop()
            free, lost = window.end(step)
            stack += self._go_on(free)
            for waiter in lost:
                self._drop(waiter, step)
                stack.append(waiter)

    def _recorded_as(self, step: int, code: int) -> None:
        """The record that was ordered is there: who takes the outcome of a skipped step goes on now.

        Of a step that was to be cancelled it may be the one of an end that nobody knew of here, and that stands.
        """
        if self._states[step] == CANCELLED != code:
            self._counts[CANCELLED] -= 1
            self._end(step, code)
        if self._chooses:
            for declined in self._go_on(self._window.recorded(step)):
                self._follow(declined)
        self._close(step)

    def _go_on(self, steps: Sequence[int]) -> list[int]:
        """Steps wait for nothing any more: start those that may; return the others, skipped by choice."""
        declined = []
        for step in steps:
            if self._window.weigh(step) == READY:
                self._inputs_ready(step, self._starts.unblocked)
            else:
                self._drop(step, self._window.hindrance(step))
                declined.append(step)
        return declined

    def _drop(self, step: int, cause: int) -> None:
        """The step will never run: an upstream step has failed, was skipped or cancelled, or chose others."""
        state = self._states[cause]
        if state == CANCELLED:
            self._finish_unstarted(step)
            return
        self._causes[step] = root = self._root(cause)
        self._end(step, SKIPPED if state >= FAILED else DECLINED)
        self._batches.to_skip.append((step, root))
        if self._chooses:
            self._window.choose().unrecorded[step] = None

    def _root(self, step: int) -> int:
        """The step at the root of one that failed, was skipped or chose others; looked up again after a restart."""
        if self._states[step] not in (SKIPPED, DECLINED):
            return step
        known = self._causes.get(step)
        return self._window.origin(step, self._causes) if known is None else known

    def _finish_unstarted(self, step: int) -> None:
        self._end(step, CANCELLED)
        self._attempts.forget(step)
        self._batches.to_cancel.append(step)

    def _close(self, step: int) -> None:
        self._open -= 1
        window = self._window
        if window.bounded:
            window.leave(step)
        if window.due:
            self._advance()

    def _cancel(self) -> None:
        if self.cancelling or self.finished is not None:
            return
        self.cancelling = True
        self._parked = False
        blocked, ahead = self._window.close(self._batches.checking)
        ended = [*blocked, *self._starts.drop_ready(), *self._batches.drop_checks(ahead), *self._retrying]
        for step in ended:
            self._finish_unstarted(step)
        self._retrying.clear()
        self._advance()
        if self._starts.running:
            self._orders.append(CancelSteps(self.running))

    # Commands -----------------------------------------------------------------------------------------------

    def _commands(self) -> list[Command]:
        if not self._begun or self._finishing:
            return []
        commands, self._orders = self._orders, []
        starts = self._starts
        if not starts.held and len(starts.running) < starts.most:
            starts.order(commands)
        batches = self._batches
        if batches.to_check or batches.to_skip or batches.to_cancel:
            batches.order(commands)
        if self._open == self._window.aside:
            self._rest(commands)
        return commands

    def _rest(self, commands: list[Command]) -> None:
        """Nothing is left to be done here: the run is over, or waits."""
        if self._open == 0:
            self._finishing = True
            commands.append(FinishRun(self._outcome()))
        elif not self._parked:
            self._parked = True
            commands.append(ParkRun())

    def _outcome(self) -> Status:
        if self._counts[CANCELLED]:
            return Status.CANCELLED
        lost = self._counts[FAILED] or self._counts[SKIPPED]
        return Status.FAILED if lost and not is_tolerated(self.plan, self._states) else Status.SUCCEEDED
