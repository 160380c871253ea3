"""The port to what is remembered of the items that steps go through.

A row is written once: what is recorded of an item stays, and recording it again changes nothing. Rows are fenced by
the epoch of their run, like events. They belong to the step's record: they stay as long as its value may be asked
for, and go with `forget`, or with a run whose step did not succeed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.runs.items import ItemRow
    from flowstone.runs.records import StepKey

__all__ = ["Items"]


class Items(Protocol):
    """The items of steps. Every call may raise `StoreUnavailable`; each is safe to repeat."""

    async def record(
        self,
        run_id: str,
        step: StepKey,
        epoch: int,
        rows: Sequence[ItemRow],
        payloads: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        """Record how items ended; returns once that is durable.

        Args:
            run_id: The run.
            step: The step.
            epoch: Under which the writer holds the run.
            rows: One for each item.
            payloads: Locations and bytes of values that the store is to keep with them.

        Raises:
            StaleWrite: The run has finished, is unknown, or has another owner.
        """

    async def states(self, run_id: str, step: StepKey) -> bytearray:
        """How each item has ended, by position: see `flowstone.runs.items.ENDED`; 0 where it has not."""

    async def rows(
        self,
        run_id: str,
        step: StepKey,
        *,
        code: int | None = None,
        after: int = -1,
        offset: int = 0,
        limit: int | None = None,
    ) -> Sequence[ItemRow]:
        """Items that have ended, in their order.

        Args:
            run_id: The run.
            step: The step.
            code: Only those that ended so.
            after: Only those at later positions.
            offset: How many to leave out.
            limit: How many at most.
        """

    async def forget(self, run_id: str, step: StepKey) -> None:
        """Forget the items of a step, and the payloads that the store keeps of them."""
