"""Conditions: when an asset is to be computed by itself, as an expression over what has happened.

A condition is looked at for one partition at a time, whenever something happened that concerns it. Its parts are
either *states*, which hold until something changes (missing, upstream changed, code changed), or *instants* (the
tick of a cron expression), which hold only while that instant is dealt with.

An expression that would hold where nothing has happened, such as `~Automation.on_missing()`, is refused: it would
hold for every partition there is, all the time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, TypeAlias

from flowstone.assets.automation.called import check_called
from flowstone.assets.automation.cron import Cron
from flowstone.errors import DefinitionError
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime


__all__ = ["Automation", "ConditionContext", "Facts", "State", "checked_automation"]

State: TypeAlias = Literal["missing", "upstream", "code"]


@frozen
class ConditionContext:
    """What a function given to `Automation.when` is called with.

    Attributes:
        asset: The asset's name.
        partition: Its partition, or None.
        now: The instant (aware, UTC).
        last: The `Materialization` that is current, or None.
        changes: Upstream values that have changed since, as people write them: `raw[2025-01-15]`.
        ticks: Cron expressions that fire at this instant.
    """

    asset: str
    partition: Any
    now: datetime
    last: Any = None
    changes: tuple[str, ...] = ()
    ticks: tuple[str, ...] = ()


@frozen
class Facts:
    """What is so of one partition.

    Attributes:
        states: Which states hold.
        ticks: Cron expressions that fire at this instant.
    """

    states: frozenset[State] = frozenset()
    ticks: frozenset[Cron] = frozenset()


_NOTHING: Final = Facts()


class Automation(ABC):
    """When an asset is computed by itself: `@pipeline.asset(automation=Automation.on_missing())`.

    Conditions are combined with `&` (both), `|` (at least one) and `~` (not); `when` asks a function as well. They
    are immutable, and equal if they say the same.
    """

    __slots__ = ()

    @staticmethod
    def on_missing() -> Automation:
        """When a partition has no current value, and everything that it needs is there."""
        return _State("missing")

    @staticmethod
    def on_upstream_change() -> Automation:
        """When a value that it is computed from is another one than it was computed from.

        A value that was computed again and is equal (`data_version`) is no change. An asset that has no value yet
        is computed as soon as all that it needs is there.
        """
        return _State("upstream")

    @staticmethod
    def on_code_change() -> Automation:
        """When its current value was computed by another version of the code (`version=`)."""
        return _State("code")

    @staticmethod
    def on_cron(cron: str, *, timezone: str = "UTC") -> Automation:
        """At the instants of a cron expression.

        That is about the latest partition of an asset that is partitioned by time, and about all of any other.

        Args:
            cron: Five fields, or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.
            timezone: The name of the time zone that the fields are read in.

        Raises:
            DefinitionError: The expression cannot be read or never fires, or there is no such zone.
        """
        return _Tick(Cron.of(cron, timezone))

    def when(self, function: Callable[[ConditionContext], Any]) -> Automation:
        """When this condition holds, and a function says so as well: it returns true or false, and may be async.

        It is called only where the condition holds, in a thread unless it is async. One that raises is called again
        later; ten failures in a row pause the asset's automation.

        Args:
            function: Called with the `ConditionContext`.

        Raises:
            DefinitionError: It is no function of one argument.
        """
        check_called(function, f"{self!r:.200}.when()", "the ConditionContext")
        return _When(self, function)

    def __and__(self, other: Automation) -> Automation:
        return _joined(_All, self, other)

    def __or__(self, other: Automation) -> Automation:
        return _joined(_Any, self, other)

    def __bool__(self) -> bool:
        """Python's own `and`, `or` and `not` would drop one side without a word."""
        raise TypeError("Conditions are combined with & | ~, not with `and`, `or` and `not`.")

    def __invert__(self) -> Automation:
        return self.part if isinstance(self, _Not) else _Not(self)

    # What it consists of ------------------------------------------------------------------------------------

    def parts(self) -> Iterator[Automation]:
        """Itself, and everything inside it."""
        yield self

    @property
    def states(self) -> frozenset[State]:
        """The states that it looks at."""
        return frozenset(part.state for part in self.parts() if isinstance(part, _State))

    @property
    def crons(self) -> tuple[Cron, ...]:
        """The cron expressions that it looks at, in order."""
        return tuple(dict.fromkeys(part.cron for part in self.parts() if isinstance(part, _Tick)))

    @property
    def asks(self) -> bool:
        """Whether a function is asked."""
        return any(isinstance(part, _When) for part in self.parts())

    @abstractmethod
    def holds(self, facts: Facts, said: Mapping[int, bool]) -> bool | Callable[..., Any]:
        """Whether it holds; or a function that has to be asked before that is known.

        Args:
            facts: What is so.
            said: What functions have said, by their `id`.
        """

    def causes(self, facts: Facts) -> Iterator[Automation]:
        """Its parts that are why it holds; nothing that is denied is a cause."""
        if self.holds(facts, {}) is True:
            yield self

    def rule(self, facts: Facts) -> str:
        """Why it holds, as people read it."""
        return " & ".join(dict.fromkeys(map(repr, self.causes(facts)))) or repr(self)


_NAMES: Final[Mapping[State, str]] = MappingProxyType(
    {"missing": "on_missing()", "upstream": "on_upstream_change()", "code": "on_code_change()"}
)


@frozen
class _State(Automation):
    state: State

    def holds(self, facts: Facts, said: Mapping[int, bool]) -> bool | Callable[..., Any]:
        del said
        return self.state in facts.states

    def __repr__(self) -> str:
        return _NAMES[self.state]


@frozen
class _Tick(Automation):
    cron: Cron

    def holds(self, facts: Facts, said: Mapping[int, bool]) -> bool | Callable[..., Any]:
        del said
        return self.cron in facts.ticks

    def __repr__(self) -> str:
        zone = "" if self.cron.timezone == "UTC" else f", timezone={self.cron.timezone!r}"
        return f"on_cron({self.cron.text!r}{zone})"


@frozen
class _Joined(Automation):
    among: tuple[Automation, ...]
    sign: ClassVar[str]
    decides: ClassVar[bool]
    """What one part alone decides by being so."""

    def parts(self) -> Iterator[Automation]:
        yield self
        for part in self.among:
            yield from part.parts()

    def holds(self, facts: Facts, said: Mapping[int, bool]) -> bool | Callable[..., Any]:
        unknown = None
        for part in self.among:
            answer = part.holds(facts, said)
            if answer is self.decides:
                return answer
            if unknown is None and not isinstance(answer, bool):
                unknown = answer
        return (not self.decides) if unknown is None else unknown

    def causes(self, facts: Facts) -> Iterator[Automation]:
        for part in self.among:
            yield from part.causes(facts)

    def __repr__(self) -> str:
        return f" {self.sign} ".join(_inside(part, self.sign) for part in self.among)


@frozen
class _All(_Joined):
    sign: ClassVar[str] = "&"
    decides: ClassVar[bool] = False
    __repr__ = _Joined.__repr__


@frozen
class _Any(_Joined):
    sign: ClassVar[str] = "|"
    decides: ClassVar[bool] = True
    __repr__ = _Joined.__repr__


@frozen
class _Not(Automation):
    part: Automation

    def parts(self) -> Iterator[Automation]:
        yield self
        yield from self.part.parts()

    def holds(self, facts: Facts, said: Mapping[int, bool]) -> bool | Callable[..., Any]:
        answer = self.part.holds(facts, said)
        return not answer if isinstance(answer, bool) else answer

    def causes(self, facts: Facts) -> Iterator[Automation]:
        del facts
        yield from ()

    def __repr__(self) -> str:
        return f"~{_inside(self.part, '~')}"


@frozen
class _When(Automation):
    part: Automation
    function: Callable[..., Any]

    def parts(self) -> Iterator[Automation]:
        yield self
        yield from self.part.parts()

    def holds(self, facts: Facts, said: Mapping[int, bool]) -> bool | Callable[..., Any]:
        answer = self.part.holds(facts, said)
        return said.get(id(self.function), self.function) if answer is True else answer

    def causes(self, facts: Facts) -> Iterator[Automation]:
        yield from self.part.causes(facts)

    def __repr__(self) -> str:
        name = getattr(self.function, "__qualname__", type(self.function).__qualname__)
        return f"{_inside(self.part, '.')}.when({name})"


def _inside(part: Automation, sign: str) -> str:
    """A part as it is written beside a sign: in brackets where it would be read otherwise."""
    loose = isinstance(part, _Joined) and part.sign != sign
    return f"({part!r})" if loose or (sign == "." and isinstance(part, _Not)) else repr(part)


def _flat(kind: type[_Joined], parts: Iterable[Automation]) -> Iterator[Automation]:
    for part in parts:
        yield from part.among if isinstance(part, kind) else (part,)


def _joined(kind: type[_Joined], one: Automation, other: object) -> Automation:
    if not isinstance(other, Automation):
        raise TypeError(
            f"{one!r:.200} {kind.sign} {other!r:.100}: a condition is combined with conditions only, such as "
            "Automation.on_missing(), with its brackets."
        )
    return kind(tuple(_flat(kind, (one, other))))


def checked_automation(given: Any, where: object) -> Automation:
    """What was given as `automation=`.

    Args:
        given: What was given.
        where: The asset, for the message.

    Raises:
        DefinitionError: It is no condition, or holds where nothing has happened.
    """
    if not isinstance(given, Automation):
        raise DefinitionError(
            f"{where}: automation={given!r:.100} takes a condition, such as Automation.on_upstream_change()."
        )
    if given.holds(_NOTHING, {}) is not False:
        raise DefinitionError(
            f"{where}: automation={given!r:.300} holds where nothing has happened, so it would start runs without "
            f"end: combine it by `&` with what is to happen, such as Automation.on_upstream_change()."
        )
    return given
