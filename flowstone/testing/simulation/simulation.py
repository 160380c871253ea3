"""`Simulation`: the real runtime of a pipeline in virtual time, for tests."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Any, Final, Self

from flowstone.errors import SimulationError
from flowstone.remedies import Remedies
from flowstone.runtime.runtime import Runtime
from flowstone.store.memory import MemoryStore
from flowstone.store.open import check_store, open_store
from flowstone.testing.simulation.clock import LoopClock
from flowstone.testing.simulation.loop import SimulationLoop
from flowstone.testing.simulation.loop_transfer import LoopTransfer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType

    from flowstone.assets.pipeline import Pipeline
    from flowstone.io.manager import IOManager
    from flowstone.runs.automation_events import Event
    from flowstone.runs.records import RunRecord
    from flowstone.runtime.services.events import Subscription
    from flowstone.store.protocol import Store

__all__ = ["Simulation"]

_START: Final = datetime(2025, 1, 1, tzinfo=UTC)
_AT_ONE_INSTANT: Final = 1_000_000
_ALL: Final = 2**31 - 1


class Simulation:
    """A runtime in virtual time: `await sim.run(days=30)` takes about a second.

    Use it with `async with`, in a test on any event loop. The body of the block is in virtual time too: whatever
    waits there, or in an asset, for a time waits no real one, and while nothing can go on, time jumps to when
    something can. The same seed gives the same order of everything, in each process.

    Args:
        pipelines: A `Pipeline`, or several.
        start: What the clock shows at the beginning, aware; default 2025-01-01 in UTC.
        seed: Of run ids, of jitter, and of which of several tasks goes on first; default 0: the one that asyncio
            takes.
        store: `memory://`, `file://DIR`, or a store object of one of these. Nothing else can be reached.
        io: IO managers by name, as of `Runtime`.
        resources: Resources by name, as of `Runtime`.
        automate: Whether schedules, sensors and listeners of the pipelines work.
        options: Any field of `Settings` by name. Finished runs are not forgotten unless `keep_runs` says so.

    Raises:
        TypeError: `start` is no datetime, or it is naive.
    """

    def __init__(
        self,
        pipelines: Pipeline | Iterable[Pipeline],
        *,
        start: datetime = _START,
        seed: int = 0,
        store: str | Store = "memory://",
        io: Mapping[str, IOManager] | None = None,
        resources: Mapping[str, object] | None = None,
        automate: bool = True,
        **options: Any,
    ) -> None:
        given: object = start
        if not isinstance(given, datetime) or given.utcoffset() is None:
            raise TypeError(f"Simulation(start=…) takes an aware datetime, not {start!r:.100}.")
        self._pipelines = pipelines
        self._start = start
        self._seed = seed
        self._store = _reachable(store)
        self._given: dict[str, Any] = {"io": io, "resources": resources}
        self._options = {"keep_runs": _ALL, **options}
        self._automate = automate
        self._loop: SimulationLoop | None = None
        self._abandoned = False
        self._clock: LoopClock
        self._passage: LoopTransfer
        self._runtime: Runtime
        self._listening: Subscription
        self._runs: Sequence[RunRecord] | None = None
        self._now: datetime | None = None
        self._events: list[Event] = []

    # Its life -----------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Enter the runtime, on a loop of its own that goes on from here.

        Raises:
            SimulationError: It was entered before, or in another one.
            DefinitionError: The pipelines make no valid graph.
        """
        if self._loop is not None:
            raise SimulationError("A Simulation is entered once: make a new one.")
        if isinstance(asyncio.get_running_loop(), SimulationLoop):
            raise SimulationError(
                "A Simulation cannot be entered in another one.",
                remedies=Remedies("Give one Simulation all the pipelines."),
            )
        order = "shuffle" if self._seed else "fifo"
        loop = SimulationLoop(seed=self._seed, order=order, budget=_AT_ONE_INSTANT)
        loop.still = True
        try:
            self._clock = LoopClock(loop, self._start, steady=True)
            random = Random(self._seed)  # noqa: S311 - a seed is the point
            self._runtime = Runtime(
                self._pipelines,
                store=self._store,
                clock=self._clock,
                random=random,
                automate=self._automate,
                **self._given,
                **self._options,
            )
            self._passage = LoopTransfer(loop, self._end)
            await self._passage.enter()
        except BaseException:
            loop.close()
            raise
        self._loop = loop
        try:
            await self._runtime.__aenter__()
            random.seed(f"{self._seed} {[run.id for run in self._store.state.runs((), None, {}, 1, None)]}")
            self._listening = self._runtime.subscribe()
            await self._listening.__aenter__()
            self._listening.on_offer = self._hear
        except BaseException:
            await self._leave(loop)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if self._abandoned:
            return None
        loop = self._inside()
        try:
            return await self._runtime.__aexit__(kind, error, trace)
        finally:
            self._now, self._runs = self.now, self.runs
            await self._leave(loop)

    async def _leave(self, loop: SimulationLoop) -> None:
        """End what is left, and go back to the loop that it was entered on."""
        try:
            await _end_tasks(loop)
        finally:
            await self._passage.leave()
            loop.close()

    async def _end(self) -> None:
        """The coroutine of the block has ended within it."""
        self._abandoned = True
        loop = self._inside()
        try:
            await self._runtime.__aexit__(None, None, None)
        finally:
            self._now, self._runs = self.now, self.runs
            await _end_tasks(loop)

    def _inside(self) -> SimulationLoop:
        if self._loop is None or asyncio.get_running_loop() is not self._loop:
            raise SimulationError(
                "A Simulation is used in the task that entered it, within its `async with` block.",
                remedies=Remedies("Write `async with Simulation(...) as sim:` in the test itself."),
            )
        return self._loop

    def _hear(self) -> None:
        self._events += self._listening.taken()

    # Using it -----------------------------------------------------------------------------------------------

    async def run(
        self, *, days: float = 0.0, hours: float = 0.0, minutes: float = 0.0, seconds: float = 0.0
    ) -> None:
        """Let so much time pass, and all that is due in it happen, its last instant included.

        What has begun by then and takes time is still under way. All zero: what is due now happens.

        Raises:
            ValueError: It is no time that can pass.
            Deadlock: Never here: the time comes, whatever waits.
            Livelock: At one instant, something goes round in circles.
            SimulationError: It is called outside of the block.
        """
        loop = self._inside()
        span = days * 86_400.0 + hours * 3_600.0 + minutes * 60.0 + seconds
        if not 0.0 <= span < float("inf"):
            raise ValueError(f"Time passes forward, for a time: not for {span!r} s.")
        loop.until = float("inf")
        await loop.idle_at(loop.time() + span)

    @property
    def runtime(self) -> Runtime:
        """The runtime. It is used within the block, like any other."""
        self._inside()
        return self._runtime

    @property
    def now(self) -> datetime:
        """What the clock shows, aware, in UTC; after the block, what it showed at its end."""
        if self._now is not None:
            return self._now
        return self._start.astimezone(UTC) if self._loop is None else self._clock.now()

    @property
    def runs(self) -> Sequence[RunRecord]:
        """The runs that there have been, oldest first, each as it is now; after the block, as it was at its end."""
        if self._runs is not None:
            return self._runs
        return tuple(reversed(self._store.state.runs((), None, {}, _ALL, None)))

    @property
    def events(self) -> Sequence[Event]:
        """All that has happened, in order."""
        return tuple(self._events)


async def _end_tasks(loop: SimulationLoop) -> None:
    """Cancel the tasks that are left, and wait for them."""
    own = asyncio.current_task()
    left = sorted((task for task in asyncio.all_tasks() if task is not own), key=asyncio.Task.get_name)
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    await loop.shutdown_asyncgens()


def _reachable(store: str | Store) -> MemoryStore:
    """The store, which must be in this process.

    Raises:
        SimulationError: It is somewhere else.
    """
    check_store(store)
    opened = open_store(store)
    if not isinstance(opened, MemoryStore):
        raise SimulationError(
            "A Simulation reaches no database: its time is virtual.",
            remedies=Remedies("Use store='memory://', the default, or 'file://DIR'."),
        )
    return opened
