"""The handle of one run: wait for it, look at it, stop it, from whatever process opened its store."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from flowstone.runs.events import RunFinished
from flowstone.runtime.client.askers import checked_reason
from flowstone.runtime.client.requests import checked_patience
from flowstone.runtime.run.control import Cancel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flowstone.runs.events import Event
    from flowstone.runs.records import RunRecord, Status
    from flowstone.runtime.client.result import RunResult

__all__ = ["Run", "RunCalls"]


class RunCalls(Protocol):
    """What a handle asks: the runtime that it is of, or a server."""

    def require_usable(self) -> None:
        """Raise unless it can be asked, here and now."""

    async def ended(self, run_id: str) -> BaseException | None:
        """Return when a run has ended; with what its only failed step raised, if at hand."""

    async def judge(self, result: RunResult, cause: BaseException | None) -> None:
        """Raise what became of a run that did not succeed."""

    async def run_status(self, run_id: str) -> Status: ...

    async def record(self, run_id: str) -> RunRecord: ...

    def asker(self, by: str | None) -> str | None:
        """Who asks, as the caller says it."""

    async def cancel(self, run_id: str, why: Cancel) -> None: ...

    async def drain(self, run_id: str, by: str | None = None) -> None: ...

    def detach(self, run_id: str) -> None: ...

    async def result(self, run_id: str) -> RunResult: ...

    def events(self, run_id: str) -> AsyncIterator[Event]: ...


class Run:
    """A run, by its id. Handles are cheap and equal if they name the same run.

    They are used where their runtime is: on its event loop, while it runs. Elsewhere each method raises
    `WrongLoop` or `RuntimeStopping`.

    Attributes:
        id: The run's id.
        submitted: Whether the call that returned this handle submitted the run. It is false of `runtime.run(id)`,
            and of a `submit` that found an unfinished run with the same key.
    """

    __slots__ = ("_client", "id", "submitted")

    def __init__(self, run_id: str, client: RunCalls, *, submitted: bool = False) -> None:
        self.id = run_id
        self.submitted = submitted
        self._client = client

    async def wait(self, timeout: float | None = None) -> RunResult:
        """Wait until the run has ended.

        Args:
            timeout: Seconds to wait; the run goes on when they are over. Default: no limit.

        Raises:
            RunFailed: A step that was asked for failed, or was skipped because of a failure.
            RunCancelled: The run was cancelled.
            TimeoutError: It has not ended in time.
            ValueError: `timeout` is no number.
            StoreUnavailable: The store is there and refuses for good: its schema or database was dropped, or
                rights were revoked. An outage that may pass is waited out.
        """
        self._client.require_usable()
        limit = checked_patience("timeout", timeout)
        try:
            async with asyncio.timeout(limit) as within:
                cause = await self._client.ended(self.id)
        except TimeoutError as error:
            if limit is None or not within.expired():
                raise
            raise TimeoutError(f"Run {self.id} has not ended within {limit:g} s; it goes on.") from error
        result = await self._client.result(self.id)
        await self._client.judge(result, cause)
        return result

    async def status(self) -> Status:
        """The run's status now."""
        self._client.require_usable()
        return await self._client.run_status(self.id)

    async def record(self) -> RunRecord:
        """What the store knows of the run as a whole, now: what was asked for, its status, owner, times and counts.

        Raises:
            RunNotFound: Retention has removed the run.
        """
        self._client.require_usable()
        return await self._client.record(self.id)

    async def cancel(self, *, by: str | None = None, reason: str = "") -> None:
        """Stop the run; returns when it has stopped. Harmless if it has ended.

        Args:
            by: Who asks for it. Default: whoever the runtime acts for (`actor=`).
            reason: Why, for those who read it.

        Raises:
            ArgumentError: `by` or `reason` is no text.
        """
        self._client.require_usable()
        by, reason = self._client.asker(by), checked_reason(reason)
        await self._client.cancel(self.id, Cancel("asked", by=by, comment=reason))

    async def drain(self, *, by: str | None = None) -> None:
        """Let the running steps finish and start no others; returns when the run has stopped.

        Steps that were not begun end `cancelled`, and so does the run if there are any. That is so on every node,
        and of those that wait for a slot, a pool or a rate as well. Of a step that goes through items, those that
        are under way end and are recorded, and no other ones begin, except of a range that another node is going
        through already; it ends `cancelled` if any are left. A reader reads no further. A run that another node
        drives is cancelled.

        Args:
            by: Who asks for it. Default: whoever the runtime acts for.

        Raises:
            ArgumentError: `by` is no text.
        """
        self._client.require_usable()
        await self._client.drain(self.id, self._client.asker(by))

    def detach(self) -> None:
        """Let the run go on without the call that waits for it, such as `materialize`, should that be cancelled.

        From here on it is as if it had been submitted, also when this runtime ends.
        """
        self._client.require_usable()
        self._client.detach(self.id)

    async def result(self) -> RunResult:
        """What the run has given so far, without waiting and whatever its status."""
        self._client.require_usable()
        return await self._client.result(self.id)

    def events(self) -> AsyncIterator[Event]:
        """What happened in the run and what happens, in order; ends when the run has ended."""
        self._client.require_usable()
        return self._events()

    async def _events(self) -> AsyncIterator[Event]:
        async for event in self._client.events(self.id):
            yield event
            if isinstance(event, RunFinished):
                return

    def __eq__(self, other: object) -> bool:
        return self.id == other.id if isinstance(other, Run) else NotImplemented

    def __hash__(self) -> int:
        return hash((Run, self.id))

    def __repr__(self) -> str:
        return f"Run({self.id!r})"
