"""The supervised process of one IO manager: its lifecycle, limit, health and bookkeeping.

The bytes do not queue in a mailbox: a step calls `store` and `load` here directly, and the manager does its own
I/O. What it raises becomes an `IOManagerError` that names the asset, so a step always knows whose fault it was.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from flowstone.actors.spawn import stop_was_requested
from flowstone.assets.one_shot import find_one_shot
from flowstone.assets.partition_labels import step_label
from flowstone.backoff import Backoff
from flowstone.errors import IOManagerError
from flowstone.frozen import frozen
from flowstone.io.manager import Stored
from flowstone.io.memory import MemoryIO
from flowstone.runtime.execution.guard import call_async, describe

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from flowstone.actors import Clock
    from flowstone.alarms import Alarms
    from flowstone.io.manager import IOManager, Target
    from flowstone.runs.records import Materialization

__all__ = ["IOManagerActor", "IOStatistics"]

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 30.0


@frozen
class IOStatistics:
    """What went through an IO manager since it was started: counts of calls that returned, and of errors."""

    stored: int
    loaded: int
    errors: int


class IOManagerActor:
    """Owns one IO manager.

    Args:
        name: What assets call it (`io="name"`).
        manager: The manager.
        present: The IO managers of the runtime by name; this is among them while it runs.
        clock: Measures the pauses between tries of its set-up.
        random: Spreads the pauses.
        alarms: Where it says that it does not work.

    Attributes:
        memory: The manager, if it keeps values in memory: for those who need not wait for it. They count what
            they `stored` and `loaded`.
    """

    def __init__(
        self,
        name: str,
        manager: IOManager,
        present: dict[str, IOManagerActor],
        clock: Clock,
        random: Random,
        alarms: Alarms,
    ) -> None:
        self._present = present
        self._clock = clock
        self._random = random
        self._alarms = alarms
        self._ready = not hasattr(manager, "setup")
        self._tried = asyncio.Event()
        self.name = name
        self.manager = manager
        self.memory = manager if type(manager) is MemoryIO else None
        self.problem: str | None = None
        self.stored = 0
        self.loaded = 0
        self._errors = 0

    async def run(self, started: Callable[[], None]) -> None:
        """Set the manager up if it has a `setup`, and tear it down at the end if it has a `teardown`.

        A set-up that fails is tried again, later and later; steps wait for the first try and then fail at once.
        """
        self._present[self.name] = self
        started()
        try:
            backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE, self._random)
            while not self._ready:
                self._ready = await self._call_optional("setup")
                self._tried.set()
                if not self._ready:
                    await self._clock.sleep(backoff.pause())
            await asyncio.get_running_loop().create_future()
        finally:
            self._present.pop(self.name, None)
            if self._ready:
                await self._call_optional("teardown", stopping=True)

    async def store(self, target: Target, value: object) -> Stored:
        """Store a value. Raises `IOManagerError`, whatever the manager raises, and if it can be read only once."""
        if not self._ready:
            await self._available()
        try:
            found = find_one_shot(value)
            if found is not None:
                name = step_label(target.asset, target.partition_key)
                raise IOManagerError(f"Cannot store asset {name!r}: {found.explanation()}.")
            stored = await self.manager.store(target, value)
            if type(stored) is not Stored:
                raise TypeError(f"its store() returned {stored!r:.100}, not Stored(location=…)")
        except IOManagerError:
            self._errors += 1
            raise
        except GeneratorExit:
            raise  # The coroutine is being closed.
        except BaseException as error:
            raise self._error(error, f"store {step_label(target.asset, target.partition_key)}") from error
        self.stored += 1
        return stored

    async def load(self, record: Materialization) -> Any:
        """The value of a materialization that this manager stored. Raises as `store`."""
        assert record.location is not None
        if not self._ready:
            await self._available()
        try:
            value = await self.manager.load(record.location)
        except IOManagerError:
            self._errors += 1
            raise
        except GeneratorExit:
            raise
        except BaseException as error:
            raise self._error(error, f"load {record.name} from {record.location!r}") from error
        self.loaded += 1
        return value

    async def delete(self, location: str) -> None:
        await self.manager.delete(location)

    async def check(self) -> str | None:
        """Why the manager does not work, or None."""
        if self._ready:
            await self._call_optional("health")
        elif self.problem is None:
            return "it is being set up"
        return self.problem

    def statistics(self) -> IOStatistics:
        return IOStatistics(self.stored, self.loaded, self._errors)

    async def _available(self) -> None:
        """Wait for the first try of its set-up. Raises `IOManagerError` if it is not set up then."""
        await self._tried.wait()
        if not self._ready:
            self._errors += 1
            raise IOManagerError(f"IO manager {self.name!r} is not available: {self.problem}.")

    def _error(self, error: BaseException, what: str) -> IOManagerError:
        """What to raise for what the manager raised: anything but a cancel of ours is its own failure."""
        if stop_was_requested(error):
            raise asyncio.CancelledError
        self._errors += 1
        return IOManagerError(f"IO manager {self.name!r} could not {what}: {describe(error, None).message}")

    async def _call_optional(self, method: str, *, stopping: bool = False) -> bool:
        """Call a method that a manager may have; whether that went well. Raises a cancel that is meant for us."""
        function = getattr(self.manager, method, None)
        if function is None:
            return True
        caught: list[BaseException] = []
        ok, result = await call_async(function, {}, None, caught.append)
        if not stopping and stop_was_requested(*caught):
            raise asyncio.CancelledError
        self.problem = None if ok else f"{method} failed: {result.message}"
        subject = f"IO manager {self.name!r}"
        if self.problem is None:
            self._alarms.clear(subject)
        else:
            self._alarms.set(subject, self.problem)
        return ok
