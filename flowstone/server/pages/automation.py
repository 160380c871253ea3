"""What starts runs by itself: when it fires, and what came of it; paused, resumed and fired by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowstone.counting import count
from flowstone.errors import AutomationNotFound
from flowstone.server.pages.page import Page
from flowstone.server.views.automation_rows import automation_path, row_of
from flowstone.server.views.day_lanes import NOW, axis_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowstone.runs.automation_status import AutomationStatus
    from flowstone.server.asked import Asked
    from flowstone.server.views.automation_rows import AutomationRow

__all__ = ["DETAIL", "PAGE"]

_KINDS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "": ("All", ("schedule", "sensor", "condition", "listener", "freshness")),
    "schedule": ("Schedules", ("schedule",)),
    "sensor": ("Sensors", ("sensor",)),
    "event": ("On events", ("condition", "listener", "freshness")),
}
_FIRES: Final = 100
_ROOM: Final = 6.0


async def load(asked: Asked) -> Mapping[str, Any]:
    """All automations, or those of a kind."""
    rows = [row_of(each, asked.now) for each in await asked.runtime.automations(fires=_FIRES)]
    chosen = asked.query.get("kind", "")
    kinds = _KINDS.get(chosen, _KINDS[""])[1]
    return {
        "rows": [row for row in rows if row.status.kind in kinds],
        "unwell": [row for row in rows if row.trouble],
        "summary": _summary(rows),
        "kinds": [(kind, title) for kind, (title, _) in _KINDS.items()],
        "chosen": chosen if chosen in _KINDS else "",
        "axis": _axis(asked),
        "pausing": next((row for row in rows if row.status.name == asked.query.get("pause")), None),
    }


def _summary(rows: Sequence[AutomationRow]) -> str:
    paused = sum(row.status.paused for row in rows)
    unwell = sum(bool(row.trouble) for row in rows)
    parts = [
        count(len(rows), "automation"),
        f"{paused} paused" if paused else "",
        f"{unwell} unwell" if unwell else "",
    ]
    return ", ".join(part for part in parts if part)


async def load_one(asked: Asked) -> Mapping[str, Any]:
    """One automation, with all that is remembered of what it did.

    Raises:
        AutomationNotFound: There is none of that name.
    """
    row = row_of(await _named(asked, _name_of(asked)), asked.now)
    return {"row": row, "axis": _axis(asked), "pausing": row if "pause" in asked.query else None}


def _axis(asked: Asked) -> Sequence[tuple[float, str]]:
    """The hours of the strips, without those that the present one would cover."""
    return [(place, hour) for place, hour in axis_of(asked.now) if abs(place - NOW) > _ROOM]


def _name_of(asked: Asked) -> str:
    return asked.path["name"] or asked.query.get("name", "")


async def _named(asked: Asked, name: str) -> AutomationStatus:
    found = [each for each in await asked.runtime.automations(fires=_FIRES) if each.name == name]
    if not found:
        raise AutomationNotFound(f"There is no automation {name!r:.200}.")
    return found[0]


async def act(asked: Asked, fields: Mapping[str, str]) -> str:
    """What a button of the list does."""
    await _do(asked, fields.get("name", ""), fields)
    return "/automation"


async def act_on_one(asked: Asked, fields: Mapping[str, str]) -> str:
    """What a button of the page of one automation does."""
    name = _name_of(asked)
    await _do(asked, name, fields)
    return automation_path(name)


async def _do(asked: Asked, name: str, fields: Mapping[str, str]) -> None:
    by = asked.identity.name
    match fields.get("act"):
        case "pause":
            await asked.runtime.pause(name, by=by, reason=fields.get("reason", "").strip())
        case "resume":
            await asked.runtime.resume(name, by=by)
        case "fire":
            await asked.runtime.fire(name, by=by)
        case _:
            raise AutomationNotFound(f"Nothing of this kind can be done to {name!r:.200}.")


PAGE: Final = Page(
    "automation", "/automation", "automation.html", load, ("summary", "unwell", "shown"), act=act
)
DETAIL: Final = Page(
    "automation",
    "/automation/{name:path}",
    "automation_one.html",
    load_one,
    ("state", "fires"),
    act=act_on_one,
)
