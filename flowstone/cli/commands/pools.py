"""`flowstone pools [set NAME N]`: how many slots pools have, and who has them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowstone.assets.arguments import is_stored_name
from flowstone.assets.pool import is_slots
from flowstone.assets.snapshot import Snapshot
from flowstone.assets.suggest import did_you_mean
from flowstone.cli.asker import asker
from flowstone.cli.loading import load
from flowstone.cli.loop import run_async
from flowstone.cli.options import AskedBy, Debug, Json, StoreUrl
from flowstone.cli.places import history, shown, written
from flowstone.cli.problem import CommandError
from flowstone.cli.screen import Screen
from flowstone.cli.server import ServerUrl, asked
from flowstone.cli.tables import table
from flowstone.counting import count
from flowstone.printable import one_line
from flowstone.runs.audit import Act
from flowstone.runs.pools import Pool

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.table import Table

    from flowstone.store import Store

__all__ = ["pools"]

_DEFAULT = "default"
_MOST_HOLDERS = 3


def pools(
    action: Annotated[
        str | None,
        typer.Argument(metavar="set", help="To change one; nothing: to list them.", show_default=False),
    ] = None,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="The pool to change.", show_default=False)
    ] = None,
    slots: Annotated[
        str | None,
        typer.Argument(
            metavar="N",
            help="Its slots from now on; `default`: as many as its pipeline says.",
            show_default=False,
        ),
    ] = None,
    *,
    pipeline: Annotated[
        str | None,
        typer.Option(
            "--pipeline",
            metavar="MODULE:PIPELINE",
            help="A pipeline that has the pools: names them, and checks the number.",
            show_default=False,
        ),
    ] = None,
    by: AskedBy = None,
    store: StoreUrl,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List pools and who holds their slots; or change one."""
    with Screen(json=json, debug=debug) as screen:
        snapshot = None if pipeline is None else Snapshot.of((load(pipeline).pipeline,))
        if action is None:
            run_async(_list(screen, store, snapshot))
        elif action == "set" and name is not None and slots is not None:
            act = Act(datetime.now(UTC), asker(by))
            run_async(_set(screen, store, snapshot, name, _number(slots), act))
        else:
            raise CommandError(
                "`pools` lists pools; `pools set` takes a name and a number.",
                "Write `flowstone pools`, or `flowstone pools set NAME N`.",
            )


def _number(text: str) -> int | None:
    if text == _DEFAULT:
        return None
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if not is_slots(number):
        raise CommandError(
            f"{one_line(text)} is no number of slots.",
            f"Write a whole number from 1 to 1,000,000, or `{_DEFAULT}` for what the pipeline says.",
        )
    return number


async def _list(screen: Screen, url: str, snapshot: Snapshot | None) -> None:
    if isinstance(url, ServerUrl):
        async with asked(url) as client:
            found = await client.pools()
        _tell(screen, url, found, "")
        return
    async with history(url) as store:
        found = await _known(store, {} if snapshot is None else dict(snapshot.pools))
    more = "" if snapshot is not None else " Those of a pipeline that no node runs show with --pipeline."
    _tell(screen, url, found, more)


def _tell(screen: Screen, url: str, found: Sequence[Pool], more: str) -> None:
    if screen.json:
        screen.document({"pools": [_document(pool) for pool in found]})
    elif found:
        screen.show(_table(screen, found))
    else:
        screen.note(f"No pools in {shown(url)}.{more}")


async def _set(
    screen: Screen, url: str, snapshot: Snapshot | None, name: str, slots: int | None, act: Act
) -> None:
    defined = {} if snapshot is None else dict(snapshot.pools)
    if isinstance(url, ServerUrl):
        async with asked(url) as client:
            _tell_set(screen, name, await client.set_pool(name, slots=slots, by=act.by), known=True)
        return
    async with written(url) as store:
        known = {pool.name: pool.slots for pool in await _known(store, defined, name)}
        shared = store.cluster is not None
        if name not in known and (shared or snapshot is not None or not is_stored_name(name)):
            hint = did_you_mean(name, known) or "`flowstone pools` lists those that there are."
            raise CommandError(f"There is no pool {one_line(name)} in {shown(url)}.", hint.strip())
        if snapshot is not None and slots is not None:
            _check(snapshot, name, slots)
        await store.pools.set(name, slots, defined=defined.get(name, known.get(name, 1)), act=act)
        pool = next((pool for pool in await _known(store, defined, name) if pool.name == name), None)
    _tell_set(screen, name, pool, known=name in known)


def _tell_set(screen: Screen, name: str, pool: Pool | None, *, known: bool) -> None:
    if screen.json:
        screen.document({"pool": name, "slots": None if pool is None else pool.slots})
    elif pool is None:
        screen.show(f"{one_line(name)} has as many slots as its pipeline says")
    else:
        screen.show(f"{one_line(name)} has {count(pool.slots, 'slot')}, {pool.taken:,} of them taken")
        if not known:
            screen.note(
                "No pipeline was asked whether it has this pool: --pipeline MODULE:PIPELINE checks the name."
            )


def _check(snapshot: Snapshot, name: str, slots: int) -> None:
    for asset in snapshot.graph.assets.values():
        asked = dict(asset.pools).get(name, 0)
        if asked > slots:
            raise CommandError(
                f"Asset {asset.name} asks for {count(asked, 'slot')} of {one_line(name)} and could never run.",
                f"Give the pool at least {asked:,}.",
            )


async def _known(store: Store, defined: Mapping[str, int], *names: str) -> Sequence[Pool]:
    """The pools that the store knows, and those that are defined."""
    if store.cluster is not None:
        recorded = {pool.name: pool for pool in await store.cluster.pools.show([*defined, *names])}
    else:
        recorded = {name: Pool(name, slots, 0, 0) for name, slots in (await store.pools.given()).items()}
    found = {name: Pool(name, slots, 0, 0) for name, slots in defined.items()} | recorded
    return [found[name] for name in sorted(found)]


def _document(pool: Pool) -> dict[str, Any]:
    return {
        "name": pool.name,
        "slots": pool.slots,
        "taken": pool.taken,
        "waiting": pool.waiting,
        "holders": list(pool.holders),
    }


def _table(screen: Screen, found: Sequence[Pool]) -> Table:
    made = table(screen, "name", "slots", "taken", "waiting", "holders", right=("slots", "taken", "waiting"))
    for pool in found:
        holders = [one_line(holder) for holder in pool.holders[:_MOST_HOLDERS]]
        if len(pool.holders) > _MOST_HOLDERS:
            holders.append(f"and {len(pool.holders) - _MOST_HOLDERS:,} more")
        numbers = (f"{number:,}" for number in (pool.slots, pool.taken, pool.waiting))
        made.add_row(one_line(pool.name), *numbers, ", ".join(holders))
    return made
