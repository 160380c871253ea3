"""`RunRequest`: what a schedule or a sensor asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sized
from dataclasses import field
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from flowstone.assets.arguments import (
    LONGEST_NAME,
    LONGEST_TAGS,
    MOST_PRIORITY,
    are_short,
    are_texts,
    is_name,
    is_run_key,
    is_run_priority,
)
from flowstone.assets.asset import Asset, Configured
from flowstone.errors import ArgumentError
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from flowstone.assets.config import Config

__all__ = ["REFRESHES", "RunRequest", "nothing_to_run"]

_Refresh = Literal["all", "missing", "stale"]

REFRESHES: Final[tuple[str, ...]] = get_args(_Refresh)
"""Which existing values a run may reuse."""


@frozen
class RunRequest:
    """A run that a schedule or a sensor asks for. What its fields mean is what they mean in `Runtime.submit`.

    Everything but the asset is given by keyword. What can be seen of it alone is checked here; whether there is
    such an asset, partition or field of the config is found out where it is used: a request that cannot be carried
    out is a failure of the schedule or sensor that made it.

    Attributes:
        asset: Name, `Asset` or decorated function; or several: a selection such as `raw+`, or a list of these.
        partition: Which partition, or None.
        partitions: Several partitions, at least one, which become one backfill; instead of `partition`.
        upstream: Whether everything upstream is part of the run.
        refresh: Which existing values are reused: `missing` (default), `stale` or `all`.
        config: Fields of the asset's config, or a `Config`; by asset as soon as a key names one.
        key: Makes it once: the same key of the same schedule or sensor starts nothing again. Text of at most 200
            characters, or None.
        priority: Of the runs that wait for a node, those of higher priority are taken first.
        tags: Labels of the run.
        join: Whether a run of the same that is under way is as good as a new one.

    Raises:
        ArgumentError: One of these cannot be.
    """

    asset: Any
    partition: Any = field(default=None, kw_only=True)
    partitions: Iterable[Any] | None = field(default=None, kw_only=True)
    upstream: bool = field(default=True, kw_only=True)
    refresh: _Refresh = field(default="missing", kw_only=True)
    config: Mapping[str, Any] | Config | None = field(default=None, kw_only=True)
    key: str | None = field(default=None, kw_only=True)
    priority: int = field(default=0, kw_only=True)
    tags: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    join: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        several = isinstance(self.asset, list | tuple)
        if not all(map(_is_asset, self.asset if several else (self.asset,))) or (several and not self.asset):
            raise ArgumentError(
                f"RunRequest({self.asset!r:.100}) takes an asset: its name, the Asset or the decorated function; "
                "or several."
            )
        if self.partitions is not None:
            self._check_partitions(self.partitions)
        for name, value in (("upstream", self.upstream), ("join", self.join)):
            if not isinstance(value, bool):
                raise self._wrong(name, value, "True or False")
        refresh: object = self.refresh
        if not isinstance(refresh, str) or refresh not in REFRESHES:
            raise self._wrong("refresh", refresh, "'all', 'missing' or 'stale'")
        if self.config is not None and not isinstance(self.config, Mapping | Configured):
            raise self._wrong("config", self.config, "a dict of fields, a Config, or None")
        if self.key is not None and not is_run_key(self.key):
            known = f"text of 1 to {LONGEST_NAME} characters without NUL or lone surrogates, or None"
            raise self._wrong("key", self.key, known)
        if not is_run_priority(self.priority):
            raise self._wrong("priority", self.priority, f"a whole number of at most {MOST_PRIORITY:,}")
        if not (are_texts(self.tags) and are_short(self.tags)):
            known = f"texts by name, {LONGEST_TAGS:,} bytes in all and {LONGEST_NAME} characters of a name at most"
            raise self._wrong("tags", self.tags, f"{known}; leave it out for none")

    def _check_partitions(self, partitions: object) -> None:
        if self.partition is not None:
            raise ArgumentError(
                f"RunRequest({self._named!r:.100}) has both partition= and partitions=: give one of them."
            )
        if isinstance(partitions, str | bytes | Mapping) or not isinstance(partitions, Iterable):
            raise self._wrong("partitions", partitions, "a list of partitions; partition= takes a single one")
        if isinstance(partitions, Sized) and not len(partitions):
            raise nothing_to_run(self._named)

    @property
    def _named(self) -> object:
        return self.asset.name if isinstance(self.asset, Asset) else self.asset

    def _wrong(self, name: str, value: object, known: str) -> ArgumentError:
        return ArgumentError(f"RunRequest({self._named!r:.100}): {name}={value!r:.100} takes {known}.")


def _is_asset(given: object) -> bool:
    return is_name(given) or isinstance(given, Asset) or callable(given)


def nothing_to_run(asset: object) -> ArgumentError:
    """What is said to somebody who lists no partitions."""
    return ArgumentError(
        f"RunRequest({asset!r:.100}) lists no partitions, so there is nothing to run: make no request then, or "
        "leave partitions= out."
    )
