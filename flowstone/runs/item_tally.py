"""How the items of a step have ended so far: how many, which failed, and whether too many have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowstone.counting import count_of
from flowstone.runs.items import ENDED, ItemCounts
from flowstone.runs.records import Status

if TYPE_CHECKING:
    from flowstone.assets.each import Each
    from flowstone.runs.items import ItemRow
    from flowstone.runs.records import Failure

__all__ = ["TOLD", "ItemTally"]

TOLD: Final = 3
"""Failed items that the failure of the step names."""

_SAMPLE: Final = 1_000  # While nobody knows how many there are, a share is that of at least so many items.
_SUCCEEDED: Final = ENDED[Status.SUCCEEDED]
_FAILED: Final = ENDED[Status.FAILED]
_SKIPPED: Final = ENDED[Status.SKIPPED]


class ItemTally:
    """The count of one step's items.

    Args:
        each: What the step was defined with: how many may fail.

    Attributes:
        succeeded, failed, skipped: How many have ended so.
    """

    def __init__(self, each: Each) -> None:
        self._each = each
        self.succeeded = self.failed = self.skipped = 0
        self._first_failures: list[tuple[int, str]] = []  # Position, and what to say.

    @property
    def done(self) -> int:
        """How many have ended."""
        return self.succeeded + self.failed + self.skipped

    def resume(self, states: bytes | bytearray) -> None:
        """Begin with what earlier attempts have recorded: how each item ended."""
        self.succeeded = states.count(_SUCCEEDED)
        self.failed = states.count(_FAILED)
        self.skipped = states.count(_SKIPPED)

    def count(self, row: ItemRow) -> None:
        """An item has ended."""
        if row.failure is None:
            self.succeeded += 1
        elif row.code == _SKIPPED:
            self.skipped += 1
        else:
            self.failed += 1
            self.remember(row.position, row.key, row.failure)

    def remember(self, position: int, key: str | None, failure: Failure) -> None:
        """Keep what to say of the first items that failed."""
        if len(self._first_failures) < TOLD:
            named = f"{position:,}" if key is None else f"{key!r:.100}"
            place = f" ({failure.where})" if failure.where else ""
            words = f"item {named}: {failure.message.partition(chr(10))[0]:.300}{place}"
            self._first_failures.append((position, words))

    def excess(self, total: int | None, begun: int) -> str | None:
        """Why the step fails, if more items have failed than may.

        Args:
            total: How many items there are, if that is known.
            begun: How many have begun.
        """
        failed, each = self.failed, self._each
        if not failed or failed <= each.tolerated(self._base(total)):
            return None
        among = f"{count_of(failed, begun if total is None else total, 'item')} failed"
        allowed = "" if not each.tolerate else f", more than tolerate={each.tolerate!r} allows"
        causes = "; ".join(words for _, words in sorted(self._first_failures))
        unnamed = failed - len(self._first_failures)
        more = f"; and {unnamed:,} more" if unnamed > 0 else ""
        return f"{among}{allowed}: {causes}{more}".removesuffix(".") + "."

    def _base(self, total: int | None) -> int:
        """What a share is one of: while nobody knows how many there are, those that have ended so far."""
        if total is not None or not isinstance(self._each.tolerate, float):
            return total or 0
        return max(_SAMPLE, self.done)

    def counts(self, total: int) -> ItemCounts:
        """As the step's record has them, of so many items."""
        return ItemCounts(total, self.succeeded, self.failed, self.skipped)

    def progress(self, total: int) -> tuple[float, str]:
        """How far it has come, of so many items: the share of them, and in words."""
        others = (f", {self.failed:,} failed" if self.failed else "") + (
            f", {self.skipped:,} skipped" if self.skipped else ""
        )
        return self.done / total, count_of(self.done, total, "item") + others
