"""What is to be delivered to followers, in Postgres. See `flowstone.store.deliveries` for what each call promises.

Rows enter the outbox by triggers (migration 0028). Who watches is told by a notification, and by one question for
all followers with each look, because notifications may be lost.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from flowstone.runs.events import RunQueued
from flowstone.store.codec import decode_event, decode_failure, decode_request, encode_event, encode_failure
from flowstone.store.deliveries import OF_ONE_LANE, Deliveries, Delivery, Follower, FollowerState, lane_of
from flowstone.store.postgres.columns import event_of
from flowstone.store.postgres.gone_automations import forget_gone_automations
from flowstone.store.postgres.sql import query
from flowstone.store.postgres.texts import from_json, to_json
from flowstone.store.sanitise import sanitised_automation, sanitised_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from flowstone.runs.automation_events import AutomationEvent, AutomationFailed, Event
    from flowstone.runs.records import Failure
    from flowstone.store.cluster import Cluster, Notification
    from flowstone.store.deliveries import DeliveryKey
    from flowstone.store.postgres.database import Connection, Database

__all__ = ["PostgresDeliveries", "mark_delivered", "tell"]

_COUNTED: Final = 10_000
_DROPPED: Final = 5_000  # In one statement.


class PostgresDeliveries(Deliveries):
    """The outbox of one database.

    Args:
        database: Where.
        cluster: What is told between nodes, now.
    """

    def __init__(self, database: Database, cluster: Callable[[], Cluster | None]) -> None:
        self._database = database
        self._cluster = cluster

    async def follow(self, pipeline: str, followers: Sequence[Follower]) -> None:
        given = (
            [each.name for each in followers],
            [" ".join(sorted(each.kinds)) for each in followers],
            [None if each.assets is None else json.dumps(sorted(each.assets)) for each in followers],
            [each.anywhere for each in followers],
        )
        await forget_gone_automations(self._database)  # What was to be told of them is not any more.
        await self._database.fetch("follow", pipeline, *given)
        while len(await self._database.fetch("drop_deliveries", _DROPPED)) == _DROPPED:
            pass

    async def followers(self, pipeline: str) -> Sequence[FollowerState]:
        return [_state(row) for row in await self._database.fetch("followers", pipeline, _COUNTED)]

    async def pending(
        self, pipeline: str, name: str, *, limit: int, but: Collection[str] = ()
    ) -> Sequence[Delivery]:
        rows = await self._database.fetch(
            "pending_deliveries", pipeline, name, max(0, limit), OF_ONE_LANE, list(but)
        )
        found = [(row, _event(row)) for row in rows]
        lost = [(row["lane"], row["number"]) for row, event in found if event is None]
        if lost:  # To a node of an older release, which forgot the run.
            await self.done(pipeline, name, lost)
        return [
            Delivery(row["lane"], row["number"], event, row["attempts"])
            for row, event in found
            if event is not None
        ]

    async def done(self, pipeline: str, name: str, keys: Collection[DeliveryKey]) -> None:
        if keys:
            await self._database.fetch("delivered", pipeline, name, *_columns(keys))

    async def failed(
        self, pipeline: str, name: str, key: DeliveryKey, failure: Failure | None = None
    ) -> None:
        why = None if failure is None else to_json(encode_failure(sanitised_failure(failure)))
        await self._database.fetch("delivery_failed", pipeline, name, *key, why)

    async def give_up(
        self, pipeline: str, name: str, key: DeliveryKey, failed: AutomationFailed, *, tell: bool
    ) -> None:
        safe = sanitised_automation(failed)
        reason = to_json(encode_failure(safe.failure))

        async def work(connection: Connection) -> None:
            gone = await connection.fetch(query("give_up_delivery"), pipeline, name, *key, safe.at, reason)
            if gone and tell:
                await _tell(connection, pipeline, [safe], but=name)

        await self._database.transact("give up a delivery", work)

    async def add(self, pipeline: str, events: Sequence[AutomationEvent]) -> None:
        if events:
            await self._database.transact(
                "tell events", lambda connection: tell(connection, pipeline, events)
            )

    async def waiting(self, pipelines: Collection[str]) -> Collection[tuple[str, str]]:
        rows = await self._database.fetch("followers_waiting", list(pipelines))
        return [(row["pipeline"], row["name"]) for row in rows]

    @contextmanager
    def watch(self, heard: Callable[[str], None]) -> Iterator[None]:
        cluster = self._cluster()
        assert cluster is not None, "the store is open"

        def told(notification: Notification) -> None:
            if notification.kind == "deliveries":
                heard(notification.subject)

        with cluster.watch(told):
            yield


async def tell(connection: Connection, pipeline: str, events: Sequence[AutomationEvent]) -> None:
    """Have events that belong to no run delivered to the followers of a pipeline, in the caller's transaction."""
    await _tell(connection, pipeline, [sanitised_automation(event) for event in events])


async def mark_delivered(
    connection: Connection, pipeline: str, name: str, keys: Collection[DeliveryKey]
) -> None:
    """These were delivered to a follower: they leave the outbox, in the caller's transaction."""
    if keys:
        await connection.execute(query("delivered"), pipeline, name, *_columns(keys))


async def _tell(
    connection: Connection, pipeline: str, events: Sequence[AutomationEvent], *, but: str | None = None
) -> None:
    if events:
        await connection.execute(
            query("tell_events"),
            pipeline,
            [lane_of(event) for event in events],
            [event.kind for event in events],
            [event.asset for event in events],
            [to_json(encode_event(event)) for event in events],
            but,
        )


def _columns(keys: Collection[DeliveryKey]) -> tuple[list[str], list[int]]:
    return [lane for lane, _ in keys], [number for _, number in keys]


def _state(row: Any) -> FollowerState:
    assets = row["assets"]
    follower = Follower(
        row["name"], frozenset(row["kinds"]), None if assets is None else frozenset(assets), row["anywhere"]
    )
    failure, failing = row["failure"], row["failing"]
    return FollowerState(
        follower,
        row["pending"],
        row["given_up"],
        None if failure is None else decode_failure(from_json(failure)),
        row["failed_at"],
        row["attempts"],
        None if failing is None or not row["attempts"] else decode_failure(from_json(failing)),
    )


def _event(row: Any) -> Event | None:
    """The event of a row; None if it was forgotten."""
    if row["told"] is not None:
        return decode_event(from_json(row["told"]))
    if row["kind"] is None and row["status"] is None:
        return None
    if row["kind"] == "run.queued":
        request = decode_request(from_json(row["details"]))
        key = request.keys[0] if len(request.keys) == 1 else None
        return RunQueued(row["at"], row["run_id"], row["asset"], request, partition_key=key)
    return event_of(row)
