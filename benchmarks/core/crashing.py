"""What a crash costs among many: from the message that crashes one actor until its successor has answered.

Bare is the same tree with 100 children instead of 10,000: a crash must cost what the one costs that crashed. Each
actor leaves a task behind, which its supervisor has to find and end.
"""

from __future__ import annotations

import asyncio
import gc
from dataclasses import dataclass

from benchmarks.figure import Figure
from benchmarks.timing import cpu_seconds
from flowstone.actors import Actor, Call, Cast, Child, Me, Supervisor

FEW = 100


@dataclass(frozen=True, slots=True)
class Crash(Cast["Worker"]):
    """Raise."""


@dataclass(frozen=True, slots=True)
class Alive(Call["Worker", bool]):
    """Ask for a sign of life."""


class Worker(Actor):
    """Has a task of its own, and crashes when told to."""

    def on_start(self, me: Me) -> None:
        """Start the task."""
        self.task = asyncio.create_task(asyncio.sleep(3600))

    def handle(self, message: Crash | Alive) -> bool:
        """Answer, or raise."""
        if isinstance(message, Crash):
            raise RuntimeError("crashed for the benchmark")  # noqa: TRY004 - no type is wrong
        return True


async def measure(*, quick: bool) -> list[Figure]:
    """Microseconds a crash."""
    many, crashes, rounds = (1_000, 20, 2) if quick else (10_000, 20, 50)
    bare, ours = [await crashing(children, crashes, rounds) for children in (FEW, many)]
    name = f"a crash and restart among {many:,} children"
    return [Figure(name, "µs", ours * 1e6, bare * 1e6, ratio_at_most=2)]


async def crashing(children: int, times: int, rounds: int) -> float:
    """The seconds of one crash, in the best round. Not in turns: both trees on one loop would be one crowd."""
    async with tree(children) as root:
        taken = []
        for _ in range(rounds):
            gc.collect()
            taken.append(await cpu_seconds(crash(root, times)) / times)
    return min(taken)


def tree(children: int) -> Supervisor:
    """A supervisor of so many that never gives up and tells nobody."""
    workers = [Child(f"worker {number}", Worker) for number in range(children)]
    return Supervisor(workers, max_restarts=1_000_000, on_report=lambda _: None)


async def crash(root: Supervisor, times: int) -> None:
    """Crash children here and there, one after the other."""
    count = root.count_children().specs
    for number in range(times):
        worker = root.child(f"worker {number * 7919 % count}", Worker)
        first = worker.instance
        worker.cast(Crash())
        while worker.instance is first or not worker.alive:  # noqa: ASYNC110 - a restart sets no event
            await asyncio.sleep(0)
        await worker.call(Alive())
