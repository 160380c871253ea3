"""What a listener was told, for people: remembered as what automations do, at most every few seconds.

Which events are delivered is on record at once, and decides what is told again; this is beside that. So it is
written seldom, however many events there are, and may miss the last seconds before the end of a process.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from flowstone.counting import count
from flowstone.runs.automation import Fire, Move
from flowstone.store.protocol import StaleWrite

if TYPE_CHECKING:
    from datetime import datetime

    from flowstone.runs.automation import AutomationKey
    from flowstone.runtime.context import RuntimeContext

__all__ = ["Told"]

_EACH: Final = 5.0  # Seconds between two of them.


class Told:
    """What one listener was told and is not remembered yet.

    Args:
        ctx: What the runtime offers.
        key: The listener.
    """

    def __init__(self, ctx: RuntimeContext, key: AutomationKey) -> None:
        self._ctx = ctx
        self._key = key
        self._number = 0
        self._last = ""
        self._at: datetime | None = None
        self._next = -math.inf  # By the monotonic clock.

    def note(self, event: str) -> None:
        """It was told of an event, which is said in a few words."""
        self._number += 1
        self._last, self._at = event, self._ctx.clock.now()

    def due(self) -> float | None:
        """Seconds after which there is something to be remembered; None: nothing is."""
        return max(0.0, self._next - self._ctx.clock.monotonic()) if self._number else None

    async def remember(self) -> None:
        """Write it down, if it is time. Raises `StoreUnavailable`."""
        if self.due() != 0.0 or self._at is None:
            return
        record = await self._ctx.store.automations.record(self._key)
        self._next = self._ctx.clock.monotonic() + _EACH
        if record is None or record.gone_at is not None:
            self._number = 0
            return
        number, more = self._number, self._number - 1
        reason = self._last + (f", and {count(more, 'event')} before" if more else "")
        move = Move(
            self._key,
            record.version,
            record.cursor,
            record.pending,
            fire=Fire(self._at, "told", reason=reason),
            failures=record.failures,
            failure=record.failure,
        )
        try:
            await self._ctx.store.automations.move(move)
        except StaleWrite:
            return  # It was paused or resumed meanwhile: the next time.
        self._number -= number
