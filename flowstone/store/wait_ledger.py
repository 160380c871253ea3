"""The waits of a store without a database: by step, and in the order of their deadlines.

Map of this file
    ask, keep, issue, close, finish …   what changes waits, event by event
    take_due, next_deadline             those whose time has come
    find, answers, approvals …          what is asked about them
"""

from __future__ import annotations

from dataclasses import replace
from heapq import heappop, heappush, nlargest, nsmallest
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from flowstone.assets.partition_labels import step_label
from flowstone.runs.waits import Wait
from flowstone.store.protocol import StaleWrite

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from datetime import datetime

    from flowstone.runs.events import StepKept, StepTokenIssued, StepWaiting, StepWoken
    from flowstone.runs.records import StepKey
    from flowstone.runs.waits import WaitStatus

__all__ = ["WaitLedger"]

_Place: TypeAlias = "tuple[StepKey, str]"  # What a run's waits are told apart by.
_LEFT: Final = frozenset({"open", "early"})  # For somebody to answer.
_SHOWN: Final = frozenset({"approval", "signal"})  # Also when their run is over.


def _end(wait: Wait) -> tuple[bool, float, int]:
    end = wait.deadline
    return (True, 0.0, -wait.arrival) if end is None else (False, end.timestamp(), wait.arrival)


class WaitLedger:
    """The waits of unfinished runs, and when the timeouts of parked runs are over.

    Approvals and signals of finished runs stay until the run is forgotten, for whoever asks what became of them.
    """

    def __init__(self) -> None:
        self._approvals: dict[str, tuple[str, _Place]] = {}  # By id.
        self._tokens: dict[str, tuple[str, _Place]] = {}  # By hash.
        self._issued: dict[str, list[str]] = {}  # Run -> hashes of its tokens.
        self._of_run: dict[str, dict[StepKey, dict[str, Wait]]] = {}
        self._open: dict[str, int] = {}  # Run -> open waits.
        self._steps: dict[StepKey, int] = {}  # Step -> open waits, in whichever runs.
        self._timeouts: dict[str, datetime] = {}
        # Deadlines, and whose: a wait of a run, or the run itself. What is over by then is passed over.
        self._deadlines: list[tuple[datetime, int, str, _Place | None]] = []
        self._entered = 0
        self._arrivals = 0

    # Changes ------------------------------------------------------------------------------------------------

    def ask(self, event: StepWaiting) -> Wait:
        """An attempt waits; the same wait, asked for again, stays as it is, as does one that was answered early."""
        place = (event.run_id, event.asset, event.partition_key, event.name)
        known = self.find(event.run_id, (event.asset, event.partition_key), event.name)
        if known is not None and known.status != "early":
            return known
        return self._add(
            Wait(*place, event.waits_for, event.attempt, event.at, event.deadline, about=event.about)
        )

    def keep(self, event: StepKept) -> None:
        """A function did something once; what it was called first is what it stays."""
        place = (event.run_id, event.asset, event.partition_key, event.name)
        if self.find(event.run_id, (event.asset, event.partition_key), event.name) is None:
            self._add(Wait(*place, "once", event.attempt, event.at, None, "answered", event.value, event.at))

    def issue(self, event: StepTokenIssued) -> None:
        """A token was handed out, by which a step will be, or is, or was to be sent a signal."""
        step = (event.asset, event.partition_key)
        if self.find(event.run_id, step, event.name) is None:
            place = (event.run_id, *step, event.name)
            self._add(Wait(*place, "signal", event.attempt, event.at, status="early"))
        self._issue(event.run_id, step, event.name, event.hash)

    def woke(self, event: StepWoken) -> None:
        """A step was woken otherwise than by an answer to its wait."""
        wait = self.find(event.run_id, (event.asset, event.partition_key), event.name)
        if wait is not None and wait.status == "open":
            self.close(wait, "answered", None, event.at)

    def close(self, wait: Wait, status: WaitStatus, answer: Any, at: datetime) -> Wait:
        """End a wait."""
        closed = replace(wait, status=status, answer=answer, answered_at=at)
        self._of_run[wait.run_id][wait.step][wait.name] = closed
        if wait.status == "open":
            self._open[wait.run_id] -= 1
            self._leave(wait)
        return closed

    def close_all(self, run_id: str, at: datetime) -> None:
        """A run is to stop: nobody answers what is left of its waits, and its timeout is no matter any more."""
        self._timeouts.pop(run_id, None)
        for wait in [wait for wait in self.of_run(run_id) if wait.status in _LEFT]:
            self.close(wait, "cancelled", None, at)

    def park(self, run_id: str, deadline: datetime | None) -> None:
        """A run is parked, and its timeout is over at this instant."""
        if deadline is not None:
            self._timeouts[run_id] = deadline
            self._due(deadline, run_id, None)

    def unpark(self, run_id: str) -> None:
        """A run is parked no more."""
        self._timeouts.pop(run_id, None)

    def finish(self, run_id: str, at: datetime) -> None:
        """A run has finished: nobody will wait for anything in it."""
        self.close_all(run_id, at)
        if run_id not in self._of_run:
            return
        kept = {
            step: shown
            for step, waits in self._of_run[run_id].items()
            if (shown := {name: wait for name, wait in waits.items() if wait.kind in _SHOWN})
        }
        if kept:
            self._of_run[run_id] = kept
        else:
            del self._of_run[run_id]
        self._open.pop(run_id, None)

    def forget(self, run_id: str) -> None:
        """Nobody asks for a finished run any more."""
        for waits in self._of_run.pop(run_id, {}).values():
            for wait in waits.values():
                if wait.kind == "approval":
                    del self._approvals[wait.id]
        for hashed in self._issued.pop(run_id, ()):
            del self._tokens[hashed]

    def restore(
        self, run_id: str, waits: Iterable[Wait], tokens: Iterable[tuple[str, str | None, str, str]]
    ) -> None:
        """Take over waits of a run's former life, and tokens: asset, key and name of the wait, and the hash."""
        for wait in waits:
            self._add(wait)
        for asset, key, name, hashed in tokens:
            self._issue(run_id, (asset, key), name, hashed)

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

    def answerable(self, run_id: str, step: StepKey, name: str, now: datetime) -> Wait:
        """A wait that may be answered. Raises `StaleWrite` if there is none."""
        wait = self.find(run_id, step, name)
        if wait is None or wait.status not in _LEFT:
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

    def answers(self, run_id: str, step: StepKey) -> dict[str, tuple[str, Any]]:
        """The answers that a step has, by name, each with the kind of its wait; and tokens not used."""
        waits = self._of_run.get(run_id, {}).get(step, {})
        return {name: wait.as_answer for name, wait in waits.items() if wait.status in {"answered", "early"}}

    def approval(self, id: str) -> Wait | None:  # noqa: A002 - the public word
        """The wait of an approval, or None."""
        return self._placed(self._approvals.get(id))

    def approvals(
        self,
        statuses: Collection[WaitStatus],
        asset: str | None,
        limit: int,
        now: datetime,
        before: Wait | None = None,
    ) -> list[Wait]:
        """Waits for approval as they are now, the newest first."""
        waits = (wait.as_of(now) for place in self._approvals.values() if (wait := self._placed(place)))
        found = (
            wait
            for wait in waits
            if (not statuses or wait.status in statuses)
            and (asset is None or wait.asset == asset)
            and (before is None or wait.arrival < before.arrival)
        )
        return nlargest(limit, found, key=attrgetter("arrival"))

    def open_waits(self, asset: str | None, limit: int, now: datetime) -> list[Wait]:
        """What steps wait for: what is over first, then, the newest first, what has no deadline."""
        waits = (
            wait.as_of(now) for run_id, number in self._open.items() if number for wait in self.of_run(run_id)
        )
        found = (wait for wait in waits if wait.status == "open" and asset in (None, wait.asset))
        return nsmallest(limit, found, key=_end)

    def of_token(self, hashed: str) -> Wait | None:
        """The wait that a token is for, or None."""
        return self._placed(self._tokens.get(hashed))

    def tokens_of(self, run_id: str) -> Iterator[tuple[str, str | None, str, str]]:
        """The tokens of a run: asset, key and name of the wait, and the hash."""
        for hashed in self._issued.get(run_id, ()):
            _, ((asset, key), name) = self._tokens[hashed]
            yield asset, key, name, hashed

    def waiting(self, step: StepKey | None) -> bool:
        """Whether the step waits, in any run; or, without one, whether any step does."""
        return bool(self._steps) if step is None else step in self._steps

    # Parts --------------------------------------------------------------------------------------------------

    def _issue(self, run_id: str, step: StepKey, name: str, hashed: str) -> None:
        self._tokens[hashed] = run_id, (step, name)
        self._issued.setdefault(run_id, []).append(hashed)

    def _placed(self, place: tuple[str, _Place] | None) -> Wait | None:
        return None if place is None else self.find(place[0], *place[1])

    def _add(self, wait: Wait) -> Wait:
        if not wait.arrival:  # It is new; or was restored from what an older release wrote.
            wait = replace(wait, arrival=self._arrivals + 1)
        self._arrivals = max(self._arrivals, wait.arrival)
        if wait.kind == "approval":
            self._approvals[wait.id] = wait.run_id, (wait.step, wait.name)
        self._of_run.setdefault(wait.run_id, {}).setdefault(wait.step, {})[wait.name] = wait
        if wait.status == "open":
            self._open[wait.run_id] = self._open.get(wait.run_id, 0) + 1
            self._steps[wait.step] = self._steps.get(wait.step, 0) + 1
            if wait.deadline is not None:
                self._due(wait.deadline, wait.run_id, (wait.step, wait.name))
        return wait

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
