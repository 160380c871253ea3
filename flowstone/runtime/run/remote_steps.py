"""What a coordinator needs of whatever lets other nodes execute steps of its run.

Handed in, so that driving a run does not depend on the cluster: it is the cluster that depends on runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from flowstone.runs.commands import AttemptLost, StartStep
    from flowstone.runs.events import Event
    from flowstone.runs.item_range import ItemRange
    from flowstone.runs.records import StepKey
    from flowstone.runtime.run.live_run import LiveRun
    from flowstone.store.cluster import StepLease
    from flowstone.store.protocol import StoreRefused

__all__ = ["ItemsOver", "RemoteSteps", "Spread"]


ItemsOver: TypeAlias = "Callable[[ItemRange, str, bool], None]"
"""Told of the end of a lease of items: which, the node, and whether that node is lost."""


class RemoteSteps(Protocol):
    """The steps of one run that other nodes execute; its length says how many there are."""

    def __len__(self) -> int: ...

    def takes(self, order: StartStep, busy_here: int) -> bool:
        """Whether another node executes the step that is to start."""

    def keep(self, lease: StepLease, step: int) -> None:
        """Take over what a former owner of the run leased."""

    def stayed(self, step: int, asset: str) -> None:
        """A step that was executed here has ended."""

    def cancels(self, step: int) -> bool:
        """Have a step stopped; False if it is not executed elsewhere."""

    def hold(self) -> None:
        """Have those stopped that have not begun."""

    def wants_items(self, asset: str, busy_here: int) -> bool:
        """Whether another node is the better place for the next items of a step."""

    def takes_items(
        self,
        step: StepKey,
        attempt: int,
        items: ItemRange,
        busy_here: int,
        over: ItemsOver,
    ) -> bool:
        """Whether another node goes through these items of a step.

        Args:
            step: The step, which is driven here.
            attempt: The number of its attempt.
            items: The items.
            busy_here: How many items of the run are under way here.
            over: Called when nobody there goes through them any more. What was done is on record; the rest is to
                be done again.
        """

    def shun(self, node: str) -> None:
        """Give a node nothing more for a while: it does nothing with what it is given."""

    def cancels_items(self, step: StepKey, items: ItemRange) -> None:
        """Have that stopped. `over` is called as ever."""

    def flush(self) -> None:
        """Do what has come up since the last time."""

    async def clear(self) -> None:
        """Delete what is left of it at the end of the run."""

    def close(self) -> None:
        """Hear nothing more."""


class Spread(Protocol):
    """Makes the `RemoteSteps` of a run."""

    def __call__(
        self,
        run: LiveRun,
        *,
        start: Callable[[Coroutine[None, None, None]], None],
        ended: Callable[[Sequence[Event], Sequence[int]], None],
        lost: Callable[[AttemptLost], None],
        refused: Callable[[StoreRefused], None],
    ) -> RemoteSteps:
        """For one run.

        Args:
            run: The run.
            start: Starts a task beside the run's attempts.
            ended: Called with the events that ended attempts, and their steps.
            lost: Called with each attempt that went with its node.
            refused: Called if the store will not have the end of an attempt: then the run cannot go on.
        """
