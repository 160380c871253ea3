"""Which values came from which."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from flowstone.wire.model import Model, Text
from flowstone.wire.paging import Listed
from flowstone.wire.values import Partition

__all__ = ["LineageModel", "LineageQuery"]


class LineageModel(Model):
    """A value that is related to the one that is asked about."""

    asset: str
    """Its asset."""
    partition: str | None
    """Its partition."""
    depth: int
    """1 for a direct neighbour, 2 for a neighbour's neighbour; the shortest way counts."""


class LineageQuery(Listed):
    """Of which value."""

    asset: Annotated[Text, Field(examples=["report"])]
    """The asset."""
    partition: Partition | None = None
    """Its partition; required if it has a partition set."""
    direction: Literal["upstream", "downstream", "impact"] = "upstream"
    """What it was computed from; what was computed from it; or the latter in the order in which one would
    compute it again."""
