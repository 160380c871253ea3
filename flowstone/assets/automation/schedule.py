"""Schedules as they are defined: when to start what, and what becomes of instants that were missed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, TypeAlias, get_args

from flowstone.assets.arguments import is_instant, is_stored_name
from flowstone.assets.asset import Asset
from flowstone.assets.automation.called import check_called
from flowstone.assets.automation.cron import Cron
from flowstone.assets.automation.freshness_policy import FRESHNESS
from flowstone.assets.automation.run_request import REFRESHES, RunRequest
from flowstone.assets.dynamic_partitions import DynamicPartitions
from flowstone.assets.multi_partitions import MultiPartitions
from flowstone.assets.partition_keys import encode_partition
from flowstone.assets.selection import check_selection, is_selection
from flowstone.assets.suggest import did_you_mean
from flowstone.errors import ArgumentError, DefinitionError, PartitionError, SelectionError
from flowstone.frozen import frozen
from flowstone.printable import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flowstone.assets.asset import SourceLine
    from flowstone.assets.partition_set import PartitionSet

__all__ = [
    "LATEST",
    "CatchUp",
    "Overlap",
    "Schedule",
    "Tick",
    "checked_flag",
    "checked_name",
    "define_schedule",
]

Overlap: TypeAlias = Literal["skip", "queue", "allow"]
CatchUp: TypeAlias = Literal["last", "skip", "all"]

_FAR: Final = datetime(9000, 1, 1, tzinfo=UTC)
"""By then there are all partitions that a pipeline will ever run."""

LATEST: Final = "latest"
"""The last partition that there is at the instant of the tick."""


@frozen
class Tick:
    """An instant at which a schedule fires.

    Attributes:
        name: The schedule's name.
        scheduled_at: The instant by its cron expression, in its time zone; it may be past, see `catch_up`.
        last: The tick before it that fired, or None.

    Raises:
        ArgumentError: An instant is no aware datetime.
    """

    name: str
    scheduled_at: datetime
    last: datetime | None = None

    def __post_init__(self) -> None:
        for field, instant in (("scheduled_at", self.scheduled_at), ("last", self.last)):
            if not is_instant(instant) and (field == "scheduled_at" or instant is not None):
                raise ArgumentError(
                    f"Tick({self.name!r:.100}): {field}={instant!r:.100} takes an aware datetime: add a time zone, "
                    "such as datetime.UTC."
                )


@frozen
class Schedule:
    """A schedule as a pipeline defines it.

    Attributes:
        name: Its name.
        cron: When it fires.
        request: What it asks for at each tick, where it has no function.
        function: Called with the `Tick`: returns what to ask for, or None; where it has no request.
        overlap: What happens at a tick while a run of an earlier one is under way.
        catch_up: Which of the ticks that were missed fire when there is somebody again.
        paused: Whether it is paused when it is seen for the first time.
        source: Where it is defined.
    """

    kind: ClassVar[Literal["schedule"]] = "schedule"
    name: str
    cron: Cron
    request: RunRequest | None
    function: Callable[..., Any] | None
    overlap: Overlap
    catch_up: CatchUp
    paused: bool
    source: SourceLine

    @property
    def definition(self) -> str:
        """What decides when it fires, as text: after a change of it, earlier ticks are not missed ones."""
        return f"{self.cron.text} {self.cron.timezone}"

    def calling(self, function: Any) -> Schedule:
        """This one, with a function that says what to run.

        Raises:
            DefinitionError: It is no function of one argument.
        """
        check_called(function, _where(self.source, self.name), "the tick")
        return replace(self, function=function)


def define_schedule(
    assets: Mapping[str, Asset[..., Any]],
    source: SourceLine,
    name: Any,
    *,
    cron: Any,
    timezone: Any,
    overlap: Any,
    catch_up: Any,
    paused: Any,
    asset: Any = None,
    **options: Any,
) -> Schedule:
    """A schedule, checked.

    Raises:
        DefinitionError: Its cron expression or time zone cannot work, or there is no such asset.
    """
    where = _where(source, name)
    checked_name(name, where)
    try:
        when = Cron.of(cron, timezone)
    except DefinitionError as error:
        raise DefinitionError(f"{where}: {error}") from error
    _choice(where, "overlap", overlap, get_args(Overlap))
    _choice(where, "catch_up", catch_up, get_args(CatchUp))
    if asset is None and options["partition"] is not None:
        raise DefinitionError(
            f"{where}: partition= is for a schedule of an asset. Add asset=…, or have the function return "
            "RunRequest(asset, partition=…)."
        )
    request = None if asset is None else _request(assets, where, asset, **options)
    return Schedule(
        name, when, request, None, overlap, catch_up, checked_flag(where, "paused", paused), source
    )


def _where(source: SourceLine, name: object) -> str:
    return f"{source}: schedule({name!r:.100})"


def checked_flag(where: str, what: str, value: object) -> bool:
    """Raise DefinitionError unless it is True or False."""
    if not isinstance(value, bool):
        raise DefinitionError(f"{where}: {what}={value!r:.50} takes True or False.")
    return value


def checked_name(name: object, where: str) -> None:
    """Raise DefinitionError unless it can be the name of an automation."""
    if not is_stored_name(name):
        raise DefinitionError(f"{where} takes a name, a non-empty str of at most 200 characters.")
    if one_line(str(name)) != name:
        raise DefinitionError(
            f"{where}: a name is one line of visible characters, as people read it in terminals and logs: leave "
            "out line breaks and what controls a terminal."
        )
    if str(name).startswith(FRESHNESS):
        raise DefinitionError(
            f"{where}: names that begin with {FRESHNESS!r} are those of assets that are to be fresh: take another."
        )


def _request(
    assets: Mapping[str, Asset[..., Any]],
    where: str,
    asset: Any,
    *,
    partition: Any,
    upstream: Any,
    refresh: Any,
) -> RunRequest:
    if isinstance(asset, str) and is_selection(asset):
        return _request_of_several(assets, where, asset, partition, upstream=upstream, refresh=refresh)
    target = _asset(assets, where, asset)
    name = target.name
    if partition is None and target.partitions is not None:
        raise DefinitionError(
            f"{where}: {name!r} is partitioned by {target.partitions!r}, so say which partition: "
            f'partition="latest" is the last one that is complete at each tick.'
        )
    latest = isinstance(partition, str) and partition == LATEST
    if latest and target.partitions is None:
        raise DefinitionError(f'{where}: {name!r} has no partitions: leave out partition="latest".')
    if partition is not None and not latest:
        _check_partition(where, target, partition)
    _choice(where, "refresh", refresh, REFRESHES)
    together = checked_flag(where, "upstream", upstream)
    return RunRequest(name, partition=partition, upstream=together, refresh=refresh)


def _request_of_several(
    assets: Mapping[str, Asset[..., Any]],
    where: str,
    text: str,
    partition: Any,
    *,
    upstream: Any,
    refresh: Any,
) -> RunRequest:
    """Which assets are in a selection, and what their partitions are, is known at each tick."""
    try:
        check_selection(assets, text)
    except SelectionError as error:
        raise DefinitionError(f"{where}: {error}\nDefine the schedule after the assets.") from None
    if partition is not None and partition != LATEST:
        _check_key(where, partition)
    _choice(where, "refresh", refresh, REFRESHES)
    together = checked_flag(where, "upstream", upstream)
    return RunRequest(text, partition=partition, upstream=together, refresh=refresh)


def _asset(assets: Mapping[str, Asset[..., Any]], where: str, asset: Any) -> Asset[..., Any]:
    name = asset if isinstance(asset, str) else getattr(asset, "name", getattr(asset, "__name__", None))
    if not isinstance(name, str):
        raise DefinitionError(f"{where}: asset={asset!r:.100} is no asset, nor the name of one.")
    target = assets.get(name)
    if target is None:
        raise DefinitionError(
            f"{where}: there is no asset {name!r:.200} yet.{did_you_mean(name, assets)} "
            "Define the schedule after the asset."
        )
    if isinstance(asset, Asset) and asset is not target:
        raise DefinitionError(
            f"{where}: asset= is the {name!r} of {asset.source}, but that of this pipeline is of {target.source}. "
            "Pass that one, or its name."
        )
    return target


def _check_partition(where: str, asset: Asset[..., Any], partition: Any) -> None:
    """Refuse one that there never is; which a dynamic set has is known when it runs."""
    keys = asset.partitions
    if keys is None:
        _check_key(where, partition)
        return
    parts = keys.sets if isinstance(keys, MultiPartitions) else (keys,)
    if any(isinstance(each, DynamicPartitions) for each in parts) or _is_key(keys.as_of(_FAR), partition):
        return
    try:
        keys.coerce(partition)
    except PartitionError as error:
        raise DefinitionError(f"{where}: {error}") from error


def _check_key(where: str, partition: Any) -> None:
    """Without a set an asset takes any key."""
    try:
        encode_partition(partition)
    except PartitionError as error:
        raise DefinitionError(f"{where}: {error}") from None


def _choice(where: str, what: str, value: object, known: tuple[str, ...]) -> None:
    if not isinstance(value, str) or value not in known:
        raise DefinitionError(f"{where}: {what}={value!r:.50} is unknown: use {', '.join(map(repr, known))}.")


def _is_key(keys: PartitionSet[Any], partition: Any) -> bool:
    try:
        keys.coerce(partition)
    except PartitionError:
        return False
    return True
