"""A supervision tree as the rows of a table, and what has lately happened in it, read from one snapshot of it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from flowstone.frozen import frozen
from flowstone.masking import masked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from flowstone.actors import ProcessInfo

__all__ = ["Crash", "ProcessRow", "crashes_of", "rows_of"]

_FRESH: Final = timedelta(minutes=1)
"""A row is tinted until its process has run for so long."""

_TOLD: Final = timedelta(hours=1)
_LANE: Final = 87
_FOLDED: Final = 3
_SUPERVISORS: Final = ("supervisor", "tasks")


@frozen
class ProcessRow:
    """One process.

    Attributes:
        process: As the snapshot has it.
        path: Its name and those above it, each below the other: what it is told apart by.
        rail: How the lines lead to it, one letter a level: `|` passes by, `t` branches off, `l` ends here.
        says: What it is or does; of one that has just crashed why.
        strategy: Of a supervisor whom it restarts; else its kind.
        shape: `flash` if it has just crashed, `took` if it was restarted along with such a one, else empty.
        marks: Where its restarts of the last hour are on a lane, from 0 to 87, the oldest first.
        quiet: Whether it runs, nothing waits for it, and it has not been restarted lately.
        folds: How many processes are below it, if all are quiet, so that they may be folded away; else 0.
    """

    process: ProcessInfo
    path: str
    rail: str
    says: str
    strategy: str
    shape: str
    marks: Sequence[float]
    quiet: bool
    folds: int


@frozen
class Crash:
    """A process that was restarted because it had to be.

    Attributes:
        process: It.
        above: Its supervisor.
        along: The names of those that were restarted with it.
        at: When.
        why: Why.
    """

    process: ProcessInfo
    above: ProcessInfo
    along: Sequence[str]
    at: datetime
    why: str


def rows_of(tree: ProcessInfo, now: datetime) -> list[ProcessRow]:
    """The processes of a tree, each above those that it supervises."""
    return list(_rows(tree, "", "", now))


def _rows(process: ProcessInfo, above: str, rail: str, now: datetime) -> Iterator[ProcessRow]:
    path = f"{above}/{process.name}" if above else process.name
    yield _row(process, path, rail, now)
    last = len(process.children) - 1
    # What is left of it goes on beside the rows below, unless it was the last of its level.
    kept = rail[:-1] + {"t": "|", "l": " "}.get(rail[-1:], rail[-1:])
    for place, child in enumerate(process.children):
        yield from _rows(child, path, kept + ("l" if place == last else "t"), now)


def _row(process: ProcessInfo, path: str, rail: str, now: datetime) -> ProcessRow:
    supervises = process.kind in _SUPERVISORS
    shape = _shape(process, now)
    below = sum(1 for _ in process.walk()) - 1
    folds = below if rail and supervises and below >= _FOLDED and _all_quiet(process, now) else 0
    return ProcessRow(
        process,
        path,
        rail,
        _says(process, shape),
        process.detail if process.kind == "supervisor" and process.detail else process.kind,
        shape,
        _marks(process, now),
        _is_quiet(process, now),
        folds,
    )


def _says(process: ProcessInfo, shape: str) -> str:
    if process.abandoned:
        return f"abandoned: {', '.join(process.abandoned)}"
    if shape == "flash":
        return f"crashed: {masked(process.crash)}" if process.crash else "crashed"
    if shape == "took":
        return "restarted with it"
    return "" if process.kind == "supervisor" else process.detail


def _shape(process: ProcessInfo, now: datetime) -> str:
    if process.state == "restarting":
        return "flash"
    if process.restarted_at is None or now - process.restarted_at > _FRESH:
        return ""
    return "flash" if process.crash else "took"


def _marks(process: ProcessInfo, now: datetime) -> list[float]:
    ages = [now - at for at in process.restart_times]
    return [round((1 - age / _TOLD) * _LANE, 1) for age in ages if timedelta() <= age <= _TOLD]


def _lately(process: ProcessInfo, now: datetime) -> bool:
    return process.restarted_at is not None and now - process.restarted_at <= _TOLD


def _is_quiet(process: ProcessInfo, now: datetime) -> bool:
    runs = process.state in ("running", "ignored")
    return runs and not (
        _lately(process, now) or process.mailbox_depth or process.abandoned or process.kind == "task"
    )


def _all_quiet(process: ProcessInfo, now: datetime) -> bool:
    return all(_is_quiet(each, now) for each in process.walk())


def crashes_of(tree: ProcessInfo, now: datetime) -> list[Crash]:
    """Those of the last hour, the newest first; of each process the last one."""
    found = [crash for each in tree.walk() for crash in _crashes_below(each, now)]
    return sorted(found, key=lambda crash: crash.at, reverse=True)


def _crashes_below(above: ProcessInfo, now: datetime) -> Iterator[Crash]:
    for child in above.children:
        at = child.restarted_at
        if at is None or not child.crash or now - at > _TOLD:
            continue
        # Restarted for its sake: by the same supervisor, right after it.
        along = [
            each.name
            for each in above.children
            if not each.crash and each.restarted_at is not None and _soon_after(at, each.restarted_at)
        ]
        yield Crash(child, above, along, at, masked(child.crash))


def _soon_after(first: datetime, second: datetime) -> bool:
    return timedelta() <= second - first < timedelta(seconds=5)
