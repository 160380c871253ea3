"""The logs of attempts, in Postgres: many lines in a row. See `flowstone.store.logs` for what calls promise."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from flowstone.store.log_codec import decode_lines, encode_lines
from flowstone.store.logs import LogPage, Logs, newest_of
from flowstone.store.postgres.problems import ERRORS, unavailable
from flowstone.store.postgres.sql import query
from flowstone.store.postgres.texts import key_of, key_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.runs.log_line import LogLine
    from flowstone.store.logs import LogChunk
    from flowstone.store.postgres.database import Database

__all__ = ["PostgresLogs"]

_CHUNKS: Final = 100  # Of one answer.
_ROWS: Final = 5_000  # That one statement deletes.


class PostgresLogs(Logs):
    """The logs of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, writer: int, chunks: Sequence[LogChunk]) -> None:
        if chunks:
            columns = [*zip(*map(_row, chunks), strict=True)]
            await self._database.fetch("append_logs", writer, *columns)

    async def page(
        self,
        run_id: str,
        *,
        asset: str | None = None,
        partition_key: str | None = None,
        after: int = 0,
        limit: int = 1000,
    ) -> LogPage:
        found: list[LogLine] = []
        while len(found) < limit:
            given = (run_id, after, min(_CHUNKS, limit))
            if asset is None:
                rows = await self._database.fetch("logs", *given)
            else:
                key = None if partition_key is None else key_text(partition_key)
                rows = await self._database.fetch("logs_of_step", *given, asset, key)
            for row in rows:
                found += _lines(row, after, limit - len(found))
            if found:
                after = found[-1].number
            if len(rows) < given[2]:
                break
        return LogPage(found, after)

    async def tail(
        self, run_id: str, *, asset: str | None = None, partition_key: str | None = None, limit: int
    ) -> LogPage:
        newest_first: list[list[LogLine]] = []
        found = 0
        before, chunks = None, min(_CHUNKS, max(1, limit))
        key = None if partition_key is None else key_text(partition_key)
        while found < limit:
            rows = await self._database.fetch("newest_logs", run_id, before, chunks, asset, key)
            for row in rows:
                newest_first.append(_lines(row, 0, sys.maxsize))
                found += len(newest_first[-1])
                before = row["number"]
            if len(rows) < chunks:
                break
        return newest_of([line for lines in reversed(newest_first) for line in lines], limit)

    async def prune(self) -> None:
        deleted = _ROWS
        try:
            while deleted >= _ROWS:
                async with self._database.transaction(by_index=True) as connection:
                    status: str = await connection.execute(query("prune_logs"), _ROWS)
                deleted = int(status.rpartition(" ")[2])
            async with self._database.transaction(by_index=True) as connection:
                await connection.execute(query("prune_log_heads"))
        except ERRORS as error:
            raise unavailable(self._database.address, error) from error


def _row(chunk: LogChunk) -> tuple[Any, ...]:
    run_id, asset, key, attempt, part, lines = chunk
    return run_id, asset, key_text(key), attempt, part, lines[0][0], len(lines), encode_lines(lines)


def _lines(row: Any, after: int, limit: int) -> list[LogLine]:
    step = row["asset"], key_of(row["key"]), row["attempt"]
    return decode_lines(row["lines"], step, row["at"], row["number"], after, limit)
