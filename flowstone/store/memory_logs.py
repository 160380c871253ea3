"""The logs of attempts, in memory: bounded as a whole, so that those of the oldest runs go first."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from flowstone.runs.log_line import LogLine, level_name
from flowstone.store.logs import LogPage, Logs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from flowstone.store.history import History
    from flowstone.store.logs import LogChunk

__all__ = ["MemoryLogs", "lines_of"]

_MOST: Final = 64_000_000  # Characters of all lines together.
_LINE: Final = 200  # As many as the rest of a line counts for.


class MemoryLogs(Logs):
    """The logs of a `MemoryStore`.

    Args:
        history: The state, now.
        most: About how many bytes all lines may take together.
    """

    def __init__(self, history: Callable[[], History], most: int = _MOST) -> None:
        self._history = history
        self._most = most
        self._size = 0
        self._runs: dict[str, _RunLines] = {}  # By age: the run that spoke first is the first.

    async def append(self, writer: int, chunks: Sequence[LogChunk]) -> None:
        del writer  # Nothing is lost on the way, so nothing comes again.
        history = self._history()
        for chunk in chunks:
            if history.find(chunk.run_id) is not None:
                run = self._runs.get(chunk.run_id)
                if run is None:
                    run = self._runs[chunk.run_id] = _RunLines()
                self._size += run.add(chunk)
        while self._size > self._most and self._runs:
            self._forget_oldest()

    async def page(
        self,
        run_id: str,
        *,
        asset: str | None = None,
        partition_key: str | None = None,
        after: int = 0,
        limit: int = 1000,
    ) -> LogPage:
        found: list[LogLine] = []
        run = self._runs.get(run_id)
        for first, chunk in () if run is None else run.since(after):
            if len(found) >= limit:
                break
            if asset in (None, chunk.asset) and partition_key in (None, chunk.partition_key):
                found += lines_of(chunk, first, after, limit - len(found))
            if len(found) < limit:
                after = max(after, first + len(chunk.lines) - 1)
        return LogPage(found, found[-1].number if len(found) >= limit > 0 else after)

    async def prune(self) -> None:
        history = self._history()
        for run_id in [run_id for run_id in self._runs if history.find(run_id) is None]:
            self._size -= self._runs.pop(run_id).size

    def _forget_oldest(self) -> None:
        run_id, run = next(iter(self._runs.items()))
        if len(self._runs) == 1 and len(run.chunks) > 1:
            self._size -= run.forget_first()
        else:
            self._size -= self._runs.pop(run_id).size


class _RunLines:
    """The lines of one run.

    Attributes:
        chunks: Its chunks.
        size: About how many bytes they take.
    """

    __slots__ = ("_lasts", "chunks", "size")

    def __init__(self) -> None:
        self.chunks: list[tuple[LogChunk, int]] = []
        self._lasts: list[int] = []  # The number of the last line of each chunk.
        self.size = 0

    def add(self, chunk: LogChunk) -> int:
        """Keep a chunk; returns its size."""
        size = sum(_LINE + len(line[2]) + (len(str(line[3])) if line[3] else 0) for line in chunk.lines)
        self._lasts.append((self._lasts[-1] if self._lasts else 0) + len(chunk.lines))
        self.chunks.append((chunk, size))
        self.size += size
        return size

    def forget_first(self) -> int:
        """Let go of the first chunk; returns its size."""
        _, size = self.chunks.pop(0)
        del self._lasts[0]
        self.size -= size
        return size

    def since(self, after: int) -> Iterator[tuple[int, LogChunk]]:
        """The chunks that have lines after this number, each with the number of its first line."""
        for place in range(bisect_right(self._lasts, after), len(self.chunks)):
            chunk, _ = self.chunks[place]
            yield self._lasts[place] - len(chunk.lines) + 1, chunk


def lines_of(chunk: LogChunk, first: int, after: int, limit: int) -> list[LogLine]:
    """The lines of a chunk whose first one has the number `first`, as they are read."""
    start = max(0, after - first + 1)
    return [
        LogLine(
            datetime.fromtimestamp(at, UTC),
            level_name(level),
            message,
            fields or {},
            chunk.asset,
            chunk.partition_key,
            chunk.attempt,
            first + number,
        )
        for number, (at, level, message, fields) in enumerate(chunk.lines[start : start + limit], start)
    ]
