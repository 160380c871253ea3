"""The logs of attempts, in memory: bounded as a whole, so that those of the oldest runs go first."""

from __future__ import annotations

import sys
from bisect import bisect_right
from typing import TYPE_CHECKING, Final, NamedTuple

from flowstone.store.log_codec import decode_lines, encode_lines
from flowstone.store.logs import LogPage, Logs, newest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from flowstone.runs.log_line import LogLine
    from flowstone.store.history import History
    from flowstone.store.logs import LogChunk

__all__ = ["MemoryLogs"]

_MOST: Final = 64_000_000  # Characters of all lines together.
_CHUNK: Final = 400  # As many as the objects of a chunk count for.


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
        for kept in () if run is None else run.since(after):
            if len(found) >= limit:
                break
            if asset in (None, kept.asset) and partition_key in (None, kept.partition_key):
                step = kept.asset, kept.partition_key, kept.attempt
                left = limit - len(found)
                found += decode_lines(kept.text, step, kept.began, kept.last, after, left)
            if len(found) < limit:
                after = kept.last
        return LogPage(found, found[-1].number if len(found) >= limit > 0 else after)

    async def tail(
        self, run_id: str, *, asset: str | None = None, partition_key: str | None = None, limit: int
    ) -> LogPage:
        found: list[LogLine] = []
        run = self._runs.get(run_id)
        for kept in () if run is None else reversed(run.chunks):
            if len(found) >= limit:
                break
            if asset in (None, kept.asset) and partition_key in (None, kept.partition_key):
                step = kept.asset, kept.partition_key, kept.attempt
                found = [*decode_lines(kept.text, step, kept.began, kept.last, 0, sys.maxsize), *found]
        return newest_of(found, limit)

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


class _Kept(NamedTuple):
    """Lines that were kept together: their step, when the first was said, the number of the last, and the text."""

    asset: str
    partition_key: str | None
    attempt: int
    began: float
    last: int
    text: str


class _RunLines:
    """The lines of one run.

    Attributes:
        chunks: Those that were kept together.
        size: About how many bytes they take.
    """

    __slots__ = ("_lasts", "chunks", "size")

    def __init__(self) -> None:
        self.chunks: list[_Kept] = []
        self._lasts: list[int] = []
        self.size = 0

    def add(self, chunk: LogChunk) -> int:
        """Keep a chunk; returns its size."""
        _, asset, key, attempt, _, lines = chunk
        last = (self._lasts[-1] if self._lasts else 0) + len(lines)
        self._lasts.append(last)
        self.chunks.append(kept := _Kept(asset, key, attempt, lines[0][0], last, encode_lines(lines)))
        size = _size(kept)
        self.size += size
        return size

    def forget_first(self) -> int:
        """Let go of the first chunk; returns its size."""
        size = _size(self.chunks.pop(0))
        del self._lasts[0]
        self.size -= size
        return size

    def since(self, after: int) -> Iterator[_Kept]:
        """The chunks that have lines after this number."""
        for place in range(bisect_right(self._lasts, after), len(self.chunks)):
            yield self.chunks[place]


def _size(kept: _Kept) -> int:
    return len(kept.text) + _CHUNK
