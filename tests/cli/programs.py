"""The real program in processes of its own, and how to wait for what it says."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

__all__ = ["command", "environment", "finished", "read_until", "started"]


def environment() -> dict[str, str]:
    unwanted = {"NO_COLOR", "FORCE_COLOR", "FLOWSTONE_STORE", "COLUMNS", "LINES"}
    kept = {name: value for name, value in os.environ.items() if name not in unwanted}
    return {**kept, "FLOWSTONE_STORE": "file://.flowstone", "TERM": "xterm-256color", "PYTHONUNBUFFERED": "1"}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "flowstone", *arguments]


@contextlib.contextmanager
def started(folder: Path, *arguments: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """A command without a terminal, with these environment variables; killed at the end if it is still there."""
    process = subprocess.Popen(
        command(*arguments),
        cwd=folder,
        env={**environment(), **variables},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        with process:
            yield process
            process.kill()
    finally:
        process.kill()


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """Wait for a line on stderr that has these words."""
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return line
    raise AssertionError(f"the command ended without saying {words!r}")


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for the end: the status, and all that was not read before.

    Not `communicate`, which reads past the lines that `read_until` has in its buffer, and loses them.
    """
    late = threading.Timer(60, process.kill)
    late.start()
    try:
        with ThreadPoolExecutor(2) as both:
            out, err = both.map(lambda stream: stream.read(), (process.stdout, process.stderr))
        return process.wait(), out, err
    finally:
        late.cancel()
