"""What is done for many steps at a time: looking up values to reuse, recording what no attempt can speak for.

A step that is reused is on record before its look-up is answered. So what is being looked up when the run is
cancelled is left alone until the answer says what has become of it.

A failure may skip a million steps. They are marked at once and recorded a batch after the other: the next is
ordered when fewer than a batch of the steps ordered before are unconfirmed.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeVar

from flowstone.runs.commands import CheckSteps, RecordCancelled, RecordSkipped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.runs.commands import Command

__all__ = ["Batches"]

_MOST: Final = 500  # Steps in a batch.

_Item = TypeVar("_Item")


class Batches:
    """Steps that are to be looked up or recorded, and those of which that is ordered.

    Attributes:
        to_check: Steps whose current values are to be looked up.
        to_skip: Skipped steps, each with the step whose failure or choice caused it.
        to_cancel: Cancelled steps.
    """

    __slots__ = ("_ahead", "_checking", "_recording", "to_cancel", "to_check", "to_skip")

    def __init__(self) -> None:
        self.to_check: dict[int, None] = {}  # In order, as those below.
        self.to_skip: deque[tuple[int, int]] = deque()
        self.to_cancel: deque[int] = deque()
        self._checking: dict[int, None] = {}  # In order: iteration must not depend on hashes.
        self._ahead: dict[int, None] = {}  # Perhaps looked up with those; only once the run is cancelled.
        self._recording: dict[int, None] = {}

    @property
    def held(self) -> int:
        """Steps that are not ordered yet, or looked up."""
        looked_up = len(self.to_check) + len(self._checking) + len(self._ahead)
        return looked_up + len(self.to_skip) + len(self.to_cancel)

    @property
    def checking(self) -> tuple[int, ...]:
        """Steps whose look-up is ordered, and not answered."""
        return tuple(self._checking)

    @property
    def busy(self) -> bool:
        """Whether an answer is awaited, or could be."""
        return bool(self.held or self._recording)

    def checked(self, step: int) -> bool:
        """The look-up of a step is answered, perhaps before it was ordered; False if none is wanted."""
        return (
            self._checking.pop(step, 0) is None
            or self.to_check.pop(step, 0) is None
            or self._ahead.pop(step, 0) is None
        )

    def needed(self, steps: Sequence[int]) -> list[int]:
        """A look-up has ended: those of its steps that are not reused, and after the last one all that are left."""
        found = [step for step in steps if self.checked(step)]
        if not self._checking:
            found += self._ahead
            self._ahead.clear()
        return found

    def recorded(self, step: int) -> bool:
        """The record of a step is confirmed; False if none was ordered."""
        return self._recording.pop(step, 0) is None

    def drop_checks(self, ahead: Sequence[int]) -> list[int]:
        """Look nothing more up; returns the steps of which that was wanted and not ordered.

        Args:
            ahead: Steps that may have been looked up ahead of those of which it was.
        """
        steps = list(self.to_check)
        self.to_check.clear()
        self._ahead.update(dict.fromkeys(ahead))
        return steps

    def order(self, commands: list[Command]) -> None:
        """Add what may be ordered now."""
        while self.to_check and len(self._checking) < _MOST:
            checks = tuple(islice(self.to_check, _MOST))
            for step in checks:
                del self.to_check[step]
            self._checking.update(dict.fromkeys(checks))
            commands.append(CheckSteps(checks))
        while self.to_skip and len(self._recording) < _MOST:
            skips = _take(self.to_skip)
            self._recording.update((step, None) for step, _ in skips)
            commands.append(RecordSkipped(skips))
        while self.to_cancel and len(self._recording) < _MOST:
            cancels = _take(self.to_cancel)
            self._recording.update(dict.fromkeys(cancels))
            commands.append(RecordCancelled(cancels))


def _take(queue: deque[_Item]) -> tuple[_Item, ...]:
    if len(queue) > _MOST:
        return tuple(queue.popleft() for _ in range(_MOST))
    items = tuple(queue)
    queue.clear()
    return items
