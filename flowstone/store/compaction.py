"""Compaction of a journal while its store lives, beside its writers.

    the journal has doubled         look
    a thread of its own             reads the journal up to its end of then, into a state of its own, and writes
                                    what is alive into a draft; if that is more than half, it is given up
    the same thread                 copies the lines that were written meanwhile, until few are left
    the disk thread, between two    copies those few, syncs, renames the draft over the journal and goes on in it
    batches of writers

Writers wait for the last step alone: two syncs more than a batch has. The thread works in slices of a millisecond
and sleeps as long after each, because it shares the interpreter with the event loop.

Rejected: to write down the state that is in memory. It changes while it is written, and to copy it first holds up
the loop for as long as it is large; what is in the file up to a given byte never changes.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from functools import partial
from threading import Event
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Final

from flowstone.errors import StoreUnavailable
from flowstone.store.disk_thread import DiskThread
from flowstone.store.journal_draft import Draft
from flowstone.store.journal_lines import decode_body
from flowstone.store.journal_reader import JournalReader, damage
from flowstone.store.replay import Replay
from flowstone.store.snapshot import snapshot

if TYPE_CHECKING:
    from pathlib import Path

    from flowstone.store.journal_file import JournalFile

__all__ = ["Compactor"]

_log = logging.getLogger(__name__)

_LEAST: Final = 4_000_000  # Bytes that are read back in a moment, dead or not.
_GROWTH: Final = 2  # A journal is looked at when it is so many times as large as after the last look.
_WORTH: Final = 2  # It is replaced if it is more than so many times as large as what is alive in it.
_SLICE: Final = 0.001  # Seconds.
_REST: Final = 64 * 1024  # Bytes that are copied while writers wait.


class Compactor:
    """Looks after the size of an open journal. Made on the loop of the store.

    Args:
        path: The journal's path, absolute.
        journal: The journal.
        disk: The thread that appends to it.
        mode: Permissions of a journal that is made.

    Attributes:
        problem: Why the last attempt failed, or None.
    """

    def __init__(self, path: Path, journal: JournalFile, disk: DiskThread, mode: int) -> None:
        self.problem: str | None = None
        self._path = path
        self._journal = journal
        self._disk = disk
        self._mode = mode
        self._stop = Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._looked()

    def look(self) -> None:
        """Begin a compaction, if the journal has grown enough and none is under way."""
        if self._journal.length < self._due or not self._idle.is_set() or self._stop.is_set():
            return
        self._idle.clear()
        thread = DiskThread(f"flowstone compaction {self._path}")
        work = partial(_prepare, self._path, self._journal, self._mode, _Pace(self._stop))
        thread.submit(work).add_done_callback(self._prepared)
        thread.stop()

    async def settled(self) -> None:
        """Wait until no compaction is under way."""
        await self._idle.wait()

    async def stop(self) -> None:
        """Give up a compaction that is under way, begin no other, and wait until nothing is left of it."""
        self._stop.set()
        await self._idle.wait()

    def _prepared(self, done: asyncio.Future[_Prepared | None]) -> None:
        error = done.exception()
        prepared = None if error is not None else done.result()
        if prepared is None:
            self._over(error)
            return
        switching = self._disk.submit(partial(_switch, self._journal, prepared))
        switching.add_done_callback(lambda done: self._over(done.exception()))

    def _over(self, error: BaseException | None) -> None:
        if not isinstance(error, _Stopped):
            self.problem = None if error is None else self._complaint(error)
        self._looked()
        self._idle.set()

    def _looked(self) -> None:
        self._due = max(_LEAST, _GROWTH * self._journal.length)

    def _complaint(self, error: BaseException) -> str:
        said = str(error) if isinstance(error, StoreUnavailable) else f"{type(error).__name__}: {error}"
        _log.warning("%s was not compacted, and goes on as it is: %s", self._path, said)
        return f"the journal was not compacted: {said}"


class _Stopped(Exception):
    """The store is being closed."""


class _Pace:
    """Lets other threads have the interpreter, and ends the work when the store is closed."""

    def __init__(self, stop: Event) -> None:
        self._stop = stop
        self._since = perf_counter()

    def keep(self) -> None:
        """Called between small pieces of work. Raises `_Stopped`."""
        if self._stop.is_set():
            raise _Stopped
        if perf_counter() - self._since >= _SLICE:
            sleep(_SLICE)
            self._since = perf_counter()


@dataclass(slots=True)
class _Prepared:
    """A draft that says what the journal says up to where the reader is."""

    draft: Draft
    reader: JournalReader

    def copy(self, until: int, pace: _Pace | None = None) -> None:
        """Add the journal's lines up to a length. Raises OSError and `Damaged`."""
        self.reader.resume()
        for body in self.reader.bodies(until):
            self.draft.add_body(body)
            if pace is not None:
                pace.keep()


def _prepare(path: Path, journal: JournalFile, mode: int, pace: _Pace) -> _Prepared | None:
    """A draft that lacks only the newest lines, or None if it is not worth it."""
    length = journal.length
    with JournalReader(path) as reader:
        replay = Replay()
        try:
            for body in reader.bodies(length):
                replay.apply(decode_body(body))
                pace.keep()
        except ValueError as error:
            raise StoreUnavailable(damage(reader, error, replay)) from error
    draft = Draft(path, mode)
    try:
        for operation in snapshot(replay.history):
            draft.add([operation])
            if draft.size * _WORTH > length:
                draft.discard()
                return None
            pace.keep()
        prepared = _Prepared(draft, reader)
        while journal.length - reader.length > _REST:
            prepared.copy(journal.length, pace)
            draft.sync()
        draft.sync()
    except BaseException:
        draft.discard()
        raise
    return prepared


def _switch(journal: JournalFile, prepared: _Prepared) -> None:
    """Complete the draft and go on in it. Raises OSError, `JournalLost` or `Damaged`: the journal is as it was."""
    draft = prepared.draft
    try:
        journal.check()
        prepared.copy(journal.length)
        draft.sync()
        draft.put_in_place()
    except BaseException:
        draft.discard()
        raise
    finally:
        prepared.reader.close()
    journal.go_on_in(draft.file, draft.chain, draft.length)
