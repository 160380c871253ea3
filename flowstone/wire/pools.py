"""What limits how many steps run at a time."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from flowstone.runs.pools import Pool
from flowstone.wire.model import MOST, ByModel, Model

__all__ = ["PoolModel", "SlotsModel"]


class PoolModel(Model):
    """A pool."""

    name: str
    """Its name."""
    slots: int
    """How many slots it has."""
    taken: int
    """How many are taken; for a while more than it has, after it was given fewer."""
    waiting: int
    """Steps that wait for it."""
    holders: list[str]
    """The steps that hold slots of it, those that began first in front."""

    @classmethod
    def of(cls, pool: Pool) -> PoolModel:
        """As the API shows it."""
        return cls(
            name=pool.name,
            slots=pool.slots,
            taken=pool.taken,
            waiting=pool.waiting,
            holders=list(pool.holders),
        )

    def as_record(self) -> Pool:
        """What it shows."""
        return Pool(self.name, self.slots, self.taken, self.waiting, tuple(self.holders))


class SlotsModel(ByModel):
    """How many slots it is to have."""

    slots: Annotated[int, Field(ge=1, le=MOST)] | None
    """How many; null: as many as its pipeline says."""
