"""Compaction of a journal while its store lives, beside its writers.

    the journal has doubled         look
    a process of its own            reads the journal up to its end of then and writes what is alive into a draft
                                    (see `summary`); if that is more than half, it is given up
    a thread of its own             checks the draft and copies the lines that were written meanwhile, until few are
                                    left, in slices of a millisecond
    the disk thread, between two    copies those few, syncs, renames the draft over the journal and goes on in it
    batches of writers

Writers wait for the last step alone: two syncs more than a batch has.

Rejected: to write down the state that is in memory. It changes while it is written, and to copy it first holds up
the loop for as long as it is large; what is in the file up to a given byte never changes.
"""

from __future__ import annotations

import asyncio
import logging
import os
from functools import partial
from typing import TYPE_CHECKING, Final

from flowstone.errors import StoreUnavailable
from flowstone.store.journal_draft import Draft, draft_of, open_draft, put_in_place, remove_draft
from flowstone.store.journal_reader import JournalReader
from flowstone.store.summary import Stopped, Summary
from flowstone.threads import Threads

if TYPE_CHECKING:
    from pathlib import Path

    from flowstone.store.journal_file import JournalFile
    from flowstone.store.journal_reader import JournalEnd

__all__ = ["Compactor"]

_log = logging.getLogger(__name__)

_LEAST: Final = 4_000_000  # Bytes that are read back in a moment, dead or not.
_GROWTH: Final = 2  # A journal is looked at when it is so many times as large as after the last look.
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

    def __init__(self, path: Path, journal: JournalFile, disk: Threads, mode: int) -> None:
        self.problem: str | None = None
        self._path = path
        self._journal = journal
        self._disk = disk
        self._mode = mode
        self._work: _Work | None = None
        self._thread: Threads | None = None
        self._stopping = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._looked()

    def look(self) -> None:
        """Begin a compaction, if the journal has grown enough and none is under way."""
        if self._journal.length < self._due or self._work is not None or self._stopping:
            return
        self._idle.clear()
        self._work = _Work(self._path, self._journal, self._mode)
        self._disk.submit(self._journal.place).add_done_callback(self._begin)

    async def idle(self) -> None:
        """Wait until no compaction is under way."""
        await self._idle.wait()

    async def stop(self) -> None:
        """Give up a compaction that is under way, begin no other, and wait until nothing is left of it."""
        self._stopping = True
        if self._work is not None:
            self._work.summary.stop()
        await self._idle.wait()

    def _begin(self, found: asyncio.Future[JournalEnd]) -> None:
        assert self._work is not None
        self._thread = Threads(1, f"flowstone compaction {self._path}")
        self._thread.submit(partial(self._work.prepare, found.result())).add_done_callback(self._prepared)

    def _prepared(self, done: asyncio.Future[bool]) -> None:
        assert self._work is not None
        if done.exception() is None and done.result():
            self._disk.submit(self._work.switch).add_done_callback(self._switched)
        else:
            self._switched(done)

    def _switched(self, done: asyncio.Future[bool]) -> None:
        assert self._work is not None
        assert self._thread is not None
        error = done.exception()
        if not isinstance(error, Stopped):
            self.problem = None if error is None else self._complaint(error)
        self._thread.submit(self._work.clean).add_done_callback(self._over)
        self._thread.close()

    def _over(self, done: asyncio.Future[None]) -> None:
        done.exception()  # To fail to close what nobody uses any more is nobody's concern.
        self._work = None
        self._looked()
        self._idle.set()

    def _looked(self) -> None:
        self._due = max(_LEAST, _GROWTH * self._journal.length)

    def _complaint(self, error: BaseException) -> str:
        said = str(error) if isinstance(error, StoreUnavailable) else f"{type(error).__name__}: {error}"
        _log.warning("%s was not compacted, and goes on as it is: %s", self._path, said)
        return f"the journal was not compacted: {said}"


class _Work:
    """One compaction. Its steps run one after the other, on threads that may wait."""

    def __init__(self, path: Path, journal: JournalFile, mode: int) -> None:
        self.summary = Summary()
        self._path = path
        self._journal = journal
        self._mode = mode
        self._draft: Draft | None = None
        self._reader: JournalReader | None = None
        self._unused: int | None = None

    def prepare(self, start: JournalEnd) -> bool:
        """Make a draft that lacks only the newest lines; False if it is not worth it."""
        self._unused = file = open_draft(self._path, self._mode)
        if not self.summary.write(self._path, start.length, file):
            return False
        with JournalReader(draft_of(self._path)) as written:
            for _ in written.bodies():
                self.summary.keep_pace()
        self._draft = Draft(file, written.end)
        self._reader = JournalReader(self._path, start)
        while self._journal.length - self._reader.length > _REST:
            self._copy(self._draft, self._reader)
            self._draft.sync()
        return True

    def switch(self) -> bool:
        """Complete the draft and go on in it; on the disk thread. If it raises, the journal is as it was."""
        assert self._draft is not None
        assert self._reader is not None
        self._copy(self._draft, self._reader, at_once=True)
        self._draft.sync()
        self._journal.check()
        put_in_place(self._path)
        self._unused = self._journal.go_on_in(self._draft.file, self._draft.chain, self._draft.length)
        return True

    def clean(self) -> None:
        """Remove the draft if it was not used, and close what is not used any more."""
        if self._reader is not None:
            self._reader.close()
        if self._unused is not None:
            remove_draft(self._path)
            os.close(self._unused)

    def _copy(self, draft: Draft, reader: JournalReader, *, at_once: bool = False) -> None:
        """Add the lines that the journal has by now."""
        reader.resume()
        for body in reader.bodies(self._journal.length):
            draft.add_body(body)
            if not at_once:
                self.summary.keep_pace()
