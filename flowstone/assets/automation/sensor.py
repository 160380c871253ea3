"""Sensors as they are defined: what to look at, how often, and what a look is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from flowstone.assets.arguments import is_number, is_whole
from flowstone.assets.automation.called import check_called
from flowstone.assets.automation.schedule import checked_flag, checked_name
from flowstone.assets.json_values import exact_json
from flowstone.errors import DefinitionError
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from flowstone.assets.asset import SourceLine

__all__ = ["Sensor", "SensorContext", "define_sensor"]

_LONGEST_EVERY = 31 * 86_400.0
_MOST = 10_000


class SensorContext:
    """What a look of a sensor is given.

    Args:
        name: The sensor's name.
        cursor: Where the last look has left off.
        now: The instant of the look, aware, in UTC.
        resource: Finds a resource.

    Attributes:
        name: The sensor's name.
        now: The instant of the look, aware, in UTC.
    """

    def __init__(
        self, name: str, cursor: Any, now: datetime, resource: Callable[[str], Awaitable[Any]]
    ) -> None:
        self.name = name
        self.now = now
        self._cursor = cursor
        self._resource = resource

    @property
    def cursor(self) -> Any:
        """JSON, None at first. What it is set to is on record together with the runs that the look asked for."""
        return self._cursor

    @cursor.setter
    def cursor(self, value: Any) -> None:
        """Raises ValueError if it is no JSON, or more than a megabyte."""
        self._cursor = exact_json(value, f"the cursor of sensor {self.name!r}")

    async def resource(self, name: str) -> Any:
        """A resource of the runtime, set up.

        Raises:
            ResourceUnavailable: There is none of that name, or it is not set up.
        """
        return await self._resource(name)


@frozen
class Sensor:
    """A sensor as a pipeline defines it.

    Attributes:
        name: Its name.
        function: Called with a `SensorContext`: yields or returns what to ask for.
        every: Seconds from the end of a look to the next one.
        limit: How many runs one look starts at most; the rest is started by the next ones.
        paused: Whether it is paused when it is seen for the first time.
        source: Where it is defined.
    """

    kind: ClassVar[Literal["sensor"]] = "sensor"
    name: str
    function: Callable[[SensorContext], Any]
    every: float
    limit: int
    paused: bool
    source: SourceLine

    @property
    def definition(self) -> str:
        """How it looks, as text."""
        return f"every {self.every:g} s"


def define_sensor(
    name: Any, function: Any, every: Any, limit: Any, paused: Any, source: SourceLine
) -> Sensor:
    """A sensor, checked.

    Raises:
        DefinitionError: Its name, function, interval or limit cannot work.
    """
    where = f"{source}: sensor({name!r:.100})"
    checked_name(name, where)
    check_called(function, where, "the context")
    if not is_number(every, at_least=0.01, at_most=_LONGEST_EVERY):
        raise DefinitionError(
            f"{where}: every={every!r:.50} takes seconds, from 0.01 to {_LONGEST_EVERY:,.0f}."
        )
    if not is_whole(limit, at_least=1) or limit > _MOST:
        raise DefinitionError(f"{where}: limit={limit!r:.50} takes a whole number from 1 to {_MOST:,}.")
    return Sensor(name, function, float(every), limit, checked_flag(where, "paused", paused), source)
