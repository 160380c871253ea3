"""PostgreSQL in a directory, shared by the processes that use it and repaired by the next one after any kill."""

from __future__ import annotations

import asyncio
import math
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from flowstone.errors import StoreUnavailable
from flowstone.permissions import PRIVATE, make_folders
from flowstone.store.embedded.account import Account, account_for
from flowstone.store.embedded.data_directory import DataDirectory
from flowstone.store.embedded.failure import refused
from flowstone.store.embedded.fitness import barred, refuse_windows
from flowstone.store.embedded.layout import Layout
from flowstone.store.embedded.postmaster import PORT
from flowstone.store.embedded.reaper import announce, ensure_reaper, stop_reaper
from flowstone.store.embedded.wait_limit import WaitLimit
from flowstone.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flowstone.store.lock import FileLock

__all__ = ["EmbeddedServer"]

_PATIENCE: Final = 60.0  # Seconds for others who start or stop it, and for its repair after a crash.
_NO_OPTIONS: Final[Mapping[str, str]] = MappingProxyType({})


class EmbeddedServer:
    """A PostgreSQL server in a directory: the first user starts it, and it stops after the last one has left.

    Users are objects of this class that have started and not stopped, in any number of processes. A process
    that ends without `stop`, by a signal or a crash, counts no more: if it was the last one, a process that
    guards the server stops it after `linger`. After a kill -9 of users, of the server, or of all of them, `start`
    repairs what it finds; call it again to get back a server that was killed in use.

    The server listens on no port. Its socket is in a directory that only the account it runs under can enter, and
    it lets in nobody but that account and root, which the kernel names to it: there is no password. Started by
    root it runs as `postgres` or `nobody`.

    Args:
        directory: Made if it is missing; everything the server needs is in there. Removing it, with the
            server stopped, removes all of it.
        options: Settings of PostgreSQL for when this object is the one that starts the server, such as
            `{"fsync": "off"}` for tests.
        linger: Seconds that the server goes on without users after the last one has left or was killed; whoever
            comes within that time need not start it. Of several users, the one that came or left last decides.
            `stop` does not wait for it. If the directory is moved or removed meanwhile, the server stops.

    Raises:
        ValueError: `linger` is negative or not finite.
    """

    def __init__(
        self, directory: str | Path, *, options: Mapping[str, str] = _NO_OPTIONS, linger: float = 0.0
    ) -> None:
        if not (math.isfinite(linger) and linger >= 0):
            raise ValueError(f"linger is a number of seconds from 0 on, not {linger!r}")
        self._layout = Layout(Path(os.path.realpath(directory)))
        self._options = dict(options)
        self._lingers = linger
        self._use: FileLock | None = None
        self._presence: FileLock | None = None
        self._turn = Lock()

    def __repr__(self) -> str:
        return f"EmbeddedServer({str(self._layout.directory)!r})"

    async def open(self) -> str:
        """`start` for coroutines. Cancelled, it first takes back what it has begun."""
        used, abandoned = self._use is not None, Event()
        thread = Threads(1, f"flowstone start of {self._layout.directory}")
        starting = thread.submit(lambda: self._start(abandoned))
        try:
            return await starting
        except BaseException:
            abandoned.set()
            with suppress(StoreUnavailable):  # A cancelled call ends as cancelled.
                # Behind the start, which may still be at it.
                await thread.submit((lambda: None) if used else self.stop)
            raise
        finally:
            thread.close()

    async def close(self, *, at_once: bool = False) -> None:
        """`leave` for coroutines, or `stop`. Cancelled, it does so all the same, and then ends as cancelled.

        Args:
            at_once: Whether the server, if nobody else uses it, stops without lingering.
        """
        thread = Threads(1, f"flowstone stop of {self._layout.directory}")
        try:
            await thread.submit(self.stop if at_once else self.leave)
        except asyncio.CancelledError:
            await thread.submit(lambda: None)  # Behind the stop.
            raise
        finally:
            thread.close()

    def start(self) -> str:
        """Become a user of the server, starting it if need be, and return its URL.

        Blocks, for a second when the directory is new. Started already, it sees that the server still runs.

        Raises:
            StoreUnavailable: There is no PostgreSQL, or it cannot run there; the message says what to do.
        """
        return self._start(Event())

    def stop(self) -> None:
        """Cease to be a user; the last one stops the server. Does nothing if not started. Blocks for a moment."""
        self._end(lingers=False)

    def leave(self) -> None:
        """Cease to be a user; unused for `linger`, the server stops. Does nothing if not started."""
        self._end(lingers=self._lingers > 0)

    def _end(self, *, lingers: bool) -> None:
        with self._turn, self._as_errors():
            if self._use is None:
                return
            try:
                account = account_for(self._layout.data)
                with self._alone(account, WaitLimit(_PATIENCE)) as data:
                    # Without a reaper nobody would stop it.
                    if lingers and self._presence is not None and ensure_reaper(self._layout, account):
                        announce(self._presence, self._lingers)
                    else:
                        self._leave(data, account)
            finally:
                self._give_up()

    def _start(self, abandoned: Event) -> str:
        refuse_windows()
        limit = WaitLimit(_PATIENCE, abandoned)
        with self._turn, self._as_errors():
            account = self._prepare()
            with self._alone(account, limit) as data:
                return self._join(data, account, limit)

    def _prepare(self) -> Account:
        """Make the directory, and see that the server's account can enter it."""
        directory = self._layout.directory
        if (directory / "PG_VERSION").exists():
            raise StoreUnavailable(
                f"{directory} is itself a data directory of PostgreSQL; "
                "give embedded Postgres a directory of its own"
            )
        account = account_for(self._layout.data)
        self._make(directory, account)
        if (closed := barred(account, directory)) is not None:
            raise StoreUnavailable(closed)
        return account

    @staticmethod
    def _make(directory: Path, account: Account) -> None:
        missing = make_folders(directory, PRIVATE)
        if account.ids is None:
            return
        ours = missing or ([] if any(directory.iterdir()) else [directory])
        for (
            each
        ) in ours:  # Private, but the account has to pass through, whatever our umask or `mkdtemp` thinks.
            each.chmod(each.stat().st_mode | 0o011)

    def _join(self, data: DataDirectory, account: Account, limit: WaitLimit) -> str:
        used = self._use is not None
        if self._use is None:
            self._use = account.lock(self._layout.users)
        if self._presence is None:
            self._presence = account.lock(self._layout.presence)
        try:
            self._use.share()
            limit.until(self._presence.share)  # The reaper may be looking whether anybody is there.
            announce(self._presence, self._lingers)
            data.start(self._options, limit)
            ensure_reaper(self._layout, account)
        except BaseException:
            if not used:
                self._leave(data, account)
            raise
        host = quote(str(data.socket), safe="/")
        return f"postgresql://postgres@/postgres?host={host}&port={PORT}"

    def _leave(self, data: DataDirectory, account: Account) -> None:
        try:
            # If nobody shares it now, nobody will until we are done: we hold start.lock.
            if self._use is not None and self._use.seize():
                data.stop()
                stop_reaper(self._layout, account)
        finally:
            self._give_up()

    def _give_up(self) -> None:
        locks = (self._use, self._presence)
        self._use = self._presence = None
        for lock in locks:
            if lock is not None:
                lock.close()

    @contextmanager
    def _alone(self, account: Account, limit: WaitLimit) -> Iterator[DataDirectory]:
        """The server, while nobody else starts or stops it."""
        with account.lock(self._layout.start) as lock:
            if not limit.until(lock.seize):
                raise StoreUnavailable(
                    f"another process starts or stops the server in {self._layout.directory} "
                    f"and has not finished in {_PATIENCE:.0f} s; end it and try again"
                )
            data = DataDirectory(self._layout, account)
            try:
                yield data
            finally:
                data.close()

    @contextmanager
    def _as_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise refused(self._layout, error) from error
