"""100,000 items of nothing on Postgres, with the value of each, beside a bare group commit."""

from __future__ import annotations

import os

import asyncpg

from benchmarks.core.items import pipeline_of
from benchmarks.figure import Figure
from benchmarks.postgres import database
from benchmarks.timing import best, seconds
from flowstone import Runtime

__all__ = ["measure"]

SLOWEST = 200  # µs an item: 5,000 a second.
BATCH = 1_000

BARE = """
create table bare_items (
    set_id bigint, position bigint, status smallint, attempt integer, name text, location text collate "C",
    failure json, primary key (set_id, position));
create table bare_payloads (location text collate "C" primary key, content bytea);
"""
INSERT = """
with items as (
    insert into bare_items select $1, position, 1, 1, null, location, null
    from unnest($2::bigint[], $3::text[]) as given(position, location))
insert into bare_payloads select * from unnest($3::text[], $4::bytea[])
"""


async def measure(*, quick: bool) -> list[Figure]:
    """µs per item; the baseline inserts as many rows and values, a thousand with each statement."""
    count, rounds = (2_000, 1) if quick else (100_000, 3)
    figures = []
    with database() as url:
        connection = await asyncpg.connect(url)
        await connection.execute(BARE)
        for kind in ("list", "reader"):
            async with Runtime(pipeline_of(count, kind), store=url, keep_runs=1) as runtime:
                times = await best(
                    rounds,
                    lambda: seconds(bare(connection, count)),
                    lambda runtime=runtime: seconds(runtime.materialize_all("leaf")),
                )
            scale = 1e6 / count
            name = f"{count:,} items of a {kind}"
            figures.append(Figure(name, "µs/item", times.ours * scale, times.bare * scale, at_most=SLOWEST))
        await connection.close()
    return figures


async def bare(connection: asyncpg.Connection, count: int) -> None:
    """Insert them."""
    run = int.from_bytes(os.urandom(7), "big")
    for first in range(0, count, BATCH):
        positions = range(first, min(first + BATCH, count))
        places = [f"{run:x}/leaf/item-0a1b2c3d-{position}/1" for position in positions]
        await connection.execute(INSERT, run, positions, places, [b"2"] * len(positions))
