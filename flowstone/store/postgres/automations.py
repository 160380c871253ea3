"""Automations in Postgres: `flowstone.store.automations` says what each call promises, migration 0027 how."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flowstone.runs.automation import FiredRun
from flowstone.runs.automation_events import pausing_among
from flowstone.runs.records import Status
from flowstone.store import refusals
from flowstone.store.automation_codec import decode_fire
from flowstone.store.automations import MOST_FIRES, Automations, Moved
from flowstone.store.codec import encode_event
from flowstone.store.postgres.deliveries import tell
from flowstone.store.postgres.gone_automations import forget_gone_automations
from flowstone.store.postgres.moves import automation_of, make_moves
from flowstone.store.postgres.queue import load_queue
from flowstone.store.postgres.sql import query
from flowstone.store.postgres.texts import from_json, to_json
from flowstone.store.protocol import StaleWrite
from flowstone.store.sanitise import sanitised_automation, sanitised_move

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime
    from random import Random

    from flowstone.errors import FlowstoneError
    from flowstone.runs.automation import AutomationKey, AutomationRecord, Definition, Fire, Move
    from flowstone.runs.automation_events import AutomationEvent
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
        await forget_gone_automations(self._database)
        await self._database.fetch("define_automations", list(defined) if whole else [], *columns)
        known = {record.key: record for record in await self.records(list(defined))} if rows else {}
        return [known[pipeline, each.name] for pipeline, each in rows]

    async def records(self, pipelines: Collection[str] = ()) -> Sequence[AutomationRecord]:
        return [
            automation_of(row) for row in await self._database.fetch("automations", list(pipelines), None)
        ]

    async def record(self, key: AutomationKey) -> AutomationRecord | None:
        rows = await self._database.fetch("automations", [key[0]], key[1])
        return automation_of(rows[0]) if rows else None

    async def move(self, move: Move) -> Moved:
        (moved,) = await self.move_each([move])
        if isinstance(moved, Moved):
            return moved
        raise moved

    async def move_each(self, moves: Sequence[Move]) -> Sequence[Moved | FlowstoneError]:
        moves = [sanitised_move(move) for move in moves]
        if not moves:
            return ()
        if any(move.runs for move in moves):
            load_queue()
        token = f"{self._random.getrandbits(128):032x}"
        what = f"changing the automation {moves[0].key[1]!r}" if len(moves) == 1 else "changing automations"
        made = await self._database.transact(what, lambda connection: make_moves(connection, moves, token))
        if left := [move for move in moves if move.key not in made]:
            made |= await self._made_before(left, token)
        return [made.get(move.key) or await self._refusal(move) for move in moves]

    async def _made_before(self, moves: Sequence[Move], token: str) -> dict[AutomationKey, Moved]:
        """What an earlier try of the same changes led to, whose answer was lost."""
        given = [(*move.key, move.version) for move in moves]
        rows = await self._database.fetch("automation_tokens", *map(list, zip(*given, strict=True)), token)
        found: dict[AutomationKey, Moved] = {}
        for row in rows:
            key = row["pipeline"], row["name"]
            record = await self.record(key)
            assert record is not None, "it was there a moment ago"
            answer = from_json(row["answer"] or "[]")
            found[key] = Moved(record, tuple(None if run is None else FiredRun(*run) for run in answer))
        return found

    async def _refusal(self, move: Move) -> StaleWrite:
        record = await self.record(move.key)
        return StaleWrite(
            refusals.automation_moved(move.key, move.version, None if record is None else record.version)
        )

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


def _fire(row: Any) -> Fire:
    fire = decode_fire(from_json(row["fire"]))
    runs = [
        replace(run, status=None if status is None else Status(status))
        for run, status in zip(fire.runs, row["statuses"], strict=True)
    ]
    return replace(fire, runs=tuple(runs))
