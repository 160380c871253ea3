"""The port to automations: what is defined, where each has got to, and the one change that it makes at a time.

A change (`Move`) is one transaction: the cursor, the runs, what is remembered and told of it, all or nothing. It
is refused if the automation's version has moved since it was decided upon, which it also does when the automation
is paused or resumed. So it does not matter who decides, how many do, or how often the same is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from flowstone.errors import FlowstoneError
    from flowstone.runs.automation import AutomationKey, AutomationRecord, Definition, Fire, FiredRun, Move
    from flowstone.runs.automation_events import AutomationEvent

__all__ = ["GONE_FOR", "MOST_FIRES", "Automations", "Moved"]

MOST_FIRES: Final = 100
"""Of what an automation did, so much is remembered, the newest; and all that has runs which are not over."""

GONE_FOR: Final = 86_400.0
"""Seconds for which an automation that no pipeline defines any more is remembered."""


@frozen
class Moved:
    """What became of a change.

    Attributes:
        record: The automation as it is now; somebody else may have changed it since.
        runs: The runs that were asked for, in order; None for one that was asked for by its key before.
    """

    record: AutomationRecord
    runs: tuple[FiredRun | None, ...] = ()


class Automations(Protocol):
    """Automations of all pipelines. Each call may raise `StoreUnavailable`, and is safe to repeat."""

    async def define(
        self, defined: Mapping[str, Collection[Definition]], *, now: datetime, whole: bool = True
    ) -> Sequence[AutomationRecord]:
        """Say what these pipelines define; returns what is known of them, in order.

        One that is new begins at its cursor, and so does one whose text has changed, unless it is a sensor: what
        that has seen does not depend on how often it looks. One that is not defined any more is gone; what has been
        gone for a day is forgotten, with the keys of its runs. One that comes back before goes on where it was.

        Args:
            defined: What each pipeline defines, by its name.
            now: The instant, for a store without a clock of its own.
            whole: Whether that is all that they define.
        """

    async def records(self, pipelines: Collection[str] = ()) -> Sequence[AutomationRecord]:
        """What is known of the automations of these pipelines, or of all; by pipeline and name."""

    async def record(self, key: AutomationKey) -> AutomationRecord | None:
        """What is known of one, or None."""

    async def move(self, move: Move) -> Moved:
        """Make a change.

        Raises:
            StaleWrite: The version has moved, or there is no such automation: nothing has changed.
        """

    async def move_each(self, moves: Sequence[Move]) -> Sequence[Moved | FlowstoneError]:
        """Make changes of different automations, each all or nothing by itself; a database takes them all at once.

        Returns:
            What became of each, in order: what `move` returns of it, or the error that it raises.
        """

    async def pause(
        self, key: AutomationKey, paused: bool, *, events: Sequence[AutomationEvent] = ()
    ) -> AutomationRecord | None:
        """Pause or resume one, and forget its failures when it is resumed. None if there is no such automation.

        Args:
            key: Which one.
            paused: Whether it is paused from here on.
            events: What is told of it, if it changes anything; of `AutomationPaused` the record keeps who and why.
        """

    async def under_way(self, key: AutomationKey) -> Collection[str]:
        """The runs that it asked for and that are not over, as far as it remembers having asked for them."""

    async def fires(self, key: AutomationKey, *, limit: int = MOST_FIRES) -> Sequence[Fire]:
        """What it did, the newest first, with what has become of its runs."""
