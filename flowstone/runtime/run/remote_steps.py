"""What a coordinator needs of whatever lets other nodes execute steps of its run.

Handed in, so that driving a run does not depend on the cluster: it is the cluster that depends on runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from flowstone.runs.commands import AttemptLost, StartStep
    from flowstone.runs.events import Event
    from flowstone.runtime.run.live_run import LiveRun
    from flowstone.store.cluster import StepLease
    from flowstone.store.protocol import StoreRefused

__all__ = ["RemoteSteps", "Spread"]


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
