"""What really happened, written down by whoever did it: files that only grow, synced where it matters."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

__all__ = ["Ledger", "Mark", "mark", "marks"]


class Mark(NamedTuple):
    """One execution of an asset's function."""

    run_id: str
    asset: str
    key: str
    attempt: int
    pid: int


def mark(place: Path, made: Mark) -> None:
    """Note an execution. One write to a file opened for appending is whole, or not there."""
    line = " ".join(map(str, made)) + "\n"
    file = os.open(place, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


def marks(place: Path) -> list[Mark]:
    """All of them, in order."""
    lines = place.read_text().splitlines() if place.exists() else []
    return [
        Mark(run_id, asset, key, int(attempt), int(pid))
        for run_id, asset, key, attempt, pid in map(str.split, lines)
    ]


class Ledger:
    """What the client was told: written and synced before it does anything else."""

    def __init__(self, place: Path) -> None:
        self._file = os.open(place, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
        self._place = place

    def note(self, word: str, run_id: str, steps: int) -> None:
        os.write(self._file, f"{word} {run_id} {steps}\n".encode())
        os.fsync(self._file)

    def read(self, word: str) -> dict[str, int]:
        """Runs and their steps, of everything noted under this word."""
        found = (line.split() for line in self._place.read_text().splitlines())
        return {run_id: int(steps) for kind, run_id, steps in found if kind == word}

    def close(self) -> None:
        os.close(self._file)
