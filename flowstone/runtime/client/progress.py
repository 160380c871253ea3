"""How far a run is: what `backfill(on_progress=…)` is called with."""

from __future__ import annotations

from collections import Counter
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from flowstone.frozen import frozen
from flowstone.runs.records import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.runs.records import Materialization
    from flowstone.runtime.run.live_run import LiveRun
    from flowstone.runtime.services.events import Subscription

__all__ = ["Progress", "report_progress"]


@frozen
class Progress:
    """A run at the moment one of its steps ended.

    Attributes:
        run_id: The run.
        done: Steps that have ended.
        total: Steps of the run.
        succeeded, failed, skipped, reused, cancelled: How they ended.
        step: The step that has just ended, or None for the last word on the run.
    """

    run_id: str
    done: int
    total: int
    succeeded: int = 0
    failed: int = 0
    skipped: int = 0
    reused: int = 0
    cancelled: int = 0
    step: Materialization | None = None

    @property
    def fraction(self) -> float:
        """From 0.0 to 1.0."""
        return self.done / self.total if self.total else 1.0


async def report_progress(events: Subscription, run: LiveRun, on_progress: Callable[[Progress], Any]) -> None:
    """Call `on_progress` for each step that ends, until the run is over; in the caller's own task.

    A slow callback delays only itself: the run never waits for it. What it missed is made good by the last call.

    Args:
        events: Step events, subscribed to before the run was started, because its first steps may end meanwhile.
        run: The run.
        on_progress: Called or awaited.
    """
    tally: Counter[Status] = Counter()
    events.narrow(run.record.id)
    run.followed_by(events)
    async for event in events:
        record = getattr(event, "materialization", None)
        if record is not None:
            tally[record.status] += 1
            await _call(on_progress, _progress(run, tally, record))
    state = run.state
    if state is not None and not run.parked and sum(tally.values()) != sum(state.counts.values()):
        await _call(on_progress, _progress(run, Counter(state.counts), None))


def _progress(run: LiveRun, tally: Counter[Status], step: Materialization | None) -> Progress:
    counts = {status.value: tally[status] for status in Status if status.terminal}
    return Progress(run.record.id, sum(counts.values()), run.plan.total, step=step, **counts)


async def _call(on_progress: Callable[[Progress], Any], progress: Progress) -> None:
    answer = on_progress(progress)
    if isawaitable(answer):
        await answer
