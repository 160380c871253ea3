"""Changes of automations in Postgres, within one transaction: many cost as many round trips as one.

The rows of the automations are locked first, in order, then their runs are written with their jobs, as `submit`
does, or joined. Nobody who has locked a run looks for an automation, so that order is that of all others.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flowstone.runs.automation import AutomationRecord, FiredRun
from flowstone.runs.automation_events import pausing_among
from flowstone.store.automation_codec import decode_failure, encode_failure, encode_fire
from flowstone.store.automations import MOST_FIRES, Moved
from flowstone.store.codec import decode_event, encode_event
from flowstone.store.postgres.callers import lock_identities, start_each
from flowstone.store.postgres.columns import unowned_columns
from flowstone.store.postgres.deliveries import mark_delivered, tell
from flowstone.store.postgres.queue import enqueue_all
from flowstone.store.postgres.sql import query
from flowstone.store.postgres.texts import from_json, to_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowstone.runs.automation import AutomationKey, Fire, Move, NewRun
    from flowstone.runs.records import RunRecord
    from flowstone.store.postgres.database import Connection

__all__ = ["automation_of", "make_moves"]


async def make_moves(connection: Connection, moves: Sequence[Move], token: str) -> dict[AutomationKey, Moved]:
    """Make changes of different automations; one that was decided upon another version is left out.

    Args:
        connection: In a transaction.
        moves: The changes, with storable texts.
        token: What they are known by, if they are sent again.
    """
    rows = await _change(connection, moves, token)
    made = [move for move in moves if move.key in rows]
    for move in made:
        await mark_delivered(connection, move.key[0], move.follower or move.key[1], move.delivered)
        await tell(connection, move.key[0], move.events)
    if asked := [(move.key, move.act) for move in made if move.act is not None]:
        columns = [(*key, act.by or None, act.reason) for key, act in asked]
        await connection.execute(query("audit_fires"), *map(list, zip(*columns, strict=True)))
    started = await _start(connection, made)
    fired = {move.key: tuple(started.get(run.record.id) for run in move.runs) for move in made}
    if kept := [move for move in made if move.runs or move.fire is not None]:
        await _keep_fires(connection, kept, rows, fired, token)
    return {move.key: Moved(automation_of(rows[move.key]), fired[move.key]) for move in made}


async def _change(connection: Connection, moves: Sequence[Move], token: str) -> dict[AutomationKey, Any]:
    """The rows that are changed, as they are now."""
    columns = (
        [move.key[0] for move in moves],
        [move.key[1] for move in moves],
        [move.version for move in moves],
        [to_json(move.cursor) for move in moves],
        [to_json(move.pending) for move in moves],
        [move.paused for move in moves],
        [move.failures for move in moves],
        [None if move.failure is None else to_json(encode_failure(move.failure)) for move in moves],
    )
    told = [pausing_among(move.events) for move in moves]
    pausing = [None if each is None else to_json(encode_event(each)) for each in told]
    rows = await connection.fetch(query("move_automations"), *columns, token, pausing)
    return {(row["pipeline"], row["name"]): row for row in rows}


async def _start(connection: Connection, moves: Sequence[Move]) -> dict[str, FiredRun]:
    """Start the runs of changes, each unless its automation has asked for it by its key before; by their ids."""
    wanted = {move.key: await _not_asked_before(connection, move) for move in moves}
    runs = [run for asked in wanted.values() for run in asked]
    records = [run.record for run in runs]
    there: dict[str, str] = {}
    if any(run.join for run in runs):  # In order with the others: one of those may be the one to join.
        await lock_identities(connection, records)
        there = await start_each(connection, records, [run.join for run in runs])
    elif records:
        await _submit(connection, records)
    ids = {run.record.id: there.get(run.record.id, run.record.id) for run in runs}
    started = {asked: FiredRun(found, joined=found != asked) for asked, found in ids.items()}
    for key, asked in wanted.items():
        if once := {run.once: started[run.record.id].id for run in asked if run.once is not None}:
            keep = query("keep_automation_keys")
            await connection.execute(keep, *key, list(once), list(once.values()))
    return started


async def _not_asked_before(connection: Connection, move: Move) -> Sequence[NewRun]:
    """The runs of a change for whose keys there is none yet."""
    keys = [run.once for run in move.runs if run.once is not None]
    if not keys:
        return move.runs
    known = {row["key"] for row in await connection.fetch(query("automation_keys"), *move.key, keys)}
    new = []
    for run in move.runs:
        if run.once is None or run.once not in known:
            new.append(run)
            known.add(run.once)
    return new


async def _submit(connection: Connection, runs: Sequence[RunRecord]) -> None:
    """Write runs down with their jobs, and wake those who take them."""
    await connection.execute(query("submit_many"), *unowned_columns(runs))
    await enqueue_all(connection, [(run.id, run.pipeline, run.priority) for run in runs])
    queues = dict.fromkeys(f"queued:{run.pipeline}" for run in runs)
    await connection.execute(query("tell"), list(queues))


async def _keep_fires(
    connection: Connection,
    moves: Sequence[Move],
    rows: Mapping[AutomationKey, Any],
    fired: Mapping[AutomationKey, Sequence[FiredRun | None]],
    token: str,
) -> None:
    """Remember what was done, and what is answered if it is asked for again."""
    there = {move.key: [run for run in fired[move.key] if run is not None] for move in moves}
    columns = (
        [move.key[0] for move in moves],
        [move.key[1] for move in moves],
        [rows[move.key]["version"] for move in moves],
        [_fire_text(move.fire, there[move.key]) for move in moves],
        [to_json([run.id for run in there[move.key]]) for move in moves],
        [
            to_json([None if run is None else [run.id, run.joined] for run in fired[move.key]])
            for move in moves
        ],
    )
    await connection.execute(query("keep_fires"), *columns, MOST_FIRES, token)


def _fire_text(fire: Fire | None, runs: Sequence[FiredRun]) -> str | None:
    return None if fire is None else to_json(encode_fire(replace(fire, runs=tuple(runs))))


def automation_of(row: Any) -> AutomationRecord:
    """A row of `automations`."""
    failure = row["failure"]
    return AutomationRecord(
        row["pipeline"],
        row["name"],
        row["kind"],
        row["definition"],
        row["version"],
        from_json(row["cursor"]),
        tuple(from_json(row["pending"])),
        row["paused"],
        row["failures"],
        None if failure is None else decode_failure(from_json(failure)),
        row["since"],
        row["gone_at"],
        None if row["pausing"] is None else decode_event(from_json(row["pausing"])),  # type: ignore[arg-type] # written as such
    )
