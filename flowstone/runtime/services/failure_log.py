"""What the application's log says of failed steps and items: one record each, with where in the user's code it was.

The failures of a run that was submitted are raised to nobody, so they are errors in the log of the node that
ran the step. Where somebody waits in this process, the failure is raised or returned anyway, and is here at
"debug" only. A source that is broken fails a thousand partitions in the same words: of one run the first twenty
are errors, and of what one broken resource fails the first. Of its items the first twenty are warnings.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from contextlib import suppress
from shlex import quote
from typing import TYPE_CHECKING, Final

from flowstone.assets.partition_labels import key_label, step_label
from flowstone.printable import printable
from flowstone.runs.events import StepFailed, StepRetried

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.runs.events import Event
    from flowstone.runs.records import Failure, StepKey

__all__ = ["FAILURES", "STEPS", "FailureLog"]

FAILURES: Final = frozenset({StepFailed, StepRetried})
"""The events by which an attempt has failed."""

STEPS: Final = "flowstone.steps"
"""The logger of failed steps."""

_log = logging.getLogger(STEPS)

_MOST_LOGGED: Final = 20  # Of one run: so many steps, and so many items.
_MOST_RUNS: Final = 1_000
_SHARED: Final = frozenset({"io", "resource", "store"})


class FailureLog:
    """Logs failures of steps that this node has recorded.

    Attributes:
        awaited: Whether somebody in this process waits for a run, by its id.
    """

    def __init__(self) -> None:
        self.awaited: Callable[[str], bool] = lambda _run_id: False
        self._steps: OrderedDict[str, int] = OrderedDict()  # By run, how many there were.
        self._items: OrderedDict[str, int] = OrderedDict()
        # What was logged of one run for all its steps.
        self._shared: OrderedDict[tuple[str, str], None] = OrderedDict()

    def log(self, event: Event) -> None:
        """Log an event if a step failed by it; an attempt that is retried is worth a line at "info"."""
        awaited = self.awaited(event.run_id)
        if isinstance(event, StepFailed) and event.materialization.failure is not None:
            failure = event.materialization.failure
            level = (
                logging.DEBUG
                if awaited or self._was_logged(event.run_id, failure)
                else self._level(event.run_id)
            )
            self._write(level, event, failure, "failed", failure.frames)
        elif isinstance(event, StepRetried) and event.failure.kind != "lost":
            ending = f"is tried again in {event.delay:.3g} s; it failed"
            self._write(logging.DEBUG if awaited else logging.INFO, event, event.failure, ending, "")

    def log_item(self, run_id: str, step: StepKey, item: str, attempt: int, failure: Failure) -> None:
        """Log an item that failed for good: a warning, for its step may do without it; its row says the same.

        Args:
            run_id: The run.
            step: The step that goes through the items.
            item: What the item is called.
            attempt: Its last attempt.
            failure: Why it failed.
        """
        if not _log.isEnabledFor(logging.WARNING):
            return
        asset, key = step
        level = logging.DEBUG
        if not self.awaited(run_id):
            number = _count(self._items, run_id)
            if number <= _MOST_LOGGED:
                level = logging.WARNING
            elif number == _MOST_LOGGED + 1:
                with suppress(BaseException):  # The handlers of a log are the application's.
                    _log.warning(
                        "run %s has more failed items: `flowstone items %s %s%s --status failed` lists those of %s",
                        run_id,
                        run_id,
                        quote(asset),
                        "" if key is None else f" --partition {quote(key_label(key))}",
                        step_label(asset, key),
                    )
        place = f"{step_label(asset, key)} item {item}"
        self._log(level, place, step, run_id, attempt, failure, "failed", failure.frames)

    def _was_logged(self, run_id: str, failure: Failure) -> bool:
        """Whether it is the trouble of something that steps share, and was logged of another step of the run."""
        if failure.kind not in _SHARED:
            return False
        problem = (run_id, failure.message)
        known = problem in self._shared
        self._shared[problem] = None
        if len(self._shared) > _MOST_RUNS:
            self._shared.popitem(last=False)
        return known

    def _level(self, run_id: str) -> int:
        number = _count(self._steps, run_id)
        if number == _MOST_LOGGED + 1:
            with suppress(BaseException):  # The handlers of a log are the application's.
                _log.error("run %s has more failures: `flowstone run %s --debug` shows them", run_id, run_id)
        return logging.ERROR if number <= _MOST_LOGGED else logging.DEBUG

    def _write(
        self, level: int, event: StepFailed | StepRetried, failure: Failure, ending: str, frames: str
    ) -> None:
        step = (event.asset, event.partition_key)
        self._log(level, step_label(*step), step, event.run_id, event.attempt, failure, ending, frames)

    def _log(
        self,
        level: int,
        place: str,
        step: StepKey,
        run_id: str,
        attempt: int,
        failure: Failure,
        ending: str,
        frames: str,
    ) -> None:
        asset, key = step
        with suppress(BaseException):  # As above.
            _log.log(
                level,
                "%s %s (%s, attempt %d): %s%s%s",
                place,
                ending,
                failure.kind,
                attempt,
                printable(failure.message),
                f" ({printable(failure.where)})" if failure.where else "",
                f"\n{printable(frames).rstrip()}" if frames else "",
                extra={
                    "asset": asset,
                    "partition": None if key is None else key_label(key),
                    "run_id": run_id,
                    "attempt": attempt,
                    "failure_kind": failure.kind,
                },
            )


def _count(counts: OrderedDict[str, int], run_id: str) -> int:
    """How often it was asked for this run."""
    count = counts[run_id] = counts.pop(run_id, 0) + 1
    if len(counts) > _MOST_RUNS:
        counts.popitem(last=False)
    return count
