"""Who or what asked for a run, and what a run in the queue waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowstone.frozen import frozen
from flowstone.runs.records import Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowstone.runs.automation_status import AutomationStatus
    from flowstone.runs.records import RunRecord
    from flowstone.runtime.runtime import Runtime

__all__ = ["Origin", "origin_of", "origins_of", "place_in_queue"]

_FIRES: Final = 100
_MOST: Final = 1_000


@frozen
class Origin:
    """Who asked.

    Attributes:
        kind: `schedule`, `sensor`, `condition`; `retry`; or `person`.
        name: The automation, the run that is retried, or whoever is known to have asked.
        reason: Why, or empty.
    """

    kind: str
    name: str
    reason: str = ""


def origins_of(automations: tuple[AutomationStatus, ...] | list[AutomationStatus]) -> Mapping[str, Origin]:
    """By run, of those that an automation has asked for lately."""
    return {
        fired.id: Origin(each.kind, each.name, fire.reason if fire.status == "started" else "")
        for each in automations
        for fire in each.last_fires
        for fired in fire.runs
    }


async def origin_of(runtime: Runtime, run: RunRecord) -> Origin:
    """Who asked for a run."""
    if run.request.retry_of is not None:
        return Origin("retry", run.request.retry_of)
    found = origins_of(list(await runtime.automations(fires=_FIRES)))
    return found.get(run.id) or by_hand(run)


def by_hand(run: RunRecord) -> Origin:
    """Of a run that no automation has asked for."""
    return Origin("person", run.request.by or "")


async def place_in_queue(runtime: Runtime, run: RunRecord) -> int | None:
    """Which of the runs in the queue it is; None if it is not in the queue."""
    if run.status is not Status.QUEUED:
        return None
    queued = await runtime.runs(status=Status.QUEUED, limit=_MOST)
    ids = [each.id for each in queued]
    at = ids.index(run.id) if run.id in ids else len(ids)
    ahead = sum(1 for each in queued[:at] if each.priority > run.priority)
    return 1 + ahead + sum(1 for each in queued[at + 1 :] if each.priority >= run.priority)
