"""One line for each automation: its rule, what it did in the last day, what comes, and how it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

from flowstone.counting import count
from flowstone.frozen import frozen
from flowstone.masking import masked
from flowstone.runs.records import Status
from flowstone.server.render import ICONS, WORDS, ago, clock
from flowstone.server.views.day_lanes import boxes_of, place_of, ticks_ahead
from flowstone.server.views.rules import rule_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from flowstone.runs.automation import Fire
    from flowstone.runs.automation_status import AutomationStatus

__all__ = ["AutomationRow", "FireRow", "automation_path", "row_of"]

_LOUDEST: Final = (Status.FAILED, Status.WAITING, Status.RUNNING, Status.QUEUED, Status.CANCELLED)
_FIRED_BY_HAND: Final = ("schedule", "sensor", "condition")
_TICK: Final = 24.0
_LOOKED: Final = "looked"


@frozen
class FireRow:
    """What an automation did at one time.

    Attributes:
        fire: As it is remembered.
        shape: The shape of what came of it; `looked` where nothing was asked for.
        words: What came of it.
        reason: Why it was skipped or failed, what was refused, or which rule held; or empty.
        title: All of that on one line.
        place: Where it is on the strip, or None if it was earlier.
    """

    fire: Fire
    shape: str
    words: str
    reason: str
    title: str
    place: float | None


@frozen
class AutomationRow:
    """What the page says of an automation.

    Attributes:
        status: As the runtime says.
        path: Its page.
        pausing: Where one says why it is to be paused.
        rule: What decides when it acts, in words.
        about: The asset that it computes or watches, or a selection of several, if one is known.
        shape: The shape of how it is.
        word: That in words.
        fires: What it did, the newest first.
        ahead: Where the ticks to come are on the strip: where each box begins, and how wide it is.
        trouble: What is wrong with it, in a sentence, or empty.
        label: What the strip shows, for those who do not see it.
        may_fire: Whether it can be fired by hand.
    """

    status: AutomationStatus
    path: str
    pausing: str
    rule: str
    about: str | None
    shape: str
    word: str
    fires: Sequence[FireRow]
    ahead: Sequence[tuple[float, float]]
    trouble: str
    label: str
    may_fire: bool

    @property
    def last(self) -> FireRow | None:
        """What it did last."""
        return self.fires[0] if self.fires else None


def automation_path(name: str) -> str:
    """The page of an automation. Steps of a path, which browsers work out, are asked for by a parameter."""
    if {"", ".", ".."} & set(name.split("/")):
        return f"/automation/?{urlencode({'name': name})}"
    return f"/automation/{quote(name)}"


def row_of(status: AutomationStatus, now: datetime) -> AutomationRow:
    """An automation as it is now."""
    fires = [_fire_row(each, now) for each in status.last_fires]
    ticks = [place_of(tick, now) for tick in ticks_ahead(status, now)]
    trouble = _trouble(status, now)
    shape, word = _state(status, fires, failing=bool(trouble))
    shown = sum(each.place is not None for each in fires)
    return AutomationRow(
        status,
        automation_path(status.name),
        f"/automation?{urlencode({'pause': status.name})}",
        rule_of(status.kind, status.text),
        status.asset,
        shape,
        word,
        fires,
        boxes_of(ticks, _TICK),
        trouble,
        f"{count(shown, 'fire')} in the last day, {count(len(ticks), 'tick')} to come",
        status.kind in _FIRED_BY_HAND and status.gone_at is None,
    )


def _state(status: AutomationStatus, fires: Sequence[FireRow], *, failing: bool) -> tuple[str, str]:
    if status.gone_at is not None:
        return "cancel", "gone"
    if failing:
        return "fail", "fails"
    if status.paused:
        return "pause", "paused"
    last = next((each for each in fires if each.shape != _LOOKED), None)
    return ("never", "has not acted yet") if last is None else (last.shape, WORDS[last.shape])


def _trouble(status: AutomationStatus, now: datetime) -> str:
    """What is wrong with it, in words that a page may show."""
    if status.failing is not None:
        since = "" if status.oldest is None else f", the oldest of {ago(status.oldest, now)}"
        told = f"{count(status.pending, 'event')} to tell{since}"
        return f"fails: {told}; after {count(status.attempts, 'attempt')}: {masked(status.failing.message)}"
    if status.failure is not None and status.failures:
        return f"failed {count(status.failures, 'time')} in a row: {masked(status.failure.message)}"
    if status.failure is not None and status.kind == "listener":
        return f"gave up {count(status.given_up, 'event')}: {masked(status.failure.message)}"
    return ""


def _fire_row(fire: Fire, now: datetime) -> FireRow:
    shape = _shape(fire)
    words = {_LOOKED: "looked, found nothing"}.get(shape) or (
        fire.status if fire.status != "started" else WORDS[shape]
    )
    reason = masked(fire.reason)
    title = " · ".join(
        part for part in (clock(fire.at, now), words, reason, f"by {fire.by}" if fire.by else "") if part
    )
    place = place_of(fire.at, now)
    return FireRow(fire, shape, words, reason, title, place if place >= 0 else None)


def _shape(fire: Fire) -> str:
    """The shape of the worst that became of its runs."""
    plain: Mapping[str, str] = {"failed": "fail", "skipped": "skipd", "told": "ok"}
    if fire.status in plain:
        return plain[fire.status]
    found = {run.status for run in fire.runs}
    worst = next((status for status in _LOUDEST if status in found), None)
    if worst is not None:
        return ICONS[worst]
    return "ok" if fire.runs else _LOOKED
