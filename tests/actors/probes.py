"""Actors and coroutines to supervise: some log what happens to them, some do their worst."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from flowstone.actors import Actor, Call, Cast, Child, Exit, Later, Me, Rejected


class Boom(Exception):
    """The error tests crash things with."""


@dataclass(frozen=True, slots=True)
class Get(Call["Probe", int]):
    """How many `Add`s this incarnation has seen."""


@dataclass(frozen=True, slots=True)
class Add(Cast["Probe"]):
    """Count one."""

    value: Any = 1


@dataclass(frozen=True, slots=True)
class Crash(Cast["Probe"]):
    """Raise this."""

    error: BaseException = field(default_factory=Boom)


@dataclass(frozen=True, slots=True)
class CrashCall(Call["Probe", None]):
    """Raise this while the caller waits."""

    error: BaseException = field(default_factory=Boom)


@dataclass(frozen=True, slots=True)
class Quit(Cast["Probe"]):
    """End by itself, this way."""

    exit: Exit | None = None


@dataclass(frozen=True, slots=True)
class Do(Call["Probe", Any]):
    """Call or await what the test passes; the reply is its result."""

    action: Any


@dataclass(frozen=True, slots=True)
class Refuse(Call["Probe", None]):
    """Be refused."""

    reason: str = "no"


@dataclass(frozen=True, slots=True)
class Promise(Call["Probe", Any]):
    """Be answered later."""


class Probe(Actor):
    """An actor that logs its starts and stops, and does what messages say."""

    def __init__(self, name: str = "probe", log: list | None = None):
        self.name = name
        self.log = [] if log is None else log
        self.seen: list[Any] = []
        self.laters: list[Later] = []

    def on_start(self, me: Me):
        self.me = me
        self.log.append(f"start {self.name}")

    async def handle(self, message):
        match message:
            case Get():
                return len(self.seen)
            case Add(value):
                self.seen.append(value)
            case Crash(error) | CrashCall(error):
                raise error
            case Quit(ending):
                self.me.stop(ending)
            case Do(action):
                done = action()
                return await done if asyncio.iscoroutine(done) or asyncio.isfuture(done) else done
            case Refuse(reason):
                raise Rejected(reason)
            case Promise():
                self.laters.append(Later())
                return self.laters[-1]
        return None

    def on_stop(self, how):
        self.log.append(f"stop {self.name}: {how}")


class Failing(Probe):
    """A probe whose start raises as long as the list `failures` has entries."""

    def __init__(self, name: str, log: list, failures: list):
        super().__init__(name, log)
        self.failures = failures

    def on_start(self, me: Me):
        super().on_start(me)
        if self.failures:
            raise self.failures.pop()


def probe(name: str, log: list | None = None, **options) -> Child:
    """A child that logs its starts (by itself) and its ends (by `on_exit`, so kills are seen too)."""
    if log is not None:
        options.setdefault("on_exit", lambda how: log.append(f"end {name}: {how}"))
    return Child(name, lambda: _Starts(name, log), **options)


class _Starts(Probe):
    def on_stop(self, how):
        """Ends are logged by the child's `on_exit`."""


class Tenacious:
    """Coroutines that swallow every exception, until the test lets them go."""

    def __init__(self):
        self.released = False
        self.swallowed = 0
        self.tasks: list[asyncio.Task] = []  # A task that nobody holds may be collected while it waits.

    def spawn(self, name: str) -> asyncio.Task:
        """A task that swallows every exception."""
        self.tasks.append(asyncio.create_task(self.swallow(), name=name))
        return self.tasks[-1]

    def release(self) -> None:
        """Let go: what still runs ends at its next exception, of which each task gets one."""
        self.released = True
        for task in self.tasks:
            task.cancel()

    async def swallow(self):
        """Wait for ever, whatever is raised."""
        while not self.released:
            never = asyncio.get_running_loop().create_future()
            try:
                await never
            except BaseException:
                self.swallowed += 1

    async def loop_in_finally(self):
        """Wait for ever, and again in the cleanup."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await self.swallow()

    async def wait_for_child(self):
        """Wait for a task that swallows every exception."""
        await self.spawn("grandchild")

    async def gather(self):
        """Wait for several of them."""
        await asyncio.gather(self.spawn("one"), self.spawn("two"))

    async def shield(self):
        """Wait behind a shield."""
        await asyncio.shield(self.spawn("shielded"))

    async def busy(self):
        """Never wait, only yield."""
        while not self.released:
            try:
                await asyncio.sleep(0)
            except BaseException:
                self.swallowed += 1
