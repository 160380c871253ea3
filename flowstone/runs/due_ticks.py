"""Which ticks of a schedule are due, and which of those that were missed still fire: a function, not a process."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from flowstone.frozen import frozen

if TYPE_CHECKING:
    from datetime import datetime

    from flowstone.assets.automation.cron import Cron
    from flowstone.assets.automation.schedule import CatchUp

__all__ = ["MOST_TICKS", "Due", "due_ticks"]

MOST_TICKS: Final = 1_000
"""Catch-up looks at so many ticks, the newest."""


@frozen
class Due:
    """What is due of a schedule.

    Attributes:
        late: Ticks that were missed and fire all the same, in order.
        on_time: Ticks that fire now, in order.
        reached: The last tick that has come, fired or not; None if none has.
    """

    late: tuple[datetime, ...]
    on_time: tuple[datetime, ...]
    reached: datetime | None


def due_ticks(cron: Cron, after: datetime, now: datetime, catch_up: CatchUp, grace: float) -> Due:
    """The ticks after one instant and up to another that fire.

    Args:
        cron: When there are ticks.
        after: The last tick that was dealt with, or the instant at which the schedule began (aware).
        now: The instant (aware).
        catch_up: Which of the missed ticks fire: `last` only if none is on time.
        grace: A tick that is so many seconds old at most is on time: it takes a moment to be noticed.
    """
    ticks, _ = cron.between(after, now, limit=MOST_TICKS)
    oldest = now - timedelta(seconds=grace)
    on_time = tuple(tick for tick in ticks if tick >= oldest)
    missed = ticks[: len(ticks) - len(on_time)]
    if catch_up == "skip" or (catch_up == "last" and on_time):
        missed = []
    elif catch_up == "last":
        missed = missed[-1:]
    return Due(tuple(missed), on_time, ticks[-1] if ticks else None)
