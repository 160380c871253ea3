"""A failed step in words: one line that says what and where, and the frames of the user's code.

From the record alone, so that a run on another node, or of yesterday, fails in the same words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowstone.printable import indented

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.runs.records import Materialization

__all__ = ["failure_line", "failure_lines", "failure_note"]

_MOST_NAMED: Final = 3
_LONGEST: Final = 1_000  # Characters of one of several messages.


def failure_line(record: Materialization, limit: int | None = None) -> str:
    """`raw[2025-01-15]: ValueError: no data (/srv/pipeline.py:14)`.

    Args:
        record: A failed step.
        limit: Characters of the message at most. Default: all.
    """
    failure = record.failure
    if failure is None:
        return record.name
    message = failure.message
    if limit is not None and len(message) > limit:
        message = f"{message[:limit]}…"
    return f"{record.name}: {message}" + (f" ({failure.where})" if failure.where else "")


def failure_lines(failed: Sequence[Materialization], total: int) -> str:
    """The first failed steps, one below the other, each after a line break, and how many more there are."""
    named = failed[:_MOST_NAMED]
    lines = [indented(failure_line(record, _LONGEST)) for record in named]
    text = "".join(f"\n  {line}" for line in lines)
    return text + (f"\n  and {total - len(named):,} more" if total > len(named) else "")


def failure_note(record: Materialization) -> str | None:
    """The frames of the user's code, for `__notes__`; None where none was running."""
    if record.failure is None or not record.failure.frames:
        return None
    return f"{record.name} failed in:\n{record.failure.frames.rstrip()}"
