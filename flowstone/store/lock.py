"""Locks between processes that a crash cannot leave locked: the operating system's, on a file that stays behind.

flock, or a locked byte on Windows. The kernel lets go of a lock when the last process that has the file open
ends, and a child process that was given the file has it open as well. So there is no stale lock to clean up, and a
server that inherits its lock file is alive exactly as long as the file is locked: no process id has to be believed,
which may be a zombie's, a stranger's or another container's. To remove the file would let two processes lock two
files of one name.

`FileLock` is such a lock; `OwnerLock` is one that says who holds it.
"""

from __future__ import annotations

import errno
import os
import sys
import time
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from flowstone.errors import StoreUnavailable
from flowstone.remedies import Remedies

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

__all__ = ["FileLock", "OwnerLock"]

_HELD: Final = (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)
_MOMENT: Final = 0.02  # Seconds: far longer than somebody who only looks whether a lock is held has it,
_MOMENTS: Final = 50  # unless the machine is busy.
_NO_LINKS: Final = getattr(os, "O_NOFOLLOW", 0)


class FileLock:
    """A lock file, open from construction until `close`, and locked by none, some or one of those who opened it.

    Args:
        path: Made if it is missing; or the number of a lock file that another process has opened for this one.
        mode: Permissions of a file that is made: who may open a file may lock it.
        links: Whether the path may be a symbolic link.
    """

    def __init__(self, path: Path | int, mode: int = 0o600, *, links: bool = False) -> None:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | (0 if links else _NO_LINKS)
        self._file: int | None = path if isinstance(path, int) else os.open(path, flags, mode)
        _close_in_forks(weakref.ref(self))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        """The open file. Raises ValueError after `close`."""
        if self._file is None:
            raise ValueError("the lock file is closed")
        return self._file

    @property
    def closed(self) -> bool:
        """Whether `close` was called, or this is a forked child of the process that opened it."""
        return self._file is None

    def share(self) -> bool:
        """Lock it together with others, now or not at all."""
        return _try(self.fileno(), shared=True)

    def seize(self) -> bool:
        """Lock it alone, now or not at all. Who shared the lock before and fails may have lost its share."""
        return _try(self.fileno())

    def wait_for(self) -> None:
        """Lock it alone, however long that takes: for a process that has nothing else to do."""
        _lock(self.fileno(), wait=True)

    def release(self) -> None:
        """Lock it no more."""
        _unlock(self.fileno())

    def taken(self) -> bool:
        """Whether somebody else has locked it; leaves it unlocked by us."""
        if not self.seize():
            return True
        self.release()
        return False

    def close(self) -> None:
        """Let go of the lock, unless a child process holds the file too."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


class OwnerLock:
    """An exclusive lock on a file that names its owner, held from `acquire` until `release` or the process's end.

    Args:
        path: The file; made if it is missing.
        mode: Permissions of a file that is made.
    """

    def __init__(self, path: Path, mode: int = 0o600) -> None:
        self._path = path
        self._mode = mode
        self._lock: FileLock | None = None

    def acquire(self) -> None:
        """Take the lock at once. Raises `StoreUnavailable` naming the process that holds it, or OSError."""
        lock = FileLock(self._path, self._mode, links=True)
        try:
            if not (lock.seize() or _seized_soon(lock)):
                holder = _named(lock)
                looking_on = (
                    f"To read it meanwhile, open FileStore({str(self._path.parent)!r}, read_only=True)."
                )
                raise StoreUnavailable(self._refusal(holder), remedies=Remedies(python=looking_on))
        except BaseException:
            lock.close()
            raise
        self._lock = lock
        with suppress(OSError):  # On a full disk; the name of the holder is only a courtesy.
            os.ftruncate(lock.fileno(), 0)
            os.lseek(lock.fileno(), 0, os.SEEK_SET)
            os.write(lock.fileno(), f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Let go of the lock; does nothing if it is not held."""
        lock, self._lock = self._lock, None
        if lock is None or lock.closed:
            return
        with suppress(OSError):
            os.ftruncate(lock.fileno(), 0)
        lock.close()

    def taken(self) -> bool:
        """Whether somebody holds it now; also if that cannot be told. Makes no file."""
        try:
            # Who lets go of it in good order leaves it empty: then it need not be touched to look.
            if not self._path.stat().st_size:
                return False
            with FileLock(self._path, self._mode, links=True) as lock:
                return lock.taken()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True

    def holder(self) -> int | None:
        """The process that holds it, by what that has written, if somebody does; None if it is not known."""
        try:
            written = self._path.read_text(errors="replace").strip()
        except OSError:
            return None
        return int(written) if written.isdecimal() else None

    def held(self) -> bool:
        """Whether it is held, and on the file that others who want it would meet. Raises OSError."""
        if self._lock is None or self._lock.closed:
            return False
        try:
            return os.path.samestat(os.fstat(self._lock.fileno()), self._path.stat())
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _refusal(self, holder: str) -> str:
        who = f"process {holder}" if holder.isdecimal() else "another process"
        if holder == str(os.getpid()):
            who = f"another store of this process ({holder})"
        return (
            f"the store in {self._path.parent} is in use by {who}; stop that one, use another directory, "
            "or use Postgres, which many processes may share."
        )


def _seized_soon(lock: FileLock) -> bool:
    """Somebody may only have looked whether the lock is held, and for that held it.

    While the process that is named is no more, that ends soon, also if it is held up for more than one moment.
    """
    for _ in range(_MOMENTS):
        time.sleep(_MOMENT)
        if lock.seize():
            return True
        holder = _named(lock)
        if not holder.isdecimal() or _exists(int(holder)):
            return False
    return False


def _named(lock: FileLock) -> str:
    """What its last owner has written into the file."""
    os.lseek(lock.fileno(), 0, os.SEEK_SET)
    return os.read(lock.fileno(), 20).decode(errors="replace").strip()


def _close_in_forks(lock: weakref.ref[FileLock]) -> None:
    """A forked child, such as a worker of a process pool, must not hold the lock beyond its parent's death.

    To close its copy does not unlock the file; to keep it would, for as long as the child outlives a kill -9.
    """

    def close() -> None:
        if (held := lock()) is not None:
            held.close()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=close)


def _try(file: int, *, shared: bool = False) -> bool:
    try:
        _lock(file, shared=shared)
    except OSError as error:
        if error.errno in _HELD:
            return False
        raise
    return True


if sys.platform == "win32":
    import msvcrt

    # Far behind the text: a locked byte cannot be read, and others need to read who holds it.
    _BYTE: Final = 1 << 20

    def _lock(file: int, *, shared: bool = False, wait: bool = False) -> None:
        if shared or wait:  # Only embedded Postgres asks for that, which is not for Windows.
            raise OSError(errno.ENOTSUP, "a lock that is shared or waited for")
        _at(file, msvcrt.LK_NBLCK)

    def _unlock(file: int) -> None:
        _at(file, msvcrt.LK_UNLCK)

    def _exists(_: int) -> bool:
        return True  # That cannot be asked here: what asks elsewhere would interrupt the process.

    def _at(file: int, how: int) -> None:
        os.lseek(file, _BYTE, os.SEEK_SET)
        msvcrt.locking(file, how, 1)
        os.lseek(file, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(file: int, *, shared: bool = False, wait: bool = False) -> None:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))

    def _unlock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)

    def _exists(process: int) -> bool:
        try:
            os.kill(process, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:  # It is somebody else's.
            pass
        return True
