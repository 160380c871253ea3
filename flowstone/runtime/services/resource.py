"""One resource under supervision: set up with retries, watched, torn down.

A resource that fails does not stop the runtime: set-up is tried again and again, later and later. A step that
needs it waits for the first attempt only, then fails at once, so that a broken database does not turn into a
thousand waiting steps.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from flowstone.actors.spawn import stop_was_requested
from flowstone.backoff import Backoff
from flowstone.errors import ResourceUnavailable
from flowstone.runtime.execution.guard import call_async
from flowstone.runtime.services.providers import ResourceProvider

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from flowstone.actors import Clock
    from flowstone.alarms import Alarms
    from flowstone.runtime.execution.guard import Outcome

__all__ = ["ResourceActor"]

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 30.0
_HEALTH_INTERVAL = 10.0
_HEALTH_TIMEOUT = 5.0
_STRIKES = 3  # Failed health checks in a row after which the resource is torn down and set up again.


class ResourceActor:
    """The supervised process of one resource.

    Args:
        name: What assets call it.
        provider: Makes and ends it.
        present: The resources of the runtime by name; this is among them while it runs.
        clock: Measures the pauses between tries of its set-up, and between checks of its health.
        random: Spreads the pauses.
        alarms: Where it says that it does not work.
    """

    def __init__(
        self,
        name: str,
        provider: ResourceProvider[Any],
        present: dict[str, ResourceActor],
        clock: Clock,
        random: Random,
        alarms: Alarms,
    ) -> None:
        self._present = present
        self.name = name
        self.problem: str | None = "it is being set up"
        self._provider = provider
        self._clock = clock
        self._random = random
        self._value: Any = None
        self._ready = False
        self._alarms = alarms
        self._tried = asyncio.Event()

    async def get(self) -> Any:
        """The resource, once its first set-up attempt is over.

        Raises:
            ResourceUnavailable: It is not set up.
        """
        if not self._ready:
            await self._tried.wait()
            if not self._ready:
                raise ResourceUnavailable(f"Resource {self.name!r} is not available: {self.problem}.")
        return self._value

    async def check(self) -> str | None:
        """Why the resource does not work, or None. Asks the provider now, for a few seconds at most."""
        if self._ready:
            try:
                async with asyncio.timeout(_HEALTH_TIMEOUT):
                    ok, result = await _guarded(self._provider.health, self._value)
            except TimeoutError:
                self.problem = f"its health check did not answer within {_HEALTH_TIMEOUT:g} s"
            else:
                self.problem = None if ok else f"health check failed: {result.message}"
            self._tell()
        return self.problem

    async def run(self, started: Callable[[], None]) -> None:
        self._present[self.name] = self
        started()
        try:
            while True:
                await self._set_up()
                await self._watch()
                await self._tear_down()
        finally:
            self._present.pop(self.name, None)
            await self._tear_down()

    async def _set_up(self) -> None:
        backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE, self._random)
        while True:
            ok, result = await _guarded(self._provider.setup)
            self._ready = ok
            self._value = result if ok else None
            self.problem = None if ok else f"set-up failed: {result.message}"
            self._tried.set()
            self._tell()
            if ok:
                return
            await self._clock.sleep(backoff.pause())

    async def _watch(self) -> None:
        if type(self._provider).health is ResourceProvider.health:
            await asyncio.get_running_loop().create_future()  # It always says that it works: nobody need ask.
        strikes = 0
        while strikes < _STRIKES:
            await self._clock.sleep(_HEALTH_INTERVAL)
            strikes = 0 if await self.check() is None else strikes + 1

    async def _tear_down(self) -> None:
        if not self._ready:
            return
        self._ready = False
        value, self._value = self._value, None
        ok, result = await _guarded(self._provider.teardown, value, stopping=True)
        if not ok:
            self.problem = f"teardown failed: {result.message}"
            self._tell()

    def _tell(self) -> None:
        subject = f"resource {self.name!r}"
        if self.problem is None:
            self._alarms.clear(subject)
        else:
            self._alarms.set(subject, self.problem)


async def _guarded(function: Callable[..., Any], *arguments: Any, stopping: bool = False) -> Outcome:
    """Await a provider's method; whatever it raises is an outcome, except a cancel that is meant for us."""
    caught: list[BaseException] = []
    outcome = await call_async(partial(function, *arguments), {}, None, caught.append)
    if not stopping and stop_was_requested(*caught):
        raise asyncio.CancelledError
    return outcome
