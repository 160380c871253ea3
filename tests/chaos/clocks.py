"""Clocks that a fault can step: of a node by the clock its runtime is given, of the database by libfaketime.

Both read their offset from a file whenever they are asked, so that a step reaches running processes. Only the wall
clock is stepped: nothing can step a monotonic one.
"""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from flowstone.actors.clock import SystemClock
from flowstone.store.embedded.account import account_for
from flowstone.store.embedded.binaries import find_binaries

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SteppedClock", "database_offset", "libfaketime", "step", "stepped_programs"]

PLACES = ("/usr/lib/*/faketime", "/usr/lib/faketime", "/usr/lib64/faketime")


class SteppedClock(SystemClock):
    """The system's clock, with a wall clock that is off by as many seconds as a file says."""

    __slots__ = ("_offset",)

    def __init__(self, offset: Path) -> None:
        self._offset = offset

    def now(self) -> datetime:
        with suppress(OSError, ValueError):
            return super().now() + timedelta(seconds=float(self._offset.read_text()))
        return super().now()


def step(offset: Path, seconds: float) -> None:
    """Set how far a clock is off, at once and as a whole."""
    beside = offset.with_suffix(".new")
    beside.write_text(f"{seconds:+.0f}\n")
    beside.chmod(0o644)
    beside.rename(offset)


def libfaketime() -> Path | None:
    """The library, where the system has it."""
    return next(_found("libfaketime.so.1"), None)


def _found(name: str) -> Iterator[Path]:
    for pattern in PLACES:
        yield from sorted(Path("/").glob(f"{pattern.lstrip('/')}/{name}"))


def database_offset(place: Path) -> Path:
    """The file with the offset of the database's clock."""
    return place / "database-clock"


def stepped_programs(place: Path, library: Path) -> Path:
    """A bin directory whose server has a clock that `step(database_offset(place), ...)` moves."""
    real = find_binaries(account_for(place / "nothing"), None).directory
    step(database_offset(place), 0)
    preload = (
        f"LD_PRELOAD={library} FAKETIME_TIMESTAMP_FILE={database_offset(place)} FAKETIME_NO_CACHE=1 "
        "FAKETIME_DONT_FAKE_MONOTONIC=1 DONT_FAKE_MONOTONIC=1 "
    )
    programs = place / "bin"
    programs.mkdir()
    for name, before in (("initdb", ""), ("postgres", ""), ("pg_ctl", preload)):
        program = programs / name
        program.write_text(f'#!/bin/sh\n{before}exec {os.fspath(real / name)} "$@"\n')
        program.chmod(0o755)
    return programs
