"""`RunRequest`: what a schedule or a sensor asks for."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any, Literal

from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flowstone.assets.config import Config

__all__ = ["RunRequest"]


@frozen
class RunRequest:
    """A run that a schedule or a sensor asks for. What its fields mean is what they mean in `Runtime.submit`.

    Everything but the asset is given by keyword. It is checked where it is used: a request that cannot be carried
    out is a failure of the schedule or sensor that made it.

    Attributes:
        asset: Name, `Asset` or decorated function.
        partition: Which partition of it, or None.
        partitions: Several partitions, which become one backfill; instead of `partition`.
        upstream: Whether everything upstream is part of the run.
        refresh: Which existing values are reused: `missing` (default), `stale` or `all`.
        config: Fields of the asset's config, or a `Config`; by asset as soon as a key names one.
        key: Makes it once: the same key of the same schedule or sensor starts nothing again. Text of at most 200
            characters, or None.
        priority: Of the runs that wait for a node, those of higher priority are taken first.
        tags: Labels of the run.
        join: Whether a run of the same that is under way is as good as a new one.
    """

    asset: Any
    partition: Any = field(default=None, kw_only=True)
    partitions: Iterable[Any] | None = field(default=None, kw_only=True)
    upstream: bool = field(default=True, kw_only=True)
    refresh: Literal["all", "missing", "stale"] = field(default="missing", kw_only=True)
    config: Mapping[str, Any] | Config | None = field(default=None, kw_only=True)
    key: str | None = field(default=None, kw_only=True)
    priority: int = field(default=0, kw_only=True)
    tags: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    join: bool = field(default=True, kw_only=True)
