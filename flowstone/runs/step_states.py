"""The states of a step as small integers: a run over a million partitions is a bytearray, not objects.

The order is meaningful. Up to `RETRYING` a step is under way, or will be without anybody's help; `WAITING` and
`DEFERRED` are outside the window until somebody helps; everything from `SUCCEEDED` on is terminal, what is beyond
`REUSED` gives no value, and what is beyond `DECLINED` ends most of what is downstream of it.
"""

from __future__ import annotations

import re
from typing import Final

from flowstone.runs.records import Status

__all__ = [
    "ASIDE",
    "BLOCKED",
    "CANCELLED",
    "CHECKING",
    "DECLINED",
    "DEFERRED",
    "DROPPED",
    "FAILED",
    "PENDING",
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
DECLINED: Final = 10
"""It is skipped by choice: its own, a route's, or that of a step upstream of it. That is no failure."""
FAILED: Final = 11
SKIPPED: Final = 12
"""It is skipped because a step upstream of it has failed."""
CANCELLED: Final = 13

# Among the states of many steps at once: those that end by themselves, need somebody's help, give no value.
PENDING: Final = re.compile(b"[%c-%c]" % (BLOCKED, RETRYING))
ASIDE: Final = re.compile(b"[%c%c]" % (WAITING, DEFERRED))
DROPPED: Final = re.compile(b"[%c-%c]" % (FAILED, CANCELLED))

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
    Status.SKIPPED,
    Status.FAILED,
    Status.SKIPPED,
    Status.CANCELLED,
)
"""What each state is called outside, by number: a step between two attempts waits, whatever it waits for."""
