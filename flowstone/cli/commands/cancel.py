"""`flowstone cancel ID`: stop a run, whichever node drives it, or end one that nobody drives."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from flowstone.actors import SystemClock
from flowstone.cli.asker import asker
from flowstone.cli.documents import run_document
from flowstone.cli.environment import options
from flowstone.cli.finding import find_run
from flowstone.cli.labels import breakdown
from flowstone.cli.loop import run_async
from flowstone.cli.options import AskedBy, Debug, Json, StoreUrl
from flowstone.cli.places import history, shown, written
from flowstone.cli.problem import FAILED, CommandError
from flowstone.cli.screen import Screen
from flowstone.cli.server import ServerUrl, asked
from flowstone.cli.stopping import Stopping
from flowstone.errors import RunNotFound
from flowstone.runtime.run.closing import end_cancelled
from flowstone.runtime.run.control import Cancel

if TYPE_CHECKING:
    from flowstone.runs.records import RunRecord
    from flowstone.store import Store
    from flowstone.store.cluster import Cluster, Notification

__all__ = ["cancel"]

_TOLD = 2.0
"""Seconds in which a server has heard of it, with --no-wait."""

_POLL = 0.5
"""Seconds between two looks; a notification that the run has ended comes sooner."""


def cancel(
    run_id: Annotated[
        str, typer.Argument(metavar="ID", help="The run's id, or how it begins.", show_default=False)
    ],
    *,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Return when the run is told to stop.", show_default=False)
    ] = False,
    by: AskedBy = None,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why, for people.", show_default=False)
    ] = "",
    store: StoreUrl,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Stop a run, whichever node drives it."""
    with Screen(json=json, debug=debug) as screen:
        why = Cancel("asked", by=asker(by), comment=reason)
        ended_before, run = run_async(_cancel(screen, store, run_id, why, wait=not no_wait))
        if screen.json:
            screen.document(run_document(run))
        elif ended_before:
            screen.show(f"run {run.id} had ended already: {run.status}")
        elif not run.status.terminal:
            screen.show(f"run {run.id} is told to stop")
        else:
            screen.show(f"run {run.id} {run.status}: {breakdown(run.counts)}")


async def _cancel(
    screen: Screen, url: str, beginning: str, why: Cancel, *, wait: bool
) -> tuple[bool, RunRecord]:
    """Whether the run had ended already, and the run as it is in the end."""
    async with history(url, to_write=True) as store:
        run = await find_run(store, beginning, url)
        if run.status.terminal:
            return True, run
        if isinstance(url, ServerUrl):
            return False, await _asked_to_stop(url, run, why, wait=wait)
        if store.cluster is None:
            return False, await _ended(url, run, why, in_use=bool(getattr(store, "in_use", True)))
        await store.cluster.request_cancel(run.id, why.reason, by=why.by, comment=why.comment)
        return False, await (_stopped(screen, store, store.cluster, run) if wait else _now(store, run))


async def _asked_to_stop(url: ServerUrl, run: RunRecord, why: Cancel, *, wait: bool) -> RunRecord:
    """The run as it is when it has stopped; without waiting, when the server was told."""
    async with asked(url) as client:
        handle = await client.run(run.id)
        with suppress(TimeoutError):
            async with asyncio.timeout(None if wait else _TOLD):
                await handle.cancel(by=why.by, reason=why.comment)
        return await handle.record()


async def _ended(url: str, run: RunRecord, why: Cancel, *, in_use: bool) -> RunRecord:
    """A run of a store that one process holds at a time, cancelled. Raises `CommandError` if another one does."""
    if in_use:
        raise CommandError(
            f"Only the process that has {shown(url)} open can stop {run.id}, because it is a file.",
            "Stop that process, then say this again.",
            status=FAILED,
        )
    async with written(url) as store:
        run = await _now(store, run)
        if not run.status.terminal:
            node = f"{socket.gethostname()}-{os.getpid()}"
            await end_cancelled(store, node, run, datetime.now(UTC), why)
        return await _now(store, run)


async def _now(store: Store, run: RunRecord) -> RunRecord:
    found = await store.run(run.id)
    if found is None:
        raise RunNotFound(f"Run {run.id} was removed by retention.")
    return found


async def _stopped(screen: Screen, store: Store, cluster: Cluster, run: RunRecord) -> RunRecord:
    """The run, once it has stopped."""
    if (run := await _now(store, run)).status.terminal:
        return run
    woken = asyncio.Event()

    def heard(notification: Notification) -> None:
        if notification.kind == "look" or notification.subject == run.id:
            woken.set()

    shown = ""
    stopping = Stopping(store, cluster, SystemClock(), options().lease)
    with cluster.watch(heard):
        while not (run := await _now(store, run)).status.terminal:
            words = await stopping.look(run)
            if words != shown:
                shown = words
                screen.note(words)
            woken.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_POLL):
                    await woken.wait()
    return run
