"""Signals that are heard whatever the event loop does, and a stop that ends in time whatever assets do.

A signal's Python handler runs between two bytecodes of the main thread, and a callback on the loop when the loop is
free. An asset that blocks the loop delays the second; one that waits inside a library may delay the first as well.
The wake-up descriptor is written by the C handler itself, so a thread that reads it knows at once.

| signal | means |
|---|---|
| first SIGTERM or SIGINT | stop politely; from then on the time limit counts |
| second | stop now: what still runs is handed back or cancelled, within `cancel_timeout` and a moment |
| third | end at once |

The limit is kept by the thread, with `os._exit`: hanging threads, clean-up that never returns and an interpreter
that waits for somebody's threads at its exit cannot outlast it. Nothing is lost thereby: what was acknowledged is
recorded, and other nodes go on with the rest when the lease is over, as if the process had been killed. If even the
thread gets no turn, because C code holds the interpreter's lock, `faulthandler` ends the process a second later.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

__all__ = ["FORCED", "GRACE", "StopSignals"]

FORCED: Final = 75
"""The exit status of a process that could not stop in time: EX_TEMPFAIL."""

GRACE: Final = 5.0
"""Seconds beside the two timeouts: for tearing down resources, and for the store to close."""

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_STDERR: Final = 2
_AT_ONCE: Final = 3  # Signals.
_TURN: Final = 2.0  # Seconds in which an event loop that is not blocked has had a turn.
_LAST_WORDS: Final = 1.0
_OURS: Final = str(Path(__file__).parents[2])
_LIBRARY: Final = str(Path(asyncio.__file__).parents[1])


class StopSignals:
    """Hears signals for an event loop, and ends the process if it does not end by itself.

    Args:
        polite: Seconds that a polite stop may take.
        prompt: Seconds that it may take from the second signal on.
        say: Writes a line for people. Called in a thread.

    Attributes:
        asked: Set on the loop at the first signal.
        urged: Set on the loop at the second.
        status: The exit status if the process has to be ended although everything was done.
    """

    def __init__(self, polite: float, prompt: float, say: Callable[[str], object]) -> None:
        self.asked = asyncio.Event()
        self.urged = asyncio.Event()
        self.status = FORCED
        self._limits = (polite, prompt)
        self._say = say
        self._signals = 0
        self._deadline: float | None = None
        self._turn = Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._descriptor = -1

    def attach(self) -> None:
        """Listen from now on, for the event loop that runs."""
        self._loop = asyncio.get_running_loop()
        heard, written = socket.socketpair()
        written.setblocking(False)
        self._descriptor = signal.set_wakeup_fd(written.fileno(), warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, _noted)
        _leave_to_children_what_is_theirs()
        Thread(target=self._listen, args=(heard, written), name="flowstone-signals", daemon=True).start()

    def done(self, status: int) -> None:
        """All is done; what is left is the end of the interpreter.

        The limit counts for it as well, and a further signal means what it means to any program.
        """
        self.status = status
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)

    @property
    def count(self) -> int:
        """How many were heard."""
        return self._signals

    # In the thread ------------------------------------------------------------------------------------------

    def _listen(self, heard: socket.socket, written: socket.socket) -> None:
        # Held by the arguments of the thread: closed, the descriptor would become somebody else's.
        del written
        while True:
            left = None if self._deadline is None else self._deadline - time.monotonic()
            if left is not None and left <= 0:
                self._end("it has not stopped in time")
            heard.settimeout(left if left is None or self._turn.is_set() else min(left, _TURN))
            try:
                numbers = heard.recv(64)
            except TimeoutError:
                self._look_for_a_blockade()
                continue
            self._pass_on(numbers)
            for number in numbers:
                if number in _SIGNALS:
                    self._signalled()

    def _pass_on(self, numbers: bytes) -> None:
        """To whoever listened before: the event loop, for signals that are not ours."""
        if self._descriptor >= 0:
            with suppress(OSError):
                os.write(self._descriptor, numbers)

    def _signalled(self) -> None:
        self._signals += 1
        if self._signals >= _AT_ONCE:
            self._end("it was told so three times")
        limit = time.monotonic() + self._limits[self._signals - 1]
        self._deadline = limit if self._deadline is None else min(limit, self._deadline)
        left = self._deadline - time.monotonic()
        faulthandler.dump_traceback_later(left + 1.0 + _LAST_WORDS, exit=True, file=_STDERR)
        self._on_loop(self.asked.set if self._signals == 1 else self.urged.set)
        self._on_loop(self._turn.set)

    def _on_loop(self, what: Callable[[], object]) -> None:
        assert self._loop is not None
        with suppress(RuntimeError):  # It is closed: what is left is the end of the interpreter.
            self._loop.call_soon_threadsafe(what)

    def _look_for_a_blockade(self) -> None:
        if not self._turn.is_set() and self._deadline is not None:
            self._turn.set()  # Said once.
            left = max(0.0, self._deadline - time.monotonic())
            self._speak(f"The event loop is blocked by {_blocked_in()}; it gets {left:.0f} s more.")

    def _end(self, why: str) -> None:
        """End the process now."""
        words = (
            f"Ended by force, because {why}{self._in_the_way()}. Other nodes go on when its lease is over."
        )
        self._speak(words)
        os._exit(self.status)

    def _speak(self, words: str) -> None:
        """In a thread of its own, because a pipe that nobody reads must not hold up the limit."""
        speaker = Thread(target=self._say, args=(words,), daemon=True)
        try:
            speaker.start()
        except RuntimeError:
            # The interpreter is ending, and Python 3.12 starts no thread then. `faulthandler` keeps the limit.
            self._say(words)
        else:
            speaker.join(_LAST_WORDS)

    def _in_the_way(self) -> str:
        self._turn.clear()
        self._on_loop(self._turn.set)
        return "" if self._turn.wait(0.25) else f": the main thread is in {_blocked_in()}"


def _noted(_number: int, _frame: FrameType | None) -> None:
    """The thread has heard it."""


def _leave_to_children_what_is_theirs() -> None:
    """A forked child has the descriptor too, and a signal to it must not be heard here."""

    def release() -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    if hasattr(os, "register_at_fork"):  # Not on Windows.
        os.register_at_fork(after_in_child=release)


def _blocked_in() -> str:
    """`shop.py:12 in visits`: the innermost line of the main thread that is neither ours nor the library's."""
    ident = threading.main_thread().ident
    innermost = None if ident is None else sys._current_frames().get(ident)
    frame: FrameType | None = innermost
    while frame is not None and frame.f_code.co_filename.startswith((_OURS, _LIBRARY, "<frozen")):
        frame = frame.f_back
    frame = frame or innermost
    if frame is None:
        return "an unknown place"
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
