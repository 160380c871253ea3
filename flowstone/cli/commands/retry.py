"""`flowstone retry RUN`: compute again what did not succeed in a run."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from flowstone.cli.asker import asker
from flowstone.cli.drivers import Drivers
from flowstone.cli.finding import find_run
from flowstone.cli.loading import load
from flowstone.cli.loop import run_async
from flowstone.cli.options import Debug, Json, LogLevel, StoreUrl
from flowstone.cli.outcome import show_outcome
from flowstone.cli.places import history, no_cluster, shares
from flowstone.cli.problem import CommandError
from flowstone.cli.queued import without_node
from flowstone.cli.screen import Screen
from flowstone.cli.server import ServerUrl
from flowstone.cli.session import compute
from flowstone.cli.submission import Submit, leave_to_nodes
from flowstone.runs.records import RunRecord, Status
from flowstone.runtime.client.retrying import asked_again, undone
from flowstone.runtime.run.local_runs import new_run_id

if TYPE_CHECKING:
    from flowstone.cli.loading import Loaded
    from flowstone.runtime.client.result import RunResult
    from flowstone.runtime.runtime import Runtime

__all__ = ["retry"]


def retry(
    first: Annotated[
        str,
        typer.Argument(
            metavar="[MODULE:PIPELINE] ID",
            help="The run's id, or how it begins; and before it the pipeline, to run it here.",
            show_default=False,
        ),
    ],
    second: Annotated[str | None, typer.Argument(metavar="ID", hidden=True, show_default=False)] = None,
    *,
    submit: Submit = False,
    store: StoreUrl,
    log_level: LogLevel = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Compute again what did not succeed in a run.

    What has succeeded is reused. With the pipeline the new run is computed here, or left to the nodes of the store
    with --submit; without it, it is left to them.
    """
    with Screen(json=json, debug=debug, log_level=log_level) as screen:
        if isinstance(store, ServerUrl):
            _ask(screen, store, second or first, submit=submit)
            return
        if second is None:
            _leave(screen, store, first)
            return
        if submit and not shares(store):
            raise no_cluster(store, why="no other process can take a run from it")
        loaded = load(first)
        old = run_async(_found(loaded, store, second))
        if submit:
            leave_to_nodes(screen, loaded, store, None, lambda runtime: runtime.retry(old.id))
        else:
            show_outcome(screen, compute(screen, loaded, store, lambda runtime: _again(runtime, old.id)))


def _ask(screen: Screen, url: ServerUrl, beginning: str, *, submit: bool) -> None:
    """Have a server compute it again, and wait for that unless the run is left to it."""
    nothing = load("")

    async def found() -> str:
        async with history(url) as store:
            return (await find_run(store, beginning, url)).id

    old = run_async(found())
    if submit:
        leave_to_nodes(screen, nothing, url, None, lambda runtime: runtime.retry(old, by=asker()))
    else:
        show_outcome(screen, compute(screen, nothing, url, lambda runtime: _retried(runtime, old)))


async def _retried(runtime: Runtime, run_id: str) -> RunResult:
    return await (await runtime.retry(run_id, by=asker())).wait()


async def _again(runtime: Runtime, run_id: str) -> RunResult:
    return await (await runtime.retry(run_id, here=True)).wait()


async def _found(loaded: Loaded, url: str, beginning: str) -> RunRecord:
    async with history(url) as store:
        run = await find_run(store, beginning, url)
    name = loaded.pipeline.name
    if run.pipeline != name:
        raise CommandError(
            f"Run {run.id} is of the pipeline {run.pipeline!r}, and {loaded.target} is {name!r}.",
            "Name the pipeline of the run.",
        )
    return run


def _leave(screen: Screen, url: str, beginning: str) -> None:
    if not shares(url):
        raise CommandError(
            "Only a database has nodes to which a run is left; of this store it is computed here.",
            f"Name the pipeline: `flowstone retry MODULE:PIPELINE {beginning}`.",
        )
    run, waits = run_async(_submitted(url, beginning))
    if screen.json:
        screen.document({"run_id": run.id, "submitted": True, "key": None})
    else:
        screen.show(f"run {run.id} is submitted")
    if waits is not None:
        screen.note(f"It waits {waits}.")


async def _submitted(url: str, beginning: str) -> tuple[RunRecord, str | None]:
    """The new run, and what it waits for if no node would take it."""
    async with history(url, to_write=True) as store:
        assert store.cluster is not None, "the store is shared"
        old = await find_run(store, beginning, url)
        await undone(store, old)
        now = datetime.now(UTC)
        new_id = new_run_id(random.SystemRandom(), now.timestamp())
        request = asked_again(old, asker())
        new = RunRecord(new_id, old.pipeline, request, Status.QUEUED, now, priority=old.priority)
        run = await store.cluster.submit(new)
        return run, without_node(await Drivers.of(store), run)
