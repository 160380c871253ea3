"""Counting a run's events: how many steps there are, how they ended, which are under way."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from flowstone.cli.labels import step_label
from flowstone.printable import one_line
from flowstone.runs.events import (
    RunFinished,
    RunStarted,
    RunWaiting,
    StepCancelled,
    StepFailed,
    StepProgressed,
    StepRetried,
    StepReused,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    StepWaiting,
    StepWoken,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.runs.automation_events import Event
    from flowstone.runs.records import Status

__all__ = ["Tally"]

_ENDINGS: dict[type[Event], str] = {
    StepSucceeded: "succeeded",
    StepReused: "reused",
    StepFailed: "failed",
    StepSkipped: "skipped",
    StepCancelled: "cancelled",
}


class Tally:
    """Where a run stands, as far as its events were seen.

    Args:
        clock: Monotonic seconds.

    Attributes:
        run_id: Of the run that is counted: the first one that starts.
        total: Its steps, 0 until it has started.
        counts: Steps per ending.
        retries: Attempts that failed and were retried.
        running: Steps under way in order of start, each with what it last said of itself.
        waiting: Steps that wait for somebody else, each with what it said of that.
        parked: Whether nothing is left but such steps.
        status: How the run ended, or None.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = clock()
        self._last = self._began
        self.run_id: str | None = None
        self.total = 0
        self.counts: Counter[str] = Counter()
        self.retries = 0
        self.running: dict[tuple[str, str | None], str] = {}
        self.waiting: dict[tuple[str, str | None], StepWaiting] = {}
        self.parked = False
        self.status: Status | None = None

    def apply(self, event: Event) -> None:
        """Take in one event; those of other runs are not counted."""
        if isinstance(event, RunStarted) and self.run_id is None:
            self.run_id, self.total = event.run_id, event.total
        if event.run_id != self.run_id:
            return
        self._last = self._clock()
        step = (event.asset, event.partition_key)
        match event:
            case StepStarted():
                self.running[step] = ""
            case StepProgressed(fraction=fraction, message=message):
                if step in self.running:
                    self.running[step] = f"{fraction:.0%}" + (f" {message}" if message else "")
            case StepRetried():
                self.retries += 1
                self.running.pop(step, None)
            case StepWaiting() | RunWaiting() | StepWoken():
                self._waits(event, step)
            case RunFinished(status=status):
                self.status = status
            case _:
                self._ended(event, step)

    def _waits(self, event: StepWaiting | RunWaiting | StepWoken, step: tuple[str, str | None]) -> None:
        self.parked = isinstance(event, RunWaiting)
        if isinstance(event, StepWaiting):
            self.running.pop(step, None)
            self.waiting[step] = event
        elif isinstance(event, StepWoken):
            self.waiting.pop(step, None)

    def _ended(self, event: Event, step: tuple[str, str | None]) -> None:
        ending = _ENDINGS.get(type(event))
        if ending is not None:
            self.running.pop(step, None)
            if self.waiting.pop(step, None) is not None:
                self.parked = False
            self.counts[ending] += 1

    @property
    def done(self) -> int:
        """Steps that have ended, but for those that were cancelled: most of them never began."""
        return self.counts.total() - self.counts["cancelled"]

    @property
    def elapsed(self) -> float:
        """Seconds since the count began."""
        return self._clock() - self._began

    @property
    def rate(self) -> float:
        """Steps ended per second so far; 0.0 before the first."""
        return self.done / self.elapsed if self.elapsed > 0 else 0.0

    @property
    def needs_an_answer(self) -> bool:
        """Whether nothing goes on until somebody approves or sends a signal."""
        return self.parked and any(each.waits_for != "sleep" for each in self.waiting.values())

    @property
    def remaining(self) -> float | None:
        """Seconds the rest will take at this rate; None while nothing can be said."""
        if self.waiting or not self.total or not self.done or self.rate == 0.0:
            return None
        return max(self.total - self.done, 0) / self.rate

    def waits(self, limit: int = 3) -> str:
        """The steps that wait for somebody else by name, and how many more there are."""
        names = [
            f"{step_label(*step)} ({one_line(each.name)})" for step, each in [*self.waiting.items()][:limit]
        ]
        more = len(self.waiting) - len(names)
        return ", ".join(names) + (f" and {more:,} more" if more > 0 else "")

    def under_way(self, limit: int = 3) -> str:
        """The oldest running steps by name, and how many more there are."""
        steps = list(self.running.items())
        names = [step_label(*step) + (f" ({one_line(note)})" if note else "") for step, note in steps[:limit]]
        more = len(steps) - len(names)
        return ", ".join(names) + (f" and {more:,} more" if more > 0 else "")
