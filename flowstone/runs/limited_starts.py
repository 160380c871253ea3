"""Which ready steps start next in a run of which some steps need slots of pools or turns of rates.

Such a step is ordered as every other one, when there is a place for it: if what it needs is free, it begins with
that. If not, it stands *in line*, and gives its place to another step meanwhile. When it is *served* it takes the
next place that is free, before every step that is not ordered yet. So never more than `max_parallel` run, and what
waits for a full pool keeps nobody from running that needs none.

A step whose attempt is over gives back its slots at once, and they may be those that another step of its run waits
for. So it gives back its place with them (`vacated`), before it is known how it ended.

No more are ordered while as many as there are places stand in line already: those that are ready are passed over
then, and come first when one has been served. So a million partitions that need a pool are never in its queue
together: fewer than twice as many as may run.

A step that runs alone never stands in line: it keeps its place, and nothing begins before it is over. What stands
in line with all it needs goes before it.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from flowstone.runs.commands import BeginStep, StepInLine, StepServed
from flowstone.runs.starts import Starts

if TYPE_CHECKING:
    from flowstone.runs.attempts import Attempts
    from flowstone.runs.commands import Command
    from flowstone.runs.plan import RunPlan

__all__ = ["LimitedStarts", "starts_of"]


def starts_of(plan: RunPlan, states: bytearray, attempts: Attempts, places: int) -> Starts:
    """The `Starts` of a run; of most runs no step has to stand in line.

    Args:
        plan: Its plan.
        states: The state of each step.
        attempts: Their attempts.
        places: Steps that may run at a time; at least 1.
    """
    if plan.limited:
        return LimitedStarts(states, attempts, places, plan)
    return Starts(states, attempts, places)


class LimitedStarts(Starts):
    """`Starts` of a run some of whose assets have pools or rates.

    Args:
        states: The state of each step.
        attempts: Their attempts.
        places: Steps that may run at a time; at least 1.
        plan: The plan, which says which steps these are.

    Attributes:
        most: The places, and one more for each step that counts as running and has none: it stands in line, or
            its attempt is over.
    """

    __slots__ = (
        "_in_line",
        "_passed_sources",
        "_passed_unblocked",
        "_places",
        "_plan",
        "_served",
        "_vacated",
    )

    def __init__(self, states: bytearray, attempts: Attempts, places: int, plan: RunPlan) -> None:
        super().__init__(states, attempts, places)
        self._plan = plan
        self._places = places
        self._in_line: dict[int, None] = {}  # Ordered and without a place; all of them count as running.
        self._served: dict[int, None] = {}  # Those of them that have all they need but a place.
        self._vacated: dict[int, None] = {}  # Their attempts are over; all of them count as running.
        self._passed_unblocked: deque[int] = deque()  # Ready before those that are not passed over.
        self._passed_sources: deque[int] = deque()

    def __len__(self) -> int:
        return super().__len__() + len(self._passed_unblocked) + len(self._passed_sources)

    def in_line(self, step: int) -> bool:
        return step in self._in_line

    def update(self, signal: StepInLine | StepServed) -> None:
        step = signal.step
        if step in self._in_line:
            if isinstance(signal, StepServed):
                self._served[step] = None
        elif isinstance(signal, StepInLine) and step in self.running and step != self._exclusive_step:
            self._in_line[step] = None
            self.most += 1

    def vacated(self, step: int) -> None:
        if step in self.running and step not in self._in_line and step not in self._vacated:
            self._vacated[step] = None
            self.most += 1

    def over(self, step: int) -> None:
        self._leave(step)
        if self._vacated.pop(step, 0) is None:
            self.most -= 1
        super().over(step)

    def drop_ready(self) -> list[int]:
        passed = [*self._passed_unblocked, *self._passed_sources]
        self._passed_unblocked.clear()
        self._passed_sources.clear()
        return [*super().drop_ready(), *passed]

    def order(self, commands: list[Command]) -> None:
        if self._exclusive_step is not None:
            return
        for step in [*self._served][: self.most - len(self.running)]:
            self._leave(step)
            commands.append(BeginStep(step))
        if self._exclusive:
            if not self._served and len(self.running) == len(self._in_line):
                self._exclusive_step = step = self._exclusive.popleft()
                commands.append(self._start(step, exclusive=True))
            return
        in_line = self._order(self._passed_unblocked, self._unblocked, commands, len(self._in_line))
        self._order(self._passed_sources, self._sources, commands, in_line)

    def _order(self, passed: deque[int], queue: deque[int], commands: list[Command], in_line: int) -> int:
        """Order steps of a kind; returns how many may stand in line after that."""
        while len(self.running) < self.most:
            if passed and in_line < self._places:
                step = passed.popleft()
            elif queue:
                step = queue.popleft()
            else:
                break
            if self._plan.of(step).asset in self._plan.limited:
                if in_line >= self._places:
                    passed.append(step)
                    continue
                in_line += 1
            commands.append(self._start(step))
        return in_line

    def _leave(self, step: int) -> None:
        """It stands in line no more, if it did: it has a place, or is over."""
        if step in self._in_line:
            del self._in_line[step]
            self._served.pop(step, None)
            self.most -= 1
