"""Processes that a test may kill, forked off one that has imported FlowStone: none starts an interpreter.

They are real: each has memory, files and a process id of its own, and dies of `kill -9` like any other.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Self
from unittest.mock import patch

__all__ = ["Fork"]

FORKS = get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        "tests.forks",
        "tests.cluster.asker",
        "tests.cluster.worker",
        "tests.cluster.racer",
        "tests.store.deaths",
    ]
)
ROOT = Path(__file__).parents[1]


class Fork:
    """A process that calls a function. What is here is as of `subprocess.Popen` with two pipes.

    Args:
        function: What it calls, to be found by its name in a module; what that prints is read from `stdout`.
        arguments: What it is called with, pickled.
        options: As above, by name.
    """

    def __init__(self, function: Callable[..., object], *arguments: object, **options: object) -> None:
        (calls, ours), (replies, theirs) = FORKS.Pipe(duplex=False), FORKS.Pipe(duplex=False)
        self.stdin: IO[bytes] = os.fdopen(os.dup(ours.fileno()), "wb", buffering=0)
        self.stdout: IO[bytes] = os.fdopen(os.dup(replies.fileno()), "rb")
        self._process = FORKS.Process(
            target=_call, args=(dict(os.environ), calls, theirs, partial(function, *arguments, **options))
        )
        # The server, which starts with the first one, imports from where this process does.
        with patch.dict(os.environ, PYTHONPATH=os.pathsep.join([str(ROOT), *filter(None, sys.path)])):
            self._process.start()
        for end in (calls, ours, replies, theirs):
            end.close()
        self.pid: int = self._process.pid

    def poll(self) -> int | None:
        """Its status if it has ended, negative if a signal has ended it."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; its status."""
        self._process.join(timeout)
        assert self._process.exitcode is not None, "it goes on"
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):  # The server it is forked from has waited for it meanwhile.
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End it if it has not ended, and close the pipes."""
        self.kill()
        self.wait()
        with suppress(BrokenPipeError):
            self.stdin.close()
        self.stdout.close()


def _call(
    environment: dict[str, str],
    calls: Connection,
    replies: Connection,
    function: Callable[[], object],
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.dup2(calls.fileno(), 0)
    os.dup2(replies.fileno(), 1)
    calls.close()
    replies.close()
    with os.fdopen(0, closefd=False) as sys.stdin:
        function()
