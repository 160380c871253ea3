"""Sensors as they are defined: what to look at, how often, and what a look is given."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Protocol, runtime_checkable

from flowstone.assets.arguments import is_number, is_whole
from flowstone.assets.automation.called import check_called
from flowstone.assets.automation.schedule import checked_flag, checked_name
from flowstone.assets.dynamic_partitions import DynamicPartitions
from flowstone.assets.json_values import exact_json
from flowstone.assets.partition_keys import encode_partition
from flowstone.assets.suggest import did_you_mean
from flowstone.errors import ArgumentError, AssetNotFound, DefinitionError, PartitionError
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from datetime import datetime

    from flowstone.assets.asset import Asset, SourceLine
    from flowstone.assets.automation.run_request import RunRequest
    from flowstone.assets.partition_set import PartitionSet

__all__ = ["AsksForAsset", "DefinesSensor", "Sensor", "SensorContext", "check_pace", "define_sensor"]

_LONGEST_EVERY = 31 * 86_400.0
_MOST = 10_000
_NO_ASSETS: Final[Mapping[str, Any]] = MappingProxyType({})


class SensorContext:
    """What a look of a sensor is given.

    Args:
        name: The sensor's name.
        cursor: Where the last look has left off.
        now: The instant of the look, aware, in UTC.
        resource: Finds a resource.
        assets: The assets there are, by name.
        since_last: Seconds since the last look, by a clock that nobody sets, or None.

    Attributes:
        name: The sensor's name.
        now: The instant of the look, aware, in UTC.
        since_last: Seconds from the last look to this one, by a clock that nobody sets; None where it is not known:
            the last one was in another process, by hand, or none at all.
    """

    def __init__(
        self,
        name: str,
        cursor: Any,
        now: datetime,
        resource: Callable[[str], Awaitable[Any]],
        assets: Mapping[str, Asset[..., Any]] = _NO_ASSETS,
        since_last: float | None = None,
    ) -> None:
        self.name = name
        self.now = now
        self.since_last = since_last
        self._cursor = cursor
        self._is_own = False  # Whether the cursor is ours to change.
        self._resource = resource
        self._assets = assets
        self._added: dict[str, dict[str, None]] = {}
        self._left_at: Callable[[], Any] | None = None
        self._tolerated: dict[int, tuple[RunRequest, Callable[[Exception], object]]] = {}
        self._refused: list[tuple[str, Exception | str]] = []

    @property
    def cursor(self) -> Any:
        """JSON, None at first. What it is after the look is on record together with the runs asked for."""
        if not self._is_own:
            self._cursor, self._is_own = deepcopy(self._cursor), True
        return self._cursor

    @cursor.setter
    def cursor(self, value: Any) -> None:
        """Raises `ArgumentError` if it is no JSON, or more than a megabyte."""
        self._cursor, self._is_own = self._checked(value), True

    def left_at(self) -> Any:
        """The cursor after the look. Raises `ArgumentError` as setting it does: what is in it may have changed."""
        if self._left_at is not None:
            return self._checked(self._left_at())
        return self._checked(self._cursor) if self._is_own else self._cursor

    def leave_at(self, cursor: Callable[[], Any]) -> None:
        """Have the cursor made when it is known which of the requests have been refused.

        Args:
            cursor: Called, perhaps several times, when the requests of the look have been looked at.
        """
        self._left_at = cursor

    def _checked(self, cursor: Any) -> Any:
        try:
            return exact_json(cursor, f"the cursor of sensor {self.name!r}")
        except ValueError as error:
            raise ArgumentError(str(error)) from None

    async def resource(self, name: str) -> Any:
        """A resource of the runtime, set up.

        Raises:
            ResourceUnavailable: There is none of that name, or it is not set up.
        """
        return await self._resource(name)

    def partitions_of(self, asset: str) -> PartitionSet[Any] | None:
        """The partition set of an asset as it is defined, or None if it has none.

        Raises:
            AssetNotFound: There is no such asset.
        """
        return self._asset(asset).partitions

    def fields_of(self, asset: str) -> frozenset[str]:
        """The names of the fields of an asset's config; none, if it takes no config.

        Raises:
            AssetNotFound: There is no such asset.
        """
        config = self._asset(asset).config_parameter
        return frozenset() if config is None else frozenset(config.model.model_fields)

    def _asset(self, name: str) -> Asset[..., Any]:
        given: object = name
        if not isinstance(given, str) or given not in self._assets:
            raise AssetNotFound(
                f"The sensor {self.name!r} asks for {name!r:.100}, and there is no such asset."
                f"{did_you_mean(str(name), self._assets)}"
            )
        return self._assets[name]

    def add_partitions(self, name: str, keys: Iterable[Any]) -> None:
        """Add keys to a dynamic partition set, before the runs of this look are looked at; known ones are no error.

        They are added by themselves: if the look is not recorded in the end they are there, without their runs.

        Args:
            name: The set's name, as in `DynamicPartitions(name)`.
            keys: Partition keys.

        Raises:
            PartitionError: One of them cannot be a key; then none is added.
        """
        given: object = name
        several: object = keys
        is_list = isinstance(several, Iterable) and not isinstance(several, str | bytes)
        listed = list(keys) if is_list else [None]
        if not isinstance(given, str) or None in listed:
            raise PartitionError(
                f"add_partitions({name!r:.100}, {keys!r:.100}) takes the name of a dynamic set and a list of keys."
            )
        texts = dict.fromkeys(encode_partition(key) for key in listed)
        self._added.setdefault(DynamicPartitions(name).name, {}).update(texts)

    def added(self) -> Mapping[str, list[str]]:
        """Encoded keys that are to be added, by set."""
        return {name: list(keys) for name, keys in self._added.items()}

    def tolerate(self, request: RunRequest, refused: Callable[[Exception], object]) -> RunRequest:
        """Have a request fail alone: if it cannot be carried out, the rest of the look goes on without it.

        Args:
            request: The request, which is to be yielded or returned as well.
            refused: Told why it cannot be carried out, on the loop, when the function has returned.

        Returns:
            The request.
        """
        self._tolerated[id(request)] = request, refused
        return request

    def refuse(self, what: str, why: Exception | str) -> None:
        """Put on record that no run can be made of something that was found; the rest of the look goes on.

        It is an event `automation.failed`, a line of the log, and the reason of what the sensor did.

        Args:
            what: What was found, for people.
            why: Why no run can be made of it.
        """
        self._refused.append((what, why))

    def tolerates(self, request: RunRequest, why: Exception) -> bool:
        """Whether a request that cannot be carried out fails alone; who asked for that is told."""
        found = self._tolerated.get(id(request))
        if found is not None:
            found[1](why)
        return found is not None

    def refused(self) -> Sequence[tuple[str, Exception | str]]:
        """What no run can be made of, and why."""
        return self._refused


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

    def check_assets(self, assets: Mapping[str, Asset[..., Any]]) -> None:
        """Raise DefinitionError if it is known already that what it will ask for cannot be."""
        function: object = self.function
        if isinstance(function, AsksForAsset):
            function.check_assets(_where(self.source, self.name), assets)


@runtime_checkable
class AsksForAsset(Protocol):
    """A function of a sensor of which it is known before it looks what it will ask for."""

    def check_assets(self, where: str, assets: Mapping[str, Asset[..., Any]]) -> None:
        """Raise DefinitionError if that cannot be.

        Args:
            where: The sensor, as the error begins.
            assets: The assets there are, by name.
        """


class DefinesSensor(Protocol):
    """What `pipeline.add` makes a sensor of."""

    def sensor(self, source: SourceLine) -> Sensor:
        """The sensor, as defined at `source`. Raises `DefinitionError`."""


def define_sensor(
    name: Any, function: Any, every: Any, limit: Any, paused: Any, source: SourceLine
) -> Sensor:
    """A sensor, checked.

    Raises:
        DefinitionError: Its name, function, interval or limit cannot work.
    """
    where = _where(source, name)
    checked_name(name, where)
    check_called(function, where, "the context")
    check_pace(where, every, limit, paused)
    return Sensor(name, function, float(every), limit, paused, source)


def check_pace(where: str, every: Any, limit: Any, paused: Any) -> None:
    """Raise DefinitionError unless a sensor can look so often, start so many runs, and begin like that.

    Args:
        where: The sensor, as the error begins.
        every: Seconds from the end of a look to the next one.
        limit: How many runs one look starts at most.
        paused: Whether it is paused when it is seen for the first time.
    """
    if not is_number(every, at_least=0.01, at_most=_LONGEST_EVERY):
        raise DefinitionError(
            f"{where}: every={every!r:.50} takes seconds, from 0.01 to {_LONGEST_EVERY:,.0f}."
        )
    if not is_whole(limit, at_least=1, at_most=_MOST):
        raise DefinitionError(f"{where}: limit={limit!r:.50} takes a whole number from 1 to {_MOST:,}.")
    checked_flag(where, "paused", paused)


def _where(source: SourceLine, name: object) -> str:
    return f"{source}: sensor({name!r:.100})"
