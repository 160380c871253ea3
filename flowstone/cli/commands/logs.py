"""`flowstone logs RUN`: what the code of a run's attempts logged and printed."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from flowstone.cli.asset_keys import meanings, step_key
from flowstone.cli.drivers import Drivers
from flowstone.cli.finding import find_run, likely_in
from flowstone.cli.labels import step_label
from flowstone.cli.loop import run_async
from flowstone.cli.options import Debug, Json, StoreUrl, whole
from flowstone.cli.places import history
from flowstone.cli.problem import CommandError
from flowstone.cli.screen import Screen
from flowstone.printable import indented, one_line
from flowstone.runs.log_line import LEVELS
from flowstone.runtime.client.log_lines import LogLines
from flowstone.store import FileStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flowstone.runs.log_line import LogLine
    from flowstone.runs.records import RunRecord
    from flowstone.runtime.client.log_reader import Reader
    from flowstone.store import Store
    from flowstone.store.logs import LogPage

__all__ = ["logs"]

_LOOKS: Final = 0.3  # Seconds between two looks for more lines,
_ASKS: Final = 1.0  # and between two for the end of the run.
_SETTLES: Final = 0.6  # Seconds after that for what was said last.
_SHOWN_ELSEWHERE: Final = frozenset({"stream", "logger", "exception", "left_out"})


def logs(
    run_id: Annotated[
        str, typer.Argument(metavar="RUN", help="The run's id, or how it begins.", show_default=False)
    ],
    store: StoreUrl,
    asset: Annotated[
        str | None, typer.Argument(metavar="ASSET", help="Only lines of this asset.", show_default=False)
    ] = None,
    partition: Annotated[
        str | None,
        typer.Option("--partition", metavar="KEY", help="Only lines of this partition.", show_default=False),
    ] = None,
    follow: Annotated[
        bool,
        typer.Option("--follow", "-f", help="Go on until the run has ended.", show_default=False),
    ] = False,
    tail: Annotated[
        int | None,
        whole("--tail", "Only the newest so many lines.", least=1),
    ] = None,
    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        typer.Option("--level", metavar="LEVEL", help="Only lines from this level on."),
    ] = "debug",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show what a run's attempts logged and printed."""
    with Screen(json=json, debug=debug) as screen:
        if partition is not None and asset is None:
            raise CommandError("--partition names a partition of an asset.", "Name the asset behind the run.")
        run_async(_tell(screen, store, run_id, (asset, partition), LEVELS[level], follow=follow, tail=tail))


async def _tell(
    screen: Screen,
    url: str,
    run_id: str,
    named: tuple[str | None, str | None],
    least: int,
    *,
    follow: bool,
    tail: int | None,
) -> None:
    async with history(url) as store:
        record = await find_run(store, run_id, url)
        remote: Any = getattr(store, "client", None)  # Of a server.
        lines: Any
        if remote is not None:
            asset, text = named
            step: tuple[str | None, str | None] = (None, None)
            if asset is not None:
                step = await step_key(store, asset, text)
            lines = remote.logs(record.id, asset, text, follow=follow, tail=tail)
        else:
            step = await _step(store, record.id, *named)
            follower = _StoreFollower(store, url, record) if follow else None
            lines = LogLines(_reading(store, record.id, step), follower, tail=tail)
        wanted = (line async for line in lines if LEVELS[line.level] >= least)
        found = False
        if screen.json and not follow:
            documents = (_document(line) async for line in wanted)
            await screen.long_document({"run": record.id}, "lines", documents)
            return
        async with contextlib.aclosing(wanted):
            async for line in wanted:
                found = True
                screen.line(_document(line)) if screen.json else screen.show(_shown(line))
        if not found and not screen.json:
            which = "" if step[0] is None else f" of {step_label(step[0], step[1])}"
            hint = "" if step[0] is None else await likely_in(store, record, step[0], step[1])
            screen.note(f"Run {record.id} has kept no such lines{which}.{hint}")


class _StoreReader:
    """Reads the log of a run, or of a step of it, from a store."""

    def __init__(self, store: Store, run_id: str, step: tuple[str | None, str | None]) -> None:
        self._store = store
        self._run_id = run_id
        self._step = step

    async def page(self, after: int, limit: int) -> LogPage:
        asset, key = self._step
        return await self._store.logs.page(
            self._run_id, asset=asset, partition_key=key, after=after, limit=limit
        )

    async def tail(self, limit: int) -> LogPage:
        asset, key = self._step
        return await self._store.logs.tail(self._run_id, asset=asset, partition_key=key, limit=limit)


def _reading(
    store: Store, run_id: str, step: tuple[str | None, str | None]
) -> Callable[[], Awaitable[Reader]]:
    """What `LogLines` is to read."""

    async def begin() -> Reader:
        return _StoreReader(store, run_id, step)

    return begin


async def _step(
    store: Store, run_id: str, asset: str | None, text: str | None
) -> tuple[str | None, str | None]:
    """The step that is meant, None for all: of the meanings of a partition's text one that has lines."""
    if asset is None or text is None:
        return asset, None
    for key in meanings(text):
        if (await store.logs.page(run_id, asset=asset, partition_key=key, limit=1)).lines:
            return asset, key
    return await step_key(store, asset, text)


class _StoreFollower:
    """Follows a run from outside: its store is asked whether it has ended, and whether somebody drives it."""

    def __init__(self, store: Store, url: str, record: RunRecord) -> None:
        self._store = store
        self._url = url
        self._record = record
        self._asks_at = 0.0
        self._ended: float | None = None

    async def over(self) -> bool:
        now = asyncio.get_running_loop().time()
        if self._ended is None and now >= self._asks_at:
            self._asks_at = now + _ASKS
            if await self._has_ended():
                self._ended = now
        return self._ended is not None and now - self._ended >= _SETTLES

    async def _has_ended(self) -> bool:
        """A file is read again; and of its runs nobody drives any if no process has it."""
        if not isinstance(self._store, FileStore):
            record = await self._store.run(self._record.id)
            return record is None or record.status.terminal
        async with history(self._url) as now:
            record = await now.run(self._record.id)
            return record is None or record.status.terminal or (await Drivers.of(now)).left(record)

    async def rest(self) -> None:
        await asyncio.sleep(_LOOKS)


def _shown(line: LogLine) -> str:
    """`2025-01-15 06:00:01.250 [info] raw[2025-01-15]: read rows=3`, with a traceback below it."""
    attempt = f" (attempt {line.attempt})" if line.attempt > 1 else ""
    logger = f" {line.fields['logger']}:" if "logger" in line.fields else ""
    told = "".join(f" {name}={value}" for name, value in line.fields.items() if name not in _SHOWN_ELSEWHERE)
    at = f"{line.at:%Y-%m-%d %H:%M:%S}.{line.at.microsecond // 1000:03d}"
    head = one_line(f"{at} [{line.level}] {step_label(line.asset, line.partition_key)}{attempt}:{logger}")
    below = f"\n{line.fields['exception']}".rstrip() if line.fields.get("exception") else ""
    return indented(f"{head} {line.message}{told}{below}")


def _document(line: LogLine) -> dict[str, Any]:
    return {
        "number": line.number,
        "at": line.at,
        "level": line.level,
        "asset": line.asset,
        "partition_key": line.partition_key,
        "attempt": line.attempt,
        "message": line.message,
        "fields": dict(line.fields),
    }
