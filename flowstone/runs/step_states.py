"""The states of a step as small integers: a run over a million partitions is a bytearray, not objects.

The order is meaningful. Up to `RETRYING` a step is under way, or will be without anybody's help; `WAITING` and
`DEFERRED` are outside the window until somebody helps; everything from `SUCCEEDED` on is terminal, and what is
beyond `REUSED` gives no value.
"""

from __future__ import annotations

from typing import Final

from flowstone.runs.records import Status

__all__ = [
    "BLOCKED",
    "CANCELLED",
    "CHECKING",
    "DEFERRED",
    "FAILED",
    "READY",
    "RETRYING",
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
"""At least one upstream step is under way."""
CHECKING: Final = 2
"""Its inputs are there; whether its current value may be reused is being looked up."""
READY: Final = 3
"""It may start as soon as a slot is free."""
RUNNING: Final = 4
"""An attempt holds a slot."""
RETRYING: Final = 5
"""It failed, and a delay of ours passes before its next attempt; it holds no slot."""
WAITING: Final = 6
"""It waits for somebody else: an approval, a signal, an instant. It has left the window."""
DEFERRED: Final = 7
"""At least one upstream step is waiting or deferred itself. It has left the window, or never entered it."""
SUCCEEDED: Final = 8
REUSED: Final = 9
FAILED: Final = 10
SKIPPED: Final = 11
CANCELLED: Final = 12

STATUS: Final = (
    Status.QUEUED,
    Status.QUEUED,
    Status.QUEUED,
    Status.QUEUED,
    Status.RUNNING,
    Status.WAITING,
    Status.WAITING,
    Status.QUEUED,
    Status.SUCCEEDED,
    Status.REUSED,
    Status.FAILED,
    Status.SKIPPED,
    Status.CANCELLED,
)
"""What each state is called outside, by number: a step between two attempts waits, whatever it waits for."""
