"""The real program in processes of its own, and how to wait for what it says."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
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
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err
