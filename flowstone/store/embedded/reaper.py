"""The process that stops a server some time after its last user is gone, whatever ended that.

A command that follows another joins a server that still runs in a fraction of the time that a start takes. So the
last user leaves the server running, and a small process of ours stops it when nobody has come for as long as that
user said. A program ended by SIGTERM or SIGKILL says nothing, no `finally` runs: so the reaper waits for
the lock that each user of the server holds while it exists, and that the kernel lets go of whatever ends them.
There is one for each running server, started with it or by the next user who finds that it is missing; it ends
with the server. Without one, a server goes on until its next last user.

How long a server lingers is written in `presence.lock` by each user that comes or leaves; the newest word counts.
The reaper decides under `start.lock`, which each user that comes holds while it joins.

A user that stops the server at once ends the reaper as well.

Rejected: a parent-death signal for the server, which its users outlive and share; and to make the server a child
of the reaper, whose own end would then have to be survived by both.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from flowstone.store.embedded.account import Account
from flowstone.store.embedded.data_directory import DataDirectory, Held
from flowstone.store.embedded.layout import Layout
from flowstone.store.embedded.postmaster import Postmaster
from flowstone.store.embedded.wait_limit import WaitLimit
from flowstone.store.lock import FileLock

__all__ = ["announce", "ensure_reaper", "stop_reaper", "watch"]

# No signal that ends a service ends it, for then it is needed. And it imports FlowStone from where this program
# has it, and nothing (-I) from a working directory.
_START: Final = """
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
if os.fork():
    os._exit(0)
from importlib.machinery import PathFinder

class OurFlowstone:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return PathFinder.find_spec(name, [sys.argv[1]]) if name == "flowstone" else None

sys.meta_path.insert(0, OurFlowstone)
from flowstone.store.embedded.reaper import watch
watch(sys.argv[2], sys.argv[3], *map(int, sys.argv[4:]))
"""
_LOOKS: Final = 0.25  # Seconds between two looks whether somebody came or the directory went.
_WORD: Final = 64  # Bytes; of one length, so that a word replaces the one before in a single write.
_ENDS_WITHIN: Final = 3.0  # Seconds; one that does not belong to us ends by itself.
_PACKAGES: Final = str(Path(__file__).parents[3])


def announce(presence: FileLock, linger: float) -> None:
    """Say for how many seconds the server goes on without users, as one that comes or leaves."""
    word = f"{linger} {time.monotonic_ns()}\n".encode().ljust(_WORD)
    with suppress(OSError):  # On a full disk the word before counts.
        os.pwrite(presence.fileno(), word, 0)


def ensure_reaper(layout: Layout, account: Account) -> bool:
    """See that the server has a reaper; for whoever holds `start.lock` and has a server that runs.

    Returns:
        False if there is none and none could be started.
    """
    with account.lock(layout.reaper) as lock:
        if not lock.seize():
            return True
        with suppress(OSError), ExitStack() as opened:
            # Opened for it and by us: until it has begun, somebody may have moved or removed the directory.
            locks = [
                opened.enter_context(account.lock(each))
                for each in (layout.start, layout.presence, layout.server)
            ]
            data = os.open(layout.data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            opened.callback(os.close, data)
            socket = layout.socket.readlink() if layout.socket.is_symlink() else layout.socket
            postmaster = Postmaster.of(layout.data)
            places = [str(layout.directory), str(socket)]
            files = [lock.fileno(), *(each.fileno() for each in locks), data]
            numbers = [*files, 0 if postmaster is None else postmaster.pid]
            # Under our own account, because the server's may not be able to run this Python. It holds the lock.
            started = Account("").run(
                [sys.executable, "-I", "-c", _START, _PACKAGES, *places, *map(str, numbers)],
                cwd="/",
                pass_fds=files,
                stdout=subprocess.DEVNULL,  # Not a pipe, which the reaper would hold open.
                stderr=subprocess.DEVNULL,
            )
            return started.returncode == 0
    return False


def stop_reaper(layout: Layout, account: Account) -> None:
    """End the reaper of a server that was stopped: its directory may be removed next, or unmounted.

    For whoever holds `start.lock`: without that the reaper does not end by itself, so that the process id it has
    written into its lock file is its own for as long as the file is locked.
    """
    with account.lock(layout.reaper) as lock:

        def gone() -> bool:
            if not lock.taken():
                return True
            with suppress(OSError, ValueError):  # It has just been started, or belongs to another user.
                os.kill(int(os.pread(lock.fileno(), 20, 0)), signal.SIGKILL)
            return False

        WaitLimit(_ENDS_WITHIN).until(gone)


def watch(directory: str, socket: str, reaper: int, start: int, presence: int, *server: int) -> None:
    """Be the reaper: return when the server has been stopped, by whomever.

    Args:
        directory: The server's directory.
        socket: The directory of its socket.
        reaper: The open file of `reaper.lock`, locked, which says that there is one.
        start: The open file of `start.lock`.
        presence: The open file of `presence.lock`.
        server: The open file of `server.lock`, the open data directory, and the server's process id.
    """
    os.ftruncate(reaper, 0)
    os.pwrite(reaper, str(os.getpid()).encode(), 0)
    running = DataDirectory(Layout(Path(directory)), Account(""), Held(Path(socket), *server))
    with FileLock(start) as starting, FileLock(presence) as users:
        _Watch(running, starting, users).until_nobody_comes()
        with suppress(OSError):
            running.stop()
        os.close(reaper)  # Before the others: who starts a server next must not take us for its reaper.


class _Watch:
    """Waits for the end of the last user, and then for the end of the linger time."""

    def __init__(self, data: DataDirectory, start: FileLock, presence: FileLock) -> None:
        self._data = data
        self._start = start
        self._presence = presence
        self._hurried = False
        ending = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for each in ending:
            signal.signal(each, self._hurry)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ending)  # One that came before now was kept for us.

    def until_nobody_comes(self) -> None:
        """Return, with `start.lock` and `presence.lock` locked, when nobody is there and the time is over."""
        while True:
            self._presence.wait_for()
            self._presence.release()
            word = self._word()
            self._linger(word)
            self._start.wait_for()
            if self._presence.seize():
                if self._word() == word:
                    return
                self._presence.release()  # Somebody has come and left meanwhile.
            self._start.release()

    def _linger(self, word: bytes) -> None:
        end = time.monotonic() + _seconds(word)
        while self._data.in_place() and not self._hurried and self._word() == word:
            left = end - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, _LOOKS))

    def _word(self) -> bytes:
        return os.pread(self._presence.fileno(), _WORD, 0)

    def _hurry(self, *_: object) -> None:
        # The machine, or the session of its user, is about to end: from now on the server does not linger.
        self._hurried = True


def _seconds(word: bytes) -> float:
    with suppress(ValueError, IndexError):  # Empty where an older FlowStone made the file.
        return float(word.split()[0])
    return 0.0
