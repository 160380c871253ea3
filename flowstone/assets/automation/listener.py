"""Listeners as they are defined: a function, and the events that it is called for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from flowstone.assets.arguments import is_number
from flowstone.assets.automation.called import check_called
from flowstone.assets.automation.event_kinds import exact_kinds
from flowstone.assets.automation.schedule import checked_name
from flowstone.assets.suggest import did_you_mean
from flowstone.errors import DefinitionError
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from flowstone.assets.asset import SourceLine

__all__ = ["Listener", "ListensBy", "check_listened_to", "define_listener"]

_LONGEST_CALL = 86_400.0


class ListensBy(Protocol):
    """What `Pipeline.add` takes that listens: an alert."""

    def listener(self, source: SourceLine) -> Listener:
        """Itself as a listener that is defined at this line. Raises `DefinitionError`."""


@frozen
class Listener:
    """A listener as a pipeline defines it.

    Attributes:
        name: Its name.
        function: Called with an event; its result is of no interest.
        kinds: The kinds of events it is called for, as they were written; none: all that are recorded.
        asset: Only events of this asset; None: of all.
        timeout: Seconds that one call may take.
        source: Where it is defined.
        max_parallel: How many calls may be under way, each about another run.
        paused: False: it may be paused later.
    """

    kind: ClassVar[Literal["listener"]] = "listener"
    name: str
    function: Callable[[Any], Any]
    kinds: tuple[str, ...]
    asset: str | None
    timeout: float
    source: SourceLine
    max_parallel: int = 8
    paused: bool = False

    @property
    def definition(self) -> str:
        """How it looks, as text."""
        kinds = ", ".join(self.kinds) or "every event"
        return kinds if self.asset is None else f"{kinds} of {self.asset}"

    @property
    def exact_kinds(self) -> frozenset[str]:
        """The exact kinds of events it is called for."""
        return exact_kinds(self.kinds, recorded=True)


def define_listener(
    name: Any, function: Any, kinds: Sequence[Any], asset: Any, timeout: Any, source: SourceLine
) -> Listener:
    """A listener, checked.

    Args:
        name: Its name; None: that of the function.
        function: The function.
        kinds: The kinds of events.
        asset: The name of an asset, or what has one as its `name`; or None.
        timeout: Seconds that one call may take.
        source: Where it is defined.

    Raises:
        DefinitionError: Its name, function, kinds, asset or timeout cannot work.
    """
    if not callable(function):
        raise DefinitionError(f"{source}: a listener is a function of an event, not {function!r:.100}.")
    chosen: Any = getattr(function, "__name__", None) if name is None else name
    where = f"{source}: the listener {chosen!r:.100}"
    checked_name(chosen, where)
    try:
        exact_kinds(kinds, recorded=True)
    except ValueError as error:
        raise DefinitionError(f"{where}: {error}") from None
    if not is_number(timeout, at_least=0.001, at_most=_LONGEST_CALL):
        raise DefinitionError(
            f"{where}: timeout={timeout!r:.50} takes seconds, from 0.001 to {_LONGEST_CALL:,.0f}."
        )
    check_called(function, where, "the event")
    return Listener(chosen, function, tuple(kinds), _asset_name(asset, where), float(timeout), source)


def check_listened_to(listener: Listener, assets: Mapping[str, Any]) -> None:
    """Raise DefinitionError if a listener is about an asset that is not among these."""
    name = listener.asset
    if name is not None and name not in assets:
        raise DefinitionError(
            f"{listener.source}: the listener {listener.name!r} is about the asset {name!r}, which nobody defines."
            f"{did_you_mean(name, assets)}"
        )


def _asset_name(asset: Any, where: str) -> str | None:
    name = asset if asset is None or isinstance(asset, str) else getattr(asset, "name", None)
    if asset is not None and (not isinstance(name, str) or not name):
        raise DefinitionError(f"{where}: asset={asset!r:.100} is no asset, nor the name of one.")
    return name
