"""What a message costs: a cast (no answer) and a call (there and back), beside asyncio's own queue."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.figure import Figure
from benchmarks.timing import best, cpu_seconds
from flowstone.actors import Actor, Call, Cast, Child, Supervisor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

BATCH = 500  # below the bound of a mailbox, so that no cast is refused


@dataclass(frozen=True, slots=True)
class Add(Cast["Counter"]):
    """Add to the count."""

    number: int


@dataclass(frozen=True, slots=True)
class Total(Call["Counter", int]):
    """Ask for the count."""


class Counter(Actor):
    """Counts."""

    total = 0

    def handle(self, message: Add | Total) -> int | None:
        """Add, or answer."""
        if isinstance(message, Add):
            self.total += message.number
            return None
        return self.total


class Queue:
    """The baseline: a task that reads an `asyncio.Queue` and answers through futures."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[tuple[int, asyncio.Future[int] | None]] = asyncio.Queue()

    async def run(self) -> None:
        """Count until cancelled."""
        total = 0
        while True:
            number, answer = await self.queue.get()
            total += number
            if answer is not None:
                answer.set_result(total)

    async def call(self) -> int:
        """Ask for the count."""
        answer = asyncio.get_running_loop().create_future()
        self.queue.put_nowait((0, answer))
        return await answer


async def measure(*, quick: bool) -> list[Figure]:
    """Microseconds a message."""
    batches, rounds = (2, 2) if quick else (20, 7)
    scale = 1e6 / (batches * BATCH)
    baseline = Queue()
    reader = asyncio.create_task(baseline.run())
    async with Supervisor([Child("counter", Counter)]) as root:
        counter = root.child("counter")
        cast = await best(
            rounds,
            lambda: cpu_seconds(casts(batches, lambda: baseline.queue.put_nowait((1, None)), baseline.call)),
            lambda: cpu_seconds(casts(batches, lambda: counter.cast(Add(1)), lambda: counter.call(Total()))),
        )
        call = await best(
            rounds,
            lambda: cpu_seconds(calls(batches, baseline.call)),
            lambda: cpu_seconds(calls(batches, lambda: counter.call(Total()))),
        )
    reader.cancel()
    return [
        Figure("cast to an actor", "µs", cast.ours * scale, cast.bare * scale, at_most=3),
        Figure("call to an actor", "µs", call.ours * scale, call.bare * scale, at_most=35),
    ]


async def casts(batches: int, cast: Callable[[], None], call: Callable[[], Awaitable[int]]) -> None:
    """Send batches; the call at the end of each waits until the batch was handled."""
    for _ in range(batches):
        for _ in range(BATCH):
            cast()
        await call()


async def calls(batches: int, call: Callable[[], Awaitable[int]]) -> None:
    """As many calls, one after the other."""
    for _ in range(batches * BATCH):
        await call()
