"""The data directory and its server: made, launched, awaited and halted by whoever holds `start.lock`.

Why not `pg_ctl -w`: it looks every 100 ms and believes process ids. We watch the server's own lock instead,
which it inherits, and so learn at once that it is ready, that it died, or that a killed one is really gone.

Its socket is in a directory that only its account can enter: `socket` beside the data where possible. The name of a
socket has at most 107 bytes, and settings that list directories give some characters a meaning; for other paths
`socket` is a link to a short one elsewhere.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flowstone.errors import StoreUnavailable
from flowstone.frozen import frozen
from flowstone.store.embedded.access import restrict_access
from flowstone.store.embedded.binaries import find_binaries
from flowstone.store.embedded.failure import failed
from flowstone.store.embedded.postmaster import PORT, Postmaster, answers
from flowstone.store.embedded.wait_limit import WaitLimit
from flowstone.store.lock import FileLock

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowstone.store.embedded.account import Account
    from flowstone.store.embedded.binaries import Binaries
    from flowstone.store.embedded.layout import Layout

__all__ = ["DataDirectory", "Held"]

_SYNCFS: Final = 17  # The version whose initdb knows it.
_LOG_SIZE: Final = 1 << 20  # Bytes; a larger log is put aside when the server starts.
_STOPS_WITHIN: Final = 30.0  # Seconds for a checkpoint on a slow disk; then it stops without one.
_LONGEST_NAME: Final = 103  # Bytes in a socket's name: 107 on Linux, 103 on macOS.
_SIGNALLED_WITHIN: Final = 3.0  # Seconds for one that was just launched to write down its process id.

# Light, because a pipeline's history is small; durability is PostgreSQL's default (fsync=on).
_OPTIONS: Final = {
    "max_connections": "100",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",  # At most so much to repeat after a crash.
    "max_parallel_workers_per_gather": "0",
    "dynamic_shared_memory_type": "mmap",  # In the data directory: /dev/shm keeps what a kill leaves.
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
# What keeps others out, and us from looking for it; not to be changed.
_FIXED: Final = {"listen_addresses": "", "port": str(PORT), "unix_socket_permissions": "0700"}


@frozen
class Held:
    """What is known of a server that runs, whatever becomes of its path.

    Args:
        socket: The directory of its socket.
        lock: The open file of `server.lock`.
        data: The open data directory.
        pid: Its process id.
    """

    socket: Path
    lock: int
    data: int
    pid: int


class DataDirectory:
    """A directory and its server. Open for the length of one start or stop; `close` lets go of its files.

    Args:
        layout: Where everything is.
        account: Whoever runs the server.
        held: The files of a server that runs, by which it can be stopped after its directory was moved or removed.
    """

    def __init__(self, layout: Layout, account: Account, held: Held | None = None) -> None:
        self._layout = layout
        self._account = account
        self._lock = account.lock(layout.server) if held is None else FileLock(held.lock)
        self._held = None if held is None else held.data
        self._last = None if held is None else Postmaster(layout.data, held.pid, ready=True, held=held.data)
        # Where it is not in our directory, the socket's has a name that no other server has.
        self._elsewhere = held.socket if held is not None and held.socket != layout.socket else None

    def close(self) -> None:
        self._lock.close()
        held, self._held = self._held, None
        if held is not None:
            os.close(held)

    def in_place(self) -> bool:
        """Whether the directory that is held is at its path, with the file of a server that runs."""
        self._last = self._postmaster()
        return self._at_its_path() and (self._layout.data / "postmaster.pid").exists()

    @property
    def socket(self) -> Path:
        """The directory of the running server's socket."""
        place = self._layout.socket
        return place.readlink() if place.is_symlink() else place

    def alive(self) -> bool:
        """Whether any process of the server exists, or of an initdb that outlived its starter."""
        return self._lock.taken()

    def ready(self) -> bool:
        """Whether the server takes connections."""
        postmaster = Postmaster.of(self._layout.data)
        return postmaster is not None and postmaster.ready and answers(self.socket)

    def start(self, options: Mapping[str, str], limit: WaitLimit) -> None:
        """Have a server that takes connections: the running one, or a new one."""
        self._wait_until_known(limit)
        if not self.alive():
            binaries = find_binaries(self._account, self._major())
            self._create(binaries, synced=options.get("fsync") != "off")
            restrict_access(self._layout.data, self._account, binaries.major)
            self._launch(binaries, options, limit)
        elif restrict_access(self._layout.data, self._account, self._major() or 0):
            self._signalled(signal.SIGHUP)

    def stop(self) -> None:
        """Stop the server and wait for its end; a server that is not there is stopped."""
        ways = [(signal.SIGINT, _STOPS_WITHIN), (signal.SIGQUIT, 5.0)]
        # A directory that was moved or is being removed gets no last checkpoint. PostgreSQL writes `pg_control` by
        # its full path, where a new database may be by now, and new files would be in the way of the removal.
        gone = self._held is not None and not self.in_place()
        for how, seconds in ways[1:] if gone else ways:
            if self._signalled(how) and WaitLimit(seconds).until(lambda: not self.alive()):
                break
        if not self.alive():
            self._clear_socket()

    def _wait_until_known(self, limit: WaitLimit) -> None:
        """Wait for what is alive and not ready: it is starting, stopping, or killed and not gone yet."""
        if not limit.until(lambda: not self.alive() or self.ready()):
            raise StoreUnavailable(
                f"the server in {self._layout.directory} neither answers nor ends, perhaps still repairing "
                f"itself after a crash; see {self._layout.log}, then try again"
            )

    def _signalled(self, how: signal.Signals) -> bool:
        """Tell the postmaster to stop; waits a moment for one that has only just been launched."""

        def sent() -> bool:
            postmaster = self._postmaster()
            return not self.alive() or (postmaster is not None and postmaster.tell(how))

        return WaitLimit(_SIGNALLED_WITHIN).until(sent)

    def _postmaster(self) -> Postmaster | None:
        """What `postmaster.pid` says; of a directory that is held what it said last."""
        found = Postmaster.of(self._layout.data, self._held)
        return found if found is not None or self._held is None else self._last

    def _at_its_path(self) -> bool:
        if self._held is None:
            return True
        with suppress(OSError):
            return os.path.samestat(self._layout.data.stat(), os.fstat(self._held))
        return False

    def _clear_socket(self) -> None:
        """Remove the socket's directory of a server that has ended."""
        # By its own name: what links to it may be somewhere else by now, or be removed before the rest is.
        if self._elsewhere is not None and not answers(self._elsewhere):
            shutil.rmtree(self._elsewhere, ignore_errors=True)
        # What is at the path now may be another server's.
        if self._at_its_path() and self._stranger() is None:
            _remove_socket_directory(self._layout.socket)

    # The data directory -------------------------------------------------------------------------------------

    def _major(self) -> int | None:
        """The version that made the data, None if there is no data yet."""
        data = self._layout.data
        if not data.exists():
            return None
        try:
            return int((data / "PG_VERSION").read_text().split(".")[0])
        except (FileNotFoundError, ValueError) as error:
            raise StoreUnavailable(
                f"{data} is not a data directory of PostgreSQL, or is damaged (PG_VERSION is unreadable); "
                "restore it from a backup, or move it away to start with an empty one"
            ) from error

    def _create(self, binaries: Binaries, *, synced: bool) -> None:
        layout = self._layout
        if layout.data.exists():
            return
        with suppress(FileNotFoundError):
            shutil.rmtree(layout.unfinished)
        self._account.make_directory(layout.unfinished)
        command: list[str | Path] = [binaries / "initdb", "-U", "postgres", "-E", "UTF8"]
        command += ["--auth-local=peer", "--auth-host=reject"]  # Until `restrict_access` says more.
        command += ["--locale=C", *(_how_to_sync(binaries) if synced else ["--no-sync"])]
        self._run(command, layout.unfinished, f"PostgreSQL could not be set up in {layout.directory}")
        layout.unfinished.rename(layout.data)
        if synced:
            _sync(layout.directory)

    # The server ---------------------------------------------------------------------------------------------

    def _launch(self, binaries: Binaries, options: Mapping[str, str], limit: WaitLimit) -> None:
        layout = self._layout
        self._forget_the_dead()
        socket = _make_socket_directory(layout.socket, self._account)
        settings = {**_OPTIONS, **options, **_FIXED, "unix_socket_directories": str(socket)}
        words = [word for each in settings.items() for word in ("-c", "=".join(each))]
        # In `-o`, for pg_ctl gives its own `-D` to a shell with too few quotes; PGDATA is what pg_ctl reads.
        flags = shlex.join(["-D", str(layout.data), *words])
        begun = self._log_size()
        what = f"the server in {layout.directory} did not start"
        self._run([binaries / "pg_ctl", "start", "-W", "-s", "-o", flags], layout.data, what)
        self._wait_until_known(limit)
        if not self.alive():
            raise failed(layout, what, self._account.name, begun)

    def _forget_the_dead(self) -> None:
        """Remove what a killed server left, which PostgreSQL itself would take for a living one's."""
        if (stranger := self._stranger()) is not None:
            raise StoreUnavailable(
                f"process {stranger.pid} is a server in {self._layout.data} that FlowStone did not start; "
                "stop it, or use its postgresql:// URL"
            )
        (self._layout.data / "postmaster.pid").unlink(missing_ok=True)

    def _stranger(self) -> Postmaster | None:
        """The server that runs without our lock, such as one that somebody started by hand."""
        postmaster = Postmaster.of(self._layout.data)
        return postmaster if postmaster is not None and postmaster.lives() and not self.alive() else None

    def _run(self, command: Sequence[str | Path], data: Path, what: str) -> None:
        """Run a program that leaves processes behind; they inherit the server's lock, and the log, never a pipe."""
        layout = self._layout
        begun = self._log_size()
        log = os.open(
            layout.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        try:
            self._account.give(log)
            with self._account.lock(layout.server) as lock:
                lock.share()
                status = self._account.run(
                    command,
                    env={"PGDATA": str(data)},
                    cwd=layout.directory,
                    stdout=log,
                    stderr=log,
                    pass_fds=[lock.fileno()],
                ).returncode
        finally:
            os.close(log)
        if status:
            raise failed(layout, what, self._account.name, begun)

    def _log_size(self) -> int:
        try:
            size = self._layout.log.stat().st_size
        except FileNotFoundError:
            return 0
        if size > _LOG_SIZE:
            self._layout.log.rename(self._layout.log.with_suffix(".log.old"))
            return 0
        return size


def _how_to_sync(binaries: Binaries) -> list[str]:
    # At once where it is possible: one by one, a thousand files are seconds on a busy disk.
    return ["--sync-method=syncfs"] if sys.platform == "linux" and binaries.major >= _SYNCFS else []


def _sync(directory: Path) -> None:
    file = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


# The directory of the socket ------------------------------------------------------------------------------


def _make_socket_directory(place: Path, account: Account) -> Path:
    """Make a new directory and return its path; `place` is it, or a link to it."""
    _remove_socket_directory(place)
    if _fits(place):
        account.make_directory(place)
        return place
    directory = Path(tempfile.mkdtemp(prefix="flowstone-", dir=_base(account)))
    account.give_directory(directory)
    place.symlink_to(directory)
    return directory


def _remove_socket_directory(place: Path) -> None:
    """Remove the directory of a stopped server, wherever it is."""
    if not place.is_symlink():
        with suppress(FileNotFoundError):
            shutil.rmtree(place)
        return
    # A copy of a server's directory links to the original's socket, which may be in use.
    if not answers(directory := place.readlink()):
        shutil.rmtree(directory, ignore_errors=True)
    place.unlink()


def _fits(place: Path) -> bool:
    name = f"{place}/.s.PGSQL.{PORT}"
    return len(os.fsencode(name)) <= _LONGEST_NAME and re.fullmatch(r"[A-Za-z0-9_./+-]+", name) is not None


def _base(account: Account) -> Path:
    # Not XDG_RUNTIME_DIR: it is removed at logout, and a server may go on after that.
    temporary = Path(tempfile.gettempdir())
    usual = _fits(temporary / "flowstone-12345678") and account.barred_from(temporary) is None
    return temporary if usual else Path("/tmp")  # noqa: S108 - mkdtemp makes a name nobody can foresee
