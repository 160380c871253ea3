"""A failed step in words: one line that says what and where, and the frames of the user's code.

What would drive a terminal is written out. It is made from the record alone, so that a run on another node, or of
yesterday, fails in the same words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowstone.assets.outcome import ENDED_WITHOUT
from flowstone.printable import indented, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flowstone.runs.records import Failure, Materialization

__all__ = ["alike", "failure_line", "failure_lines", "failure_note", "why_no_value"]

_MOST_NAMED: Final = 3
_LONGEST: Final = 1_000  # Characters of one of several messages.


def failure_line(record: Materialization, limit: int | None = None, more: int = 0) -> str:
    """`raw[2025-01-15] and 2 more: ValueError: no data (/srv/pipeline.py:14)`.

    Args:
        record: A failed step.
        limit: Characters of the message at most. Default: all.
        more: Steps that failed in the same words.
    """
    name = f"{record.name} and {more:,} more" if more else record.name
    return name if record.failure is None else f"{name}: {_what(record.failure, limit)}"


def _what(failure: Failure, limit: int | None = None) -> str:
    """`ValueError: no data (/srv/pipeline.py:14)`."""
    message = printable(failure.message)
    if limit is not None and len(message) > limit:
        message = f"{message[:limit]}…"
    return message + (f" ({printable(failure.where)})" if failure.where else "")


def why_no_value(record: Materialization, failed: Iterable[Materialization]) -> str:
    """How a step ended that has no value: `it was skipped, because raw failed: ValueError: no data (sales.py:14)`.

    Args:
        record: A step that ended without a value.
        failed: Steps of its run that failed: the one may be among them because of which it was skipped.
    """
    how, failure = ENDED_WITHOUT[record.status], record.failure
    if failure is None:
        return f"{how}."
    if failure.kind == "skip" and failure.cause is None:
        return f"{how} by choice: {_what(failure)}"
    if failure.cause is None:
        return f"{how}: {_what(failure)}"
    cause = next((each for each in failed if each.name == failure.cause), None)
    if cause is None or cause.failure is None:
        return f"{how}, because {printable(failure.message).removeprefix('Skipped because ')}"
    return f"{how}, because {cause.name} failed: {_what(cause.failure)}"


def failure_lines(failed: Sequence[Materialization], total: int) -> str:
    """The first failures, each after a line break, those that say the same once, and how many more there are."""
    groups = alike(failed)[:_MOST_NAMED]
    text = "".join(f"\n  {indented(failure_line(group[0], _LONGEST, len(group) - 1))}" for group in groups)
    named = sum(map(len, groups))
    return text + (f"\n  and {total - named:,} more" if total > named else "")


def alike(failed: Sequence[Materialization]) -> list[list[Materialization]]:
    """Failed steps, those together that failed in the same words at the same place, in order of the first."""
    groups: dict[tuple[str, str, str] | None, list[Materialization]] = {}
    for record in failed:
        failure = record.failure
        what = None if failure is None else (failure.kind, failure.message, failure.where)
        groups.setdefault(what, []).append(record)
    return list(groups.values())


def failure_note(record: Materialization) -> str | None:
    """The frames of the user's code, for `__notes__`; None where none was running."""
    if record.failure is None or not record.failure.frames:
        return None
    return f"{record.name} failed in:\n{printable(record.failure.frames).rstrip()}"
