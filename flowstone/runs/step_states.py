"""The states of a step as small integers: a run over a million partitions is a bytearray, not objects.

The order is meaningful: everything from `SUCCEEDED` on is terminal.
"""

from __future__ import annotations

from typing import Final

from flowstone.runs.records import Status

__all__ = [
    "BLOCKED",
    "CANCELLED",
    "CHECKING",
    "FAILED",
    "READY",
    "REUSED",
    "RUNNING",
    "SKIPPED",
    "STATUS",
    "SUCCEEDED",
    "UNEXAMINED",
    "WAITING",
]

UNEXAMINED: Final = 0
"""The window has not reached the step."""
BLOCKED: Final = 1
"""At least one upstream step is not terminal."""
CHECKING: Final = 2
"""Its inputs are there; whether its current value may be reused is being looked up."""
READY: Final = 3
"""It may start as soon as a slot is free."""
RUNNING: Final = 4
"""An attempt holds a slot."""
WAITING: Final = 5
"""It failed and waits for the delay before its next attempt; it holds nothing."""
SUCCEEDED: Final = 6
REUSED: Final = 7
FAILED: Final = 8
SKIPPED: Final = 9
CANCELLED: Final = 10

STATUS: Final = (
    Status.QUEUED,
    Status.QUEUED,
    Status.QUEUED,
    Status.QUEUED,
    Status.RUNNING,
    Status.WAITING,
    Status.SUCCEEDED,
    Status.REUSED,
    Status.FAILED,
    Status.SKIPPED,
    Status.CANCELLED,
)
"""What each state is called outside, by number."""
