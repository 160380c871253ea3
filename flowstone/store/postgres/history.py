"""The questions a store answers, each one statement."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, cast

from flowstone.errors import RunNotFound, StoreUnavailable
from flowstone.runs.asset_activity import AssetActivity
from flowstone.runs.asset_freshness import NewestSuccess
from flowstone.runs.records import Status
from flowstone.store.postgres.batch_loader import BatchLoader
from flowstone.store.postgres.columns import (
    StepRows,
    creation_of,
    event_of,
    events_of,
    materialization_of,
    run_of,
    step_key,
)
from flowstone.store.postgres.recent_payloads import RecentPayloads
from flowstone.store.postgres.texts import key_columns, key_of, key_text, keys_of, to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence

    from flowstone.runs.events import AttemptEvent, Event
    from flowstone.runs.records import Materialization, RunRecord, StepKey
    from flowstone.store.postgres.database import Database

__all__ = ["History"]

_KEYS: Final = 10_000  # Of one query.
_OF_RUNS: Final = (
    Status.QUEUED,
    Status.RUNNING,
    Status.WAITING,
    Status.SUCCEEDED,
    Status.FAILED,
    Status.CANCELLED,
)


class History:
    """Reads what is recorded.

    Args:
        database: Where.
        start: Starts a task that nobody's cancel reaches; questions of one turn share it.

    Attributes:
        recent: Values that this process has just recorded, which need no look-up.
    """

    def __init__(self, database: Database, start: Callable[[Coroutine[Any, Any, None]], object]) -> None:
        self._database = database
        self._start = start
        self.recent = RecentPayloads()
        self._loading: dict[str, asyncio.Future[bytes | None]] = {}
        self.current: BatchLoader[StepKey, Materialization] = BatchLoader(self._current, start)
        self._step: BatchLoader[tuple[str, StepKey], Materialization] = BatchLoader(self._steps_of, start)
        self._payload: BatchLoader[str, bytes | None] = BatchLoader(self._payloads, start)

    # Runs ---------------------------------------------------------------------------------------------------

    async def run(self, run_id: str) -> RunRecord | None:
        rows = await self._database.fetch("run", run_id)
        return run_of(rows[0]) if rows else None

    async def run_with_key(self, key: str) -> RunRecord | None:
        rows = await self._database.fetch("run_with_key", key)
        return run_of(rows[0]) if rows else None

    async def runs(
        self,
        statuses: Collection[Status],
        asset: str | None,
        tags: Mapping[str, str | None],
        limit: int,
        before: str | None,
    ) -> list[RunRecord]:
        page = before, max(0, limit)
        names = [status.value for status in dict.fromkeys(statuses or _OF_RUNS)]
        if tags:
            given = to_json({name: value for name, value in tags.items() if value is not None})
            rows = await self._database.fetch("runs_tagged", *page, names, asset, list(tags), given)
        elif asset is not None:
            rows = await self._database.fetch("runs_of_asset", *page, names, asset)
        elif statuses:
            rows = await self._database.fetch("runs_by_status", *page, names)
        else:
            rows = await self._database.fetch("runs", *page)
        if not rows and before is not None and await self.run(before) is None:
            raise RunNotFound(f"no run {before}: its id is mistyped, or retention removed it")
        return [run_of(row) for row in rows]

    async def beginning(self, prefix: str, limit: int) -> list[RunRecord]:
        rows = await self._database.fetch("runs_beginning", prefix, max(0, limit))
        return [run_of(row) for row in rows]

    async def events(self, run_id: str, after: int, limit: int) -> list[tuple[int, Event]]:
        heads = await self._database.fetch("run", run_id)
        limit = max(0, limit)
        if not heads or not limit:
            return []
        first = heads[0]["first_event"]
        found: list[tuple[int, Event]] = []
        if after < 1 and first <= 1:
            found.append((1, creation_of(run_of(heads[0]))))
        after = max(after, 1, first - 1)
        rows = await self._database.fetch("events", run_id, after, limit)
        found += [told for row in rows for told in events_of(row) if told[0] > after]
        return found[:limit]

    # Steps --------------------------------------------------------------------------------------------------

    async def steps(
        self, run_id: str, status: Status | None, offset: int, limit: int | None
    ) -> Sequence[Materialization]:
        page = (run_id, max(0, offset), None if limit is None else max(0, limit))
        if status is None:
            rows = await self._database.fetch("steps", *page)
        elif status is Status.SUCCEEDED:
            rows = await self._database.fetch("steps_succeeded", *page)
        else:
            rows = await self._database.fetch("steps_unusual", *page, status.value)
        return StepRows(rows)

    async def step(self, run_id: str, key: StepKey) -> Materialization | None:
        return (await self._step([(run_id, key)])).get((run_id, key))

    async def steps_of(self, run_id: str, keys: Iterable[StepKey]) -> dict[StepKey, Materialization]:
        found = await self._step([(run_id, key) for key in keys])
        return {key: record for (_, key), record in found.items()}

    async def attempt_event(self, run_id: str, key: StepKey) -> AttemptEvent | None:
        rows = await self._database.fetch("attempt_event", run_id, key[0], key_text(key[1]))
        return cast("AttemptEvent", event_of(rows[0])) if rows else None

    async def _steps_of(
        self, keys: Sequence[tuple[str, StepKey]]
    ) -> Mapping[tuple[str, StepKey], Materialization]:
        columns = [run_id for run_id, _ in keys], *key_columns([key for _, key in keys])
        rows = await self._database.fetch("step", *columns)
        return {(row["run_id"], step_key(row)): materialization_of(row) for row in rows}

    # Assets and partitions ----------------------------------------------------------------------------------

    async def _current(self, keys: Sequence[StepKey]) -> Mapping[StepKey, Materialization]:
        rows = await self._database.fetch("current", *key_columns(keys))
        return {step_key(row): materialization_of(row) for row in rows}

    async def current_keys(self, asset: str) -> list[str | None]:
        return [key_of(row["key"]) for row in await self._database.fetch("current_keys", asset)]

    async def history(self, key: StepKey, limit: int, offset: int) -> list[Materialization]:
        page = max(0, limit), max(0, offset)
        rows = await self._database.fetch("history", key[0], key_text(key[1]), *page)
        return [materialization_of(row) for row in rows]

    async def failures(self, asset: str, limit: int | None) -> list[Materialization]:
        rows = await self._database.fetch("failures", asset, None if limit is None else max(0, limit))
        return [materialization_of(row) for row in rows]

    async def keys_by_status(self, assets: Collection[str]) -> dict[str, dict[Status, list[str | None]]]:
        found: dict[str, dict[Status, list[str | None]]] = {}
        for row in await self._database.fetch("keys_by_status", list(assets)):
            found.setdefault(row["asset"], {})[Status(row["status"])] = keys_of(row["keys"])
        return found

    async def count_by_status(self, assets: Collection[str]) -> dict[str, dict[Status, tuple[int, int]]]:
        found: dict[str, dict[Status, tuple[int, int]]] = {}
        for row in await self._database.fetch("count_by_status", list(assets)):
            found.setdefault(row["asset"], {})[Status(row["status"])] = row["number"], row["with_value"]
        return found

    async def skipped(self, assets: Collection[str]) -> dict[str, dict[str | None, list[str | None]]]:
        found: dict[str, dict[str | None, list[str | None]]] = {}
        for row in await self._database.fetch("skipped", list(assets)):
            found.setdefault(row["asset"], {})[row["cause"]] = keys_of(row["keys"])
        return found

    async def durations(self, assets: Collection[str]) -> dict[str, float]:
        rows = await self._database.fetch("durations", list(assets))
        return {row["asset"]: row["seconds"] for row in rows}

    async def records(self, asset: str, limit: int, offset: int) -> list[Materialization]:
        rows = await self._database.fetch("recent", asset, max(0, limit), max(0, offset))
        return [materialization_of(row) for row in rows]

    async def activity(self, assets: Collection[str], limit: int) -> dict[str, AssetActivity]:
        rows = await self._database.fetch("activity", list(assets), max(0, limit))
        return {
            row["asset"]: AssetActivity(row["asset"], row["finished_at"], tuple(row["durations"]))
            for row in rows
        }

    async def newest_successes(self, assets: Collection[str]) -> dict[str, NewestSuccess]:
        rows = await self._database.fetch("newest_successes", list(assets))
        return {
            row["asset"]: NewestSuccess(row["asset"], row["run_id"], row["finished_at"], row["valid"])
            for row in rows
        }

    async def downstream(self, keys: Iterable[StepKey]) -> dict[StepKey, list[StepKey]]:
        found: dict[StepKey, list[StepKey]] = {key: [] for key in keys}
        for part in _parts(list(found)):
            for row in await self._database.fetch("downstream", *key_columns(part)):
                found[step_key(row)].append((row["consumer"], key_of(row["consumer_key"])))
        return found

    # Values -------------------------------------------------------------------------------------------------

    async def payload(self, location: str) -> bytes | None:
        recent = self.recent.of(location)
        if recent is not None:
            return recent
        found = await self._payload([location])
        content = found.get(location)
        if content is None and location in found:
            return await self._large_payload(location)
        return content

    async def _large_payload(self, location: str) -> bytes | None:
        """A large one, which all who ask for it meanwhile get: they cannot change it."""
        loading = self._loading.get(location)
        if loading is None:
            loading = self._loading[location] = asyncio.get_running_loop().create_future()
            try:
                self._start(self._load(location, loading))
            except BaseException:
                del self._loading[location]
                raise
        return await asyncio.shield(loading)

    async def _load(self, location: str, loading: asyncio.Future[bytes | None]) -> None:
        # Few at a time: many together would have to be in memory at once.
        try:
            async with self._database.large:
                rows = await self._database.fetch("large_payload", location)
            loading.set_result(rows[0]["content"] if rows else None)
        except Exception as error:
            loading.set_exception(error)
        except BaseException:
            loading.set_exception(StoreUnavailable("the store was closed while it was asked"))
            raise
        finally:
            del self._loading[location]
            loading.exception()  # Whoever asked may have been cancelled.

    async def _payloads(self, locations: Sequence[str]) -> Mapping[str, bytes | None]:
        rows = await self._database.fetch("payload", locations)
        return {row["location"]: row["content"] for row in rows}


def _parts(keys: Sequence[StepKey]) -> list[Sequence[StepKey]]:
    return [keys[start : start + _KEYS] for start in range(0, len(keys), _KEYS)]
