"""What steps wait for, where one process holds the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowstone.store.sanitise import sanitised_name
from flowstone.store.waits import Answered, Expired, Waits

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Sequence
    from datetime import datetime

    from flowstone.assets.waiting import Answers
    from flowstone.runs.events import Event, StepFailed, StepWoken
    from flowstone.runs.records import StepKey
    from flowstone.runs.waits import Wait, WaitStatus
    from flowstone.store.history import History

__all__ = ["MemoryWaits"]

_MOST: Final = 1_000  # Waits that end in one change.


class MemoryWaits(Waits):
    """The waits of a `MemoryStore`, or of a store that is one.

    Args:
        history: The state, now.
        change: Makes a change: given the operation of the journal that says it, and what applies it.
    """

    def __init__(
        self,
        history: Callable[[], History],
        change: Callable[[list[Any], Callable[[], Any]], Coroutine[Any, Any, Any]],
    ) -> None:
        self._history = history
        self._change = change

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
        by = sanitised_name(by)
        operation = ["answer", run_id, *step, name, answer, now.isoformat(), status, by]
        wait, event = await self._change(
            operation, lambda: self._history().answer(run_id, step, name, answer, now, status, by)
        )
        return Answered(wait, event)

    async def answers(self, run_id: str, step: StepKey) -> Answers:
        return self._history().waits.answers(run_id, step)

    async def woken(self, run_id: str, *, after: int) -> Sequence[tuple[int, StepWoken | StepFailed]]:
        found = self._history().find(run_id)
        return [] if found is None else found.log.after_waits(after)

    async def waiting(self, step: StepKey | None = None) -> bool:
        return self._history().waits.waiting(step)

    async def expire(self, *, now: datetime, runs: Collection[str] | None = None) -> Expired:
        woken: Sequence[Event] = ()
        first = self._history().waits.next_deadline(runs)
        if first is not None and first <= now:
            operation = ["expire", now.isoformat(), None if runs is None else list(runs), _MOST]
            woken = await self._change(operation, lambda: self._history().expire(now, runs, _MOST))
            first = self._history().waits.next_deadline(runs)
        return Expired(woken, None if first is None else max(0.0, (first - now).total_seconds()))

    async def approval(self, id: str) -> Wait | None:  # noqa: A002 - the public word
        return self._history().waits.approval(id)

    async def approvals(
        self,
        statuses: Collection[WaitStatus] = (),
        *,
        now: datetime,
        asset: str | None = None,
        limit: int = 100,
        before: Wait | None = None,
    ) -> Sequence[Wait]:
        return self._history().waits.approvals(statuses, asset, limit, now, before)

    async def open(self, *, now: datetime, asset: str | None = None, limit: int = 100) -> Sequence[Wait]:
        return self._history().waits.open_waits(asset, limit, now)

    async def of_token(self, hashed: str) -> Wait | None:
        return self._history().waits.of_token(hashed)
