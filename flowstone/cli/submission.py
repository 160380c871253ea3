"""Leaving a run to the nodes of a store: written down, and whoever has room takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from flowstone.cli.drivers import Drivers
from flowstone.cli.loop import run_async
from flowstone.cli.options import whole
from flowstone.cli.places import history, no_cluster, shares
from flowstone.cli.problem import CommandError
from flowstone.cli.queued import without_node
from flowstone.cli.session import open_runtime
from flowstone.runtime.client.requests import checked_key, checked_priority

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flowstone.cli.loading import Loaded
    from flowstone.cli.screen import Screen
    from flowstone.runtime.client.handle import Run
    from flowstone.runtime.runtime import Runtime

__all__ = ["Join", "Key", "Priority", "Submit", "leave_to_nodes", "refuse_unless_submitted"]

Submit: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--submit",
        help="Leave the run to the nodes of the store (`serve`, `worker`) and return when it is written down.",
        show_default=False,
    ),
]
Join: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--join",
        help="Wait for a run that is under way for the same request, instead of computing the same twice.",
        show_default=False,
    ),
]
Key: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="TEXT",
        help="With --submit: start nothing while a run with this key is unfinished.",
        show_default=False,
    ),
]
Priority: TypeAlias = Annotated[
    int,
    whole("--priority", "With --submit: higher is taken first."),
]


def refuse_unless_submitted(store: str, key: str | None, priority: int, *, submit: bool) -> None:
    """Raise `CommandError` if `--key` or `--priority` mean nothing here, or nobody could take the run."""
    if submit and not shares(store):
        raise no_cluster(store, why="no other process can take a run from it")
    if not submit and (key is not None or priority):
        raise CommandError(
            "--key and --priority are about runs that are left to other nodes.",
            "Add --submit, or leave them out.",
        )
    checked_key(key)
    checked_priority(priority)


def leave_to_nodes(
    screen: Screen, loaded: Loaded, store: str, key: str | None, ask: Callable[[Runtime], Awaitable[Run]]
) -> None:
    """Submit a run and tell its id once it is durable."""
    run, waits = run_async(_submit(screen, loaded, store, ask))
    if screen.json:
        screen.document({"run_id": run.id, "submitted": run.submitted, "key": key})
    elif run.submitted:
        screen.show(f"run {run.id} is submitted")
    elif key is not None:
        screen.show(f"run {run.id} is unfinished and has the key {key!r}: nothing was submitted")
    else:
        screen.show(f"run {run.id} is under way for the same request: nothing was submitted")
    if waits is not None:
        screen.note(f"It waits {waits}.")


async def _submit(
    screen: Screen, loaded: Loaded, store: str, ask: Callable[[Runtime], Awaitable[Run]]
) -> tuple[Run, str | None]:
    """The run, and what it waits for if no node would take it: whoever starts none waits for ever."""
    async with open_runtime(screen, loaded, store) as runtime:
        run = await ask(runtime)
    async with history(store) as kept:
        record = await kept.run(run.id)
        return run, None if record is None else without_node(await Drivers.of(kept), record)
