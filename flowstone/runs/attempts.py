"""How often each live step of a run was attempted, and what became of those attempts.

Nearly every step has one attempt, which succeeds. Of such a step nothing is kept here, nor of one whose first
attempt is under way or waits for somebody else: that it is the first, the step's state says. So 100,000 waiting
steps hold nothing.

Three ends of an attempt are told apart, because they count against different limits:

* it *failed* by itself: counts against `Retry.attempts` of its asset;
* it was *lost* with the process that ran it: counts against `lost_attempts`, and makes the step a suspect;
* neither: its node stopped it to go away, it waits for somebody else, or it never began.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.runs.step_states import RUNNING, WAITING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowstone.runs.records import Failure

__all__ = ["Attempts"]


class Attempts:
    """The attempts of a run's live steps; a step is forgotten when it ends.

    Args:
        states: The state of each step; looked at, not changed.

    Attributes:
        numbers: The last attempt of each step, but for those of which it is known to be the first one or none.
        suspects: Steps that may have ended a process and have not been started again since.
    """

    __slots__ = ("_failures", "_losses", "_states", "numbers", "suspects")

    def __init__(self, states: bytearray) -> None:
        self._states = states
        self.numbers: dict[int, int] = {}
        self.suspects: set[int] = set()
        self._losses: dict[int, int] = {}
        self._failures: dict[int, int] = {}

    def of(self, step: int) -> int:
        """The number of the step's last attempt; 0 before its first."""
        number = self.numbers.get(step)
        if number is not None:
            return number
        return 1 if self._states[step] in (RUNNING, WAITING) else 0

    def losses(self, step: int) -> int:
        """How many attempts of a step went with their processes; one that may be under way is none."""
        return self._losses.get(step, 0)

    def failures(self, step: int) -> int:
        """How many attempts of a step failed by themselves."""
        return self._failures.get(step, 0)

    def begin(self, step: int) -> int:
        """The number of the attempt that begins now, of a step that was attempted before."""
        number = self.numbers[step] = self.numbers[step] + 1
        return number

    def began(self, step: int, number: int) -> None:
        """On record: an attempt began, or ended otherwise than as the step's end."""
        if number > 1 or step in self.numbers:
            self.numbers[step] = number

    def over(self, step: int, number: int) -> None:
        """An attempt is over, the step is not: another attempt follows."""
        self.numbers[step] = number

    def failed(self, step: int, number: int, failure: Failure) -> None:
        """An attempt is over by a failure; if its node stopped it to go away, that is nobody's."""
        self.over(step, number)
        if failure.kind != "lost":
            self._failures[step] = self._failures.get(step, 0) + 1

    def lost(self, step: int, number: int) -> None:
        """An attempt went with its process."""
        self.over(step, number)
        self._losses[step] = self._losses.get(step, 0) + 1

    def forget(self, step: int) -> None:
        """The step has ended."""
        if self.numbers.pop(step, None) is not None:
            self._losses.pop(step, None)
            self._failures.pop(step, None)

    def unfinished(self, steps: Iterable[int]) -> tuple[tuple[int, int], ...]:
        """Those of these steps that were attempted, each with its last attempt."""
        return tuple((step, number) for step in steps if (number := self.of(step)))
