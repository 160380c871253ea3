"""Which values are stale, looked at a piece at a time while somebody looks at a page.

To look at 300 assets at 365 partitions each takes seconds, for every value is compared with all that it was
computed from. So each look at a page goes on with it for a moment, and what is not known yet is shown once it is.
What has been computed or invalidated has its asset looked at again, and what takes it; what is further downstream
follows where that has changed anything. Of those that are due the one comes first that was looked at longest ago:
else an asset that is computed all the time would keep all others from ever being looked at.

Rejected: to have the store compare them. The mapping from a partition to those that it needs is code.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterable, Mapping

    from flowstone.runs.reasons import Reason
    from flowstone.runtime.client.staleness import StaleValues
    from flowstone.runtime.runtime import Runtime

__all__ = ["StaleAssets"]

_LONGEST: Final = 0.03
"""Seconds of one look."""


class StaleAssets:
    """The stale values of a runtime's assets, as far as they are known.

    Attributes:
        found: By asset and encoded partition key, why a value is stale; in the place of one that is looked at again
            is what was found before.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.found: Mapping[str, Mapping[str | None, Reason]] = {}
        self._due: set[str] = set()
        self._looked: dict[str, int] = {}  # By asset, as the how manieth it was looked at last.
        self._looks = 0
        self._asset = ""  # Which is being looked at; empty: none.
        self._pieces: AsyncIterator[StaleValues] | None = None
        self._reasons: dict[str | None, Reason] = {}
        self._ended = float("-inf")

    @property
    def due(self) -> int:
        """How many assets are yet to be looked at."""
        return len(self._due) + bool(self._asset)

    def begin(self) -> None:
        """Look at all of them, as they may all be others."""
        self._leave()
        self._due = set(self._runtime.graph.order())
        self._looked = {}
        self.found = {asset: reasons for asset, reasons in self.found.items() if asset in self._due}

    def changed(self, assets: Iterable[str]) -> None:
        """Look again at these, and at what takes them."""
        graph = self._runtime.graph
        for asset in assets:
            if asset in graph:
                self._due |= {asset, *graph.dependents(asset)}

    async def look(self, first: Collection[str] = ()) -> None:
        """Go on for a moment: for as long as nobody looked before, so that half of the time is left, but not long.

        Args:
            first: Assets that are wanted more than others, with all that is upstream of them.
        """
        loop = asyncio.get_running_loop()
        begun = loop.time()
        until = begun + min(_LONGEST, begun - self._ended)
        wanted = {each for asset in first for each in (asset, *self._runtime.graph.upstream(asset))}
        while self.due:
            await self._piece(wanted)
            if loop.time() >= until:
                break
        self._ended = loop.time()

    async def _piece(self, wanted: Collection[str]) -> None:
        if self._pieces is None:
            self._asset = self._next(wanted)
            self._due.discard(self._asset)
            self._pieces = self._runtime.stale(self._asset, known=self.found)
        try:
            piece = await anext(self._pieces, None)
        except BaseException:  # Also where whoever looks goes away: nothing more comes of these pieces.
            self._leave()
            raise
        if piece is not None:
            self._reasons |= piece.reasons
        if piece is None or not piece.left:
            self._looks += 1
            self._looked[self._asset] = self._looks
            if self.found.get(self._asset, {}).keys() != self._reasons.keys():
                self._due.update(self._runtime.graph.dependents(self._asset))
            self.found = {**self.found, self._asset: self._reasons}
            self._asset, self._pieces, self._reasons = "", None, {}

    def _next(self, wanted: Collection[str]) -> str:
        """What is wanted before what is not, then the longest ago; at first upstream before downstream."""
        order = [asset for asset in self._runtime.graph.order() if asset in self._due]
        return min(order, key=lambda asset: (asset not in wanted, self._looked.get(asset, 0)))

    def _leave(self) -> None:
        """Begin the asset anew that is being looked at."""
        if self._asset:
            self._due.add(self._asset)
        self._asset, self._pieces, self._reasons = "", None, {}
