"""Many writers, one fsync: group commit over a journal file.

A writer leaves an operation, which becomes a line, and waits. While the disk is busy with one batch, the next
one gathers; so a batch is as large as the disk is slow, and nobody waits for more than the batch under way and
their own. What a line does to the state in memory happens when the line is durable, in the order of the lines,
whether or not its writer still waits: acknowledged means on disk, a failed write has changed nothing, and a
cancelled writer cannot tear a batch or leave it half applied.

Rejected: applying at once and rolling back when the disk fails. It shows readers what may never have been,
and an undo for every command is twice the code.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from flowstone.errors import StoreUnavailable
from flowstone.store.journal_file import JournalLost

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flowstone.store.journal_file import JournalFile
    from flowstone.threads import Threads

__all__ = ["GroupCommit"]

T = TypeVar("T")


@dataclass(slots=True)
class _Write(Generic[T]):
    body: bytes | None
    apply: Callable[[], T]
    done: asyncio.Future[T]


class GroupCommit:
    """Appends lines durably and then applies them.

    Args:
        path: The journal's path, for messages.
        file: The journal.
        thread: Where the disk is waited for.

    Attributes:
        problem: Why the disk did not take what was last given to it, or None.
    """

    def __init__(self, path: Path, file: JournalFile, thread: Threads) -> None:
        self._path = path
        self._file = file
        self._thread = thread
        self.problem: str | None = None
        self._loop = asyncio.get_running_loop()
        self._waiting: list[_Write[Any]] = []
        self._busy = False
        self._idle = asyncio.Event()
        self._idle.set()

    async def write(self, body: bytes, apply: Callable[[], T]) -> T:
        """Make an operation durable, then apply it; returns or raises what `apply` does.

        Raises:
            StoreUnavailable: The disk refused it, or the journal is lost; nothing was recorded.
        """
        return await self._write(body, apply)

    async def reached(self) -> None:
        """Wait until all that was to be written by now is applied or refused; its callers may have gone."""
        if self._busy:
            with suppress(StoreUnavailable):
                await self._write(None, _nothing)

    async def _write(self, body: bytes | None, apply: Callable[[], T]) -> T:
        write: _Write[T] = _Write(body, apply, self._loop.create_future())
        self._waiting.append(write)
        if not self._busy:
            self._busy = True
            self._idle.clear()
            self._loop.call_soon(self._flush)  # Not at once: all who are ready to write come along.
        result: T = await write.done
        return result

    async def check(self) -> None:
        """Ask whether the journal is still in its place, without writing. Raises `StoreUnavailable`."""
        try:
            await self._thread.submit(self._file.check)
        except (OSError, JournalLost) as error:
            refusal = self._refusal(error)
            self.problem = str(refusal)
            raise refusal from error

    async def drained(self) -> None:
        """Wait until no line is on its way to the disk."""
        await self._idle.wait()

    def _flush(self) -> None:
        batch, self._waiting = self._waiting, []
        bodies = [write.body for write in batch if write.body is not None]
        if not bodies:  # All before it is done.
            self._resolve(batch, None)
            return
        committed = self._thread.submit(partial(self._file.append, bodies))
        committed.add_done_callback(partial(self._resolve, batch))

    def _resolve(self, batch: list[_Write[Any]], committed: asyncio.Future[None] | None) -> None:
        error = None if committed is None else committed.exception()
        if committed is not None:
            self.problem = None if error is None else str(self._refusal(error))
        for write in batch:
            if error is None:
                _apply(write)
            elif not write.done.done():
                write.done.set_exception(self._refusal(error))
        if self._waiting:
            self._flush()
        else:
            self._busy = False
            self._idle.set()

    def _refusal(self, error: BaseException) -> StoreUnavailable:
        if isinstance(error, JournalLost):
            refusal = StoreUnavailable(
                f"{error}, so this was not recorded and nothing more will be; put the journal back, or restore "
                "it from a copy, and open the store again"
            )
        else:
            reason = (
                (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
            )
            refusal = StoreUnavailable(
                f"cannot write {self._path} ({reason}), so this was not recorded; free space or fix the disk, "
                "then try again: the store goes on by itself"
            )
        refusal.__cause__ = error
        return refusal


def _nothing() -> None:
    """It is only waited for."""


def _apply(write: _Write[Any]) -> None:
    try:
        result = write.apply()
    except Exception as error:
        if not write.done.done():
            write.done.set_exception(error)
    else:
        if not write.done.done():
            write.done.set_result(result)
