"""The process that stops a server when its last user is gone without having stopped it.

A program ended by SIGTERM or SIGKILL stops nothing: no `finally` runs. So a small process of ours waits for
the lock that each user of the server holds while it exists, and that the kernel lets go of whatever ends them.
There is one for each running server, started with it or by the next user who finds that it is missing; it ends
with the server. Nothing depends on it: without one, a server goes on until its next last user stops it.

The last user that does stop the server ends the reaper, which waits for a lock and has no other ear.

Rejected: a parent-death signal for the server, which its users outlive and share; and to make the server a child
of the reaper, whose own end would then have to be survived by both.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from flowstone.store.embedded.account import Account, account_for
from flowstone.store.embedded.data_directory import DataDirectory
from flowstone.store.embedded.layout import Layout
from flowstone.store.embedded.patience import Patience

__all__ = ["ensure_reaper", "stop_reaper", "watch"]

# It hears no signal that ends a service, for then it is needed. And it imports FlowStone from where this program
# has it, and nothing (-I) from a working directory.
_START: Final = """
import os, signal, sys
for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(each, signal.SIG_IGN)
if os.fork():
    os._exit(0)
from importlib.machinery import PathFinder

class OurFlowstone:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return PathFinder.find_spec(name, [sys.argv[1]]) if name == "flowstone" else None

sys.meta_path.insert(0, OurFlowstone)
from flowstone.store.embedded.reaper import watch
watch(sys.argv[2], int(sys.argv[3]))
"""
_ENDS_WITHIN: Final = 3.0  # Seconds; one that does not belong to us ends by itself.
_PACKAGES: Final = str(Path(__file__).parents[3])


def ensure_reaper(layout: Layout, account: Account) -> None:
    """See that the server has a reaper; for whoever holds `start.lock` and has a server that runs."""
    with account.lock(layout.reaper) as lock:
        if not lock.seize():
            return
        command = [sys.executable, "-I", "-c", _START, _PACKAGES, str(layout.directory), str(lock.fileno())]
        with suppress(OSError):
            # Under our own account, because the server's may not be able to run this Python. It holds the lock.
            Account("").run(
                command,
                cwd="/",
                pass_fds=[lock.fileno()],
                stdout=subprocess.DEVNULL,  # Not a pipe, which the reaper would hold open.
                stderr=subprocess.DEVNULL,
            )


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

        Patience(_ENDS_WITHIN).until(gone)


def watch(directory: str, lock: int) -> None:
    """Be the reaper: return when the server has been stopped, by whomever.

    Args:
        directory: The server's directory.
        lock: The open file of `reaper.lock`, which says that there is one.
    """
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    layout = Layout(Path(directory))
    # All files are opened now: later on somebody may be removing the directory.
    account = account_for(layout.data)
    data = DataDirectory(layout, account)
    with account.lock(layout.start) as start, account.lock(layout.presence) as presence:
        while True:
            presence.wait_for()
            presence.release()
            start.wait_for()
            if presence.seize():
                break
            start.release()  # Somebody has come meanwhile.
        with suppress(OSError):
            data.stop()
        os.close(lock)  # Before the others: who starts a server next must not take us for its reaper.
