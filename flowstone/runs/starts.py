"""Which of the steps that are ready start next, within the places of the run.

What an input has just made ready goes first, so that results flow downstream before new sources are opened. A
step that may have ended a process runs alone, so that its neighbours do not lose an attempt with it: it waits
until nothing runs, and nothing starts before it is over.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from flowstone.runs.commands import StartStep
from flowstone.runs.step_states import READY, RUNNING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.runs.attempts import Attempts
    from flowstone.runs.commands import Command, StepInLine, StepServed

__all__ = ["Starts"]


class Starts:
    """Steps that are ready, and steps that run.

    Args:
        states: The state of each step.
        attempts: Their attempts.
        places: Steps that may run at a time; at least 1.

    Attributes:
        running: The steps that run, in the order they were started: iteration must not depend on hashes.
        held: Whether nothing is to be started any more.
        most: How many steps may be in `running`.
    """

    __slots__ = (
        "_attempts",
        "_exclusive",
        "_exclusive_step",
        "_sources",
        "_states",
        "_unblocked",
        "held",
        "most",
        "running",
    )

    def __init__(self, states: bytearray, attempts: Attempts, places: int) -> None:
        self._states = states
        self._attempts = attempts
        self._unblocked: deque[int] = deque()
        self._sources: deque[int] = deque()
        self._exclusive: deque[int] = deque()
        self._exclusive_step: int | None = None  # The step that runs with nothing beside it.
        self.most = places
        self.held = False
        self.running: dict[int, None] = {}

    def __len__(self) -> int:
        return len(self._unblocked) + len(self._sources) + len(self._exclusive) + len(self.running)

    def unblocked(self, step: int) -> None:
        """A step is ready that goes before new sources."""
        self._states[step] = READY
        self._unblocked.append(step)

    def unblock(self, steps: Sequence[int]) -> None:
        """`unblocked` for several steps."""
        for step in steps:
            self._states[step] = READY
        self._unblocked.extend(steps)

    def source(self, step: int) -> None:
        """A step is ready that goes when there is nothing better to do."""
        self._states[step] = READY
        self._sources.append(step)

    def exclusive(self, step: int) -> None:
        """A step is ready that must run with nothing beside it."""
        self._states[step] = READY
        self._exclusive.append(step)

    def over(self, step: int) -> None:
        """A step runs no more."""
        del self.running[step]
        if step == self._exclusive_step:
            self._exclusive_step = None

    def vacated(self, step: int) -> None:
        """The attempt of a step is over, and how it ended is told next: its place is free."""

    def in_line(self, step: int) -> bool:
        """Whether a step that is ordered waits for a pool or a rate, and takes no place meanwhile."""
        del step
        return False

    def update(self, signal: StepInLine | StepServed) -> None:
        """An ordered step stands in line from now on, or has what it waited for there."""

    def drop_ready(self) -> list[int]:
        """Forget the steps that are ready; returns them."""
        steps = [*self._unblocked, *self._sources, *self._exclusive]
        for queue in (self._unblocked, self._sources, self._exclusive):
            queue.clear()
        return steps

    def order(self, commands: list[Command]) -> None:
        """Add the starts for which there are places."""
        if self._exclusive or self._exclusive_step is not None:
            if not self.running:
                self._exclusive_step = step = self._exclusive.popleft()
                commands.append(self._start(step, exclusive=True))
            return
        room = self.most - len(self.running)
        for queue in (self._unblocked, self._sources):
            while queue and room > 0:
                commands.append(self._start(queue.popleft()))
                room -= 1

    def _start(self, step: int, *, exclusive: bool = False) -> StartStep:
        self.running[step] = None
        self._states[step] = RUNNING
        attempts = self._attempts
        if not attempts.numbers or step not in attempts.numbers:
            return StartStep(step, 1)
        return StartStep(step, attempts.begin(step), exclusive, attempts.failures(step))
