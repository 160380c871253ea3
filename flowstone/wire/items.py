"""What became of the items that a step went through."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from flowstone.runs.items import Item
from flowstone.runs.records import Status
from flowstone.wire.model import MOST, Model, Text
from flowstone.wire.paging import Listed
from flowstone.wire.values import FailureModel, Partition

__all__ = ["ItemModel", "ItemsQuery"]


class ItemModel(Model):
    """An item of a step that has ended."""

    position: int
    """Its place among the items, from 0."""
    key: str
    """What names it."""
    status: Status
    """`succeeded`, `failed`, or `skipped` by its own choice."""
    attempt: int
    """The number of its last attempt."""
    failure: FailureModel | None
    """Why it failed, or was skipped."""
    location: str | None
    """Where the IO manager keeps its value, where that is an object of its own."""

    @classmethod
    def of(cls, item: Item) -> ItemModel:
        """As the API shows it."""
        return cls(
            position=item.position,
            key=item.key,
            status=item.status,
            attempt=item.attempt,
            failure=FailureModel.of(item.failure, traceback=True),
            location=item.location,
        )

    def as_record(self) -> Item:
        """What it shows."""
        failure = None if self.failure is None else self.failure.as_record()
        return Item(self.position, self.key, self.status, self.attempt, failure, self.location)


class ItemsQuery(Listed):
    """Which items."""

    asset: Annotated[Text, Field(examples=["page"])]
    """The asset whose step went through them."""
    partition: Partition | None = None
    """At which partition."""
    status: Literal["succeeded", "failed", "skipped"] | None = None
    """Only those that ended so."""
    offset: Annotated[int, Field(ge=0, le=MOST)] = 0
    """How many to leave out; with a cursor, which has its place, of no use."""
