"""The store that a directory remembers: a `MemoryStore` whose every write is first in a journal on disk.

Map of this file
    open, close     the lock, reading the journal back, compaction
    create_run ...  the writes, each one operation of the journal
    _record         the way of every write: sanitised, encoded, durable, applied
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from flowstone.errors import IOManagerError, StoreUnavailable
from flowstone.permissions import PRIVATE, checked_mode, make_folders
from flowstone.runs.events import StepProgressed
from flowstone.store.audit_codec import noted
from flowstone.store.codec import encode_event, encode_run
from flowstone.store.compaction import Compactor
from flowstone.store.file_logs import FileLogs
from flowstone.store.group_commit import GroupCommit
from flowstone.store.journal_draft import remove_draft, rewrite
from flowstone.store.journal_file import JournalFile, JournalLost, linked_file
from flowstone.store.journal_lines import encode_operation
from flowstone.store.journal_reader import read_journal
from flowstone.store.lock import OwnerLock
from flowstone.store.memory import MemoryStore, of_one_run, retention
from flowstone.store.replay import Replay
from flowstone.store.sanitise import sanitised, sanitised_run
from flowstone.store.snapshot import live_facts, snapshot
from flowstone.threads import Threads

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Collection, Iterable, Sequence

    from flowstone.runs.audit import Act
    from flowstone.runs.events import Event
    from flowstone.runs.records import Materialization, RunRecord, StepKey
    from flowstone.store.history import History
    from flowstone.store.journal_reader import JournalEnd
    from flowstone.store.replay import Operation

__all__ = ["FileStore"]

T = TypeVar("T")

_FEW: Final = 5_000  # Facts that are replayed in a moment, dead or not.
_MUCH: Final = 2  # Compaction pays when fewer than one fact in so many is live.


class _OpenFiles:
    """What one opening took: a thread, the lock, the journal. Only the thread touches the other two."""

    def __init__(self, thread: Threads, lock: OwnerLock) -> None:
        self.thread = thread
        self.lock = lock
        self.journal: JournalFile | None = None

    def let_go(self) -> asyncio.Future[None]:
        """Give everything back, after whatever the thread still has to do; done when it is given back."""
        done = self.thread.submit(self._let_go)
        self.thread.close()
        return done

    def _let_go(self) -> None:
        if self.journal is not None:
            with suppress(OSError, JournalLost):
                self.journal.end()
            with suppress(OSError):
                self.journal.close()
        self.lock.release()


class FileStore(MemoryStore):
    """Run history in a directory, for one process at a time.

    A write returns once the disk has it (fsync; writes that wait together share one). If the disk refuses,
    it raises `StoreUnavailable` and has changed nothing; the store goes on as soon as the disk does. A
    cancelled write may or may not have been recorded. Reads answer from memory, after `close` as well.

    Args:
        directory: Made if it is missing; holds `journal.jsonl`, `journal.lock` and the folder `logs`, nothing else
            is touched.
        read_only: Take a snapshot at `open`, without the lock: to look on while another process works.
            Writes raise `StoreUnavailable`.
        mode: Permissions of files that it makes, less what the process's umask takes away. A directory that it
            makes can also be entered by those who may read: 0o700 for 0o600, 0o750 for 0o640.

    Attributes:
        directory: Where it is, as it was given.
        mode: Permissions of files that it makes.
        in_use: Whether a process had it open to work with it when it was opened `read_only`: without one, nobody
            drives its unfinished runs.
        holder: That process's id; None if it is not known, or if there is none.
    """

    keeps_payloads = False
    lasts = True
    in_use = False
    holder: int | None = None

    def __init__(self, directory: str | Path, *, read_only: bool = False, mode: int = PRIVATE) -> None:
        super().__init__()
        self.directory = Path(directory)
        self._path = self.directory / "journal.jsonl"
        self.mode = checked_mode(mode)
        self._read_only = read_only
        self._logs = self._file_logs = FileLogs(
            lambda: self._history,
            lambda: linked_file(self._path).with_name("logs"),
            self.mode,
            read_only=read_only,
        )
        self._open_files: _OpenFiles | None = None
        self._commit: GroupCommit | None = None
        self._compactor: Compactor | None = None
        self._closing = False

    def __repr__(self) -> str:
        return f"FileStore({str(self.directory)!r}{', read_only=True' if self._read_only else ''})"

    @property
    def problem(self) -> str | None:
        for part in (self._commit, self._compactor):
            if part is not None and part.problem is not None:
                return part.problem
        return None

    async def open(self) -> None:
        if self._open_files is not None:
            return
        # A later change of the working directory does not move what is open.
        self._path = self.directory.absolute() / "journal.jsonl"
        # Beside the journal itself: two directories may have links to one journal.
        lock = OwnerLock(linked_file(self._path).with_name("journal.lock"), self.mode)
        files = _OpenFiles(Threads(1, f"flowstone store {self.directory}"), lock)
        try:
            read = partial(self._look if self._read_only else self._open, files)
            self._history = await files.thread.submit(read)
        except BaseException as error:
            gone = files.let_go()  # Behind the job above, which may still be at it if we were cancelled.
            if isinstance(error, Exception):
                await gone
            raise
        if files.journal is None:
            files.let_go()
            return
        self._open_files = files
        self._commit = GroupCommit(self._path, files.journal, files.thread)
        self._compactor = Compactor(self._path, files.journal, files.thread, self.mode)
        self._closing = False

    async def close(self) -> None:
        if self._open_files is None or self._commit is None:
            return
        self._closing = True
        await self._commit.drained()
        self._file_logs.close()
        if self._compactor is not None:
            await self._compactor.stop()
        files, self._open_files = self._open_files, None
        if files is not None:  # Else another call closed it meanwhile.
            await files.let_go()

    # Writes -------------------------------------------------------------------------------------------------

    async def create_run(self, run: RunRecord) -> None:
        run = sanitised_run(run)
        await self._record(["run", encode_run(run)], lambda: self._history.create_run(run))

    async def claim(self, run_id: str, owner: str, *, epoch: int) -> RunRecord:
        operation = ["claim", run_id, owner, epoch]
        return await self._record(operation, lambda: self._history.claim(run_id, owner, epoch))

    async def write(self, event: Event, epoch: int = 0, *, payload: bytes | None = None) -> None:
        if payload is not None:
            raise IOManagerError(
                f"the store in {self.directory} keeps no values: let the asset use an IO manager that does, "
                "such as FileIO"
            )
        if isinstance(event, StepProgressed):
            return
        event = sanitised(event)
        operation = ["events", epoch, [encode_event(event)]]
        await self._record(operation, lambda: self._history.write(event, epoch))

    async def write_many(self, events: Sequence[Event], epoch: int = 0) -> None:
        recorded = [sanitised(event) for event in of_one_run(events) if not isinstance(event, StepProgressed)]
        if recorded:
            operation = ["events", epoch, [encode_event(event) for event in recorded]]
            await self._record(operation, lambda: self._history.write_many(recorded, epoch))

    async def invalidate(self, keys: Iterable[StepKey], act: Act | None = None) -> int:
        pairs = list(keys)
        if not pairs:
            return 0
        act, said = noted(act)
        operation = ["invalidate", pairs, *said]
        return await self._record(operation, lambda: self._history.invalidate(pairs, act))

    async def add_partitions(self, name: str, keys: Sequence[str], act: Act | None = None) -> int:
        new = list(keys)
        act, said = noted(act)
        operation = ["add", name, new, *said]
        return await self._record(operation, lambda: self._history.add_partitions(name, new, act))

    async def remove_partitions(self, name: str, keys: Sequence[str], act: Act | None = None) -> int:
        old = list(keys)
        act, said = noted(act)
        operation = ["remove", name, old, *said]
        return await self._record(operation, lambda: self._history.remove_partitions(name, old, act))

    async def prune(
        self,
        *,
        keep_versions: int,
        keep_runs: int,
        assets: Collection[str] | None = None,  # noqa: ARG002 - it holds all values
    ) -> Sequence[Materialization]:
        limits = retention(keep_versions, keep_runs)
        if self._commit is not None and not self._history.may_prune(*limits):
            # Asked every few seconds, mostly for nothing: that is not worth a line, but a good time to notice
            # that the journal has gone, before somebody has something to record.
            if not self._closing:
                await self._commit.check()
            return []
        return await self._record(["prune", *limits], lambda: self._history.prune(*limits))

    async def _settled(self) -> None:
        if self._commit is not None:
            await self._commit.reached()

    async def _change(self, operation: Operation, apply: Callable[[], T]) -> T:
        return await self._record(operation, apply)

    async def _record(self, operation: Operation, apply: Callable[[], T]) -> T:
        if self._commit is None or self._closing:
            if self._read_only:
                raise StoreUnavailable(
                    f"{self.directory} was opened to be looked at; open it without read_only"
                )
            raise StoreUnavailable(
                f"the store in {self.directory} is not open; open it, or use a running runtime"
            )
        result = await self._commit.write(encode_operation(operation), apply)
        if self._compactor is not None:
            self._compactor.look()
        return result

    # On the disk thread -------------------------------------------------------------------------------------

    def _open(self, files: _OpenFiles) -> History:
        try:
            make_folders(self._path.parent, self.mode)
            files.lock.acquire()
            remove_draft(self._path)
            replay = Replay()
            end = self._compacted(read_journal(self._path, replay), replay)
            files.journal = JournalFile(self._path, end, files.lock, self.mode, closed=replay.closed)
        except OSError as error:
            raise StoreUnavailable(self._cannot("open", error)) from error
        return replay.history

    def _compacted(self, end: JournalEnd, replay: Replay) -> JournalEnd:
        """The end of the journal, which is rewritten if most of it is dead or its format is an old one."""
        dead = replay.facts > max(_FEW, _MUCH * live_facts(replay.history))
        if not dead and end.chain is not None:
            return end
        try:
            end = rewrite(self._path, snapshot(replay.history), self.mode)
        except OSError:
            if end.chain is None:
                raise
        else:
            replay.closed = False
        return end

    def _look(self, files: _OpenFiles) -> History:
        replay = Replay()
        try:
            if not self.directory.is_dir():
                raise StoreUnavailable(
                    f"there is no run history in {self.directory}; check the path, or materialize something"
                )
            in_use, holder = files.lock.taken(), files.lock.holder()
            read_journal(self._path, replay)
            # It may have been let go of, or taken, meanwhile.
            self.in_use = in_use or files.lock.taken()
            self.holder = holder if in_use and self.in_use and holder == files.lock.holder() else None
        except OSError as error:
            raise StoreUnavailable(self._cannot("read", error)) from error
        return replay.history

    def _cannot(self, what: str, error: OSError) -> str:
        if isinstance(error, FileExistsError | NotADirectoryError):
            return f"{error.filename} is not a directory; give the store a directory of its own"
        reason = error.strerror or type(error).__name__
        if isinstance(error, PermissionError):
            return (
                f"cannot {what} the store in {self.directory} ({reason}); allow it, or use another directory"
            )
        return f"cannot {what} the store in {self.directory} ({reason}); fix that, or use another directory"
