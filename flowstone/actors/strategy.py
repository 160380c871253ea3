"""OTP's rules as pure functions: who is restarted, how often, who goes along, what ends a supervisor."""

from __future__ import annotations

from collections import deque
from itertools import takewhile
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

from flowstone.actors.limits import at_least, check_max_children, whole_at_least
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Reversible

    from flowstone.actors.exits import Exit

__all__ = ["AutoShutdown", "Intensity", "Restart", "Rules", "Strategy", "affected", "restarts"]

Strategy: TypeAlias = Literal["one_for_one", "rest_for_one", "one_for_all"]
Restart: TypeAlias = Literal["permanent", "transient", "temporary"]
AutoShutdown: TypeAlias = Literal["never", "any_significant", "all_significant"]

Child = TypeVar("Child")


@frozen
class Rules:
    """What the arguments of a `Supervisor` say about restarts and ends, checked."""

    strategy: Strategy
    max_restarts: int
    within: float
    max_children: int | None
    auto_shutdown: AutoShutdown

    def __post_init__(self) -> None:
        if self.strategy not in {"one_for_one", "rest_for_one", "one_for_all"}:
            raise ValueError(f"strategy is one_for_one, rest_for_one or one_for_all, not {self.strategy!r}.")
        if self.auto_shutdown not in {"never", "any_significant", "all_significant"}:
            raise ValueError(
                f"auto_shutdown is never, any_significant or all_significant, not {self.auto_shutdown!r}."
            )
        if not whole_at_least(0, self.max_restarts):
            raise ValueError(f"max_restarts is a whole number of at least 0, not {self.max_restarts!r}.")
        if not at_least(0, self.within) or self.within == 0:
            raise ValueError(f"within is more than 0 seconds, not {self.within!r}.")
        check_max_children(self.max_children)


def restarts(restart: Restart, how: Exit) -> bool:
    """Whether a child that ended like this is started again."""
    return restart == "permanent" or (restart == "transient" and not how.clean)


def affected(strategy: Strategy, children: Reversible[Child], failed: Child) -> list[Child]:
    """The children a restart of `failed` stops, in this order, and starts, in the reverse one.

    `children` are in start order; only those that are affected are looked at.
    """
    match strategy:
        case "one_for_one":
            return [failed]
        case "rest_for_one":
            younger = takewhile(lambda child: child is not failed, reversed(children))
            return [*younger, failed]
        case "one_for_all":
            return list(reversed(children))


class Intensity:
    """How many restarts are too many: more than `max_restarts` within `within` seconds.

    One budget per supervisor; a group's restart counts once, and so does each try that fails.
    """

    __slots__ = ("_times", "max_restarts", "within")

    def __init__(self, max_restarts: int, within: float) -> None:
        self.max_restarts = max_restarts
        self.within = within
        self._times: deque[float] = deque()

    def allows(self, now: float) -> bool:
        """Count a restart at `now` (monotonic seconds); False if it is one too many.

        A restart exactly `within` seconds ago still counts.
        """
        while self._times and self._times[0] < now - self.within:
            self._times.popleft()
        self._times.append(now)
        return len(self._times) <= self.max_restarts

    def recent(self, now: float) -> int:
        """How many restarts count at `now`."""
        return sum(at >= now - self.within for at in self._times)
