"""Where the nodes of a world keep values: storing one may break off half way, and what is torn cannot be loaded."""

from __future__ import annotations

import asyncio
from itertools import count

from flowstone.errors import IOManagerError
from flowstone.io.manager import Stored

__all__ = ["SimulatedIO", "SimulatedValues"]


class SimulatedValues:
    """All values, by location; one that is not whole is `None`."""

    def __init__(self):
        self.whole = {}
        self.numbers = count(1)


class SimulatedIO:
    """One node's IO manager.

    Args:
        world: Its values and its faults.
        random: How long it takes.
    """

    def __init__(self, world, random):
        self._values = world.values
        self._faults = world.faults
        self._random = random

    async def store(self, target, value):
        attempt = f"{target.asset}/{target.partition_key}/{target.run_id}/{target.attempt}"
        location = f"{attempt}/{next(self._values.numbers)}"
        self._values.whole[location] = None
        if self._faults.strikes("torn"):
            raise IOManagerError(f"{location}: the disk is full")
        await asyncio.sleep(self._random.uniform(0.0, 0.02))
        self._values.whole[location] = (value,)
        return Stored(location)

    async def load(self, location):
        await asyncio.sleep(self._random.uniform(0.0, 0.005))
        held = self._values.whole.get(location)
        if held is None:
            raise IOManagerError(f"{location}: there is no whole value")
        return held[0]

    async def delete(self, location):
        self._values.whole.pop(location, None)

    async def exists(self, location):
        return self._values.whole.get(location) is not None
