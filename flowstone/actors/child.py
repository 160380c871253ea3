"""A child as its supervisor knows it: OTP's child specification."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, fields
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

from flowstone.actors.limits import at_least, whole_at_least
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flowstone.actors.actor import Actor
    from flowstone.actors.exits import Exit
    from flowstone.actors.process import Runnable, Supervised
    from flowstone.actors.strategy import AutoShutdown, Restart

__all__ = ["Child", "ChildCount", "check", "shutdown_time", "without_make"]

Made_co = TypeVar("Made_co", bound="Actor | Supervised | Runnable", covariant=True)


@frozen
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

    Raises:
        TypeError: The name is no text, or `make` cannot be called: it is a class or a function, not what they make.
        ValueError: A value is out of range, or nan; or the child is significant and permanent.
    """

    name: str
    make: Callable[[], Made_co | None] | Callable[[], Awaitable[Made_co | None]]
    _: KW_ONLY
    restart: Restart = "permanent"
    shutdown: float | Literal["kill", "infinity"] | None = None
    significant: bool = False
    mailbox: int = 1000
    on_exit: Callable[[Exit], object] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise TypeError(f"Child: the name is a text, not {self.name!r}.")
        if not callable(self.make):
            raise TypeError(self._uncallable("make", self.make))
        if self.on_exit is not None and not callable(self.on_exit):
            raise TypeError(self._uncallable("on_exit", self.on_exit))
        if self.restart not in ("permanent", "transient", "temporary"):
            raise ValueError(
                f"{self.name}: restart is permanent, transient or temporary, not {self.restart!r}."
            )
        if self.significant and self.restart == "permanent":
            raise ValueError(
                f"{self.name}: a permanent child is always restarted, so it cannot be significant."
            )
        if not whole_at_least(1, self.mailbox):
            raise ValueError(f"{self.name}: mailbox is a whole number of at least 1, not {self.mailbox!r}.")
        if self.shutdown is not None:
            shutdown_time(self, default=5.0)

    def _uncallable(self, option: str, value: object) -> str:
        return f"{self.name}: {option} is called, so it is a function or a class, not {_a(value)}."

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


_FIELDS = tuple([field.name for field in fields(Child)])


@frozen
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
    """Refuse what is no child (TypeError) and what this supervisor cannot make sense of (ValueError)."""
    if not isinstance(child, Child):
        raise TypeError(f"A supervisor's children are Child(name, make) objects, and one is {_a(child)}.")
    if child.significant and auto_shutdown == "never":
        raise ValueError(
            f"{child.name} is significant: its supervisor needs auto_shutdown=, which is 'never'."
        )


def without_make(child: Child[Any]) -> Child[Any]:
    """The child, without what `make` holds. It has been checked: `dataclasses.replace` would do that again."""
    copy = object.__new__(Child)
    for name in _FIELDS:
        object.__setattr__(copy, name, getattr(child, name))
    object.__setattr__(copy, "make", _made_once)
    return copy


def _made_once() -> None:
    """Stands where the `make` of a temporary child was."""


def _a(thing: object) -> str:
    """What somebody has put where something else belongs, in a few words."""
    return f"the class {thing.__name__}" if isinstance(thing, type) else f"a {type(thing).__name__}"


def shutdown_time(child: Child[Any], default: float) -> float | Literal["kill"]:
    """The child's shutdown time, with the default of its kind where it has none."""
    match child.shutdown:
        case None:
            return default
        case "infinity":
            return math.inf
        case "kill":
            return "kill"
        case float() | int() as seconds if at_least(0, seconds):
            return float(seconds)
        case other:
            raise ValueError(f"{child.name}: shutdown is seconds >= 0, 'kill' or math.inf, not {other!r}.")
