"""The pure state machine of one run: `apply(event) -> commands`. No I/O, no clock, no randomness.

Map of this file
    RunState.begin / apply / replay     the three entries
    "Events"                            one method per thing that can happen
    "The window"                        which steps are looked at, and when (`_advance`, `_examine`)
    "Endings"                           terminal states, skipping, cancelling, finishing

How a run of a million steps stays small
    A step's state is one byte. Only steps inside the *window* have anything more: each asset's plan is walked
    by a cursor, which examines a step once all its upstream steps have been examined themselves. An
    examined step that is not terminal and recorded is *live*, and an asset has at most `share` live
    steps. So the window moves along all assets at once (the first partition's report does not wait for
    the last partition's raw data) and what is held is bounded by the window, not by the run.

    It cannot get stuck: take the first asset, in topological order, whose cursor is not at its end.
    Everything upstream of its next step has been examined, so the cursor may move unless the asset has
    `share` live steps; the topologically first live step is running, ready or being recorded.

    Rejected: a set of remaining dependency counters for all steps (a million objects before the first step
    starts), and walking partition by partition (meaningless when assets have different partition sets).

Invariants, stated by `tests/runs/test_state.py`: no step starts before its inputs are there, nor while it
runs; at most `max_parallel` hold a slot; one that may have ended a process runs alone; terminal states absorb
whatever comes later; replaying the recorded events gives the state that recorded them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar, assert_never

from flowstone.runs.commands import (
    AttemptLost,
    CancelSteps,
    CheckSteps,
    Command,
    FinishRun,
    HoldStarts,
    RecordCancelled,
    RecordSkipped,
    RetryDue,
    RetryStep,
    Signal,
    StartStep,
    StepsNeeded,
)
from flowstone.runs.events import (
    Event,
    RunCancelRequested,
    RunFinished,
    RunQueued,
    RunStarted,
    StepCancelled,
    StepFailed,
    StepProgressed,
    StepRetried,
    StepReused,
    StepSkipped,
    StepStarted,
    StepSucceeded,
)
from flowstone.runs.records import Status
from flowstone.runs.step_states import (
    BLOCKED,
    CANCELLED,
    CHECKING,
    FAILED,
    READY,
    REUSED,
    RUNNING,
    SKIPPED,
    STATUS,
    SUCCEEDED,
    UNEXAMINED,
    WAITING,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from flowstone.runs.plan import AssetPlan, RunPlan

__all__ = ["RunState"]

_Ending: TypeAlias = StepSucceeded | StepFailed | StepCancelled | StepReused | StepSkipped

_CODE: Final = {
    StepSucceeded: SUCCEEDED,
    StepFailed: FAILED,
    StepCancelled: CANCELLED,
    StepReused: REUSED,
    StepSkipped: SKIPPED,
}

_RECORD_CHUNK = 500  # Skipped and cancelled steps are recorded in batches of at most this many.
_CHECK_CHUNK = 500  # So many current values are looked up at once.


class RunState:
    """Where a run stands, and what to do next.

    Args:
        plan: What the run consists of.
        max_parallel: Steps that may hold a slot at a time; at least 1.
        window: Roughly how many steps are looked at ahead of the ones that are done.
    """

    def __init__(self, plan: RunPlan, *, max_parallel: int, window: int = 10_000) -> None:
        self.plan = plan
        self.max_parallel = max_parallel
        self.cancelling = False
        self.finished: Status | None = None
        self._states = bytearray(plan.total)
        self._lanes = [_Lane(asset_plan) for asset_plan in plan.assets]
        self._offsets = [lane.plan.offset for lane in self._lanes]
        wide = sum(len(lane.plan.keys) > 1 for lane in self._lanes)
        self._share = max(1, window // max(1, wide))
        self._attempts: dict[int, int] = {}  # Live or recovered steps only; dropped at the end.
        self._running: dict[int, None] = {}  # In order of start: iteration must not depend on hashes.
        self._blocked: dict[int, int] = {}  # Step -> how many upstream steps are not terminal.
        self._waiters: dict[int, list[int]] = {}  # Upstream step -> blocked steps it holds up.
        self._causes: dict[int, int] = {}  # Skipped step -> the failed step at the root of it.
        self._unblocked: deque[int] = deque()  # Ready because an input arrived: started first, so that
        self._ready: deque[int] = deque()  # results flow downstream before new sources are opened.
        self._alone: deque[int] = deque()  # Ready, and suspected of having ended a process.
        self._lone: int | None = None  # A suspect that runs: nothing else starts.
        self._suspects: set[int] = set()
        self._losses: dict[int, int] = {}  # Step -> attempts without an end before its last one.
        self._failures: dict[int, int] = {}  # Step -> attempts that failed by themselves.
        self._to_check: deque[int] = deque()
        self._checking: dict[int, None] = {}
        self._waiting: dict[int, None] = {}
        self._to_skip: deque[tuple[int, int]] = deque()
        self._to_cancel: deque[int] = deque()
        self._recording: dict[int, None] = {}  # Skipped or cancelled, its record not yet confirmed.
        self._orders: list[Command] = []
        self._settled = 0
        self._counts = [0] * len(STATUS)
        self._begun = False
        self._finishing = False
        self._holding = False

    # Entries ------------------------------------------------------------------------------------------------

    def begin(self, kept: Collection[int] = ()) -> list[Command]:
        """Start, or go on after `replay`: attempts that were in flight are made again, numbered anew.

        Each of them runs alone, because one of them may be what ended the process: then its neighbours do
        not lose an attempt to it again and again.

        Args:
            kept: Steps in flight whose attempts go on, because they ran in another process, which lives.
        """
        self._begun = True
        interrupted = [step for step in self._running if step not in kept]
        self._suspects = set(interrupted)
        for step in interrupted:
            self._count_loss(step)
        for step in [*interrupted, *self._waiting]:
            self._states[step] = UNEXAMINED
            self._running.pop(step, None)
        self._waiting.clear()
        for step in self._running:
            self._lane_of(step).live += 1
        if self._running and self.cancelling:
            self._orders.append(CancelSteps(tuple(self._running)))
        self._advance(deque(self._lanes))
        return self._commands()

    def apply(self, event: Event | Signal, step: int | None = None) -> list[Command]:
        """Take in what happened and return what to do.

        Args:
            event: An event or a signal. One that does not fit the step's state (a late answer of an
                attempt that was given up) changes nothing.
            step: The step's number where the caller knows it; found from the event otherwise.
        """
        match event:
            case StepStarted() | StepProgressed() | RunQueued() | RunStarted():
                return []
            case RetryDue() | StepsNeeded() | HoldStarts() | AttemptLost():
                self._signalled(event)
            case RunCancelRequested():
                self._cancel()
            case RunFinished():
                self.finished = event.status
                return []
            case _:
                number = self._number(event) if step is None else step
                if number is not None:
                    self._step_ended(event, number)
        return self._commands()

    def replay(self, event: Event) -> None:
        """Take in an event recorded earlier, before `begin`: remember its outcome, give no orders."""
        match event:
            case RunQueued() | RunStarted() | StepProgressed():
                pass
            case RunCancelRequested():
                self.cancelling = True
            case RunFinished():
                self.finished = event.status
            case _:
                step = self._number(event)
                if step is not None and self._states[step] < SUCCEEDED:
                    self._replay_step(event, step)

    def lost(self, limit: int, kept: Collection[int] = ()) -> list[tuple[int, int]]:
        """After `replay`: the steps that lost `limit` attempts to dying processes, with the last one's number.

        Args:
            limit: How many are too many.
            kept: As for `begin`.
        """
        return [
            (step, self._attempts[step])
            for step in self._running
            if step not in kept and self._losses.get(step, 0) + 1 >= limit
        ]

    # What can be asked --------------------------------------------------------------------------------------

    @property
    def counts(self) -> Mapping[Status, int]:
        """Steps per terminal status, recorded or about to be."""
        terminal = (SUCCEEDED, REUSED, FAILED, SKIPPED, CANCELLED)
        return {STATUS[code]: self._counts[code] for code in terminal}

    @property
    def running(self) -> tuple[int, ...]:
        """The steps that hold a slot, in the order they got it."""
        return tuple(self._running)

    @property
    def held(self) -> int:
        """Steps about which anything more than one byte is kept."""
        return (
            len(self._blocked)
            + len(self._running)
            + len(self._unblocked)
            + len(self._ready)
            + len(self._alone)
            + len(self._to_check)
            + len(self._checking)
            + len(self._waiting)
            + len(self._to_skip)
            + len(self._to_cancel)
        )

    @property
    def waiting(self) -> int:
        """Steps between two attempts."""
        return len(self._waiting)

    def status_of(self, step: int) -> Status:
        """The status of a step by number."""
        return STATUS[self._states[step]]

    def attempt_of(self, step: int) -> int:
        """The number of the step's last attempt while it is live; 0 before its first."""
        return self._attempts.get(step, 0)

    def losses(self, step: int) -> int:
        """How many attempts of a live step went with their processes; one that may be under way is none."""
        return self._losses.get(step, 0)

    def failures(self, step: int) -> int:
        """How many attempts of a live step failed by themselves, and were followed or will be by another one."""
        return self._failures.get(step, 0)

    def cause_of(self, step: int) -> int:
        """The failed step because of which this one is skipped."""
        return self._causes[step]

    def snapshot(self) -> tuple[bytes, tuple[tuple[int, int], ...], bool]:
        """What replay must reproduce: terminal states, attempts begun by unfinished steps, cancelling."""
        terminal = bytes(code if code >= SUCCEEDED else UNEXAMINED for code in self._states)
        open_attempts = sorted(
            (step, attempt) for step, attempt in self._attempts.items() if self._states[step] < SUCCEEDED
        )
        return terminal, tuple(open_attempts), self.cancelling

    # Events -------------------------------------------------------------------------------------------------

    def _number(self, event: StepRetried | StepStarted | _Ending) -> int | None:
        return self.plan.number(event.asset, event.partition_key)

    def _replay_step(self, event: StepStarted | StepRetried | _Ending, step: int) -> None:
        match event:
            case StepStarted():
                if step in self._running:
                    self._count_loss(step)
                self._waiting.pop(step, None)
                self._attempts[step] = event.attempt
                self._states[step] = RUNNING
                self._running[step] = None
            case StepRetried():
                self._running.pop(step, None)
                self._attempts[step] = (
                    event.attempt
                )  # Handed back before it began, it has no start on record.
                self._count_failure(event, step)
                self._states[step] = WAITING
                self._waiting[step] = None
            case _:
                self._running.pop(step, None)
                self._waiting.pop(step, None)
                self._forget_attempts(step)
                self._end(step, _CODE[type(event)])
                self._settled += 1

    def _step_ended(self, event: StepRetried | _Ending, step: int) -> None:
        state = self._states[step]
        match event:
            case StepSucceeded() | StepFailed() | StepCancelled() | StepRetried() if state == RUNNING:
                if event.attempt != self._attempts[step]:
                    return
                self._stopped_running(step)
                if isinstance(event, StepRetried):
                    self._retry(event, step)
                else:
                    self._finish_step(step, _CODE[type(event)])
            case StepReused() if state == CHECKING:
                del self._checking[step]
                self._finish_step(step, REUSED)
            case StepSkipped() | StepCancelled() if step in self._recording:
                del self._recording[step]
                self._settle(step)
            case _:
                pass  # A terminal state absorbs it, or the attempt was given up.

    def _signalled(self, signal: Signal) -> None:
        match signal:
            case RetryDue(step):
                if self._states[step] == WAITING and step in self._waiting:
                    del self._waiting[step]
                    self._states[step] = READY
                    self._unblocked.append(step)
            case StepsNeeded(steps):
                for step in steps:
                    if self._states[step] == CHECKING and step in self._checking:
                        del self._checking[step]
                        self._states[step] = READY
                        self._ready.append(step)
            case HoldStarts():
                self._holding = True
            case AttemptLost(step, attempt, begun):
                if self._states[step] == RUNNING and self._attempts[step] == attempt:
                    self._attempt_lost(step, begun=begun)
            case _:
                assert_never(signal)

    def _attempt_lost(self, step: int, *, begun: bool) -> None:
        self._stopped_running(step)
        if begun:
            self._count_loss(step)
        if self.cancelling:
            self._finish_unstarted(step)
            return
        self._states[step] = READY
        (self._alone if begun else self._unblocked).append(step)

    def _stopped_running(self, step: int) -> None:
        del self._running[step]
        if step == self._lone:
            self._lone = None

    def _count_loss(self, step: int) -> None:
        self._losses[step] = self._losses.get(step, 0) + 1

    def _count_failure(self, event: StepRetried, step: int) -> None:
        """An attempt that its node stopped to go away is nobody's failure."""
        if event.failure.kind != "lost":
            self._failures[step] = self._failures.get(step, 0) + 1

    def _retry(self, event: StepRetried, step: int) -> None:
        self._count_failure(event, step)
        if self.cancelling:
            self._finish_unstarted(step)
            return
        self._states[step] = WAITING
        self._waiting[step] = None
        self._orders.append(RetryStep(step, event.delay))

    # The window ---------------------------------------------------------------------------------------------

    def _lane_of(self, step: int) -> _Lane:
        return self._lanes[bisect_right(self._offsets, step) - 1]

    def _advance(self, lanes: deque[_Lane]) -> None:
        """Move the cursors of `lanes`, and of every lane downstream of one that moved."""
        if not self._begun:
            return
        for lane in lanes:
            lane.queued = True
        while lanes:
            lane = lanes.popleft()
            lane.queued = False
            if self._advance_lane(lane):
                for index in lane.plan.downstream:
                    follower = self._lanes[index]
                    if not follower.queued and follower.cursor < follower.end:
                        follower.queued = True
                        lanes.append(follower)

    def _advance_lane(self, lane: _Lane) -> bool:
        start = lane.cursor
        while lane.cursor < lane.end and lane.live < self._share:
            known = self._states[lane.cursor] != UNEXAMINED  # It ended before a restart, or outlived it.
            if not (known or self._examine(lane, lane.cursor)):
                break
            lane.cursor += 1
        return lane.cursor > start

    def _examine(self, lane: _Lane, step: int) -> bool:
        """Decide what a step waits for; False while one of its upstream steps has not been examined."""
        if self.cancelling:
            lane.live += 1
            self._finish_unstarted(step)
            return True
        ranges = self.plan.upstream(step)
        # From the end: a step whose inputs are not all examined is mostly missing the last of them.
        for numbers in reversed(ranges):
            if self._states.find(UNEXAMINED, numbers.start, numbers.stop) >= 0:
                return False
        lane.live += 1
        pending, cause = self._look_upstream(step, ranges)
        if cause is not None and self._states[cause] == CANCELLED:
            self._finish_unstarted(step)
        elif cause is not None:
            self._skip(step, self._root(cause))
        elif pending:
            self._states[step] = BLOCKED
            self._blocked[step] = pending
        else:
            self._inputs_ready(lane, step, self._ready)
        return True

    def _look_upstream(self, step: int, ranges: Sequence[range]) -> tuple[int, int | None]:
        """How many upstream steps are under way, and one that will never give a value, if there is one."""
        pending = 0
        cause = None
        for numbers in ranges:
            for upstream in self._unusual(numbers):
                if self._states[upstream] < SUCCEEDED:
                    pending += 1
                    self._waiters.setdefault(upstream, []).append(step)
                elif self._states[upstream] >= FAILED and cause is None:
                    cause = upstream
        return pending, cause

    def _unusual(self, numbers: range) -> Iterator[int]:
        """The steps among `numbers` that are neither succeeded nor reused."""
        if len(numbers) == 1:
            yield numbers.start
            return
        part = self._states[numbers.start : numbers.stop]
        for code in (BLOCKED, CHECKING, READY, RUNNING, WAITING, FAILED, SKIPPED, CANCELLED):
            at = part.find(code)
            while at >= 0:
                yield numbers.start + at
                at = part.find(code, at + 1)

    def _inputs_ready(self, lane: _Lane, step: int, queue: deque[int]) -> None:
        if lane.plan.refresh == "all" or step in self._attempts:
            self._states[step] = READY
            if step in self._suspects:
                self._suspects.discard(step)
                queue = self._alone
            queue.append(step)
        else:
            self._states[step] = CHECKING
            self._to_check.append(step)

    # Endings ------------------------------------------------------------------------------------------------

    def _end(self, step: int, code: int) -> None:
        self._states[step] = code
        self._counts[code] += 1

    def _finish_step(self, step: int, code: int) -> None:
        """An attempt or a look-up ended the step; its record is already written."""
        self._end(step, code)
        self._forget_attempts(step)
        if code in (FAILED, CANCELLED):
            self._drop_waiters(step)
        else:
            self._release_waiters(step)
        self._settle(step)

    def _forget_attempts(self, step: int) -> None:
        if self._attempts.pop(step, 1) > 1:
            self._losses.pop(step, None)
            self._failures.pop(step, None)

    def _release_waiters(self, step: int) -> None:
        for waiter in self._waiters.pop(step, ()):
            left = self._blocked.get(waiter)
            if left is None:
                continue
            if left > 1:
                self._blocked[waiter] = left - 1
            else:
                del self._blocked[waiter]
                self._inputs_ready(self._lane_of(waiter), waiter, self._unblocked)

    def _drop_waiters(self, cause: int) -> None:
        """What waits for a failed step is skipped, for a cancelled one cancelled, and so on downstream."""
        failed = self._states[cause] == FAILED
        stack = [cause]
        while stack:
            for waiter in self._waiters.pop(stack.pop(), ()):
                if self._blocked.pop(waiter, None) is None:
                    continue
                stack.append(waiter)
                if failed:
                    self._skip(waiter, cause)
                else:
                    self._finish_unstarted(waiter)

    def _skip(self, step: int, cause: int) -> None:
        self._causes[step] = cause
        self._end(step, SKIPPED)
        self._to_skip.append((step, cause))

    def _root(self, step: int) -> int:
        """The failed step at the root of a failed or skipped one; looked up again after a restart."""
        while self._states[step] == SKIPPED:
            known = self._causes.get(step)
            step = known if known is not None else self._dropped_upstream(step)
        return step

    def _dropped_upstream(self, step: int) -> int:
        codes = (FAILED, SKIPPED)
        return next(up for r in self.plan.upstream(step) for up in r if self._states[up] in codes)

    def _finish_unstarted(self, step: int) -> None:
        self._end(step, CANCELLED)
        self._forget_attempts(step)
        self._to_cancel.append(step)

    def _settle(self, step: int) -> None:
        self._settled += 1
        lane = self._lane_of(step)
        lane.live -= 1
        if lane.cursor < lane.end:
            self._advance(deque((lane,)))

    def _cancel(self) -> None:
        if self.cancelling or self.finished is not None:
            return
        self.cancelling = True
        ready = (*self._unblocked, *self._ready, *self._alone)
        for step in [*self._blocked, *ready, *self._to_check, *self._checking]:
            self._finish_unstarted(step)
        for step in self._waiting:
            self._finish_unstarted(step)
        for queue in (self._unblocked, self._ready, self._alone, self._to_check):
            queue.clear()
        for table in (self._blocked, self._checking, self._waiting, self._waiters):
            table.clear()
        self._advance(deque(lane for lane in self._lanes if lane.cursor < lane.end))
        if self._running:
            self._orders.append(CancelSteps(tuple(self._running)))

    # Orders -------------------------------------------------------------------------------------------------

    def _commands(self) -> list[Command]:
        if not self._begun or self._finishing:
            return []
        commands, self._orders = self._orders, []
        while (
            not self._holding
            and len(self._running) < self.max_parallel
            and (queue := self._startable()) is not None
        ):
            step = queue.popleft()
            attempt = self._attempts.get(step, 0) + 1
            self._attempts[step] = attempt
            self._running[step] = None
            self._states[step] = RUNNING
            if attempt == 1:
                commands.append(StartStep(step, 1))
            else:
                alone = queue is self._alone
                commands.append(StartStep(step, attempt, alone, self._failures.get(step, 0)))
        self._batch(commands)
        if self._settled == self.plan.total:
            self._finishing = True
            commands.append(FinishRun(self._outcome()))
        return commands

    def _startable(self) -> deque[int] | None:
        """The queue whose first step may start now."""
        if self._alone:
            if self._running:
                return None
            self._lone = self._alone[0]
            return self._alone
        if self._lone is not None:
            return None
        return self._unblocked or self._ready or None

    def _batch(self, commands: list[Command]) -> None:
        while self._to_check and len(self._checking) < _CHECK_CHUNK:
            checks = _take(self._to_check, _CHECK_CHUNK)
            self._checking.update(dict.fromkeys(checks))
            commands.append(CheckSteps(checks))
        while self._to_skip and len(self._recording) < _RECORD_CHUNK:
            skips = _take(self._to_skip, _RECORD_CHUNK)
            self._recording.update((step, None) for step, _ in skips)
            commands.append(RecordSkipped(skips))
        while self._to_cancel and len(self._recording) < _RECORD_CHUNK:
            cancels = _take(self._to_cancel, _RECORD_CHUNK)
            self._recording.update(dict.fromkeys(cancels))
            commands.append(RecordCancelled(cancels))

    def _outcome(self) -> Status:
        if self._counts[CANCELLED]:
            return Status.CANCELLED
        if self._counts[FAILED] or self._counts[SKIPPED]:
            return Status.FAILED
        return Status.SUCCEEDED


class _Lane:
    """How far the window has come in one asset's plan."""

    __slots__ = ("cursor", "end", "live", "plan", "queued")

    def __init__(self, plan: AssetPlan) -> None:
        self.plan = plan
        self.cursor = plan.offset
        self.end = plan.offset + len(plan.keys)
        self.live = 0
        self.queued = False


_Item = TypeVar("_Item")


def _take(queue: deque[_Item], limit: int) -> tuple[_Item, ...]:
    return tuple(queue.popleft() for _ in range(min(limit, len(queue))))
