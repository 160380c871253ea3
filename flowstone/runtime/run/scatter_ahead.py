"""What a reader drives while it reads: the items of a step that starts only when the reader has ended."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from flowstone.runs.records import Failure
from flowstone.runs.units import LATER, Units
from flowstone.runtime.run.inputs import load_inputs, needs_of
from flowstone.runtime.run.scatter import Scatter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flowstone.runs.events import StepSucceeded

__all__ = ["Feed", "ScatterAhead"]

_DONE: Final = Failure("abandoned", "its items are done")
"""Nothing is recorded of the step, which has not begun."""


class Feed:
    """Items on their way from a reader to one step that takes them.

    Attributes:
        window: So many are not to be exceeded by much.
        ended: Whether nothing more will come.
        open: Whether anybody takes them.
    """

    def __init__(self, window: int) -> None:
        self.window = window
        self.ended = False
        self.open = True
        self._items: deque[Any] = deque()

    def __len__(self) -> int:
        return len(self._items) if self.open else 0

    def put(self, item: Any) -> None:
        if self.open:
            self._items.append(item)

    def close(self) -> None:
        self.open = False
        self._items.clear()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._items:
            return self._items.popleft()
        if self.ended:
            raise StopIteration
        return LATER


class ScatterAhead(Scatter):
    """Drives the items of a step whose reader still reads; recorded as those of that step, which starts later."""

    def fed(
        self, feed: Feed, taken: Callable[[], None], failed: Callable[[ScatterAhead, Failure], None]
    ) -> ScatterAhead:
        """Say where its items come from, and whom to tell of those that were taken, and of its failure."""
        self._feed = feed
        self._taken = taken
        self._failed_ahead = failed
        return self

    async def run(self) -> Any:
        """Drive them."""
        self._know_handle()
        try:
            result = await self._produce()
        finally:
            self._feed.close()
            self._taken()
        if (
            isinstance(result, Failure)
            and result is not _DONE
            and self.stopping is None
            and not result.retryable
        ):
            self._failed_ahead(self, result)

    def more(self) -> None:
        """There is something in the feed, or nothing more will come."""
        if self._driving:
            self._fill()

    def _fill(self) -> None:
        """Start items, or pass those that are done; whichever it was, the reader may have room again."""
        super()._fill()
        if len(self._feed) <= self._feed.window // 2:
            self._taken()

    async def _load(self) -> dict[str, Any]:
        plan, asset = self._plan, self.asset
        needs = needs_of(plan.graph, plan.view, asset, self.partition, self.key)
        others = [need for need in needs if need.dependency.asset != self.parameter]
        arguments, _ = await load_inputs(self._ctx, plan, asset, self.partition, others, self.run_id)
        return {**arguments, self.parameter: self._feed}

    async def _made_units(self, source: Any) -> Units | Failure:
        await self._resume()
        return Units(self._each, source, None)

    def _tell(self) -> None:
        """Nothing: the step has not begun, and the reader says itself how far it is."""

    async def _value(self, source: Any) -> Any:
        del source

    async def _keep(self, value: Any) -> StepSucceeded | Failure:
        del value
        return _DONE
