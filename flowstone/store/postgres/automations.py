"""Automations in Postgres. See `flowstone.store.automations` for what each call promises, migration 0027 for how.

The row of an automation is locked first, then its runs are written with their jobs, as `submit` does, or joined.
Nobody who has locked a run looks for an automation, so that order is that of all others.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flowstone.runs.automation import AutomationRecord, FiredRun
from flowstone.runs.automation_events import pausing_among
from flowstone.runs.records import Status
from flowstone.store import refusals
from flowstone.store.automation_codec import decode_failure, decode_fire, encode_failure, encode_fire
from flowstone.store.automations import GONE_FOR, MOST_FIRES, Automations, Moved
from flowstone.store.codec import decode_event, encode_event
from flowstone.store.postgres.callers import join_for_ever, lock_identities
from flowstone.store.postgres.columns import request_text, utc
from flowstone.store.postgres.deliveries import mark_delivered, tell
from flowstone.store.postgres.queue import enqueue_all, load_queue
from flowstone.store.postgres.sql import query
from flowstone.store.postgres.texts import from_json, to_json
from flowstone.store.protocol import StaleWrite
from flowstone.store.sanitise import sanitised_automation, sanitised_move

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime
    from random import Random

    from flowstone.runs.automation import AutomationKey, Definition, Fire, Move
    from flowstone.runs.automation_events import AutomationEvent
    from flowstone.runs.records import RunRecord
    from flowstone.store.postgres.database import Connection, Database

__all__ = ["PostgresAutomations"]


class PostgresAutomations(Automations):
    """The automations of one database.

    Args:
        database: Where.
        random: Names changes.
    """

    def __init__(self, database: Database, random: Random) -> None:
        self._database = database
        self._random = random

    async def define(
        self, defined: Mapping[str, Collection[Definition]], *, now: datetime, whole: bool = True
    ) -> Sequence[AutomationRecord]:
        del now  # The database has a clock.
        rows = [(pipeline, each) for pipeline, definitions in defined.items() for each in definitions]
        columns = (
            [pipeline for pipeline, _ in rows],
            [each.name for _, each in rows],
            [each.kind for _, each in rows],
            [each.text for _, each in rows],
            [each.paused for _, each in rows],
            [to_json(each.cursor) for _, each in rows],
        )
        await self._database.fetch("forget_automations", GONE_FOR)
        await self._database.fetch("define_automations", list(defined) if whole else [], *columns)
        known = {record.key: record for record in await self.records(list(defined))} if rows else {}
        return [known[pipeline, each.name] for pipeline, each in rows]

    async def records(self, pipelines: Collection[str] = ()) -> Sequence[AutomationRecord]:
        return [_record(row) for row in await self._database.fetch("automations", list(pipelines), None)]

    async def record(self, key: AutomationKey) -> AutomationRecord | None:
        rows = await self._database.fetch("automations", [key[0]], key[1])
        return _record(rows[0]) if rows else None

    async def move(self, move: Move) -> Moved:
        move = sanitised_move(move)
        if move.runs:
            load_queue()
        token = f"{self._random.getrandbits(128):032x}"
        moved = await self._database.transact(
            f"changing the automation {move.key[1]!r}", lambda connection: _move(connection, move, token)
        )
        return moved if moved is not None else await self._moved_before(move, token)

    async def _moved_before(self, move: Move, token: str) -> Moved:
        """What an earlier try of the same change led to, whose answer was lost."""
        rows = await self._database.fetch("automation_token", *move.key)
        if not rows or rows[0]["token"] != token:
            raise StaleWrite(
                refusals.automation_moved(move.key, move.version, rows[0]["version"] if rows else None)
            )
        record = await self.record(move.key)
        assert record is not None, "it was there a moment ago"
        answer = from_json(rows[0]["answer"] or "[]")
        return Moved(record, tuple(None if run is None else FiredRun(*run) for run in answer))

    async def pause(
        self, key: AutomationKey, paused: bool, *, events: Sequence[AutomationEvent] = ()
    ) -> AutomationRecord | None:

        told = pausing_among(events)
        pausing = None if told is None else to_json(encode_event(sanitised_automation(told)))

        async def work(connection: Connection) -> None:
            if await connection.fetch(query("pause_automation"), *key, paused, pausing):
                await tell(connection, key[0], events)

        await self._database.transact(f"pausing or resuming {key[1]!r}", work)
        record = await self.record(key)
        return None if record is None or record.gone_at is not None else record

    async def under_way(self, key: AutomationKey) -> Collection[str]:
        return [row["id"] for row in await self._database.fetch("automation_under_way", *key)]

    async def fires(self, key: AutomationKey, *, limit: int = MOST_FIRES) -> Sequence[Fire]:
        rows = await self._database.fetch("fires", *key, max(0, limit))
        return [_fire(row) for row in rows]


async def _move(connection: Connection, move: Move, token: str) -> Moved | None:
    """Make a change within a transaction; None if it was decided upon another version."""
    failure = None if move.failure is None else to_json(encode_failure(move.failure))
    given = (to_json(move.cursor), to_json(move.pending), move.paused, move.failures, failure)
    told = pausing_among(move.events)
    pausing = None if told is None else to_json(encode_event(told))
    row = await connection.fetchrow(query("move_automation"), *move.key, move.version, *given, token, pausing)
    if row is None:
        return None
    await mark_delivered(connection, move.key[0], move.follower or move.key[1], move.delivered)
    await tell(connection, move.key[0], move.events)
    fired = await _start(connection, move)
    there = [run for run in fired if run is not None]
    fire = None if move.fire is None else to_json(encode_fire(replace(move.fire, runs=tuple(there))))
    if move.runs or fire is not None:
        answer = to_json([None if run is None else [run.id, run.joined] for run in fired])
        ids = [run.id for run in there]
        await connection.execute(query("keep_fire"), *move.key, row["version"], fire, ids, answer, MOST_FIRES)
    return Moved(_record(row), tuple(fired))


async def _start(connection: Connection, move: Move) -> list[FiredRun | None]:
    """Start the runs of a change, each unless it was asked for by its key before."""
    keys = [run.once for run in move.runs if run.once is not None]
    rows = await connection.fetch(query("automation_keys"), *move.key, keys) if keys else []
    known: dict[str, str] = {row["key"]: row["run_id"] for row in rows}
    new: list[RunRecord] = []
    fired: list[FiredRun | None] = []
    once: dict[str, str] = {}
    if joins := [run.record for run in move.runs if run.join]:
        await lock_identities(connection, joins)
    for run in move.runs:
        if run.once is not None and (run.once in known or run.once in once):
            fired.append(None)
            continue
        started = await join_for_ever(connection, run.record) if run.join else run.record.id
        if not run.join:
            new.append(run.record)
        fired.append(FiredRun(started, joined=started != run.record.id))
        if run.once is not None:
            once[run.once] = started
    if new:
        await _submit(connection, new)
    if once:
        await connection.execute(query("keep_automation_keys"), *move.key, list(once), list(once.values()))
    return fired


async def _submit(connection: Connection, runs: Sequence[RunRecord]) -> None:
    """Write runs down with their jobs, and wake those who take them."""
    columns = (
        [run.id for run in runs],
        [run.pipeline for run in runs],
        [run.request.asset for run in runs],
        [request_text(run) for run in runs],
        [utc(run.created_at) for run in runs],
        [run.total for run in runs],
        [run.priority for run in runs],
    )
    await connection.execute(query("submit_many"), *columns)
    await enqueue_all(connection, [(run.id, run.pipeline, run.priority) for run in runs])
    queues = dict.fromkeys(f"queued:{run.pipeline}" for run in runs)
    await connection.execute(query("tell"), list(queues))


def _record(row: Any) -> AutomationRecord:
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


def _fire(row: Any) -> Fire:
    fire = decode_fire(from_json(row["fire"]))
    runs = [
        replace(run, status=None if status is None else Status(status))
        for run, status in zip(fire.runs, row["statuses"], strict=True)
    ]
    return replace(fire, runs=tuple(runs))
