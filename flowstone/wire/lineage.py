"""Which values came from which."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from flowstone.runtime.client.lineage import LineageEntry
from flowstone.wire.model import MOST, Model, Text
from flowstone.wire.paging import Listed
from flowstone.wire.values import Partition, label, partition_of

__all__ = ["LineageModel", "LineageQuery"]


class LineageModel(Model):
    """A value that is related to the one that is asked about."""

    asset: str
    """Its asset."""
    partition: str | None
    """Its partition."""
    partition_key: str | None = None
    """The same as machines write it."""
    depth: int
    """1 for a direct neighbour, 2 for a neighbour's neighbour; the shortest way counts."""

    @classmethod
    def of(cls, entry: LineageEntry) -> LineageModel:
        """As the API shows it."""
        key = entry.partition_key
        return cls(asset=entry.asset, partition=label(key), partition_key=key, depth=entry.depth)

    def as_record(self) -> LineageEntry:
        """What it shows."""
        return LineageEntry(self.asset, partition_of(self.partition_key), self.partition_key, self.depth)


class LineageQuery(Listed):
    """Of which value."""

    asset: Annotated[Text, Field(examples=["report"])]
    """The asset."""
    partition: Partition | None = None
    """Its partition; required if it has a partition set."""
    direction: Literal["upstream", "downstream", "impact"] = "upstream"
    """What it was computed from; what was computed from it; or the latter in the order in which one would
    compute it again."""
    depth: Annotated[int, Field(ge=1, le=MOST)] | None = None
    """How far to go: 1 for direct neighbours. Default: as far as there is anything; of no use to `impact`."""
