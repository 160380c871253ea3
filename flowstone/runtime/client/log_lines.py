"""The log of a run, read page by page: what is there, or on and on until the run has ended.

Whoever follows looks when lines were kept by this process, and a few times a second for those of others. Nobody
else looks. What an attempt said last is written a moment after it has ended, by whichever node it was on; so when
the run has ended, whoever follows waits for a moment more.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol, Self

from flowstone.errors import ArgumentError, RuntimeStopping, StoreUnavailable
from flowstone.remedies import Remedies
from flowstone.runs.log_line import LogLine, level_name
from flowstone.runtime.client.log_filter import FilteredReader
from flowstone.runtime.client.log_reader import Reader
from flowstone.runtime.services.notifications import Wakeup
from flowstone.store.logs import LogPage
from flowstone.store.protocol import StoreRefused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Sequence

    from flowstone.runtime.client.log_filter import LogFilter
    from flowstone.runtime.client.run_client import RunClient
    from flowstone.runtime.context import RuntimeContext
    from flowstone.store.logs import KeptLine

__all__ = ["Follower", "LogLines", "RuntimeFollower", "log_lines"]

_PAGE: Final = 1_000
_LOOKS: Final = 0.2  # Seconds between two looks for lines of other nodes.
_SETTLES: Final = 0.5  # Seconds after the end of a run for what its attempts said last.
_SETTLES_ALONE: Final = 0.1


class Follower(Protocol):
    """Says how long to read on, and when to look again."""

    async def over(self) -> bool:
        """Whether nothing more is to come."""

    async def rest(self) -> None:
        """Return when it is time to look again."""


class LogLines:
    """An async iterator of `LogLine`, in the order in which they were kept.

    `async for line in runtime.logs(run_id)` reads it. To await it first is to be told at once whether there is such
    a run: `lines = await runtime.logs(run_id)`.
    """

    def __init__(
        self,
        begin: Callable[[], Awaitable[Reader]],
        follower: Follower | None,
        after: int = 0,
        limit: int | None = None,
        tail: int | None = None,
    ) -> None:
        self._begin = begin
        self._reader: Reader | None = None
        self._follower = follower
        self._after = after
        self._left = limit
        self._tail = tail
        self._lines: deque[LogLine] = deque()
        self._over = False

    def __await__(self) -> Generator[None, None, Self]:
        return self._begun().__await__()

    async def _begun(self) -> Self:
        if self._reader is None:
            self._reader = await self._begin()
        return self

    async def held(self, limit: int) -> Sequence[LogLine]:
        """The newest lines that attempts on this node hold for their end; no line that is kept is read for them.

        Args:
            limit: How many at most.
        """
        await self._begun()
        return self._reader.held(limit) if isinstance(self._reader, _RuntimeReader) else ()

    async def kept(self, limit: int) -> LogPage:
        """The newest lines that are kept, whatever attempts hold.

        Args:
            limit: How many at most.
        """
        await self._begun()
        assert self._reader is not None
        if isinstance(self._reader, _RuntimeReader):
            return await self._reader.kept(limit)
        return await self._reader.tail(limit)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> LogLine:
        """The next line.

        Raises:
            RunNotFound: There is no such run.
            StoreUnavailable: The store does not answer. It may be read on from the last line's number (`after=`).
            RuntimeStopping: The runtime has stopped, and the run may go on.
        """
        while not self._lines:
            if self._over or self._left == 0:
                raise StopAsyncIteration
            await self._look()
        if self._left is not None:
            self._left -= 1
        return self._lines.popleft()

    async def _look(self) -> None:
        await self._begun()
        assert self._reader is not None
        # Asked before: what is kept from then on is none of the run's, or is found at the next look.
        over = self._follower is None or await self._follower.over()
        if self._tail is not None:
            page, self._tail = await self._reader.tail(self._tail), None
            over = self._over = self._follower is None
        else:
            page = await self._reader.page(
                self._after, _PAGE if self._left is None else min(_PAGE, self._left)
            )
        self._after = page.end
        self._lines.extend(page.lines)
        if page.lines or self._over:
            return
        if over:
            self._over = True
        elif self._follower is not None:
            await self._follower.rest()


class RuntimeFollower(Follower):
    """Follows a run from within a runtime."""

    def __init__(self, ctx: RuntimeContext, run_id: str) -> None:
        self._ctx = ctx
        self._run_id = run_id
        self._ended: float | None = None

    async def over(self) -> bool:
        ctx = self._ctx
        if self._ended is None:
            try:
                record = await ctx.store.run(self._run_id)
            except StoreRefused:
                raise
            except StoreUnavailable:
                return False  # The next look will tell.
            if record is not None and not record.status.terminal:
                return False
            self._ended = ctx.clock.monotonic()
        settles = _SETTLES_ALONE if ctx.store.cluster is None else _SETTLES
        return ctx.clock.monotonic() - self._ended >= settles and not ctx.logs.waiting

    async def rest(self) -> None:
        if not self._ctx.affinity.running:
            raise RuntimeStopping(f"The runtime has stopped; run {self._run_id} may go on in another one.")
        woken = Wakeup()
        self._ctx.logs.listeners[woken] = None
        try:
            await woken.wait_or(self._ctx.clock, _LOOKS if self._ended is None else _SETTLES_ALONE)
        finally:
            del self._ctx.logs.listeners[woken]


class _RuntimeReader(Reader):
    """Reads what the store keeps; the newest lines with those that this process holds yet."""

    def __init__(
        self, ctx: RuntimeContext, run_id: str, asset: str | None, key: str | None, *, held: bool
    ) -> None:
        self._with_held = held
        self._ctx = ctx
        self._run_id = run_id
        self._asset = asset
        self._key = key

    async def page(self, after: int, limit: int) -> LogPage:
        return await self._ctx.store.logs.page(
            self._run_id, asset=self._asset, partition_key=self._key, after=after, limit=limit
        )

    def held(self, limit: int) -> Sequence[LogLine]:
        """The newest lines that this process holds yet; they have no number."""
        found = self._ctx.logs.held(self._run_id, self._asset, self._key, limit)
        return [_held_line(step, line, 0) for step, line in found]

    async def kept(self, limit: int) -> LogPage:
        """The newest lines that the store keeps."""
        return await self._ctx.store.logs.tail(
            self._run_id, asset=self._asset, partition_key=self._key, limit=limit
        )

    async def tail(self, limit: int) -> LogPage:
        # Looked at before: what is kept meanwhile is not held any more, and would be missing.
        held = self._ctx.logs.held(self._run_id, self._asset, self._key, limit) if self._with_held else ()
        kept, end = await self.kept(limit)
        lines = [*kept, *(_held_line(step, line, end) for step, line in held)]
        return LogPage(lines[max(0, len(lines) - limit) :], end)


def _held_line(step: tuple[str, str | None, int], line: KeptLine, number: int) -> LogLine:
    at, level, message, fields = line
    said_at = datetime.fromtimestamp(at, UTC)
    return LogLine(said_at, level_name(level), message, fields or {}, *step, number, held=True)


def log_lines(
    ctx: RuntimeContext,
    client: RunClient,
    run_id: str,
    step: tuple[object, object],
    *,
    follow: bool,
    after: int,
    limit: int | None,
    tail: int | None,
    wanted: LogFilter | None,
) -> LogLines:
    """The lines of a run, or of an asset in it, at one partition or all; those that fit."""
    asset, partition = step
    if asset is None and partition is not None:
        raise ArgumentError(
            "A partition is one of an asset.",
            remedies=Remedies("Give asset= as well.", http="Give `asset` as well."),
        )

    async def begin() -> Reader:
        name, key = await client.located(run_id, asset, partition)
        # Who follows gets what is held once it is kept.
        reader = _RuntimeReader(ctx, run_id, name, key, held=not follow)
        graph = (await client.view()).graph
        if name is not None and name not in graph and not (await reader.page(0, 1)).lines:
            _ = graph[name]  # Nor did the run have one that is gone: it says what may be meant.
        return reader if wanted is None else FilteredReader(reader, wanted)

    return LogLines(begin, RuntimeFollower(ctx, run_id) if follow else None, after, limit, tail)
