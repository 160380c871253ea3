"""What a coordinator does about steps that wait for somebody else: learn that they were woken, release the run.

To take a run up again costs as much as it has events. So a run with many of them is kept for about as long as that
took before it is parked again: steps that are woken one after the other meanwhile join it, instead of having all of
it replayed each time. It is parked at once the first time, when nothing was replayed.

Who answers writes to the store, and tells nobody for certain. So the coordinator asks the store which steps were
woken: when it is told to look, and when it has begun, because what came after its replay was told to nobody. When
nothing else is left it parks the run: the store takes it back, unless a step was woken meanwhile.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from flowstone.runs.events import RunWaiting, StepFailed, StepWaiting

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from flowstone.actors import Clock
    from flowstone.actors.early import EarlyMe
    from flowstone.runs.events import Event, StepWoken
    from flowstone.runs.state import RunState
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.beside import Beside
    from flowstone.runtime.run.live_run import LiveRun

__all__ = ["Parking"]

_PER_EVENT: Final = 0.0001  # Seconds for which a run is kept, for each event that was replayed.
_SHORTEST: Final = 0.05
_LONGEST: Final = 2.0


class Parking:
    """The waiting steps of one run, for one incarnation of its coordinator.

    Args:
        ctx: What the runtime offers.
        run: The run.
        state: Where it stands.
        beside: Where the store is asked.

    Attributes:
        due: Whether the run is to be parked.
    """

    def __init__(self, ctx: RuntimeContext, run: LiveRun, state: RunState, beside: Beside) -> None:
        self.due = False
        self._beside = beside
        self._ask_again = False  # Whether somebody wanted to know what was woken while that was asked.
        self._ctx = ctx
        self._run = run
        self._state = state
        self._after = 0  # The number of the last event known here that woke a step.
        self._requests = 0
        self._asked_early = False  # Whether it was told to look when nothing was known to wait yet.
        self._asking = False
        self._failed: set[int] = set()  # Steps of which it was told here that they failed.

    def request(self, clock: Clock | EarlyMe, wake: Callable[[], object]) -> None:
        """Nothing is left but waiting steps: have the run parked, now or when it was kept for long enough.

        Args:
            clock: Measures that time.
            wake: Called if `due` is set later.
        """
        self._requests += 1
        pause = min(self._run.replayed * _PER_EVENT, _LONGEST)
        if pause < _SHORTEST:
            self.due = True
        else:
            clock.call_later(pause, partial(self._kept_long_enough, self._requests, wake))

    def _kept_long_enough(self, request: int, wake: Callable[[], object]) -> None:
        if request == self._requests and self._state.parked:
            self.due = True
            wake()

    def look(self) -> None:
        """Ask the store which steps wait no more, if one can have waited; one question at a time."""
        if not self._state.waiting:
            self._asked_early = True
            return
        self._ask_again = self._asking
        if self._asking:
            return
        self._asking = True
        self._beside.do("look what was woken", self._question(), self._found)

    def _question(self) -> Coroutine[Any, Any, Sequence[tuple[int, StepWoken | StepFailed]]]:
        return self._ctx.store.waits.woken(self._run.record.id, after=max(self._after, self._run.replayed))

    def look_after(self, events: Sequence[Event]) -> None:
        """Look whether a step that has just come to wait was answered before."""
        if any(type(event) is StepWaiting and self._may_be_woken(event) for event in events):
            self.look()

    def _may_be_woken(self, event: StepWaiting) -> bool:
        """Whether a step that has just come to wait may have its answer, and nobody will say so again."""
        early, self._asked_early = self._asked_early, False
        return early or event.waits_for == "signal"

    def _found(self, found: Sequence[tuple[int, StepWoken | StepFailed]]) -> None:
        self._asking = False
        if found:
            self._after = found[-1][0]
        steps = [self._run.plan.number(event.asset, event.partition_key) for _, event in found]
        known = []
        for (_, event), step in zip(found, steps, strict=True):
            self._tell(event, step)
            if step is not None:
                known.append((event, step))
        self._beside.recorded([event for event, _ in known], [step for _, step in known])
        if self._ask_again:
            self.look()

    def ended(self, ends: Mapping[int, Event]) -> None:
        """Steps that were to be cancelled had ended before: nobody may ask of them what was woken any more."""
        for step, event in ends.items():
            self._tell(event, step)

    def _tell(self, event: Event, step: int | None) -> None:
        """Tell whoever listens what became of a step that waited; of its end once."""
        if type(event) is StepFailed:
            if step in self._failed:
                return
            if step is not None:
                self._failed.add(step)
            self._run.step_failed(None)
        if self._ctx.store.cluster is not None:  # Else whoever woke it was in this process, and told.
            self._ctx.learn([event], denied=True)

    async def park(self, epoch: int) -> bool:
        """Say that nothing is left but waiting steps; whether the store agrees, and the run is nobody's now.

        Raises:
            StaleWrite: The run is somebody else's.
            StoreUnavailable: The store is away.
        """
        run, ctx = self._run, self._ctx
        self.due = False
        left = None
        if run.driven_from is not None and run.record.request.timeout is not None:
            spent = ctx.clock.monotonic() - run.driven_from
            left = max(0.0, run.record.request.timeout - spent)
            if ctx.store.cluster is not None:
                await ctx.store.cluster.spend(ctx.node, {run.record.id: spent})
        asset = run.record.request.asset
        event = RunWaiting(ctx.clock.now(), run.record.id, asset, self._state.waiting, left)
        await ctx.record(event, epoch)
        head = await ctx.store.run(run.record.id)
        return head is not None and head.owner is None
