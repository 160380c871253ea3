"""The supervised process of one IO manager: its lifecycle, limit, health and bookkeeping.

The bytes do not queue in a mailbox: a step calls `store` and `load` here directly, and the manager does its own
I/O. What it raises becomes an `IOManagerError` that names the asset, so a step always knows whose fault it was.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flowstone.assets.partition_labels import step_label
from flowstone.errors import IOManagerError
from flowstone.runtime.guard import call_async

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.io.manager import IOManager, Stored, Target
    from flowstone.runs.records import Materialization

__all__ = ["IOManagerProcess", "IOStatistics"]


@dataclass(frozen=True, slots=True)
class IOStatistics:
    """What went through an IO manager since it was started: counts of calls that returned, and of errors."""

    stored: int
    loaded: int
    errors: int


class IOManagerProcess:
    """Owns one IO manager.

    Args:
        name: What assets call it (`io="name"`).
        manager: The manager.
        present: The runtime's IO managers; this one is in it while it runs.
    """

    def __init__(self, name: str, manager: IOManager, present: dict[str, IOManagerProcess]) -> None:
        self._present = present
        self.name = name
        self.manager = manager
        self.problem: str | None = None
        self._stored = 0
        self._loaded = 0
        self._errors = 0

    async def run(self, started: Callable[[], None]) -> None:
        """Set the manager up if it has a `setup`, and tear it down at the end if it has a `teardown`."""
        self._present[self.name] = self
        started()
        try:
            await self._call_optional("setup")
            await asyncio.get_running_loop().create_future()
        finally:
            self._present.pop(self.name, None)
            await self._call_optional("teardown")

    async def store(self, target: Target, value: object) -> Stored:
        try:
            stored = await self.manager.store(target, value)
        except IOManagerError:
            self._errors += 1
            raise
        except Exception as error:
            self._errors += 1
            name = step_label(target.asset, target.partition_key)
            raise IOManagerError(
                f"IO manager {self.name!r} could not store {name}: {type(error).__name__}: {error}"
            ) from error
        self._stored += 1
        return stored

    async def load(self, record: Materialization) -> Any:
        """The value of a materialization that this manager stored."""
        assert record.location is not None
        try:
            value = await self.manager.load(record.location)
        except IOManagerError:
            self._errors += 1
            raise
        except Exception as error:
            self._errors += 1
            raise IOManagerError(
                f"IO manager {self.name!r} could not load {record.name} from {record.location!r}: "
                f"{type(error).__name__}: {error}"
            ) from error
        self._loaded += 1
        return value

    async def delete(self, location: str) -> None:
        await self.manager.delete(location)

    async def check(self) -> str | None:
        """Why the manager does not work, or None."""
        await self._call_optional("health")
        return self.problem

    def statistics(self) -> IOStatistics:
        return IOStatistics(self._stored, self._loaded, self._errors)

    async def _call_optional(self, method: str) -> None:
        function = getattr(self.manager, method, None)
        if function is None:
            return
        ok, result = await call_async(function, {}, None)
        self.problem = None if ok else f"{method} failed: {result.message}"
