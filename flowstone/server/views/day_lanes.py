"""The runs of a day and the ticks to come as lanes: one for each automation, and for what people asked for."""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from flowstone.assets.automation.cron import Cron
from flowstone.counting import count
from flowstone.errors import DefinitionError
from flowstone.frozen import frozen
from flowstone.runs.records import Status
from flowstone.runs.targets import targets_label
from flowstone.server.render import ICONS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from flowstone.runs.automation_status import AutomationStatus
    from flowstone.runs.records import RunRecord

__all__ = [
    "AHEAD",
    "BACK",
    "NOW",
    "WIDTH",
    "Lane",
    "axis_of",
    "boxes_of",
    "lanes_of",
    "place_of",
    "ticks_ahead",
]

BACK: Final = timedelta(hours=24)
AHEAD: Final = timedelta(hours=16)
WIDTH: Final = 4000
_PER_SECOND: Final = WIDTH / (BACK + AHEAD).total_seconds()
NOW: Final = BACK / (BACK + AHEAD) * 100
_ROOM: Final = 4
_LEAST: Final = 26.0
_LANES: Final = 12
_MINUTES: Final = round(AHEAD.total_seconds() / 60)
_TICK: Final = 20.0


@frozen
class Lane:
    """One lane.

    Attributes:
        name: Whose it is.
        kind: What that is.
        marks: Where each mark begins, how wide it is, and its shape; `next` of ticks to come, of which those that
            are close to one another are one mark.
        label: How many of both there are, in words.
    """

    name: str
    kind: str
    marks: Sequence[tuple[float, float, str]]
    label: str


def axis_of(now: datetime) -> Sequence[tuple[float, str]]:
    """Each fourth hour: where it is, from 0 to 100, and what it is called."""
    first = (now - BACK).replace(minute=0, second=0, microsecond=0)
    hours = (first + timedelta(hours=hour) for hour in range(1, 42))
    shown = [hour for hour in hours if hour.hour % 4 == 0 and hour < now + AHEAD]
    places = [(place_of(hour, now) / WIDTH * 100, hour) for hour in shown]
    return [
        (place, f"{hour:%a} 0" if hour.hour == 0 else f"{hour.hour}")
        for place, hour in places
        if abs(place - NOW) > _ROOM
    ]


def lanes_of(
    runs: Sequence[RunRecord], automations: Sequence[AutomationStatus], now: datetime
) -> Sequence[Lane]:
    """The lanes that have anything: those of automations, then those of assets that people asked for."""
    by_id = {run.id: run for run in runs}
    fired: set[str] = set()
    lanes = []
    for each in automations:
        if each.kind in ("listener", "freshness"):
            continue
        own = [run.id for fire in each.last_fires for run in fire.runs if run.id in by_id]
        fired.update(own)
        marks = [_mark(by_id[run_id], now) for run_id in own]
        ahead = [place_of(tick, now) + _TICK / 2 for tick in ticks_ahead(each, now)]
        marks += [(place, width, "next") for place, width in boxes_of(ahead, _TICK)]
        if marks:
            label = f"{count(len(own), 'run')}, {count(len(ahead), 'tick')} to come"
            lanes.append(Lane(each.name, each.kind, marks, label))
    asked = _by_asset([run for run in runs if run.id not in fired], now)
    return [*lanes, *asked][:_LANES]


def _by_asset(runs: Sequence[RunRecord], now: datetime) -> list[Lane]:
    lanes: dict[str, list[tuple[float, float, str]]] = {}
    for run in runs:
        lanes.setdefault(targets_label(run.request), []).append(_mark(run, now))
    return [Lane(asset, "by hand", marks, count(len(marks), "run")) for asset, marks in lanes.items()]


def _mark(run: RunRecord, now: datetime) -> tuple[float, float, str]:
    begun = max(run.started_at or run.created_at, now - BACK)
    ended = run.finished_at or (now if run.status is Status.RUNNING else begun)
    place = place_of(begun, now)
    return place, max(_LEAST, place_of(ended, now) - place), ICONS[run.status]


def ticks_ahead(each: AutomationStatus, now: datetime) -> Sequence[datetime]:
    """All ticks of an automation that the drawing reaches, in order."""
    if each.next_fire is None or each.next_fire > now + AHEAD:
        return ()
    try:
        ticks = _ticks_after(each.text, now.replace(second=0, microsecond=0))
    except DefinitionError:
        return (each.next_fire,)
    return [tick for tick in ticks if tick > now]


@lru_cache(maxsize=256)
def _ticks_after(text: str, minute: datetime) -> Sequence[datetime]:
    """Asked for several times a second while a page is open, and the same within a minute."""
    expression, _, timezone = text.rpartition(" ")
    return Cron.of(expression, timezone).between(minute, minute + AHEAD, limit=_MINUTES)[0]


def boxes_of(places: Sequence[float], width: float) -> Sequence[tuple[float, float]]:
    """Where a box around each place begins, and how wide it is; those that would overlap are one.

    Args:
        places: The middles, in order.
        width: Of one box.
    """
    boxes: list[tuple[float, float]] = []
    for place in places:
        begin = place - width / 2
        if boxes and begin < sum(boxes[-1]):
            boxes[-1] = (boxes[-1][0], round(begin + width - boxes[-1][0], 1))
        else:
            boxes.append((round(begin, 1), width))
    return boxes


def place_of(instant: datetime, now: datetime) -> float:
    """Where an instant is, from 0 to `WIDTH`; what was earlier is below 0."""
    return round((instant - (now - BACK)).total_seconds() * _PER_SECOND, 1)
