"""The ends of steps that no attempt lives to record: skipped, cancelled, lost, withdrawn, killed.

An attempt records its own end. Where there is none, or none any more, the coordinator has the end written beside
the attempts, many at once, and is told when it is on record: only then has the step ended for the state machine.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from flowstone.actors import Crashed
from flowstone.assets.partition_labels import step_label
from flowstone.errors import StoreUnavailable
from flowstone.runs import endings
from flowstone.runs.endings import PlannedStep
from flowstone.runs.records import Status
from flowstone.runtime.execution.guard import describe
from flowstone.runtime.run.cancels import record_cancelled
from flowstone.store.protocol import StaleWrite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.actors import Exit
    from flowstone.runs.commands import StartStep
    from flowstone.runs.events import Event, StepSkipped
    from flowstone.runs.state import RunState
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.attempt import Attempt
    from flowstone.runtime.run.beside import Beside
    from flowstone.runtime.run.live_run import LiveRun
    from flowstone.runtime.run.parking import Parking

__all__ = ["OtherEnds"]

_log = logging.getLogger(__name__)


class OtherEnds:
    """Has the ends recorded that one incarnation of a run's coordinator must speak for.

    Args:
        ctx: What the runtime offers.
        run: The run.
        state: Where it stands.
        beside: Where they are recorded.
        parking: Is told of steps that were to be cancelled and had ended.

    Attributes:
        epoch: Under which they are recorded.
        writing: How many batches of them are being recorded, without those that are cancelled.
    """

    def __init__(
        self, ctx: RuntimeContext, run: LiveRun, state: RunState, beside: Beside, parking: Parking
    ) -> None:
        self._ctx = ctx
        self._run = run
        self._state = state
        self._beside = beside
        self._parking = parking
        self.epoch = run.record.epoch
        self.writing = 0

    def skip(self, steps: Sequence[tuple[int, int]]) -> None:
        """These steps are skipped, each because of another one."""
        self._write([self._skipped(*pair) for pair in steps], [step for step, _ in steps])

    def cancel(self, steps: Sequence[int]) -> None:
        """These steps, of which nothing is under way, are cancelled."""
        work = record_cancelled(self._ctx, self._run, self.epoch, steps)
        self._beside.do(f"record {len(steps)} steps", work, self._cancels_recorded)

    def lose_if_too_often(self, order: StartStep) -> bool:
        """Whether a step that is to run alone is given up instead: too many attempts went with their processes."""
        if self._state.losses(order.step) < self._ctx.settings.lost_attempts:
            return False
        run = self._run
        lost = PlannedStep.of(run.record.id, run.plan, order.step, order.attempt)
        self._write([endings.lost_too_often(lost, self._ctx.clock.now())], [order.step])
        return True

    def withdraw(self, attempt: Attempt) -> None:
        """An attempt was cancelled before it began."""
        self._write([attempt.withdrawn()], [attempt.step])

    def broke_off(self, attempt: Attempt, how: Exit) -> BaseException | None:
        """The task of an attempt has ended without recording an end; an error if nothing can be recorded here."""
        if isinstance(how, Crashed):
            error = how.error
            if isinstance(error, StaleWrite) and self._ctx.store.cluster is not None:
                # The step may have ended elsewhere: an attempt that was taken for lost has recorded its end.
                found = partial(self._found, attempt.step)
                self._beside.do(f"look up {attempt.name}", attempt.recorded(), found)
                return None
            if isinstance(error, StoreUnavailable | StaleWrite):
                return error
        ending = attempt.killed(how)
        if isinstance(how, Crashed):
            with suppress(BaseException):  # The handlers of a log are the application's.
                _log.error("Attempt of %s crashed: %s", attempt.name, describe(how.error, None).traceback)
        self._write([ending], [attempt.step])
        return None

    def _skipped(self, step: int, cause: int) -> StepSkipped:
        run, now = self._run, self._ctx.clock.now()
        asset, _, key = run.plan.step(cause)
        planned, because = PlannedStep.of(run.record.id, run.plan, step), step_label(asset, key)
        if self._state.status_of(cause) is Status.FAILED:
            return endings.skipped(planned, now, because)
        return endings.declined(planned, now, cause=because, chosen=self._state.chosen_by(cause))

    def _found(self, step: int, event: Event) -> None:
        self._ctx.learn([event])
        self._beside.recorded([event], [step])

    def _cancels_recorded(self, ends: tuple[dict[int, Event], dict[int, Event]]) -> None:
        self._parking.ended(ends[1])
        for events in ends:
            self._beside.recorded(list(events.values()), list(events))

    def _write(self, events: Sequence[Event], steps: Sequence[int]) -> None:
        self.writing += 1
        work = self._ctx.record_many(events, self.epoch)
        self._beside.do(f"record {len(events)} steps", work, partial(self._written, events, steps))

    def _written(self, events: Sequence[Event], steps: Sequence[int], _: object) -> None:
        self.writing -= 1
        self._beside.recorded(events, steps)
