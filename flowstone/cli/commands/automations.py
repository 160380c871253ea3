"""`flowstone automations`, `pause` and `resume`: what starts runs by itself, and made to wait."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from flowstone.assets.suggest import did_you_mean
from flowstone.cli.asker import asker
from flowstone.cli.automation_notes import automation_notes
from flowstone.cli.documents import json_value
from flowstone.cli.drivers import Drivers
from flowstone.cli.freshness import freshness_document, late_since, watched_assets
from flowstone.cli.labels import ago, until
from flowstone.cli.loop import run_async
from flowstone.cli.options import AskedBy, Debug, Json, StoreUrl
from flowstone.cli.places import history, shown, written
from flowstone.cli.problem import CommandError
from flowstone.cli.screen import Screen
from flowstone.cli.server import ServerUrl, asked
from flowstone.cli.tables import table
from flowstone.counting import count
from flowstone.printable import one_line
from flowstone.runs.automation import subject_of
from flowstone.runs.automation_status import status_of
from flowstone.store.listener_status import with_deliveries
from flowstone.store.pausing import set_paused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.table import Table

    from flowstone.runs.asset_freshness import FreshnessStatus
    from flowstone.runs.automation import AutomationKey, AutomationRecord, Fire
    from flowstone.runs.automation_status import AutomationStatus
    from flowstone.store import Store

    _Watched: TypeAlias = Mapping[AutomationKey, FreshnessStatus]

__all__ = ["automations", "pause", "resume"]

_FIRES = 10
_NOBODY = "No node is there for"
_ONLY_WORKERS = "Only nodes that take runs and do not automate are there for"

_Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="The automation; PIPELINE/NAME where two have one name.", show_default=False
    ),
]


def automations(
    *,
    store: StoreUrl,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List what starts runs by itself, and what it did last."""
    with Screen(json=json, debug=debug) as screen:
        found, left, watched = run_async(_all(store))
        if screen.json:
            screen.document({"automations": [{**_document(each), **_fresh(each, watched)} for each in found]})
        elif found:
            now = datetime.now(UTC)
            screen.show(_table(screen, found, watched, now))
            for each in found:
                for line in automation_notes(each, now):
                    screen.note(line, "yellow")
            for pipeline, why in left.items():
                screen.note(
                    f"{why} the pipeline {one_line(pipeline)}: nothing of it happens until "
                    "`flowstone serve MODULE:PIPELINE` runs.",
                    "yellow",
                )
        else:
            screen.note(
                f"No automations in {shown(store)}: `flowstone serve MODULE:PIPELINE` makes those of a pipeline "
                "known to it."
            )


def pause(
    name: _Name,
    *,
    by: AskedBy = None,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why, for people.", show_default=False)
    ] = "",
    store: StoreUrl,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Keep a schedule or sensor from acting until it is resumed."""
    with Screen(json=json, debug=debug) as screen:
        _show(screen, run_async(_set(store, name, by, reason, paused=True)), "paused")


def resume(
    name: _Name,
    *,
    by: AskedBy = None,
    store: StoreUrl,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Have what was paused act again."""
    with Screen(json=json, debug=debug) as screen:
        _show(screen, run_async(_set(store, name, by, "", paused=False)), "resumed")


async def _all(url: str) -> tuple[Sequence[AutomationStatus], Mapping[str, str], _Watched]:
    """The automations; of the pipelines whose automations act nowhere, why; and how fresh what is watched is."""
    if isinstance(url, ServerUrl):
        return await _asked(url)
    async with history(url) as store:
        drivers, now = await Drivers.of(store), datetime.now(UTC)
        found = [
            await with_deliveries(
                store, status_of(record, await store.automations.fires(record.key, limit=_FIRES), now)
            )
            for record in await store.automations.records()
        ]
        pipelines = dict.fromkeys(each.pipeline for each in found if each.gone_at is None)
        left = [name for name in pipelines if drivers.none_automates(name)]
        why = {name: _NOBODY if drivers.hold_none(name) else _ONLY_WORKERS for name in left}
        return found, why, await watched_assets(store)


async def _asked(
    url: ServerUrl,
) -> tuple[Sequence[AutomationStatus], Mapping[str, str], _Watched]:
    """The same of a server, on which they act."""
    async with asked(url) as client:
        found = await client.automations(fires=_FIRES)
        watching = [each for each in found if each.kind == "freshness" and each.gone_at is None]
        fresh = {
            (each.pipeline, each.name): await client.freshness(each.asset) for each in watching if each.asset
        }
        return found, {}, fresh


async def _set(url: str, name: str, by: str | None, reason: str, *, paused: bool) -> AutomationStatus:
    if isinstance(url, ServerUrl):
        async with asked(url) as client:
            if paused:
                return await client.pause(name, by=by, reason=reason)
            return await client.resume(name, by=by)
    call = f"pause({name!r})" if paused else f"resume({name!r})"
    async with written(url, one_line(call)) as store:
        record = await _one(store, url, name)
        now = datetime.now(UTC)
        changed, _ = await set_paused(store, record, paused, now=now, by=asker(by), reason=reason)
        return status_of(changed, await store.automations.fires(record.key, limit=_FIRES), now)


async def _one(store: Store, url: str, name: str) -> AutomationRecord:
    """The automation of that name. Raises `CommandError`."""
    known = [record for record in await store.automations.records() if record.gone_at is None]
    named = [record for record in known if subject_of(record.key) == name]
    found = named or [record for record in known if record.name == name]
    if len(found) == 1:
        return found[0]
    if found:
        which = ", ".join(one_line(subject_of(record.key)) for record in found)
        raise CommandError(
            f"{count(len(found), 'pipeline')} of {shown(url)} have an automation {one_line(name)}.",
            f"Say which: {which}.",
        )
    hint = did_you_mean(name, [record.name for record in known])
    raise CommandError(
        f"There is no automation {one_line(name)} in {shown(url)}.",
        hint.strip() or "`flowstone automations` lists those that there are.",
    )


def _show(screen: Screen, status: AutomationStatus, what: str) -> None:
    if screen.json:
        screen.document(_document(status))
    else:
        screen.show(f"{status.kind} {one_line(status.name)} of {one_line(status.pipeline)} is {what}")


def _document(status: AutomationStatus) -> dict[str, Any]:
    return {
        "name": status.name,
        "kind": status.kind,
        "pipeline": status.pipeline,
        "text": status.text,
        "paused": status.paused,
        "next_fire": json_value(status.next_fire),
        "failures": status.failures,
        "failure": None if status.failure is None else status.failure.message,
        "pending": status.pending,
        "given_up": status.given_up,
        "attempts": status.attempts,
        "failing": None if status.failing is None else status.failing.message,
        "oldest": json_value(status.oldest),
        "paused_at": json_value(status.paused_at),
        "paused_by": status.paused_by,
        "paused_because": status.paused_because,
        "gone_at": json_value(status.gone_at),
        "last_fires": [_fire_document(each) for each in status.last_fires],
    }


def _fire_document(fire: Fire) -> dict[str, Any]:
    return {
        "at": json_value(fire.at),
        "scheduled_at": json_value(fire.scheduled_at),
        "status": fire.status,
        "reason": fire.reason,
        "by": fire.by,
        "runs": [
            {"id": run.id, "joined": run.joined, "status": None if run.status is None else str(run.status)}
            for run in fire.runs
        ],
    }


def _fresh(status: AutomationStatus, watched: _Watched) -> dict[str, Any]:
    """Of what watches an asset how fresh that is, as `--json` has it."""
    fresh = watched.get((status.pipeline, status.name))
    return {} if fresh is None else {"freshness": json_value(freshness_document(fresh))}


def _table(screen: Screen, found: Sequence[AutomationStatus], watched: _Watched, now: datetime) -> Table:
    made = table(screen, "name", "kind", "pipeline", "when", "next", "last", "what became of it")
    for each in found:
        last = each.last_fires[0] if each.last_fires else None
        made.add_row(
            one_line(each.name),
            each.kind,
            one_line(each.pipeline),
            one_line(each.text),
            _next(each, now),
            "-" if last is None else ago(last.at, now),
            _outcome(each, watched),
        )
    return made


def _outcome(status: AutomationStatus, watched: _Watched) -> str:
    if status.kind == "listener":
        last = status.last_fires[0] if status.last_fires else None
        return _left(status) or ("-" if last is None else _became(status, last))
    if (fresh := watched.get((status.pipeline, status.name))) is not None:
        return late_since(fresh)
    return _became(status, status.last_fires[0]) if status.last_fires else "-"


def _next(status: AutomationStatus, now: datetime) -> str:
    if status.gone_at is not None:
        return f"gone {ago(status.gone_at, now)}"
    if status.paused:
        return "paused"
    return until(status.next_fire, now)


def _left(status: AutomationStatus) -> str:
    """Of a listener: `3 events to tell, 1 given up`; or empty."""
    left = [f"{count(status.pending, 'event')} to tell"] if status.pending else []
    return ", ".join(left + ([f"{status.given_up:,} given up"] if status.given_up else []))


def _became(status: AutomationStatus, fire: Fire) -> str:
    """`1 run: succeeded`, or why there was none; of a sensor also of what there is none."""
    reason = one_line(fire.reason)
    if fire.status != "started":
        return f"{fire.status}: {reason}"
    states = dict.fromkeys("forgotten" if run.status is None else str(run.status) for run in fire.runs)
    became = f"{count(len(fire.runs), 'run')}: {', '.join(states)}" if states else "no run"
    return f"{became}. {reason}" if status.kind == "sensor" and reason else became
