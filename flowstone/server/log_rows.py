"""Lines of logs as a page shows them: a number, the time, the level, a line, and what is folded below it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from flowstone.assets.partition_labels import step_label
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from flowstone.runs.log_line import LogLevel, LogLine
    from flowstone.runtime.runtime import Runtime

__all__ = ["LogWanted", "LookedFor", "NewestLines", "log_text", "read_held", "read_log", "read_newest"]

LogWanted = tuple[str, Any, int | None]
"""Of which asset (empty: all), of which partition, and of which attempt (None: all)."""

LookedFor: TypeAlias = "tuple[LogLevel | None, str]"
"""The lowest level (None: any), and what they have in them (empty: anything)."""

_PAGE: Final = 500
_NEWEST: Final = 200
_HELD: Final = 12
_HIDDEN: Final = frozenset({"logger", "stream", "exception", "left_out"})
_LETTERS: Final = {"debug": "D", "info": "I", "warning": "W", "error": "E", "critical": "E"}


@frozen
class NewestLines:
    """The newest lines of a log.

    Attributes:
        kept: Those that are kept.
        held: What attempts that go on said last, and hold for their end.
        last: The number after which to go on.
        more: Whether there may be earlier ones.
    """

    kept: list[list[Any]]
    held: list[list[Any]]
    last: int
    more: bool


async def read_log(
    runtime: Runtime, run_id: str, wanted: LogWanted, after: int, looked_for: LookedFor = (None, "")
) -> tuple[list[list[Any]], int, bool]:
    """The next lines after a number, the number after which to go on, and whether there may be more then.

    Args:
        runtime: Whose.
        run_id: The run.
        wanted: Of which asset, partition and attempt.
        after: The number.
        looked_for: Which lines, of all that are kept.

    Raises:
        RunNotFound: There is no such run.
    """
    asset, partition, attempt = wanted
    level, text = looked_for
    rows: list[list[Any]] = []
    read = 0
    lines = runtime.logs(
        run_id, asset or None, partition, after=after, limit=_PAGE, level=level, contains=text or None
    )
    async for line in lines:
        after, read = line.number, read + 1
        if attempt is None or line.attempt == attempt:
            rows.append(_row(line, named=not asset))
    return rows, after, read == _PAGE


async def read_newest(runtime: Runtime, run_id: str, wanted: LogWanted) -> NewestLines:
    """The newest lines of a log. Raises `RunNotFound`."""
    asset, partition, attempt = wanted
    held = await read_held(runtime, run_id, wanted)  # Before: what is kept meanwhile would be missing.
    lines, last = await runtime.logs(run_id, asset or None, partition).kept(_NEWEST)
    return NewestLines(
        [_row(line, named=not asset) for line in lines if attempt in (None, line.attempt)],
        held,
        last,
        more=len(lines) == _NEWEST,
    )


async def read_held(runtime: Runtime, run_id: str, wanted: LogWanted) -> list[list[Any]]:
    """What attempts that go on said last, and hold for their end; reads nothing that is kept."""
    asset, partition, attempt = wanted
    held = await runtime.logs(run_id, asset or None, partition).held(_HELD)
    return [_row(line, named=not asset) for line in held if attempt in (None, line.attempt)]


def log_text(rows: list[list[Any]], after: int, last: int, *, more: bool = False) -> str:
    """As an event tells it: what came between two numbers, and whether there may be more."""
    return json.dumps({"from": after, "to": last, "rows": rows, "more": more}, separators=(",", ":"))


def _row(line: LogLine, *, named: bool) -> list[Any]:
    fields = " ".join(f"{name}={value}" for name, value in line.fields.items() if name not in _HIDDEN)
    logger = line.fields.get("logger")
    text = " ".join(filter(None, (f"{logger}:" if logger else "", line.message, fields)))
    if named:
        text = f"{step_label(line.asset, line.partition_key)}  {text}"
    first, _, rest = text.partition("\n")
    folded = "\n".join(filter(None, (rest, str(line.fields.get("exception", "")))))
    return [
        line.number,
        f"{line.at:%H:%M:%S}.{line.at.microsecond // 1000:03}",
        _LETTERS[line.level],
        first,
        folded,
    ]
