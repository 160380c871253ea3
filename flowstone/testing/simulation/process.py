"""A process of a simulated world: code that can be killed or paused from outside, as an operating system does it.

What belongs to a process is known by a variable of its context, which everything that it starts inherits.

    kill      none of its steps is ever taken again: no `finally` runs, as in life
    pause     its steps are put aside, its timers included, and taken when it goes on: it may find its lease over
"""

from __future__ import annotations

from contextvars import Context, ContextVar
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from asyncio import Handle, Task
    from collections.abc import Callable, Coroutine, Sequence
    from contextlib import AbstractContextManager

__all__ = ["PROCESS", "Process", "ProcessState"]

T = TypeVar("T")

PROCESS: ContextVar[Process | None] = ContextVar("flowstone_simulated_process", default=None)
"""Whose code this is; None: that of the world itself."""


class ProcessState(Enum):
    """What becomes of its steps."""

    RUNNING = auto()
    PAUSED = auto()
    KILLED = auto()


class _Loop(Protocol):
    """What a process needs of its loop, a `SimulationLoop`, whose methods say what they do."""

    def start(self, coroutine: Coroutine[Any, Any, T], name: str | None, context: Context) -> Task[T]: ...

    def working_for(self, process: Process) -> AbstractContextManager[None]: ...

    def bury(self, handles: Sequence[Any]) -> None: ...

    def go_on(self, handles: Sequence[Any]) -> None: ...


class Process:
    """One process of a world; made by `SimulationLoop.process(name)`.

    Attributes:
        name: For the descriptions.
        state: What becomes of its steps.
    """

    __slots__ = ("_loop", "_postponed", "name", "state")

    def __init__(self, loop: _Loop, name: str) -> None:
        self.name = name
        self.state = ProcessState.RUNNING
        self._loop = loop
        self._postponed: list[Handle] = []

    def spawn(self, coroutine: Coroutine[Any, Any, T], *, name: str | None = None) -> Task[T]:
        """Start a coroutine as code of this process."""
        context = Context()
        context.run(PROCESS.set, self)
        return self._loop.start(coroutine, name, context)

    def call(self, function: Callable[[], T]) -> T:
        """Call a function as code of this process, now."""
        context = Context()
        context.run(PROCESS.set, self)
        with self._loop.working_for(self):
            return context.run(function)

    def kill(self) -> None:
        """End it as `kill -9` does. Tasks of others that wait for its tasks wait for ever."""
        self.state = ProcessState.KILLED
        self._loop.bury(self._postponed)
        self._postponed = []

    def pause(self) -> None:
        """Stop it, as SIGSTOP does. One that was killed stays killed."""
        if self.state is ProcessState.RUNNING:
            self.state = ProcessState.PAUSED

    def resume(self) -> None:
        """Let it go on, with all that has come due meanwhile, in the order in which it did."""
        if self.state is ProcessState.PAUSED:
            self.state = ProcessState.RUNNING
            postponed, self._postponed = self._postponed, []
            self._loop.go_on(postponed)

    def postpone(self, handle: Handle) -> None:
        """It is paused: this step waits until it goes on."""
        self._postponed.append(handle)

    def __repr__(self) -> str:
        return f"<Process {self.name}, {self.state.name.lower()}>"
