"""What happens outside of runs: to automations, and to the freshness of assets.

These events belong to no run: their `run_id` is empty. They are given to the listeners of their pipeline, and
published to whoever has subscribed. `Event` is any event there is.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from flowstone.frozen import frozen
from flowstone.runs import events

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from flowstone.runs.records import Failure

__all__ = [
    "AssetFresh",
    "AssetLate",
    "AssetOverdue",
    "AutomationEvent",
    "AutomationFailed",
    "AutomationPaused",
    "AutomationResumed",
    "Event",
    "pausing_among",
]


@frozen
class _OfAutomation:
    """What every event of an automation has.

    Attributes:
        kind: What happened, such as `automation.failed`.
        at: When it happened; aware, in UTC.
        name: The automation's name.
        asset: Empty: it is about no asset.
        partition_key: None.
    """

    kind: ClassVar[str]
    run_id: ClassVar[str] = ""
    at: datetime
    name: str
    asset: str = field(default="", kw_only=True)
    partition_key: str | None = field(default=None, kw_only=True)

    @property
    def exact_kind(self) -> str:
        """The kind that it is told apart by, which is `kind`."""
        return self.kind


@frozen
class AutomationFailed(_OfAutomation):
    """A schedule, sensor or listener failed.

    Attributes:
        failure: Why.
        failures: How often it has failed in a row, this time included; 0: no run could be made of something that
            a sensor has found, and the rest of its look went on.
    """

    kind: ClassVar[str] = "automation.failed"
    failure: Failure
    failures: int = 1


@frozen
class AutomationPaused(_OfAutomation):
    """It does nothing until it is resumed.

    Attributes:
        by: Who paused it; None: it was paused because it failed too often.
        reason: For people; may be empty.
    """

    kind: ClassVar[str] = "automation.paused"
    by: str | None = None
    reason: str = ""


@frozen
class AutomationResumed(_OfAutomation):
    """It goes on.

    Attributes:
        by: Who resumed it, or None.
    """

    kind: ClassVar[str] = "automation.resumed"
    by: str | None = None


@frozen
class _OfFreshness:
    """What every event about the freshness of an asset has.

    Attributes:
        kind: What happened, such as `asset.late`.
        at: When it was noticed; aware, in UTC.
        asset: The asset's name.
        partition_key: Its encoded partition key, or None.
        since: When this began to be so (aware, UTC).
        within: Seconds after which its value is no longer fresh.
        materialized_at: When the current value was computed (aware, UTC); None if there is none.
        name: Empty: it is no automation's.
    """

    kind: ClassVar[str]
    run_id: ClassVar[str] = ""
    at: datetime
    asset: str
    partition_key: str | None
    since: datetime
    within: float
    materialized_at: datetime | None = None
    name: str = field(default="", kw_only=True)

    @property
    def exact_kind(self) -> str:
        """The kind that it is told apart by, which is `kind`."""
        return self.kind


@frozen
class AssetLate(_OfFreshness):
    """The value is older than it is to be."""

    kind: ClassVar[str] = "asset.late"


@frozen
class AssetOverdue(_OfFreshness):
    """The value is so old that somebody should see to it."""

    kind: ClassVar[str] = "asset.overdue"


@frozen
class AssetFresh(_OfFreshness):
    """The value is as new as it is to be, after it was late."""

    kind: ClassVar[str] = "asset.fresh"


AutomationEvent: TypeAlias = (
    AutomationFailed | AutomationPaused | AutomationResumed | AssetLate | AssetOverdue | AssetFresh
)
Event: TypeAlias = events.Event | AutomationEvent


def pausing_among(events: Iterable[AutomationEvent]) -> AutomationPaused | None:
    """Of what is told of a change that pauses an automation: when, by whom and why."""
    return next((event for event in events if isinstance(event, AutomationPaused)), None)
