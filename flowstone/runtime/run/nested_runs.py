"""Which runs wait for which: a step may start a run of its own, or join one, and wait for its end.

What has to be known of that is whether a wait would be for ever, because the other run waits for this one.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flowstone.runtime.run.attempt import Attempt
    from flowstone.runtime.run.live_run import LiveRun
    from flowstone.runtime.run.recorded_attempt import AttemptIdentity

__all__ = ["NestedRuns"]


class NestedRuns:
    """Looks at the attempts of this process, which know the runs that they wait for.

    Args:
        live: The runs that this process drives.
        leased: Attempts that run here for other nodes.
    """

    def __init__(self, live: Mapping[str, LiveRun], leased: Mapping[AttemptIdentity, Attempt]) -> None:
        self._live = live
        self._leased = leased
        # New runs, and the run whose step has just started them and is about to wait for them.
        self._begun_within: dict[str, str] = {}

    @contextmanager
    def begun(self, run_id: str, *, within: str) -> Iterator[None]:
        """A step of the run `within` waits for a new run, though its attempt does not say so yet."""
        self._begun_within[run_id] = within
        try:
            yield
        finally:
            del self._begun_within[run_id]

    def is_held_up_by(self, run_id: str, other: str) -> bool:
        """Whether a run cannot end before another one has: it is that one, or a step of it waits for that one."""
        seen: set[str] = set()
        found = [run_id]
        for each in found:  # It grows while it is read.
            if each == other:
                return True
            live = self._live.get(each)
            if live is not None and each not in seen:
                seen.add(each)
                found += [awaited for attempt in live.attempts.values() for awaited in attempt.awaits]
                found += [begun for begun, within in self._begun_within.items() if within == each]
        return False

    def waiting_for(self, run_id: str) -> tuple[str, ...]:
        """A run, and those with steps here that wait for it, or for one that does: none can end before it."""
        found = {run_id: None}
        steps = list(self._leased.values())
        steps += [attempt for run in self._live.values() for attempt in run.attempts.values()]
        waiting = [attempt for attempt in steps if attempt.awaits]
        left = [run_id]
        while left:
            awaited = left.pop()
            new = [each.run_id for each in waiting if awaited in each.awaits]
            new += [within for begun, within in self._begun_within.items() if begun == awaited]
            new = [each for each in new if each not in found]
            found.update(dict.fromkeys(new))
            left += new
        return tuple(found)
