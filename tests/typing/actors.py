"""The actor core as a user writes it: what this asserts is what an editor shows. Read by mypy, never run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, assert_never, assert_type

from flowstone.actors import (
    Actor,
    Call,
    Cast,
    Child,
    ChildCount,
    Clock,
    Exit,
    Later,
    MailboxStatistics,
    Me,
    Normal,
    ProcessInfo,
    Ref,
    Registry,
    Report,
    Runnable,
    Supervisor,
    SystemClock,
    TaskHandle,
    TaskStatistics,
    TaskSupervisor,
)
from flowstone.testing.clock import VirtualClock

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Bump(Call["Counter", int]):
    """Add and tell the sum."""

    by: int = 1


@dataclass(frozen=True, slots=True)
class Names(Call["Counter", list[str]]):
    """Answered later."""


@dataclass(frozen=True, slots=True)
class Reset(Cast["Counter"]):
    """Begin again."""


class Counter(Actor):
    """An actor with a constructor of its own."""

    def __init__(self, start: int = 0) -> None:
        self.start = self.total = start
        self.waiting: list[Later] = []
        self.me: Me | None = None

    async def on_start(self, me: Me) -> None:
        self.me = me
        assert_type(me.ref, Ref[Any])
        assert_type(me.name, str)
        assert_type(me.clock, Clock)

    async def handle(self, message: Bump | Names | Reset) -> object:
        match message:
            case Bump(by):
                self.total += by
                return self.total
            case Names():
                self.waiting.append(Later())
                return self.waiting[-1]
            case Reset():
                self.total = self.start
                return None
            case _:
                assert_never(message)

    def on_stop(self, exit: Exit) -> None:  # noqa: A002 - the hook's own word
        """Plain functions will do."""


class Special(Counter):
    """A counter, to a reference as well."""


@dataclass(frozen=True, slots=True)
class Ask(Call["Plain", str]):
    """For another actor."""


class Plain(Actor):
    """An actor without coroutines."""

    def on_start(self, me: Me) -> None:
        """Nothing to do."""

    def handle(self, message: Ask) -> str:
        return f"{message}"


class Ticker:
    """A runnable."""

    async def run(self, started: Callable[[], None]) -> None:
        started()


async def make_counter() -> Counter:
    """Make may be a coroutine function."""
    return Counter()


async def steps() -> int:
    """A task's coroutine."""
    return 1


def on_exit(handle: TaskHandle, exit: Exit) -> None:  # noqa: A002 - the hook's own word
    """What a task's end calls."""
    assert_type(handle.exit, Exit | None)
    assert_type(exit.clean, bool)


async def use() -> None:
    """The replies, references and instances have their types."""
    children = [Child("counter", Counter), Child("plain", Plain, restart="transient", shutdown="kill")]
    async with Supervisor(children, strategy="rest_for_one", clock=VirtualClock()) as root:
        assert_type(root, Supervisor)
        counter = await root.start_child(Child("more", lambda: Counter(3), restart="temporary"))
        assert_type(counter, Ref[Counter])
        assert_type(await counter.call(Bump(2)), int)
        assert_type(await counter.call(Names(), timeout=None), list[str])
        counter.cast(Reset())
        assert_type(counter.instance, Counter | None)
        assert_type(await counter.down(), Exit)
        assert_type(counter.statistics(), MailboxStatistics)
        assert_type(counter.alive, bool)

        special = await root.start_child(Child("special", Special))
        general: Ref[Counter] = special
        assert_type(await special.call(Bump()), int)
        assert_type(await general.call(Bump()), int)

        made = await root.start_child(Child("made", make_counter))
        assert_type(made, Ref[Counter])
        maybe = await root.start_child(Child("maybe", lambda: Counter() if counter.alive else None))
        assert_type(maybe, Ref[Counter])
        tasks = root.child("tasks", TaskSupervisor)
        assert_type(tasks, Ref[TaskSupervisor])
        if tasks.instance is not None:
            handle = tasks.instance.start("one", steps(), on_exit)
            assert_type(handle, TaskHandle)
            assert_type(tasks.instance.statistics(), TaskStatistics)
        assert_type(root.child("plain"), Ref[Any])
        assert_type(root.tree(), ProcessInfo)
        assert_type(root.count_children(), ChildCount)


def accept(report: Report) -> None:
    """A report."""
    assert_type(str(report), str)


runnable: Runnable = Ticker()
clock: Clock = SystemClock()
nested = Child("nested", lambda: Supervisor([Child("ticker", Ticker)], on_report=accept), significant=False)
found: Ref[Any] | None = Registry().lookup(("run", 1))
ends: list[Exit] = [Normal()]


async def refused(counter: Ref[Counter], plain: Ref[Plain]) -> None:
    """Wrong uses: mypy says so where one of them is taken for right, because then nothing is ignored."""
    await counter.call(Ask())  # type: ignore[arg-type] # a stranger's message
    plain.cast(Reset())  # type: ignore[arg-type] # a stranger's cast
    counter.cast(Bump())  # type: ignore[arg-type] # it is a call
    await counter.call(Reset())  # type: ignore[arg-type] # it is a cast
    text: str = await counter.call(Bump())  # type: ignore[arg-type] # the reply is of another type
    await counter.call(Bump("1"))  # type: ignore[arg-type] # a field of another type
    counter.send(Bump())  # type: ignore[attr-defined] # no such method
    Child("x", Counter, restart="sometimes")  # type: ignore[call-overload] # no such restart type
    Child("x", lambda: 5)  # type: ignore[arg-type] # nothing that can be supervised
    Supervisor([], strategy="one")  # type: ignore[arg-type] # no such strategy
    special: Ref[Special] = counter  # type: ignore[assignment] # a general reference
    total = counter.instance.total  # type: ignore[union-attr] # it may be gone
    assert_type((text, special, total), tuple[str, Ref[Special], int | Any])
