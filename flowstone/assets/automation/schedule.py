"""Schedules as they are defined: when to start what, and what becomes of instants that were missed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, TypeAlias, get_args

from flowstone.assets.arguments import is_stored_name
from flowstone.assets.automation.cron import Cron
from flowstone.assets.automation.run_request import RunRequest
from flowstone.assets.suggest import did_you_mean
from flowstone.errors import DefinitionError
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from flowstone.assets.asset import Asset, SourceLine

__all__ = ["LATEST", "CatchUp", "Overlap", "Schedule", "Tick", "checked_name", "define_schedule"]

Overlap: TypeAlias = Literal["skip", "queue", "allow"]
CatchUp: TypeAlias = Literal["last", "skip", "all"]

LATEST: Final = "latest"
"""The last partition that there is at the instant of the tick."""


@frozen
class Tick:
    """An instant at which a schedule fires.

    Attributes:
        name: The schedule's name.
        scheduled_at: The instant by its cron expression, in its time zone; it may be past, see `catch_up`.
        last: The tick before it that fired, or None.
    """

    name: str
    scheduled_at: datetime
    last: datetime | None = None


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
    function: Callable[..., Any] | None = None,
    **options: Any,
) -> Schedule:
    """A schedule, checked.

    Raises:
        DefinitionError: Its cron expression or time zone cannot work, or there is no such asset.
    """
    where = f"{source}: schedule({name!r:.100})"
    checked_name(name, where)
    try:
        when = Cron.of(cron, timezone)
    except DefinitionError as error:
        raise DefinitionError(f"{where}: {error}") from error
    _choice(where, "overlap", overlap, get_args(Overlap))
    _choice(where, "catch_up", catch_up, get_args(CatchUp))
    request = None if asset is None else _request(assets, where, asset, **options)
    return Schedule(name, when, request, function, overlap, catch_up, bool(paused), source)


def checked_name(name: object, where: str) -> None:
    """Raise DefinitionError unless it can be the name of an automation."""
    if not is_stored_name(name):
        raise DefinitionError(f"{where} takes a name, a non-empty str of at most 200 characters.")


def _request(
    assets: Mapping[str, Asset[..., Any]],
    where: str,
    asset: Any,
    *,
    partition: Any,
    upstream: Any,
    refresh: Any,
) -> RunRequest:
    name = asset if isinstance(asset, str) else getattr(asset, "name", getattr(asset, "__name__", None))
    target = assets.get(name) if isinstance(name, str) else None
    if target is None:
        hint = did_you_mean(str(name), assets)
        raise DefinitionError(
            f"{where}: there is no asset {name!r:.200} yet.{hint} Define the schedule after the asset."
        )
    if partition is None and target.partitions is not None:
        raise DefinitionError(
            f"{where}: {name!r} is partitioned by {target.partitions!r}, so say which partition: "
            f'partition="latest" is the last one that is complete at each tick.'
        )
    if partition == LATEST and target.partitions is None:
        raise DefinitionError(f'{where}: {name!r} has no partitions: leave out partition="latest".')
    _choice(where, "refresh", refresh, ("all", "missing", "stale"))
    return RunRequest(name, partition=partition, upstream=bool(upstream), refresh=refresh)


def _choice(where: str, what: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise DefinitionError(f"{where}: {what}={value!r:.50} is unknown: use {', '.join(map(repr, known))}.")
