"""Getting the attempts of a run going: each has to have a slot, and most begin in the turn that orders them.

An attempt in memory that is begun eagerly costs half of what one in a task of its own costs, if it does not
suspend. A turn of the loop has time for about a millisecond of them (`actors/eager.py`). The first one for which
there is no time begins in the next turn, in a task of its own. Those ordered after it ask for a slot when that turn
comes, and then they are begun eagerly as well, a turn's worth of them at a time. In between others have theirs.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from flowstone.actors.eager import POSSIBLE
from flowstone.runtime.run.messages import NextTurn
from flowstone.runtime.run.step_places import StepPlaces

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.actors import Exit, Me, TaskHandle, TaskSupervisor
    from flowstone.actors.early import EarlyMe
    from flowstone.runs.commands import Signal
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.attempt import Attempt
    from flowstone.runtime.run.live_run import LiveRun

__all__ = ["Launches"]


class Launches:
    """Begins attempts.

    Args:
        ctx: What the runtime offers.
        run: The run.
        steps: Where they run.
        attempts: The attempts that are wanted, by step.
        tell: Tells the state machine, and carries out what it orders.

    Attributes:
        me: The coordinator's; nothing is begun for one that is not alive.
        places: What becomes of the places of those that wait for a pool or a rate.
    """

    me: Me | EarlyMe

    def __init__(
        self,
        ctx: RuntimeContext,
        run: LiveRun,
        steps: TaskSupervisor,
        attempts: dict[int, Attempt],
        tell: Callable[[Signal], None],
    ) -> None:
        self.places = StepPlaces(ctx, run.record.id, attempts, tell)
        self._priority = run.record.priority
        self._may_stand_in_line = (
            run.plan.limited or self._priority
        )  # Of most runs no step waits for a pool or a rate.
        self._ctx = ctx
        self._steps = steps
        self._attempts = attempts
        self._holding = False
        self._delayed: Attempt | None = None  # The first one for which the last turn had no time.
        self._later: deque[Attempt] = deque()

    def add(self, attempt: Attempt) -> None:
        """Begin an attempt when there are a slot and time for it."""
        if self._later:
            self._later.append(attempt)
        elif self._delayed is not None and self._delayed.started_at is None:
            self._later.append(attempt)
            asyncio.get_running_loop().call_soon(self._tell_of_turn)
        else:
            self._delayed = None
            self._apply(attempt)

    def hold(self, *, parts: bool = False) -> None:
        """Begin no more of them, nor with `parts` any item of those that have begun; others have the free slots."""
        self._holding = True
        self.withdraw()
        for attempt in tuple(self._attempts.values()) if parts else ():
            if attempt.handle is not None:
                attempt.hold()

    def release(self) -> None:
        """Begin no more of them, and stop those that have begun, as nobody's failure."""
        self.hold()
        for step, attempt in tuple(self._attempts.items()):
            if attempt.handle is None:
                del self._attempts[step]
            else:
                attempt.stop("shutdown")

    def withdraw(self) -> None:
        """Let none of them wait any more that has not begun."""
        self.places.close()
        for attempt in tuple(self._attempts.values()):
            if attempt.handle is None:
                self._ctx.admission.withdraw(attempt)

    def under_way(self) -> bool:
        """Whether any has begun."""
        return any(attempt.handle is not None for attempt in self._attempts.values())

    def go_on(self) -> None:
        """The next turn has come."""
        later, self._later = self._later, deque()
        self._delayed = None
        while later and self._delayed is None:
            attempt = later.popleft()
            if self._attempts.get(attempt.step) is attempt:
                self._apply(attempt)
        if later:
            self._later = later
            asyncio.get_running_loop().call_soon(self._tell_of_turn)

    def _tell_of_turn(self) -> None:
        self.me.ref.cast(NextTurn())

    def _apply(self, attempt: Attempt) -> None:
        if self._may_stand_in_line:
            self._apply_in_line(attempt)
        elif attempt.needs_slot:
            self._ctx.admission.admit(attempt, self._launch)
        else:
            self._launch(attempt)

    def _apply_in_line(self, attempt: Attempt) -> None:
        attempt.priority = self._priority
        if attempt.needs_slot:
            self._ctx.admission.admit(attempt, self._launch)
            self.places.watch(attempt)
        else:
            self._launch(attempt)

    def _launch(self, attempt: Attempt) -> bool:
        """A slot is free. False if the attempt is not wanted any more."""
        if self._holding or self._attempts.get(attempt.step) is not attempt or not self.me.ref.alive:
            return False
        ctx = self._ctx
        eager = (
            POSSIBLE
            and ctx.memory is not None
            and attempt.asset_name not in ctx.suspending
            and not (ctx.stream.heard and ctx.stream.unread)
        )
        # Begun eagerly, it gets its full name if it goes on: nearly all end before anybody could read it.
        name = attempt.asset_name if eager else attempt.name
        attempt.handle = handle = self._steps.start(name, attempt.run(), eager=eager)
        if eager and handle.exit is None:
            self._goes_on(attempt, handle)
        late = self._delayed is attempt
        handle.call_on_exit(partial(self._delayed_over, attempt) if late else attempt.task_over)
        return True

    def _goes_on(self, attempt: Attempt, handle: TaskHandle) -> None:
        """It was to be begun eagerly, and is not over: it has suspended, or there was no time for it."""
        handle.rename(attempt.name)
        if attempt.started_at is not None:
            self._ctx.suspending.add(attempt.asset_name)
        elif self._delayed is None:
            self._delayed = attempt

    def _delayed_over(self, attempt: Attempt, handle: TaskHandle, how: Exit) -> None:
        """Let go of it: it knows the coordinator, which knows this, and would be garbage with both."""
        if self._delayed is attempt:
            self._delayed = None
        attempt.task_over(handle, how)
