"""The window of a run: which of its steps are looked at, when, and what each of them waits for.

Map of this file
    "Looking"       the cursors, and the steps that they come to
    "Ends"          what an end means for those that waited for it
    "Waiting"       steps that wait for somebody else leave the window, and come back
    "Lanes"         how far the window has come in each asset's plan

What a step is found to wait for is said in `examination.py`, or in `choices.py` where upstream steps may end in
other ways than most.

How a run of a million steps stays small
    A step's state is one byte. Only steps inside the window have anything more: each asset's plan is walked by a
    cursor, which examines a step once all its upstream steps have been examined themselves. An examined step
    that has not ended is *live*, and an asset has at most `share` live steps. So the window moves along all
    assets at once (the first partition's report does not wait for the last partition's raw data) and what is
    held is bounded by the window, not by the run.

    It cannot get stuck: take the first asset, in topological order, whose cursor is not at its end. Everything
    upstream of its next step has been examined, so the cursor may move unless the asset has `share` live steps;
    the topologically first live step is running, ready or being recorded.

    Rejected: a set of remaining dependency counters for all steps (a million objects before the first step
    starts), and walking partition by partition (meaningless when assets have different partition sets).

What waits for somebody else leaves the window
    A waiting step is not live, and neither is one that depends on it, however indirectly: that one is *deferred*.
    Both are a byte again, the cursor goes on to what comes after them, and a blocked step waits for live steps
    only. When a step is woken, it and whatever was deferred because of it become unexamined and the cursors go
    back to them: they enter the window as they did the first time. So a hundred thousand steps that are woken
    at once need no more room than a hundred thousand that were never looked at.

    Rejected: to remember who was deferred because of whom (an entry for every such step). Between assets of the
    same partitions it is the counterpart; otherwise everything deferred of the asset is examined again, which
    costs a look at each.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import deque
from typing import TYPE_CHECKING, Final

from flowstone.runs.asset_cursor import AssetCursor
from flowstone.runs.choices import Choices
from flowstone.runs.examination import look
from flowstone.runs.plan import Opening
from flowstone.runs.step_states import (
    BLOCKED,
    CHECKING,
    DEFERRED,
    DROPPED,
    FAILED,
    PENDING,
    READY,
    RETRYING,
    UNEXAMINED,
    WAITING,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from flowstone.runs.plan import AssetPlan, RunPlan

__all__ = ["Window"]

# The first of many steps that are in such a state.
_UNEXAMINED_ROW: Final = re.compile(b"%c*" % UNEXAMINED)
_PENDING_ROW: Final = re.compile(b"[%c-%c]*" % (BLOCKED, RETRYING))

_EXAMINE_DEFERRED: Final = bytes.maketrans(bytes([DEFERRED]), bytes([UNEXAMINED]))
_EXAMINE_ALL: Final = bytes.maketrans(bytes([WAITING, DEFERRED]), bytes([UNEXAMINED, UNEXAMINED]))


class Window:
    """Looks at the steps of a plan, few at a time.

    It changes the state of a step to and from `BLOCKED`, `WAITING` and `DEFERRED`; every other state is its
    user's decision.

    Args:
        plan: What the run consists of.
        states: The state of each step.
        size: Roughly how many steps may be live.

    Attributes:
        due: Assets whose cursors may be able to move; `walk` moves them.
        bounded: Whether any asset has more steps than may be live; otherwise live steps are not counted.
        aside: How many steps have left the window without having ended: waiting ones and deferred ones.
        deferred: How many of them are deferred.
        choices: What decides where upstream steps may end in other ways than most, once that matters.
    """

    __slots__ = (
        "_blocked",
        "_closed",
        "_cursors",
        "_low",
        "_opened",
        "_plan",
        "_share",
        "_states",
        "_waiters",
        "_walked",
        "aside",
        "bounded",
        "choices",
        "deferred",
        "due",
    )

    def __init__(self, plan: RunPlan, states: bytearray, size: int) -> None:
        self._plan = plan
        self._states = states
        # One for each asset; most runs that open as one before never need them.
        self._cursors: list[AssetCursor] = []
        self._walked = False  # Whether it did.
        self._opened: Opening | None = None  # What was found at once, and is not walked.
        self._share = max(1, size // max(1, plan.wide))
        self._low = self._share - max(1, self._share // 16)  # Cursors are moved many steps at a time.
        self.bounded = plan.widest > self._share
        self._blocked: dict[int, int] = {}  # Step -> how many upstream steps are under way.
        self._waiters: dict[int, list[int]] = {}  # Upstream step -> blocked steps it holds up.
        self._closed = False
        self.due: deque[AssetCursor] = deque()
        self.aside = 0
        self.deferred = 0
        self.choices = Choices(plan, states) if plan.chooses else None

    @property
    def blocked(self) -> int:
        """How many live steps wait for upstream steps."""
        return len(self._blocked)

    # Looking ------------------------------------------------------------------------------------------------

    def open(self, live: Sequence[int], *, closing: bool = False) -> None:
        """Begin at the beginning, with steps that are live already; what waits is found where it is.

        Args:
            live: These steps.
            closing: Whether `close` follows, so that nothing needs to be looked at.
        """
        template = self._plan.template
        if template is not None and not closing and not self.bounded and not any(self._states):
            if template.opening is None:
                template.opening = self._find_opening()
            self._open_as_before(template.opening)
            return
        self._make_cursors()
        self.aside = self._states.count(WAITING)
        if self.bounded:
            for step in live:
                self._cursor_of(step).live += 1
        self.due.extend(self._cursors)

    def _find_opening(self) -> Opening:
        """What the first walk of a fresh run finds."""
        self._make_cursors()
        self.due.extend(self._cursors)
        ready = []
        for step, _ in self.walk():
            self._states[step] = READY
            ready.append(step)
        waiters = {step: tuple(waiting) for step, waiting in self._waiters.items()}
        return Opening(bytes(self._states), tuple(ready), self._blocked, waiters)

    def _open_as_before(self, opening: Opening) -> None:
        self._opened, self._walked = opening, True
        self._states[:] = opening.states
        self._blocked = dict(opening.blocked)
        self._waiters = {step: [*waiting] for step, waiting in opening.waiters.items()}

    def close(self, checking: Sequence[int] = ()) -> tuple[list[int], list[int]]:
        """The run is cancelled: what is not live passes without a look, what waits or is deferred included.

        Args:
            checking: Steps that are being looked up.

        Returns:
            The steps that were blocked, which nothing holds any more, and apart from them those that may have been
            looked up ahead of the ones that are: they are `CHECKING` now.
        """
        self._make_cursors(walked=self._walked)
        self._closed = True
        ahead = self._find_ahead(checking, len(self._blocked))
        for step in ahead:
            self._states[step] = CHECKING
        blocked = [step for step in self._blocked if self._states[step] == BLOCKED]
        self._blocked.clear()
        self._waiters.clear()
        for cursor in self._cursors:
            if self.aside:
                self._look_again(cursor, _EXAMINE_ALL)
            self._is_due(cursor)
        self.aside = self.deferred = 0
        return blocked, ahead

    def walk(self) -> Iterator[tuple[int, int]]:
        """Move the cursors as far as they go, also those of assets downstream of one that moved.

        Yields:
            Each step that is live now and held up by nothing, and what becomes of it: `READY` if its inputs
            are there, `SKIPPED` if one of them will never be, `DECLINED` if that is by choice. Its state is to be
            decided at once.
        """
        due = self.due
        if self._opened is not None:
            ready, self._opened = self._opened.ready, None
            for step in ready:
                yield step, READY
        while due:
            cursor = due.popleft()
            cursor.queued = False
            before = cursor.position
            yield from self._walk_asset(cursor)
            if cursor.position > before:
                for index in cursor.plan.downstream:
                    follower = self._cursors[index]
                    if not follower.queued:
                        self._is_due(follower)

    def _walk_asset(self, cursor: AssetCursor) -> Iterator[tuple[int, int]]:
        states, share = self._states, self._share
        while cursor.live < share:
            step = states.find(UNEXAMINED, cursor.position, cursor.end)
            if step < 0:
                cursor.position = cursor.end
                return
            cursor.position = step
            if cursor.end - step > 1 and cursor.plan.shifts and self._block_row(cursor, step):
                continue
            found = READY if self._closed else self._examine(cursor.plan, step)
            if found == UNEXAMINED:
                return
            cursor.position = step + 1
            if found == DEFERRED:
                self._defer(cursor, step)
                continue
            cursor.live += self.bounded
            if found != BLOCKED:
                yield step, found

    def choose(self) -> Choices:
        """From here on, steps are skipped by choice."""
        if self.choices is None:
            self.choices = Choices(self._plan, self._states)
        return self.choices

    def weigh(self, step: int) -> int:
        """What becomes of a step that waits for nothing any more: `READY` or `DECLINED`."""
        return READY if self.choices is None else self.choices.weigh(self._plan.of(step), step)

    def origin(self, step: int, known: Mapping[int, int]) -> int:
        """The step at the root of why another one is skipped."""
        return (self.choices or Choices(self._plan, self._states)).origin(step, known)

    def hindrance(self, step: int) -> int:
        """The first upstream step because of which this one never runs; there is one."""
        if self.choices is not None:
            return self.choices.hindrance(self._plan.of(step), step)
        cursor = self._cursor_of(step)
        for numbers in cursor.plan.upstream(step - cursor.plan.offset):
            found = DROPPED.search(self._states, numbers.start, numbers.stop)
            if found is not None:
                return found.start()
        raise AssertionError(f"step {step} has all its inputs")

    def _examine(self, plan: AssetPlan, step: int) -> int:
        """Where a step stands; `UNEXAMINED` while one of its upstream steps has not been examined."""
        if self.choices is not None:
            found, pending = self.choices.look(plan, step)
        else:
            found, pending = look(self._states, plan, step)
        if found == BLOCKED:
            self._block(step, pending)
        return found

    def _block_row(self, cursor: AssetCursor, step: int) -> int:
        """Block this step and those after it that wait for all their inputs; returns how many."""
        if self._closed:
            return 0
        states, shifts = self._states, cursor.plan.shifts
        assert shifts is not None
        stop = _end(_UNEXAMINED_ROW, states, step, min(cursor.end, step + self._share - cursor.live))
        for shift in shifts:
            stop = shift + _end(_PENDING_ROW, states, step - shift, stop - shift)
        count = stop - step
        states[step:stop] = bytes([BLOCKED]) * count
        self._blocked.update(dict.fromkeys(range(step, stop), len(shifts)))
        for shift in shifts:
            for waiter in range(step, stop):
                self._waiters.setdefault(waiter - shift, []).append(waiter)
        cursor.position = stop
        if self.bounded:
            cursor.live += count
        return count

    def _block(self, step: int, pending: Sequence[int]) -> None:
        self._states[step] = BLOCKED
        self._blocked[step] = len(pending)
        waiters = self._waiters
        for upstream in pending:
            waiting = waiters.get(upstream)
            if waiting is None:
                waiters[upstream] = [step]
            else:
                waiting.append(step)

    # Ends ---------------------------------------------------------------------------------------------------

    def release(self, step: int) -> Sequence[int]:
        """A step has a value: the steps that waited for nothing else."""
        waiters = self._waiters.pop(step, None)
        if waiters is None:
            return ()
        blocked = self._blocked
        free = []
        for waiter in waiters:
            left = blocked.get(waiter)
            if left == 1:
                del blocked[waiter]
                free.append(waiter)
            elif left is not None:  # None: it was dropped.
                blocked[waiter] = left - 1
        return free

    def ahead(self, steps: Sequence[int], most: int) -> list[int]:
        """At most so many steps that wait for these and for one another alone, each after those it waits for."""
        return self._find_ahead(steps, most) if self.choices is None else []

    def _find_ahead(self, steps: Sequence[int], most: int) -> list[int]:
        found: list[int] = []
        left: dict[int, int] = {}
        queue = deque(steps)
        while queue and len(found) < most:
            for waiter in self._waiters.get(queue.popleft(), ()):
                if waiter in self._blocked:
                    left[waiter] = left.get(waiter, self._blocked[waiter]) - 1
                    if not left[waiter]:
                        found.append(waiter)
                        queue.append(waiter)
        return found[:most]

    def end(self, step: int) -> tuple[Sequence[int], Sequence[int]]:
        """A step has ended, in whatever way; if it gives no value, those it deferred are examined again.

        Returns:
            Of the steps that waited for it, those that wait for nothing else, and those that end with it.
        """
        failed = self._states[step] >= FAILED
        if failed and self.deferred:
            self._recall(step)
        tolerant: list[int] = []
        if self._plan.chooses and step in self._waiters:
            tolerant = self._part_tolerant(step)
        free, lost = () if failed else self.release(step), self._waiters.pop(step, ()) if failed else ()
        if tolerant:
            self._waiters[step] = tolerant
            assert self.choices is not None
            if step not in self.choices.unrecorded:
                free = [*free, *self.release(step)]
        return free, [waiter for waiter in lost if self._blocked.pop(waiter, None) is not None]

    def recorded(self, step: int) -> Sequence[int]:
        """That a step was skipped is recorded: the steps that waited for nothing else."""
        if self.choices is not None:
            self.choices.unrecorded.pop(step, None)
        return self.release(step)

    def _part_tolerant(self, step: int) -> list[int]:
        """Take those off the list of a step's waiters that take whatever becomes of it."""
        assert self.choices is not None
        tolerates, of = self.choices.tolerates, self._plan.of
        tolerant: list[int] = []
        others: list[int] = []
        for waiter in self._waiters[step]:
            (tolerant if tolerates(of(waiter), step) else others).append(waiter)
        self._waiters[step] = others
        return tolerant

    def leave(self, step: int) -> None:
        """A live step has ended, and that is recorded; of interest only where the window is bounded."""
        self._make_room(self._cursor_of(step))

    # Waiting ------------------------------------------------------------------------------------------------

    def set_aside(self, step: int) -> None:
        """A running step waits for somebody else: it leaves the window, and with it all that depends on it."""
        self._make_cursors(walked=True)  # It was looked at, so if there are none, all were opened as before.
        self._states[step] = WAITING
        self.aside += 1
        self._make_room(self._cursor_of(step))
        stack = [step]
        while stack:
            for waiter in self._waiters.pop(stack.pop(), ()):
                left = self._blocked.pop(waiter, None)
                if left is None:
                    continue
                cursor = self._cursor_of(waiter)
                if left > 1:
                    self._let_go(cursor.plan, waiter)
                self._defer(cursor, waiter)
                self._make_room(cursor)
                stack.append(waiter)

    def wake(self, step: int) -> None:
        """A waiting step goes on: it and what was deferred because of it are examined again."""
        self.aside -= 1
        self._examine_anew(self._cursor_of(step), step)
        if self.deferred:
            self._recall(step)

    def end_wait(self, step: int) -> None:
        """A waiting step is about to end without another attempt: it is live until that is recorded."""
        self.aside -= 1
        self._cursor_of(step).live += self.bounded

    def _defer(self, cursor: AssetCursor, step: int) -> None:
        self._states[step] = DEFERRED
        cursor.deferred += 1
        self.deferred += 1
        self.aside += 1

    def _let_go(self, plan: AssetPlan, waiter: int) -> None:
        """Take a step that is blocked no more off the lists of the steps it waited for."""
        unrecorded = self.choices.unrecorded if self.choices is not None else ()
        for numbers in plan.upstream(waiter - plan.offset):
            for pending in PENDING.finditer(self._states, numbers.start, numbers.stop):
                self._waiters[pending.start()].remove(waiter)
            for step in unrecorded:  # Whoever takes the outcome waits for these too.
                if step in numbers and waiter in (waiting := self._waiters.get(step, [])):
                    waiting.remove(waiter)

    def _recall(self, step: int) -> None:
        """Have everything examined again that may have been deferred because of a step."""
        stack: list[tuple[AssetCursor, int | None]] = [(self._cursor_of(step), step)]
        while stack:
            cursor, cause = stack.pop()  # No cause: any step of the asset.
            for index in cursor.plan.downstream:
                follower = self._cursors[index]
                if not follower.deferred:
                    continue
                counterpart = None if cause is None else follower.counterpart(cursor, cause)
                if counterpart is None:
                    self.aside -= follower.deferred
                    self.deferred -= follower.deferred
                    self._look_again(follower, _EXAMINE_DEFERRED)
                elif self._states[counterpart] == DEFERRED:
                    self.aside -= 1
                    self.deferred -= 1
                    follower.deferred -= 1
                    self._examine_anew(follower, counterpart)
                else:
                    continue
                stack.append((follower, counterpart))

    def _look_again(self, cursor: AssetCursor, examine: bytes) -> None:
        """Have the steps in some states examined again."""
        start, end = cursor.plan.offset, cursor.end
        self._states[start:end] = self._states[start:end].translate(examine)
        cursor.deferred = 0
        first = self._states.find(UNEXAMINED, start, end)
        if first >= 0:
            cursor.position = first
        self._is_due(cursor)

    def _examine_anew(self, cursor: AssetCursor, step: int) -> None:
        self._states[step] = UNEXAMINED
        cursor.position = min(cursor.position, step)
        self._is_due(cursor)

    # Lanes --------------------------------------------------------------------------------------------------

    def _make_cursors(self, *, walked: bool = False) -> None:
        if not self._cursors:
            self._cursors = [AssetCursor(plan, walked=walked) for plan in self._plan.assets]

    def _cursor_of(self, step: int) -> AssetCursor:
        plan = self._plan
        return self._cursors[bisect_right(plan.offsets, step) - 1 if plan.wide else step]

    def _make_room(self, cursor: AssetCursor) -> None:
        cursor.live -= self.bounded
        if cursor.live <= self._low:
            self._is_due(cursor)

    def _is_due(self, cursor: AssetCursor) -> None:
        if not cursor.queued and cursor.position < cursor.end:
            cursor.queued = True
            self.due.append(cursor)


def _end(row: re.Pattern[bytes], states: bytearray, start: int, stop: int) -> int:
    found = row.match(states, start, max(start, stop))
    assert found is not None
    return found.end()
