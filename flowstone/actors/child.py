"""A child as its supervisor knows it: OTP's child specification."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flowstone.actors.actor import Actor
    from flowstone.actors.exits import Exit
    from flowstone.actors.process import Supervised
    from flowstone.actors.runnable import Runnable
    from flowstone.actors.strategy import AutoShutdown, Restart

__all__ = ["Child", "ChildCount", "check", "shutdown_time"]

Made_co = TypeVar("Made_co", bound="Actor | Supervised | Runnable", covariant=True)


@dataclass(frozen=True, slots=True)
class Child(Generic[Made_co]):
    """What to start, and what to do when it ends.

    Attributes:
        name: Unique among the children of one supervisor.
        make: Builds a fresh `Actor`, `Supervisor`, `TaskSupervisor` or `Runnable`; called for each start.
            It may be `async`. Returning None means "not needed here": the child is kept, not running.
        restart: `permanent` always restarts, `transient` only after a crash or a kill, `temporary` never, not
            even when a sibling's death stopped it.
        shutdown: Seconds it has to end when asked; "kill" to be killed at once, `math.inf` or "infinity" for
            no limit. Default: 5.0, and no limit for supervisors, which would otherwise be killed half way.
        significant: Its end may end the supervisor, see `auto_shutdown`. Not for permanent children.
        mailbox: Messages that may wait for an actor.
        on_exit: Called with the exit of each incarnation, synchronously, after its name is free again.
    """

    name: str
    make: Callable[[], Made_co | None] | Callable[[], Awaitable[Made_co | None]]
    _: KW_ONLY
    restart: Restart = "permanent"
    shutdown: float | Literal["kill", "infinity"] | None = None
    significant: bool = False
    mailbox: int = 1000
    on_exit: Callable[[Exit], object] | None = None

    if TYPE_CHECKING:
        # The dataclass's own, once for each sort of `make`: from the union of both no checker infers what is made.
        @overload
        def __init__(
            self,
            name: str,
            make: Callable[[], Made_co | None],
            *,
            restart: Restart = "permanent",
            shutdown: float | Literal["kill", "infinity"] | None = None,
            significant: bool = False,
            mailbox: int = 1000,
            on_exit: Callable[[Exit], object] | None = None,
        ) -> None: ...

        @overload
        def __init__(
            self,
            name: str,
            make: Callable[[], Awaitable[Made_co | None]],
            *,
            restart: Restart = "permanent",
            shutdown: float | Literal["kill", "infinity"] | None = None,
            significant: bool = False,
            mailbox: int = 1000,
            on_exit: Callable[[Exit], object] | None = None,
        ) -> None: ...

        def __init__(self, name: str, make: Any, **options: Any) -> None: ...


@dataclass(frozen=True, slots=True)
class ChildCount:
    """How many children a supervisor has.

    Attributes:
        specs: Children, running or not.
        active: Children that run.
        supervisors: Of `specs`, the supervisors (those of tasks included).
        workers: All the others.
    """

    specs: int
    active: int
    supervisors: int
    workers: int


def check(child: Child[Any], auto_shutdown: AutoShutdown) -> None:
    """Refuse, with ValueError, what OTP refuses: combinations without a meaning."""
    if child.restart not in {"permanent", "transient", "temporary"}:
        raise ValueError(
            f"{child.name}: restart is permanent, transient or temporary, not {child.restart!r}."
        )
    if child.significant and child.restart == "permanent":
        raise ValueError(f"{child.name}: a permanent child is always restarted, so it cannot be significant.")
    if child.significant and auto_shutdown == "never":
        raise ValueError(
            f"{child.name} is significant: its supervisor needs auto_shutdown=, which is 'never'."
        )
    if child.mailbox < 1:
        raise ValueError(f"{child.name}: mailbox is at least 1, not {child.mailbox}.")
    shutdown_time(child, default=5.0)


def shutdown_time(child: Child[Any], default: float) -> float | Literal["kill"]:
    """The child's shutdown time, with the default of its kind where it has none."""
    match child.shutdown:
        case None:
            return default
        case "infinity":
            return math.inf
        case "kill":
            return "kill"
        case float() | int() as seconds if seconds >= 0:
            return float(seconds)
        case other:
            raise ValueError(f"{child.name}: shutdown is seconds >= 0, 'kill' or math.inf, not {other!r}.")
