"""Where a run stands: what has become of each of its steps, as far as it is known.

Everything that a run's state machine remembers is here, with what can be asked of it, and how it comes back: an
event that was recorded earlier is *replayed*, which remembers its outcome and decides nothing. What is to be done
next is decided by `RunState` (state.py).

Replayed are all recorded events of the run, in their order, and nothing else: so it stands where the process
stood that recorded them, but for what a restart makes meaningless.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.runs.attempts import Attempts
from flowstone.runs.batches import Batches
from flowstone.runs.choices import ended_as, is_by_choice
from flowstone.runs.events import (
    RunCancelRequested,
    RunFinished,
    RunQueued,
    RunStarted,
    RunWaiting,
    StepKept,
    StepProgressed,
    StepRetried,
    StepSkipped,
    StepStarted,
    StepTokenIssued,
    StepWaiting,
    StepWoken,
)
from flowstone.runs.limited_starts import starts_of
from flowstone.runs.records import Status
from flowstone.runs.step_states import (
    CANCELLED,
    DECLINED,
    FAILED,
    RETRYING,
    REUSED,
    RUNNING,
    SKIPPED,
    STATUS,
    SUCCEEDED,
    UNEXAMINED,
    WAITING,
)
from flowstone.runs.window import Window

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from flowstone.runs.events import Event, StepEvent
    from flowstone.runs.plan import RunPlan

__all__ = ["RunStanding"]


class RunStanding:
    """What is known of the steps of a run.

    Args:
        plan: What the run consists of.
        max_parallel: Steps that may run at a time; at least 1.
        window: Roughly how many steps are looked at ahead of the ones that are done.

    Attributes:
        plan: As given.
        cancelling: Whether the run was asked to be cancelled.
        finished: Its final status, once that is recorded.
    """

    def __init__(self, plan: RunPlan, max_parallel: int, window: int) -> None:
        self.plan = plan
        self.cancelling = False
        self.finished: Status | None = None
        self._states = bytearray(plan.total)
        self._window = Window(plan, self._states, window)
        self._attempts = Attempts(self._states)
        self._chooses = plan.chooses
        self._looks = plan.reuses or plan.chooses  # Whether not all that waits for nothing any more is ready.
        self._starts = starts_of(plan, self._states, self._attempts, max_parallel)
        self._retrying: dict[int, None] = {}
        self._causes: dict[int, int] = {}  # Skipped step -> the step at the root of it.
        self._batches = Batches()
        self._open = plan.total  # Steps that have not ended, or whose end is not recorded.
        self._counts = [0] * len(STATUS)
        self._parked = False

    # What was recorded earlier ------------------------------------------------------------------------------

    def replay(self, event: Event) -> None:
        """Take in an event recorded earlier, before `begin`: remember its outcome, give no orders."""
        match event:
            case (
                RunQueued() | RunStarted() | RunWaiting() | StepProgressed() | StepKept() | StepTokenIssued()
            ):
                pass
            case RunCancelRequested():
                self.cancelling = True
            case RunFinished():
                self.finished = event.status
            case _:
                step = self._number(event)
                if step is not None and self._states[step] < SUCCEEDED:
                    self._replay_step(event, step)

    def _replay_step(self, event: StepEvent, step: int) -> None:
        running = self._starts.running
        if isinstance(event, StepStarted):
            if step in running:
                self._attempts.lost(step, self._attempts.of(step))
            self._retrying.pop(step, None)
            self._attempts.began(step, event.attempt)
            self._states[step] = RUNNING
            running[step] = None
            return
        if isinstance(event, StepWoken):
            if self._states[step] == WAITING:
                self._attempts.over(step, event.attempt)
                self._states[step] = UNEXAMINED
            return
        running.pop(step, None)
        match event:
            case StepRetried():  # Handed back before it began, it has no start on record.
                self._attempts.failed(step, event.attempt, event.failure)
                self._states[step] = RETRYING
                self._retrying[step] = None
            case StepWaiting():
                self._attempts.began(step, event.attempt)
                self._states[step] = WAITING
            case _:
                self._retrying.pop(step, None)
                self._attempts.forget(step)
                self._note_choice(event, step)
                self._end(step, ended_as(event))
                self._open -= 1

    def _number(self, event: StepEvent) -> int | None:
        return self.plan.number(event.asset, event.partition_key)

    def _note_choice(self, event: StepEvent, step: int) -> None:
        """Remember what a route chose, or that a step chose to be skipped."""
        if self._chooses or (isinstance(event, StepSkipped) and is_by_choice(event.materialization)):
            if self._window.choose().note(event, step):
                self._causes[step] = step
            self._looks = True

    def _end(self, step: int, code: int) -> None:
        self._states[step] = code
        self._counts[code] += 1

    # What can be asked --------------------------------------------------------------------------------------

    @property
    def counts(self) -> Mapping[Status, int]:
        """Steps per terminal status, recorded or about to be."""
        terminal = (SUCCEEDED, REUSED, FAILED, SKIPPED, CANCELLED)
        counts = {STATUS[code]: self._counts[code] for code in terminal}
        counts[Status.SKIPPED] += self._counts[DECLINED]
        return counts

    @property
    def running(self) -> tuple[int, ...]:
        """The steps that are ordered and not over, in the order they were; some may stand in line."""
        return tuple(self._starts.running)

    @property
    def held(self) -> int:
        """Steps about which anything more than one byte is kept."""
        return self._window.blocked + len(self._starts) + len(self._retrying) + self._batches.held

    @property
    def waiting(self) -> int:
        """Steps that wait for somebody else."""
        return self._window.aside - self._window.deferred

    @property
    def parked(self) -> bool:
        """Whether nothing has been left to be done since `ParkRun` was ordered."""
        return self._parked

    @property
    def waits(self) -> bool:
        """Whether every step that has not ended waits: for a delay, for somebody else, or for one that does."""
        idle = not (len(self._starts) or self._batches.busy)
        return idle and bool(self._retrying or self._window.aside)

    def ahead(self, steps: Sequence[int], most: int) -> Sequence[int]:
        """At most so many steps that wait for these and for one another alone, each after those it waits for."""
        return self._window.ahead(steps, most) if most and not self._attempts.numbers else ()

    def status_of(self, step: int) -> Status:
        """The status of a step by number."""
        return Status.QUEUED if self._starts.in_line(step) else STATUS[self._states[step]]

    def attempt_of(self, step: int) -> int:
        """The number of the step's last attempt while it is live; 0 before its first."""
        return self._attempts.of(step)

    def losses(self, step: int) -> int:
        """How many attempts of a live step went with their processes; one that may be under way is none."""
        return self._attempts.losses(step)

    def failures(self, step: int) -> int:
        """How many attempts of a live step failed by themselves, and were followed or will be by another one."""
        return self._attempts.failures(step)

    def chosen_by(self, step: int) -> tuple[str, ...] | None:
        """The assets that a route chose; None if the step is not of a route, or did not come to choose."""
        return None if self._window.choices is None else self._window.choices.chosen.get(step)

    def lost(self, limit: int, kept: Collection[int] = ()) -> list[tuple[int, int]]:
        """After `replay`: the steps that lost `limit` attempts to dying processes, with the last one's number.

        Args:
            limit: How many are too many.
            kept: As for `begin`.
        """
        return [
            (step, self._attempts.of(step))
            for step in self._starts.running
            if step not in kept and self._attempts.losses(step) + 1 >= limit
        ]
