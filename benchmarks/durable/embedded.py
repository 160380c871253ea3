"""The embedded server: a new directory, one that is there, joining one that runs, and stopping it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks.figure import Figure
from benchmarks.postgres import place
from flowstone.store.embedded import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import Callable


async def measure(*, quick: bool) -> list[Figure]:
    """Best of some, in seconds."""
    rounds = 1 if quick else 5
    taken: dict[str, list[float]] = {"first start": [], "later start": [], "joining": [], "stop": []}

    def timed(name: str, work: Callable[[], object]) -> None:
        began = time.perf_counter()
        work()
        taken[name].append(time.perf_counter() - began)

    for _ in range(rounds):
        with place() as directory:
            server, second = EmbeddedServer(directory / "pg"), EmbeddedServer(directory / "pg")
            timed("first start", server.start)
            timed("joining", second.start)
            second.stop()
            timed("stop", server.stop)
            timed("later start", server.start)
            server.stop()
    targets = {"first start": 1.5, "later start": 0.3}
    return [
        Figure(f"embedded server: {name}", "s", min(times), at_most=targets.get(name))
        for name, times in taken.items()
    ]
