"""What a run uses of the runtime it runs in, put together once by `runtime.py` and passed down."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from flowstone.errors import IOManagerError, ResourceUnavailable
from flowstone.runs.events import StepSucceeded
from flowstone.runtime.services.failure_log import FAILURES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime
    from random import Random
    from typing import Any

    from flowstone.actors import Clock
    from flowstone.alarms import Alarms
    from flowstone.assets.snapshot import Snapshot
    from flowstone.io.manager import IOManager
    from flowstone.runs.events import Event
    from flowstone.runs.records import Materialization
    from flowstone.runtime.execution.process_pool import ProcessPool
    from flowstone.runtime.loop_affinity import LoopAffinity
    from flowstone.runtime.options import Options
    from flowstone.runtime.services.admission import Admission
    from flowstone.runtime.services.attempt_logs import AttemptLogs
    from flowstone.runtime.services.events import EventStream
    from flowstone.runtime.services.failure_log import FailureLog
    from flowstone.runtime.services.feed import FeedReaders
    from flowstone.runtime.services.io_manager import IOManagerActor
    from flowstone.runtime.services.notifications import Notifications
    from flowstone.runtime.services.origins import Origins
    from flowstone.runtime.services.peers import Peers
    from flowstone.runtime.services.recent_successes import RecentSuccesses
    from flowstone.runtime.services.resource import ResourceActor
    from flowstone.store.history import History
    from flowstone.store.protocol import Store
    from flowstone.threads import Threads

__all__ = ["RuntimeContext"]


class TurnTaker(Protocol):
    """An attempt whose function waits for a turn of a rate."""

    priority: int

    @property
    def name(self) -> str: ...


@dataclass(slots=True)
class RuntimeContext:
    """The composition of one runtime: no part of it is global, so two runtimes never meet.

    `io` and `resources` hold the processes that run at this moment; each enters and leaves by itself, so a
    restart of any supervisor above it changes nothing for those who look it up. `notifications` and `peers` are
    silent and empty where no other node shares the store. `memory` is what a `MemoryStore`, and no other,
    remembers: its steps need not wait for it. `begun_at` is when the runtime was entered. `actor` is on record as
    who asks for what is done here, where a caller does not say otherwise. `suspending` names the assets whose
    functions have been seen to wait for something: to begin one of them in the turn of its start gains nothing.
    `automation_problems` says of automations that this node drives, by name, what does not work at present.
    """

    node: str
    affinity: LoopAffinity
    snapshot: Snapshot
    settings: Options
    clock: Clock
    random: Random
    store: Store
    stream: EventStream
    feeds: FeedReaders
    admission: Admission
    threads: Threads
    managers: Mapping[str, IOManager]
    io: dict[str, IOManagerActor]
    resources: dict[str, ResourceActor]
    notifications: Notifications
    peers: Peers
    failures: FailureLog
    alarms: Alarms
    recent: RecentSuccesses
    origins: Origins
    logs: AttemptLogs
    begun_at: datetime
    actor: str | None = None
    memory: History | None = None
    suspending: set[str] = field(default_factory=set)
    automation_problems: dict[str, str] = field(default_factory=dict)
    process_pool: ProcessPool | None = None

    def processes(self) -> ProcessPool:
        """The worker processes; most runtimes never have one, nor load what it takes."""
        if self.process_pool is None:
            from flowstone.runtime.execution.process_pool import ProcessPool  # noqa: PLC0415 - see above

            self.process_pool = ProcessPool()
        return self.process_pool

    def publish(self, snapshot: Snapshot) -> None:
        """Make this the current snapshot.

        Which pipeline an asset belongs to stays known of those that are gone: a run of one may just be beginning.
        """
        self.admission.pools.define(snapshot.pools)
        self.admission.rates.define(snapshot.rates)
        self.snapshot = replace(snapshot, pipelines={**self.snapshot.pipelines, **snapshot.pipelines})

    async def record(self, event: Event, epoch: int, payload: bytes | None = None) -> None:
        """Write an event down, then tell whoever listens: nobody is told of what may yet be lost."""
        await self.store.write(event, epoch, payload=payload)
        if type(event) is StepSucceeded and self.memory is None:
            self.recent.add(event.materialization)
        if self.stream.heard:
            self.stream.publish(event)
        if type(event) in FAILURES:
            self.failures.log(event)

    async def record_many(self, events: Sequence[Event], epoch: int) -> None:
        """As `record`, for several events of a run, all of them or none."""
        await self.store.write_many(events, epoch)
        self.learn(events)
        for event in events:
            if type(event) in FAILURES:
                self.failures.log(event)

    def learn(self, events: Sequence[Event], *, denied: bool = False) -> None:
        """Tell whoever listens of what has been recorded by somebody else, who has logged its failures.

        Args:
            events: What has been recorded.
            denied: Whether it was a store that recorded it, of steps that waited: failures are logged here.
        """
        if self.stream.heard:
            for event in events:
                self.stream.publish(event)
        if denied:
            for event in events:
                if type(event) in FAILURES:
                    self.failures.log(event)

    async def look_at_origins(
        self, records: Iterable[Materialization | None], run_id: str | None = None
    ) -> None:
        """Warn if another pipeline has computed values that are about to be used; see `Origins.look`."""
        if self.memory is None:  # Where the runtime is alone with its store there is no other one.
            used = (record for record in records if record is not None)
            await self.origins.look(self.store, self.snapshot, used, run_id)

    def turn(self, attempt: TurnTaker, name: str) -> AbstractAsyncContextManager[None]:
        """A turn of a rate, for the function of an attempt.

        Raises:
            ValueError: There is no such rate, or the function does not run on the runtime's loop.
        """
        try:
            on_loop = asyncio.get_running_loop() is self.affinity.loop
        except RuntimeError:
            on_loop = False
        if not on_loop:
            raise ValueError(
                f"{attempt.name} does not run on the runtime's loop, where context.limit({name!r:.100}) waits: "
                f"make the function async, or keep to the rate as a whole, with @pipeline.asset(rate=…)."
            )
        return self.admission.rates.turn(name, attempt.priority)

    def io_manager(self, name: str) -> IOManagerActor:
        """The IO manager of that name.

        Raises:
            IOManagerError: The runtime has none, or it is being restarted.
        """
        manager = self.io.get(name)
        if manager is None:
            known = ", ".join(map(repr, self.io)) or "none"
            raise IOManagerError(
                f"There is no IO manager {name!r}: pass Runtime(io={{{name!r}: …}}); this runtime has {known}."
            )
        return manager

    async def resource(self, name: str) -> Any:
        """A resource, set up.

        Raises:
            ResourceUnavailable: The runtime has none of that name, or it is not set up.
        """
        process = self.resources.get(name)
        if process is None:
            known = ", ".join(map(repr, self.resources)) or "none"
            raise ResourceUnavailable(
                f"There is no resource {name!r}: pass Runtime(resources={{{name!r}: …}}); this runtime has {known}."
            )
        return await process.get()
