"""What can be known of a database from outside: facts, for somebody else to judge."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from flowstone.frozen import frozen
from flowstone.store.postgres.cluster import watched_node
from flowstone.store.postgres.problems import ERRORS, unavailable
from flowstone.store.postgres.schema import LATEST, installed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowstone.store.cluster import WatchedNode
    from flowstone.store.postgres.database import Database

__all__ = ["Backlog", "Diagnosis", "diagnose"]


@frozen
class Backlog:
    """Runs of one pipeline that nobody drives.

    Attributes:
        pipeline: Its name.
        runs: How many.
        seconds: How long the first has been waiting in the queue; 0.0 for runs whose node is gone.
    """

    pipeline: str
    runs: int
    seconds: float = 0.0


@frozen
class Diagnosis:
    """Facts about a database.

    Attributes:
        server: Version of PostgreSQL.
        schema: Version of the schema `flowstone`; 0 where there is none.
        latest: The version this release works with.
        pooled: Whether a pooler stands between.
        read_only: Whether it takes no writes.
        clock_skew: Seconds this machine's clock is ahead of the database's.
        uncertainty: Seconds by which that may be wrong, because the question took its time.
        settings: `fsync`, `full_page_writes`, `synchronous_commit`, `autovacuum`.
        connections, max_connections: In use, and at most.
        size: Bytes of the database.
        dead_rows: The table that needs vacuum most: its name, dead and live rows; None if there is none.
        waiting: Runs in the queue.
        left_behind: Unfinished runs whose node does not seem to live.
        unfit: Runs in the queue that some node cannot run, as it said: id and pipeline.
        adopted: Runs taken over again and again: id, pipeline, how often without a record, seconds since.
        nodes: The nodes that live, or did within a day.
    """

    server: str
    schema: int
    latest: int
    pooled: bool
    read_only: bool
    clock_skew: float
    uncertainty: float
    settings: Mapping[str, str]
    connections: int
    max_connections: int
    size: int
    dead_rows: tuple[str, int, int] | None = None
    waiting: Sequence[Backlog] = ()
    left_behind: Sequence[Backlog] = ()
    unfit: Sequence[tuple[str, str]] = ()
    adopted: Sequence[tuple[str, str, int, float]] = ()
    nodes: Sequence[WatchedNode] = ()


_SETTINGS = ("fsync", "full_page_writes", "synchronous_commit", "autovacuum")


async def diagnose(database: Database) -> Diagnosis:
    """Look at an open database, whatever its schema; changes nothing.

    Raises:
        StoreUnavailable: It does not answer, or the user may not see it.
    """
    try:
        async with database.transaction() as connection:
            version = await installed(connection)
    except ERRORS as error:
        raise unavailable(database.address, error) from error
    before = time.time()
    (row,) = await database.fetch("diagnose")
    after = time.time()
    facts = {
        "server": row["server"],
        "schema": version,
        "latest": LATEST,
        "pooled": database.pooled,
        "read_only": row["read_only"],
        "clock_skew": (before + after) / 2 - row["clock"],
        "uncertainty": (after - before) / 2,
        "settings": {name: row[name] for name in _SETTINGS},
        "connections": row["connections"],
        "max_connections": row["max_connections"],
        "size": row["size"],
    }
    if version != LATEST:
        return Diagnosis(**facts)
    dead = await database.fetch("dead_rows")
    nodes = [watched_node(each) for each in await database.fetch("nodes", False)]
    living = [each.node.id for each in nodes if each.seems_alive]
    unfit = {run_id for each in nodes if each.seems_alive for run_id in each.report.unfit}
    return Diagnosis(
        **facts,
        dead_rows=(dead[0]["name"], dead[0]["dead"], dead[0]["live"]) if dead else None,
        waiting=[
            Backlog(each["pipeline"], each["runs"], max(0.0, each["seconds"]))
            for each in await database.fetch("waiting")
        ],
        left_behind=[
            Backlog(each["pipeline"], each["runs"]) for each in await database.fetch("left_behind", living)
        ],
        unfit=[
            (each["id"], each["pipeline"])
            for each in (await database.fetch("still_queued", sorted(unfit)) if unfit else ())
        ],
        adopted=[
            (each["id"], each["pipeline"], each["adoptions"], max(0.0, each["seconds"]))
            for each in await database.fetch("adopted")
        ],
        nodes=nodes,
    )
