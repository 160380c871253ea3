"""What nodes share, in Postgres. See `flowstone.store.cluster` for what each call promises.

Map of this file
    Nodes         join, leave, look at each other
    Runs          the queue, ownership, cancelling
    Step leases   giving, taking back, what became of them
    Notifications hearing and telling
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from flowstone.errors import RunNotFound
from flowstone.store import refusals
from flowstone.store.cluster import (
    Beats,
    Cluster,
    Node,
    NodeReport,
    Notification,
    StepLease,
    WatchedNode,
)
from flowstone.store.json_safe import safe_text
from flowstone.store.postgres.columns import event_of, request_text, run_of, step_key, utc
from flowstone.store.postgres.heartbeat import Heartbeat, joining
from flowstone.store.postgres.listener import Listener
from flowstone.store.postgres.queue import enqueue, enqueue_all, load_queue
from flowstone.store.postgres.rates import PostgresRates
from flowstone.store.postgres.reports import report_of, report_text
from flowstone.store.postgres.sql import query
from flowstone.store.postgres.texts import from_json, key_columns, key_of, key_text, to_json
from flowstone.store.protocol import StaleWrite
from flowstone.store.sanitise import sanitised_name, sanitised_run, sanitised_text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
    from contextlib import AbstractContextManager

    from flowstone.runs.records import RunRecord, StepKey
    from flowstone.store.pools import SharedPools
    from flowstone.store.postgres.database import Connection, Database
    from flowstone.store.postgres.journal import Journal
    from flowstone.store.postgres.pools import PostgresPools
    from flowstone.store.rates import SharedRates

__all__ = ["PostgresCluster", "cancel", "watched_node"]

_LOOKED_AT: Final = (
    2_000  # Runs that one look for orphans goes through, besides those of nodes that are gone.
)
_BEATS: Final = ("id", "beats", "lease", "gone", "age", "runs", "claims", "calls")


class PostgresCluster(Cluster):
    """The cluster of one open store.

    Args:
        database: Where.
        journal: Is told for which node it writes.
        pools: The pools of the store.
        start: Starts a task.
    """

    def __init__(
        self,
        database: Database,
        journal: Journal,
        pools: PostgresPools,
        start: Callable[[Coroutine[Any, Any, None]], Any],
    ) -> None:
        self._database = database
        self._journal = journal
        self._pools = pools
        self._rates = PostgresRates(database)
        self._listener = Listener(database, start, self._touch)
        self._heartbeat: Heartbeat | None = None
        self._looked_up_to = 0  # The arrival of the last run that was looked at, whether the queue has it.

    @property
    def pools(self) -> SharedPools:
        return self._pools

    @property
    def rates(self) -> SharedRates:
        return self._rates

    # Nodes --------------------------------------------------------------------------------------------------

    async def join(self, node: Node, lost: Callable[[], None]) -> None:
        asked = time.monotonic()
        await self._database.fetch("join", *joining(node))
        self._journal.writer = node.id
        self.stop_beating()
        loop = asyncio.get_running_loop()

        def tell() -> None:
            with suppress(RuntimeError):  # The loop is closed: there is nobody to be told.
                loop.call_soon_threadsafe(lost)

        def watched(number: int, *, trees: bool) -> None:
            notification = Notification("watch", f"{number} trees" if trees else f"{number}")
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._listener.hand_out, notification)

        self._heartbeat = Heartbeat(self._database, node, tell, watched, asked)
        self._heartbeat.start()
        await self._listener.keep()

    def stop_beating(self) -> None:
        """The node lives until its lease is over."""
        heartbeat, self._heartbeat = self._heartbeat, None
        if heartbeat is not None:
            heartbeat.stop()

    @property
    def heartbeat(self) -> Heartbeat | None:
        """What beats for this process's node."""
        return self._heartbeat

    def _touch(self) -> None:
        if self._heartbeat is not None:
            self._heartbeat.touch()

    async def hold(self, node_id: str, pipelines: Sequence[str]) -> None:
        if self._heartbeat is not None and self._heartbeat.node.id == node_id:
            self._heartbeat.node = replace(self._heartbeat.node, pipelines=tuple(pipelines))
        await self._database.fetch("hold", node_id, list(pipelines))

    def report(self, report: NodeReport, *, at_once: bool = True) -> None:
        if self._heartbeat is not None:
            self._heartbeat.report = report_text(report)
            if at_once:
                self._heartbeat.hurry()

    async def leave(self, node_id: str) -> None:
        if self._heartbeat is not None and self._heartbeat.node.id == node_id:
            self.stop_beating()
        await self._pools.forget(node_id)
        await self._database.fetch("leave", node_id)

    async def nodes(self, *, trees: bool = True) -> Sequence[WatchedNode]:
        return [watched_node(row) for row in await self._database.fetch("nodes", trees)]

    async def watch_nodes(self, seconds: float, *, trees: bool) -> int | None:
        rows = await self._database.fetch("watch_nodes", seconds, trees)
        number: int | None = rows[0]["number"]
        return number

    async def beats(self, pipelines: Collection[str]) -> Sequence[Beats]:
        rows = await self._database.fetch("beats", list(pipelines))
        return [Beats(*(row[name] for name in _BEATS)) for row in rows]

    async def publish_tree(self, node_id: str, tree: Mapping[str, Any]) -> None:
        await self._database.fetch("publish_tree", node_id, to_json(tree))

    # Runs ---------------------------------------------------------------------------------------------------

    async def submit(self, run: RunRecord) -> RunRecord:
        run = sanitised_run(run)
        load_queue()
        while True:
            if await self._database.transact("submitting a run", lambda connection: _submit(connection, run)):
                return run
            rows = await self._database.fetch("run", run.id)
            if not rows and run.key is not None:
                rows = await self._database.fetch("run_with_key", run.key)
            if rows:
                return run_of(rows[0])
            # The run that had the key has just finished: now it is free.

    async def take(
        self, node_id: str, pipelines: Collection[str], limit: int, *, but: Collection[str] = ()
    ) -> Sequence[RunRecord]:
        if not pipelines or limit < 1:
            return []
        rows = await self._database.fetch("take", node_id, list(pipelines), limit, list(but))
        return [run_of(row) for row in rows]

    async def take_back(self, run_id: str, node_id: str) -> RunRecord | None:
        rows = await self._database.fetch("take_one", node_id, run_id)
        return run_of(rows[0]) if rows else None

    async def take_duty(self, duty: str, node_id: str, gone: str | None) -> str:
        rows = await self._database.fetch("take_duty", duty, node_id, gone)
        holder: str = rows[0]["node"]
        return holder

    async def give_up_duty(self, duty: str, node_id: str) -> None:
        await self._database.fetch("give_up_duty", duty, node_id)

    async def queued(self, pipelines: Collection[str], limit: int) -> Sequence[RunRecord]:
        return [run_of(row) for row in await self._database.fetch("queued", list(pipelines), limit)]

    async def orphans(
        self, pipelines: Collection[str], gone: Collection[str], limit: int = 100
    ) -> Sequence[RunRecord]:
        # The queue may be long, and has hardly ever lost one: some of those in it are looked at each time.
        given = (list(pipelines), list(gone), limit, self._looked_up_to, _LOOKED_AT)
        rows = await self._database.fetch("orphans", *given)
        self._looked_up_to = rows[0]["last"] if rows[0]["looked_at"] == _LOOKED_AT else 0
        return [run_of(row) for row in rows if row["id"] is not None]

    async def adopt(
        self, run_id: str, node_id: str, *, epoch: int, given_up: bool = False
    ) -> tuple[RunRecord, int]:
        rows, tries = await self._database.fetch_counting("adopt", run_id, node_id, epoch, given_up)
        if rows:
            return run_of(rows[0]), rows[0]["adoptions"]
        found = await self._database.fetch("run", run_id)
        if not found:
            raise RunNotFound(f"no run {run_id}: its id is mistyped, or retention removed it")
        run = run_of(found[0])
        if tries > 1 and (run.owner, run.epoch) == (node_id, epoch + 1):
            return run, 1  # By a try whose answer was lost; the next time counts.
        raise StaleWrite(refusals.claim_refused(node_id, run_id, f"is at epoch {run.epoch}, not {epoch}"))

    async def owned(self, node_id: str) -> Mapping[str, int]:
        return {row["id"]: row["epoch"] for row in await self._database.fetch("owned", node_id)}

    async def spend(self, node_id: str, spent: Mapping[str, float]) -> None:
        if spent:
            await self._database.fetch("spend", node_id, list(spent), list(spent.values()))

    async def spent(self, run_id: str) -> float:
        rows = await self._database.fetch("spent", run_id)
        return float(rows[0]["spent"]) if rows else 0.0

    async def release(self, run_id: str, node_id: str) -> None:
        load_queue()
        await self._database.transact(
            "handing a run back", lambda connection: _release(connection, run_id, node_id)
        )

    async def under_way(self, key: StepKey) -> Sequence[tuple[RunRecord, bool]]:
        rows = await self._database.fetch("under_way", key[0], key_text(key[1]))
        return [(run_of(row), row["begun"]) for row in rows]

    async def request_cancel(
        self, run_id: str, reason: str, *, by: str | None = None, comment: str = ""
    ) -> None:
        load_queue()
        said = (reason, sanitised_name(by), sanitised_text(comment))
        await self._database.transact(
            "cancelling a run", lambda connection: cancel(connection, [run_id], *said)
        )

    async def cancelling(self, node_id: str) -> Sequence[str]:
        return [row["id"] for row in await self._database.fetch("cancelling", node_id)]

    # Step leases --------------------------------------------------------------------------------------------

    async def grant(self, leases: Sequence[StepLease]) -> None:
        if not leases:
            return
        run_id, epoch = leases[0].run_id, leases[0].epoch
        columns = (
            [lease.asset for lease in leases],
            [key_text(lease.partition_key) for lease in leases],
            [lease.attempt for lease in leases],
            [lease.node for lease in leases],
            [lease.failed for lease in leases],
        )
        if not await self._database.fetch("grant", run_id, epoch, *columns):
            raise StaleWrite(f"run {run_id} is over, or not at epoch {epoch} any more: it grants nothing")

    async def leases(self, node_id: str) -> Sequence[StepLease]:
        return [_lease(row) for row in await self._database.fetch("leases", node_id)]

    async def outstanding(self, run_id: str) -> Sequence[StepLease]:
        return [_lease(row) for row in await self._database.fetch("outstanding", run_id)]

    async def cancel_leases(self, run_id: str, keys: Collection[StepKey]) -> None:
        await self._database.fetch("cancel_leases", run_id, *key_columns(keys))

    async def delete_leases(self, run_id: str, keys: Collection[StepKey] | None) -> None:
        if keys is None:
            await self._database.fetch("prune_leases", [run_id])
        elif keys:
            await self._database.fetch("delete_leases", run_id, *key_columns(keys))

    async def endings(self, run_id: str, attempts: Mapping[StepKey, int]) -> Sequence[Any]:
        if not attempts:
            return []
        rows = await self._database.fetch("endings", run_id, *key_columns(attempts), list(attempts.values()))
        return [event_of(row) for row in rows]

    async def refuse(self, run_id: str, key: StepKey, attempt: int, why: str) -> None:
        await self._database.fetch("refuse", run_id, key[0], key_text(key[1]), attempt, safe_text(why))

    async def refused(self, run_id: str) -> Mapping[StepKey, tuple[int, str]]:
        rows = await self._database.fetch("refused", run_id)
        return {step_key(row): (row["attempt"], row["refused"]) for row in rows}

    async def begun(self, run_id: str, attempts: Mapping[StepKey, int]) -> Collection[StepKey]:
        if not attempts:
            return []
        rows = await self._database.fetch("begun", run_id, *key_columns(attempts), list(attempts.values()))
        return [step_key(row) for row in rows]

    # Notifications ------------------------------------------------------------------------------------------

    @property
    def listens(self) -> bool:
        return not self._database.pooled

    def watch(self, heard: Callable[[Notification], None]) -> AbstractContextManager[None]:
        return self._listener.watch(heard)

    async def tell(self, notification: Notification) -> None:
        await self._database.fetch("tell", [f"{notification.kind}:{notification.subject}"])


# Transactions -----------------------------------------------------------------------------------------------


async def _submit(connection: Connection, run: RunRecord) -> bool:
    about = (run.id, run.pipeline, run.request.asset, request_text(run), utc(run.created_at))
    more = (utc(run.started_at), run.total, run.key, run.priority)
    if not await connection.fetchval(query("submit"), *about, *more):
        return False
    await enqueue(connection, run.id, run.pipeline, run.priority)
    await connection.execute(query("tell"), [f"queued:{run.pipeline}"])
    return True


async def _release(connection: Connection, run_id: str, node_id: str) -> None:
    row = await connection.fetchrow(query("release"), run_id, node_id)
    if row is not None:
        await enqueue(connection, run_id, row["pipeline"], row["priority"])
        await connection.execute(query("tell"), [f"queued:{row['pipeline']}"])


async def cancel(
    connection: Connection, run_ids: Sequence[str], reason: str, by: str | None = None, comment: str = ""
) -> None:
    """Have runs cancelled, within the caller's transaction; those that were not begun have ended with that."""
    locked = await connection.fetch(query("lock_runs"), run_ids)
    runs = [run for run in locked if not run["finished"]]
    asked = [run["id"] for run in runs if run["cancelling"]]
    if asked:
        await connection.execute(query("tell"), [f"cancel:{run_id}" for run_id in asked])
    if len(asked) < len(runs):
        new = [run["id"] for run in runs if not run["cancelling"]]
        said = {"reason": reason, "by": by, "comment": comment}
        details = to_json({name: text for name, text in said.items() if text})
        await connection.execute(query("ask_to_cancel"), new, details)
    nobodys: dict[str, list[str]] = {}
    for run in runs:
        if run["owner"] is None:
            nobodys.setdefault(run["status"], []).append(run["id"])
    for status, ids in nobodys.items():
        if status == "queued":
            await connection.execute(query("cancel_unstarted"), ids)
        elif status == "waiting":
            # Which steps they consist of, only their plans say: whoever takes one up records them as cancelled.
            rows = await connection.fetch(query("unpark"), ids)
            await enqueue_all(connection, [(row["id"], row["pipeline"], row["priority"]) for row in rows])
        else:
            await connection.execute(query("tell_queued"), ids)


# Rows -------------------------------------------------------------------------------------------------------


def _lease(row: Any) -> StepLease:
    return StepLease(
        row["run_id"],
        row["asset"],
        key_of(row["key"]),
        row["attempt"],
        row["epoch"],
        row["node"],
        row["failed"],
        row["cancelled"],
    )


def watched_node(row: Any) -> WatchedNode:
    """A row of the statement `nodes`."""
    pipelines = tuple(row["pipelines"])
    node = Node(row["id"], row["host"], row["pid"], row["version"], pipelines, row["capacity"], row["lease"])
    return WatchedNode(
        node,
        row["joined_at"],
        row["beat_at"],
        row["age"],
        row["gone"],
        row["runs"],
        row["clock_skew"],
        None if row["tree"] is None else from_json(row["tree"]),
        row["tree_at"],
        report_of(row["report"], row["id"]),
    )
