"""What the function of an attempt puts on record while it runs: results of `once`, and tokens of signals.

Each is an event, fenced by the attempt like all that it says of itself. A synchronous asset waits for it on its
thread; an async one awaits it, or goes on, and then the attempt does not end before it is on record.
"""

from __future__ import annotations

import asyncio
from contextvars import Context as ContextVars
from typing import TYPE_CHECKING, Protocol

from flowstone.errors import FlowstoneError
from flowstone.runs.events import StepKept, StepTokenIssued
from flowstone.runtime.execution.note_locks import NoteLocks

if TYPE_CHECKING:
    from concurrent.futures import Future

    from flowstone.assets.waiting import Note
    from flowstone.runtime.context import RuntimeContext

__all__ = ["AttemptNotes"]


class _Noting(Protocol):
    """The attempt, as an `Attempt` describes it."""

    over: bool
    run_id: str
    asset_name: str
    key: str | None
    number: int
    epoch: int

    @property
    def name(self) -> str: ...


class AttemptNotes(NoteLocks):
    """The notes of one attempt.

    Args:
        ctx: What the runtime offers.
        attempt: The attempt.
    """

    def __init__(self, ctx: RuntimeContext, attempt: _Noting) -> None:
        super().__init__()
        self._ctx = ctx
        self._attempt = attempt
        self._left: dict[Future[None], None] = {}

    @property
    def on_loop(self) -> bool:
        try:
            return asyncio.get_running_loop() is self._ctx.affinity.loop
        except RuntimeError:
            return False

    async def _write(self, note: Note) -> None:
        attempt = self._attempt
        if attempt.over:
            raise FlowstoneError(f"{attempt.name} was stopped: nothing more of it is recorded.")
        what, name, value = note
        place = (self._ctx.clock.now(), attempt.run_id, attempt.asset_name, attempt.key, attempt.number, name)
        event = StepKept(*place, value) if what == "once" else StepTokenIssued(*place, value)
        await self._ctx.record(event, attempt.epoch)

    def write_now(self, note: Note) -> None:
        self._begin(note).result()

    def write_soon(self, note: Note) -> None:
        self._left[self._begin(note)] = None

    async def written(self) -> None:
        """Return when all is on record. Raises what the store raised, to everybody who asks."""
        for future in tuple(self._left):
            await asyncio.shield(asyncio.wrap_future(future))
            self._left.pop(future, None)

    def _begin(self, note: Note) -> Future[None]:
        """Begin to write; in a context of its own, because it is no task of the asset's."""
        return ContextVars().run(asyncio.run_coroutine_threadsafe, self._write(note), self._ctx.affinity.loop)
