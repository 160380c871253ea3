"""The steps of one run that wait for pools or rates, and what becomes of their places meanwhile.

A step that waits for long stands *in line*: the state machine has its place for another step
(`runs/limited_starts.py`). What it waits for mostly comes soon: the answer of a database, the next turn of a fast
rate, the end of a short step. Then it is better off with its place, which might be taken by a step of an hour. So
it keeps it for a moment, or until a step is served that can begin in its place.

One that is served by the end of a step of its run takes the place of that one, which is given back with the slots.
One that is served while its run has no place for it keeps its slots of pools, and takes the next place. That is
sure to come, if all places are held by steps that run. If one is held by a step that may wait for these very slots,
both would wait for ever: by one that waits for a run of its own, by one that goes through items, or reads them
meanwhile, by one on another node, or by one that has a place and no slots. Then it gives back its slots, and asks
for them again when it has a place, which it keeps.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakMethod

from flowstone.runs.commands import StepInLine, StepServed
from flowstone.runtime.services.admission import Places

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.runs.commands import Signal
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.attempt import Attempt
    from flowstone.runtime.run.remote_steps import RemoteSteps

__all__ = ["StepPlaces"]

_PATIENCE: Final = 0.1  # Seconds that a step keeps its place while it waits.


class StepPlaces(Places):
    """Who stands in line, and gets a place.

    Args:
        ctx: What the runtime offers.
        run_id: The run.
        attempts: The attempts that are wanted, by step.
        tell: Tells the state machine, and carries out what it orders.

    Attributes:
        elsewhere: The steps that other nodes execute.
    """

    elsewhere: RemoteSteps | None = None

    def __init__(
        self,
        ctx: RuntimeContext,
        run_id: str,
        attempts: dict[int, Attempt],
        tell: Callable[[Signal], None],
    ) -> None:
        self._ctx = ctx
        self._run_id = run_id
        self._attempts = attempts
        self._on_signal = WeakMethod(
            tell
        )  # Or the coordinator and this would be garbage in a circle after each run.
        self._used = self._closed = False
        self._taking: dict[int, Attempt] = {}  # They are asking for a place at this moment.

    def _tell(self, signal: Signal) -> None:
        if (tell := self._on_signal()) is not None:
            tell(signal)

    @property
    def busy(self) -> int:
        """How many attempts do not stand in line."""
        if not self._used:
            return len(self._attempts)
        return sum(attempt.places is None for attempt in self._attempts.values())

    def close(self) -> None:
        """From here on nobody stands in line who does not yet: nothing waits any more."""
        self._closed = True

    def watch(self, attempt: Attempt) -> None:
        """An attempt has asked for what it needs. If it waits for that, it is to stand in line in a moment."""
        if _may_join(attempt):
            self._ctx.clock.call_later(_PATIENCE, partial(self._join, attempt))

    def take(self, applicant: Any, go: Callable[[], None]) -> bool:
        attempt: Attempt = applicant
        attempt.on_place = go
        self._taking[attempt.step] = attempt
        self._tell(StepServed(attempt.step))
        if attempt.places is not None and (waiting := self._last_to_wait()) is not None:
            self._join(waiting)
        del self._taking[attempt.step]
        if attempt.places is None:
            return True
        if self.elsewhere or any(map(_may_wait_for_slots, self._attempts.values())):
            self._ctx.admission.give_back(self._run_id)
        return False

    def begin(self, step: int) -> None:
        """There is a place for a step that has been served."""
        attempt = self._attempts.get(step)
        if attempt is None or attempt.on_place is None:
            return
        go, attempt.on_place, attempt.places = attempt.on_place, None, None
        attempt.keeps_place = True
        if step in self._taking:
            return
        if attempt.pools and not attempt.pooled:
            self._ctx.admission.give_back(self._run_id)
        go()

    def _last_to_wait(self) -> Attempt | None:
        """The last of those that keep their places for a moment while they wait: somebody else can use them now."""
        for attempt in reversed(self._attempts.values()):
            if _may_join(attempt):
                return attempt
        return None

    def _join(self, attempt: Attempt) -> None:
        if not self._closed and self._attempts.get(attempt.step) is attempt and _may_join(attempt):
            attempt.places = self
            self._used = True
            self._tell(StepInLine(attempt.step))


def _may_join(attempt: Attempt) -> bool:
    """Whether a step only waits, and does without its place meanwhile."""
    return attempt.in_queue and attempt.places is None and not (attempt.keeps_place or attempt.exclusive)


def _may_wait_for_slots(attempt: Attempt) -> bool:
    """Whether a step that has a place may wait for slots that another step of its run holds."""
    if attempt.handle is not None:
        return attempt.awaits != () or not attempt.needs_slot
    return (attempt.keeps_place or attempt.exclusive) and attempt.pools != () and not attempt.pooled
