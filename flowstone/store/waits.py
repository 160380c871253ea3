"""The port to what steps wait for: asked by an attempt, answered by somebody else, once.

A wait comes into being with the event that says so (`StepWaiting`), and is closed with its run, or when that is to
be cancelled. Of several who answer it one succeeds: the store compares and sets. The answer, the event that wakes
the step (`StepWoken`) or ends it (`StepFailed`) and, where nobody drives the run, the return of the run to where
runs are taken up are one write: all of it or nothing.

By a token (`StepTokenIssued`) a signal may come before its step waits for it. It is kept: the event by which the
step comes to wait for it wakes the step in the same write. What a function did once (`StepKept`) is kept as an
answer as well.

A run of which nothing is left but such steps is *parked* by `RunWaiting`: its status is `waiting` and nobody owns
it. If a step was woken meanwhile, that event changes nothing, and the run's owner goes on.

Deadlines are instants of the store's clock. A store in a process of its own has the one that is handed in; a
database has its own, and takes no notice of that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from flowstone.assets.waiting import Answers
    from flowstone.runs.events import Event, StepFailed, StepWoken
    from flowstone.runs.records import StepKey
    from flowstone.runs.waits import Wait, WaitStatus

__all__ = ["Answered", "Expired", "Waits"]


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of an answer.

    Attributes:
        wait: The wait, over.
        event: What woke the step or ended it, if the run is to be gone on with in this process; None if the step
            did not wait yet.
    """

    wait: Wait
    event: Event | None = None


@dataclass(frozen=True, slots=True)
class Expired:
    """What came of deadlines that have passed.

    Attributes:
        woken: What woke their steps, in as far as the runs are to be gone on with in this process; and what asks to
            cancel parked runs whose own timeout is over.
        next: Seconds until the next deadline, 0 if there are more that have passed, or None.
    """

    woken: Sequence[Event] = ()
    next: float | None = None


class Waits(Protocol):
    """What steps wait for. Every call may raise `StoreUnavailable`; each is safe to repeat."""

    async def answer(
        self,
        run_id: str,
        step: StepKey,
        name: str,
        answer: Any,
        *,
        now: datetime,
        status: WaitStatus = "answered",
        by: str | None = None,
    ) -> Answered:
        """Answer a wait that is open, and wake its step, or have it fail; or one to which a signal comes early.

        Args:
            run_id: The run.
            step: The step.
            name: The wait's name.
            answer: The answer, as JSON has it.
            now: The instant, for a store without a clock of its own.
            status: `answered`, or `rejected`, by which the step fails.
            by: Who sends a signal; the answer of an approval says who decided.

        Raises:
            StaleWrite: It is not open: it was answered before, its time is over, its run has finished, or there is
                no such wait.
        """

    async def answers(self, run_id: str, step: StepKey) -> Answers:
        """What a step of a run has: the answers to its waits, what it did once, and tokens not used."""

    async def woken(self, run_id: str, *, after: int) -> Sequence[tuple[int, StepWoken | StepFailed]]:
        """What became of steps of a run that waited: the events, with their numbers, after `after`, in order."""

    async def waiting(self, step: StepKey | None = None) -> bool:
        """Whether the step waits, in any run; or, without one, whether any step does."""

    async def expire(self, *, now: datetime, runs: Collection[str] | None = None) -> Expired:
        """End the waits whose deadline has passed, and wake their steps; a bounded number at a time.

        Args:
            now: The instant, for a store without a clock of its own.
            runs: Look at these alone; None: at all. Where one process holds the store.
        """

    async def approval(self, id: str) -> Wait | None:  # noqa: A002 - the public word
        """The wait for an approval, whatever became of it; None if there is none."""

    async def approvals(
        self,
        statuses: Collection[WaitStatus] = (),
        *,
        now: datetime,
        asset: str | None = None,
        limit: int = 100,
        before: Wait | None = None,
    ) -> Sequence[Wait]:
        """Waits for approval, the newest first: in the reverse of the order in which they were asked for here.

        One whose deadline has passed is shown as what becomes of it, also where no process is there to record that.

        Args:
            statuses: Of these alone; default: of any.
            now: The instant, for a store without a clock of its own.
            asset: Of this one alone.
            limit: How many at most.
            before: Only those that come after this one in that order.
        """

    async def open(self, *, now: datetime, asset: str | None = None, limit: int = 100) -> Sequence[Wait]:
        """What steps wait for: what is over first, then, the newest first, what has no deadline.

        One whose deadline has passed is none, also where no process is there to record that.

        Args:
            now: The instant, for a store without a clock of its own.
            asset: Of this one alone.
            limit: How many at most.
        """

    async def of_token(self, hashed: str) -> Wait | None:
        """The wait that the token of this hash is for; None if there is no such token."""
