"""The port to what is remembered of the items that steps go through.

A row is written once: what is recorded of an item stays, and recording it again changes nothing. Rows are fenced by
the epoch of their run, like events. They belong to the step's record: they stay as long as its value may be asked
for. When `Store.prune` has forgotten that value, or the run of a step that has none, nobody needs them any more.
Where an IO manager keeps their values, the rows are all that says where. So they stay until whoever asks for what
is `unneeded` has deleted the values, and then calls `forget`: after a kill in between they are found again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from flowstone.runs.items import ItemRow
    from flowstone.runs.records import StepKey

__all__ = ["UNKNOWN_IO", "ItemSet", "Items", "keeper_of"]

UNKNOWN_IO: Final = ""
"""Instead of the name of an IO manager, for what was recorded before that name was."""


class ItemSet(NamedTuple):
    """The items of a step.

    Attributes:
        run_id: The run.
        step: The step.
        io: The IO manager that keeps values of theirs, `UNKNOWN_IO`, or None: the store keeps all there is.
    """

    run_id: str
    step: StepKey
    io: str | None


def keeper_of(rows: Sequence[ItemRow], payloads: Sequence[tuple[str, bytes]], io: str | None) -> str | None:
    """The IO manager, if it keeps a value of these items; None if the store keeps all there is of them."""
    kept = {location for location, _ in payloads}
    return io if any(row.location is not None and row.location not in kept for row in rows) else None


class Items(Protocol):
    """The items of steps. Every call may raise `StoreUnavailable`; each is safe to repeat."""

    async def record(
        self,
        run_id: str,
        step: StepKey,
        epoch: int,
        rows: Sequence[ItemRow],
        payloads: Sequence[tuple[str, bytes]] = (),
        *,
        io: str | None = None,
    ) -> None:
        """Record how items ended; returns once that is durable.

        Args:
            run_id: The run.
            step: The step.
            epoch: Under which the writer holds the run.
            rows: One for each item.
            payloads: Locations and bytes of values that the store is to keep with them.
            io: The IO manager whose locations they have.

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

    async def unneeded(self, assets: Collection[str], *, limit: int) -> Sequence[ItemSet]:
        """Items that nobody needs any more, to be forgotten when their values are deleted.

        Those that were asked for least often come first, so that some that cannot be deleted hold up no others.

        Args:
            assets: Only items of these, whose values the caller can delete.
            limit: Of how many steps at most.
        """

    async def forget(self, run_id: str, step: StepKey, *, up_to: int | None = None) -> None:
        """Forget the items of a step, and the payloads that the store keeps of them.

        Args:
            run_id: The run.
            step: The step.
            up_to: Only those up to this position; the others stay as they are.
        """
