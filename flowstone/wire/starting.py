"""What is to be computed."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from flowstone.wire.model import MOST, ByModel, Text
from flowstone.wire.values import Partition

__all__ = ["StartModel"]

_MOST_PARTITIONS = 100_000


class StartModel(ByModel):
    """What is to be computed."""

    asset: Annotated[Text, Field(examples=["report"])]
    """The name of the asset; or a selection of several: `raw+`, `+report`, `tag:team=core`, `a,b`, `* -page`."""
    kind: Literal["materialize", "backfill"] | None = None
    """One partition of it, or many. Default: `backfill` where `partitions`, `start` or `end` is given."""
    partition: Partition | None = None
    """To materialize: which partition; required if the asset has a partition set. Of several assets it is that of
    those which have the set of the most downstream ones."""
    partitions: Annotated[list[Partition], Field(max_length=_MOST_PARTITIONS)] | None = None
    """To backfill: which partitions. Default: all, or `start` to `end`."""
    start: Partition | None = None
    """To backfill: the first partition of a range."""
    end: Partition | None = None
    """To backfill: the last one, inclusive."""
    upstream: bool | None = None
    """Whether everything upstream is computed as well. Default: true to materialize, false to backfill."""
    refresh: Literal["all", "missing", "stale"] | None = None
    """Which values are computed: all; those that are missing; or those that are stale as well. Default: `all` to
    materialize, `missing` to backfill."""
    max_parallel: Annotated[int, Field(ge=1, le=MOST)] | None = None
    """Steps at a time. Default: as many as its node runs; 4 to backfill."""
    timeout: Annotated[float, Field(gt=0)] | None = None
    """To materialize: seconds until the run is cancelled."""
    config: dict[Text, Any] | None = None
    """Fields of the asset's config; by asset as soon as a key names one, and for several assets."""
    tags: Annotated[dict[Text, Text], Field(default_factory=dict)]
    """Labels of the run."""
    key: Annotated[Text, Field(min_length=1, max_length=200)] | None = None
    """While an unfinished run has this key no other one is started: that run is the answer."""
    priority: int = 0
    """Of the runs that wait for a node, those of higher priority are taken first."""
    join: bool = False
    """To materialize: whether a run that is under way for the same request is the answer, if there is one."""
