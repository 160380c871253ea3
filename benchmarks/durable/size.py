"""What a step takes of the database, and of its log."""

from __future__ import annotations

import asyncpg

from benchmarks.durable.backfill import year
from benchmarks.figure import Figure
from benchmarks.postgres import database
from flowstone import MemoryIO, Runtime

TABLES = """
select sum(pg_total_relation_size(oid))::bigint from pg_class
where relnamespace = 'flowstone'::regnamespace and relkind = 'r'
"""


async def measure(*, quick: bool) -> list[Figure]:
    """Bytes per step of a backfill whose values are small, with the values and without."""
    size, rounds = (30, 2) if quick else (365, 10)
    figures = []
    for words, io in (("", {}), (", values elsewhere", {"default": MemoryIO()})):
        with database() as url:
            connection = await asyncpg.connect(url)
            async with Runtime(year(size), store=url, io=io) as runtime:
                await runtime.backfill("report", upstream=True, refresh="all", max_parallel=64)
                tables, log = await now(connection)
                for _ in range(rounds):
                    await runtime.backfill("report", upstream=True, refresh="all", max_parallel=64)
                more, later = await now(connection)
            await connection.close()
        steps = 3 * size * rounds
        figures += [
            Figure(f"database per step{words}", "bytes", (more - tables) / steps),
            Figure(f"write-ahead log per step{words}", "bytes", (later - log) / steps),
        ]
    return figures


async def now(connection: asyncpg.Connection) -> tuple[int, int]:
    """Bytes of all tables with their indexes, and of everything ever logged."""
    await connection.execute("checkpoint")  # Else whole pages are logged where the last one happened to be.
    tables = await connection.fetchval(TABLES)
    log = await connection.fetchval("select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint")
    return tables, log
