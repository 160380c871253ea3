"""What of schedules and conditions can be and is surely not meant: sentences for a log.

A definition that cannot work is refused; these work, and do something else than most people who write them expect.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from flowstone.assets.automation.asset_condition import Condition
from flowstone.assets.automation.schedule import LATEST, Schedule
from flowstone.assets.calendar_partitions import CalendarPartitions
from flowstone.assets.multi_partitions import MultiPartitions
from flowstone.assets.selection import selected
from flowstone.errors import FlowstoneError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from flowstone.assets.asset import Asset
    from flowstone.assets.automation.cron import Cron
    from flowstone.assets.automation.definitions import DefinedAutomation
    from flowstone.assets.graph import AssetGraph
    from flowstone.assets.partition_set import PartitionSet

__all__ = ["doubts"]

_HALF_YEAR: Final = timedelta(
    days=182
)  # Clocks are set forward in one half of a year, and back in the other.
_PERIODS: Final = 40  # In each of which ticks are looked at.
_MOMENT: Final = timedelta(microseconds=1)


def doubts(automation: DefinedAutomation, graph: AssetGraph, now: datetime) -> Iterator[str]:
    """What is to be said of an automation, with what to do about it.

    Args:
        automation: What is defined.
        graph: The assets there are.
        now: The instant from which ticks are looked at (aware).
    """
    if isinstance(automation, Schedule) and automation.request is not None:
        named = f"The schedule {automation.name!r} ({automation.source})"
        request, target = automation.request, str(automation.request.asset)
        latest = isinstance(request.partition, str) and request.partition == LATEST
        if latest:
            for name in _assets_of(target, graph):
                yield from _late(named, automation.cron, graph.assets[name], now)
        elif request.refresh == "missing":
            yield (
                f"{named} computes {target!r} once: when it has a value, that is reused. "
                'With refresh="all" it is computed at each tick.'
            )
    elif isinstance(automation, Condition):
        named = f"The condition of {automation.name!r} ({automation.source})"
        for cron in automation.automation.crons:
            yield from _late(named, cron, graph.assets[automation.name], now)


def _assets_of(target: str, graph: AssetGraph) -> Sequence[str]:
    """The assets that a schedule asks for; none where its selection means nothing any more."""
    try:
        return selected(graph, target)
    except FlowstoneError:
        return ()


def _late(named: str, cron: Cron, asset: Asset[..., Any], now: datetime) -> Iterator[str]:
    """That its ticks come before the day (week, month) is over that they are about, by the set's own clocks."""
    for keys in _calendars(asset.partitions):
        found = _first_late(cron, keys, now) if keys.timezone != cron.timezone else None
        if found is not None:
            tick, missed = found
            yield (
                f"{named} goes by the clocks of {cron.timezone}, and each {keys.unit} of {asset.name!r} ends by "
                f"those of {keys.timezone}: at {tick.isoformat(' ', 'minutes')} the latest one is "
                f"{keys.key_of(missed - 1)}, as {keys.key_of(missed)} is not over. Give "
                f"{type(keys).__name__} timezone={cron.timezone!r}, or let it fire later."
            )


def _first_late(cron: Cron, keys: CalendarPartitions, now: datetime) -> tuple[datetime, int] | None:
    """The last tick of a period by the clocks of the cron, at which the period before it is not over by the set's.

    One that is followed by another tick of the same period does no harm: that finds it complete.
    """
    local = type(keys)(now.date(), timezone=cron.timezone)
    for begin in (now, now + _HALF_YEAR):
        first = local.number_at(begin)
        for number in range(first, first + _PERIODS):
            tick = cron.at_or_before(local.begins(number + 1) - _MOMENT)
            if tick is not None and tick >= local.begins(number) and keys.number_at(tick) < number:
                return tick.astimezone(ZoneInfo(cron.timezone)), number - 1
    return None


def _calendars(keys: PartitionSet[Any] | None) -> Iterator[CalendarPartitions]:
    """The open-ended sets of days, weeks or months in a set."""
    if isinstance(keys, MultiPartitions):
        for part in keys.sets:
            yield from _calendars(part)
    elif isinstance(keys, CalendarPartitions) and keys.is_open:
        yield keys
