"""The waits of a store without a database: by step, and in the order of their deadlines."""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

from flowstone.assets.partition_labels import step_label
from flowstone.runs.waits import Wait
from flowstone.store.protocol import StaleWrite

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from datetime import datetime

    from flowstone.runs.events import StepWaiting, StepWoken
    from flowstone.runs.records import StepKey
    from flowstone.runs.waits import WaitStatus

__all__ = ["WaitLedger"]

_Place: TypeAlias = "tuple[StepKey, str]"  # What a run's waits are told apart by.


class WaitLedger:
    """The waits of unfinished runs, and when the timeouts of parked runs are over."""

    def __init__(self) -> None:
        self._of_run: dict[str, dict[StepKey, dict[str, Wait]]] = {}
        self._open: dict[str, int] = {}  # Run -> open waits.
        self._steps: dict[StepKey, int] = {}  # Step -> open waits, in whichever runs.
        self._timeouts: dict[str, datetime] = {}
        # Deadlines, and whose: a wait of a run, or the run itself. What is over by then is passed over.
        self._deadlines: list[tuple[datetime, int, str, _Place | None]] = []
        self._entered = 0

    # Changes ------------------------------------------------------------------------------------------------

    def ask(self, event: StepWaiting) -> None:
        """An attempt waits; the same wait, asked for again, stays as it is."""
        if self.find(event.run_id, (event.asset, event.partition_key), event.name) is None:
            place = (event.run_id, event.asset, event.partition_key, event.name)
            self._add(Wait(*place, event.waits_for, event.attempt, event.at, event.deadline))

    def woke(self, event: StepWoken) -> None:
        """A step was woken otherwise than by an answer to its wait."""
        wait = self.find(event.run_id, (event.asset, event.partition_key), event.name)
        if wait is not None and wait.status == "open":
            self.close(wait, "answered", None, event.at)

    def close(self, wait: Wait, status: WaitStatus, answer: Any, at: datetime) -> Wait:
        """End an open wait."""
        place = (wait.run_id, *wait.step, wait.name)
        closed = Wait(*place, wait.kind, wait.attempt, wait.asked_at, wait.deadline, status, answer, at)
        self._of_run[wait.run_id][wait.step][wait.name] = closed
        self._open[wait.run_id] -= 1
        self._leave(wait)
        return closed

    def park(self, run_id: str, deadline: datetime | None) -> None:
        """A run is parked, and its timeout is over at this instant."""
        if deadline is not None:
            self._timeouts[run_id] = deadline
            self._due(deadline, run_id, None)

    def unpark(self, run_id: str) -> None:
        """A run is parked no more."""
        self._timeouts.pop(run_id, None)

    def forget(self, run_id: str) -> None:
        """A run has finished: nobody will wait for anything in it."""
        if run_id in self._of_run:
            for wait in self.of_run(run_id):
                if wait.status == "open":
                    self._leave(wait)
            del self._of_run[run_id]
            self._open.pop(run_id, None)
            self._timeouts.pop(run_id, None)

    def restore(self, waits: Iterable[Wait]) -> None:
        """Take over waits of a former life."""
        for wait in waits:
            self._add(wait)

    def take_due(
        self, now: datetime, runs: Collection[str] | None, limit: int
    ) -> tuple[list[Wait], list[str]]:
        """The open waits whose deadline has passed, and the parked runs whose timeout has.

        Args:
            now: The instant.
            runs: Look at these alone; None: at all.
            limit: How many of them.
        """
        if runs is not None:
            return self._due_of(now, runs, limit)
        waits: list[Wait] = []
        overdue: list[str] = []
        while (
            len(waits) + len(overdue) < limit
            and (deadline := self.next_deadline(None)) is not None
            and deadline <= now
        ):
            _, _, run_id, place = heappop(self._deadlines)
            if place is None:
                overdue.append(run_id)
            else:
                waits.append(self._of_run[run_id][place[0]][place[1]])
        return waits, overdue

    def next_deadline(self, runs: Collection[str] | None) -> datetime | None:
        """The first deadline of what is open; None if there is none."""
        if runs is not None:
            return min((at for run_id in runs for at in self._deadlines_of(run_id)), default=None)
        while self._deadlines:
            deadline, _, run_id, place = self._deadlines[0]
            if not self._is_over(deadline, run_id, place):
                return deadline
            heappop(self._deadlines)
        return None

    def _due_of(self, now: datetime, runs: Collection[str], limit: int) -> tuple[list[Wait], list[str]]:
        due = (
            wait
            for run_id in runs
            for wait in self.of_run(run_id)
            if wait.status == "open" and wait.deadline is not None and wait.deadline <= now
        )
        waits = list(islice(due, limit))
        timeouts = ((run_id, self._timeouts.get(run_id)) for run_id in runs)
        overdue = (run_id for run_id, at in timeouts if at is not None and at <= now)
        return waits, list(islice(overdue, limit - len(waits)))

    def _deadlines_of(self, run_id: str) -> Iterator[datetime]:
        for wait in self.of_run(run_id):
            if wait.status == "open" and wait.deadline is not None:
                yield wait.deadline
        if (timeout := self._timeouts.get(run_id)) is not None:
            yield timeout

    # Questions ----------------------------------------------------------------------------------------------

    def find(self, run_id: str, step: StepKey, name: str) -> Wait | None:
        """One wait, or None."""
        return self._of_run.get(run_id, {}).get(step, {}).get(name)

    def open_one(self, run_id: str, step: StepKey, name: str, now: datetime) -> Wait:
        """An open wait that may be answered. Raises `StaleWrite` if there is none."""
        wait = self.find(run_id, step, name)
        if wait is None or wait.status != "open":
            state = "is not there" if wait is None else f"is {wait.status}"
            raise StaleWrite(f"the wait {name!r} of {step_label(*step)} in run {run_id} {state}")
        if wait.deadline is not None and wait.deadline <= now:
            raise StaleWrite(
                f"the wait {name!r} of {step_label(*step)} in run {run_id} is over since {wait.deadline}"
            )
        return wait

    def open_in(self, run_id: str) -> int:
        """How many waits of a run are open."""
        return self._open.get(run_id, 0)

    def of_run(self, run_id: str) -> Iterator[Wait]:
        """The waits of an unfinished run."""
        for waits in self._of_run.get(run_id, {}).values():
            yield from waits.values()

    def timeout_of(self, run_id: str) -> datetime | None:
        """When the timeout of a parked run is over."""
        return self._timeouts.get(run_id)

    def answers(self, run_id: str, step: StepKey) -> dict[str, Any]:
        """The answers that a step has, by name."""
        waits = self._of_run.get(run_id, {}).get(step, {})
        return {name: wait.answer for name, wait in waits.items() if wait.status != "open"}

    def waiting(self, step: StepKey | None) -> bool:
        """Whether the step waits, in any run; or, without one, whether any step does."""
        return bool(self._steps) if step is None else step in self._steps

    # Parts --------------------------------------------------------------------------------------------------

    def _add(self, wait: Wait) -> None:
        self._of_run.setdefault(wait.run_id, {}).setdefault(wait.step, {})[wait.name] = wait
        if wait.status == "open":
            self._open[wait.run_id] = self._open.get(wait.run_id, 0) + 1
            self._steps[wait.step] = self._steps.get(wait.step, 0) + 1
            if wait.deadline is not None:
                self._due(wait.deadline, wait.run_id, (wait.step, wait.name))

    def _leave(self, wait: Wait) -> None:
        left = self._steps[wait.step] - 1
        if left:
            self._steps[wait.step] = left
        else:
            del self._steps[wait.step]

    def _due(self, deadline: datetime, run_id: str, place: _Place | None) -> None:
        self._entered += 1  # So that equal deadlines are never told apart by what is not comparable.
        heappush(self._deadlines, (deadline, self._entered, run_id, place))

    def _is_over(self, deadline: datetime, run_id: str, place: _Place | None) -> bool:
        if place is None:
            return self._timeouts.get(run_id) != deadline
        wait = self.find(run_id, *place)
        return wait is None or wait.status != "open"
