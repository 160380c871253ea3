"""A database whose clock can be stepped: its statements find functions of ours before those of the server.

It has to be prepared before a store connects to it. Whatever the server calls by itself (the defaults of columns,
its log) goes on by the machine's clock.
"""

from __future__ import annotations

import asyncpg

__all__ = ["make_steppable", "step_clock"]

_SHADOW = """
create schema stepped;
create table stepped.by (seconds double precision not null);
insert into stepped.by values (0);
create function stepped.clock_timestamp() returns timestamptz language sql volatile as
$$ select pg_catalog.clock_timestamp() + make_interval(secs => (select seconds from stepped.by)) $$;
create function stepped.now() returns timestamptz language sql stable as
$$ select pg_catalog.now() + make_interval(secs => (select seconds from stepped.by)) $$;
do $$ begin
    execute format('alter database %I set search_path = stepped, pg_catalog, public', current_database());
end $$;
"""


async def make_steppable(dsn: str) -> None:
    """Prepare a database."""
    await _do(dsn, _SHADOW)


async def step_clock(dsn: str, seconds: float) -> None:
    """Set the clock of a database that was prepared forward, or back where negative."""
    await _do(dsn, "update stepped.by set seconds = seconds + $1", seconds)


async def _do(dsn: str, statement: str, *arguments: object) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement, *arguments)
    finally:
        await connection.close()
