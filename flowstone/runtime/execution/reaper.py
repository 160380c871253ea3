"""What sees to it, on Linux, that a worker process and all it has started end together.

A process group does not reach far enough: children that begin a session of their own leave it, and who would
send the signal if the kernel has killed the worker, or the program? So the process that a program starts stays
behind as the *reaper* of the worker, which it forks off before anything is imported:

    program ── reaper ── worker ── whatever it starts

The reaper is a subreaper: an orphan among its descendants becomes its child instead of init's, so that none ever
leaves its tree. When the worker has ended, the program has, or the program says so (through a pipe), it
kills its whole tree and ends as the worker did. If the reaper itself is killed, the kernel kills the
worker.

Rejected: making the program the subreaper, which would give it the orphans of everything else that it starts.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from contextlib import suppress
from typing import NoReturn

__all__ = ["AVAILABLE", "become_worker"]

AVAILABLE = sys.platform == "linux"

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_ENDS_WITHIN = 5.0  # Seconds for what was killed to be gone: longer than that only the kernel can hold it.
_LOOK_AGAIN_AFTER = 0.001


def become_worker(program: int, control: int) -> None:
    """Return in a process that a reaper looks after; called once, before there are other threads.

    Args:
        program: The process id of the program that started this one.
        control: The end of a pipe from it. When something comes, or nothing can come any more, that is the end.
    """
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    reaper = os.getpid()
    worker = os.fork()
    if worker:
        _watch(program, control, worker)
    os.close(control)
    os.setsid()
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != reaper:
        os._exit(1)  # It was gone before we asked for the signal.


def _prctl(option: int, value: int) -> None:
    """prctl(2). Where it is refused, as in a sandbox, the reaper still kills what it finds below it."""
    import ctypes  # noqa: PLC0415 - on Linux only

    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _heard_signals() -> int:
    """A file that can be read when a child has ended, or this process is told to end."""
    read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    for each in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(each, lambda *_: None)  # The number arrives in the pipe.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD, signal.SIGTERM])
    return read


def _watch(program: int, control: int, worker: int) -> NoReturn:
    """Wait for the end of the worker or of the program, and end everything."""
    woken = _heard_signals()
    os.chdir("/")
    nothing = os.open(os.devnull, os.O_RDWR)
    for file in range(3):  # The worker's streams are not ours to hold open.
        os.dup2(nothing, file)
    poll = select.poll()
    poll.register(woken, select.POLLIN)
    poll.register(control, select.POLLIN)
    with suppress(OSError):
        # The other end of the pipe may have been inherited by what the program forked. Not in every sandbox.
        poll.register(os.pidfd_open(program), select.POLLIN)
    status = _reap(worker)  # It may have ended before we listened.
    while status is None and os.getppid() == program:
        if any(file != woken for file, _ in poll.poll()) or signal.SIGTERM in os.read(woken, 4096):
            break
        status = _reap(worker)
    _kill_all(worker)
    _end_as(int(signal.SIGKILL) if status is None else status)


def _reap(worker: int) -> int | None:
    """Bury the children that have ended; the worker's status, if it is one of them."""
    status = None
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == worker:
                status = ended[1]
    return status


def _kill_all(worker: int) -> None:
    """Kill the whole tree below this process, again and again until there is nothing: it may be growing."""
    until = time.monotonic() + _ENDS_WITHIN
    foreign: set[int] = set()
    while time.monotonic() < until:
        left = _descendants(worker) - foreign
        for stop in (
            signal.SIGSTOP,
            signal.SIGKILL,
        ):  # What is stopped does not fork while others are killed.
            for each in left:
                try:
                    os.kill(each, stop)
                except ProcessLookupError:
                    continue
                except PermissionError:
                    foreign.add(each)  # A program that became another user.
        _reap(worker)
        if not left:
            return
        time.sleep(_LOOK_AGAIN_AFTER)


def _descendants(worker: int) -> set[int]:
    """The processes below this one that have not ended, as /proc has them."""
    parents: dict[int, int] = {}
    try:
        names = os.listdir("/proc")  # noqa: PTH208 - pathlib is not loaded, and somebody waits
    except OSError:
        with suppress(OSError):
            os.killpg(worker, signal.SIGKILL)
        return set()
    for name in filter(str.isdecimal, names):
        with suppress(OSError, ValueError), open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 - as above
            state, parent = file.read().rpartition(b")")[2].split()[:2]
            if state not in b"ZX":
                parents[int(name)] = int(parent)
    found: set[int] = set()
    level = {os.getpid()}
    while level := {child for child, parent in parents.items() if parent in level} - found:
        found |= level
    return found


def _end_as(status: int) -> NoReturn:
    """End in the way the worker has."""
    if os.WIFSIGNALED(status):
        import resource  # noqa: PLC0415 - only now, and not on Windows

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # One core file of it is enough.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [os.WTERMSIG(status)])
        with suppress(OSError, ValueError):
            signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
