"""The skeleton of the processes that drive an automation: one node drives it, its record says where it has got to.

A failure of the user's function is written down, then the process crashes: its supervisor restarts it alone, the
tree shows how often, and the new incarnation waits before it tries again, longer after each failure in a row. Ten
failures in a row pause the automation. A process that crashes by a fault of ours waits a second.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from flowstone.assets.automation.definitions import DefinedAutomation
from flowstone.backoff import Backoff
from flowstone.errors import AutomationError, StoreUnavailable
from flowstone.runs.automation import Move, subject_of
from flowstone.runtime.automation.definitions import define
from flowstone.runtime.automation.failures import pause_after, record_failure
from flowstone.runtime.automation.leadership import ASKS_AGAIN, Leadership
from flowstone.runtime.automation.problems import forget_problem, subject, tell_problem
from flowstone.runtime.automation.starting import make_move
from flowstone.runtime.services.notifications import Wakeup
from flowstone.store.protocol import StaleWrite

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from flowstone.runs.automation import AutomationKey, AutomationRecord, Fire, NewRun
    from flowstone.runs.automation_events import AutomationEvent
    from flowstone.runs.records import Failure
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.local_runs import LocalRuns
    from flowstone.store.cluster import Notification

__all__ = ["Driver"]

D = TypeVar("D", bound=DefinedAutomation)

_HEARD: Final = ("automation", "finished", "nodes", "look", "draining")
_STALE_PAUSE: Final = 0.05
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 300.0


class Driver(ABC, Generic[D]):
    """Drives one automation, if that is this node's part; else watches whose it is.

    Args:
        ctx: What the runtime offers.
        runs: Where new runs start on a store that no other node shares.
        key: Which automation.
        defined: What it is.
        restarted: Whether this is not its first incarnation.
    """

    def __init__(
        self, ctx: RuntimeContext, runs: LocalRuns, key: AutomationKey, defined: D, *, restarted: bool
    ) -> None:
        self._ctx = ctx
        self._runs = runs
        self._key = key
        self._defined = defined
        self._restarted = restarted
        self._subject = subject(defined.kind, defined.name)
        self._wake = Wakeup()
        self._record: AutomationRecord | None = None
        self._changed = False  # Whether somebody else has changed the record since it was last asked.
        self._leadership = Leadership(ctx, key)
        self._read_at = -math.inf  # By the monotonic clock, as the next.
        self._stale = Backoff(_STALE_PAUSE, _LONGEST_PAUSE, ctx.random)
        self._awaited: frozenset[str] = frozenset()  # Runs whose end it waits for.

    async def run(self, started: Callable[[], None]) -> None:
        started()
        self._runs.on_gone[self._wake_for_end] = None
        try:
            with self._ctx.notifications.on(self._heard, *_HEARD):
                await self._back_off()
                while True:
                    await self._wake.wait_or(self._ctx.clock, await self._turn())
        finally:
            self._runs.on_gone.pop(self._wake_for_end, None)

    # What wakes it ------------------------------------------------------------------------------------------

    def _heard(self, notification: Notification) -> None:
        if notification.kind == "automation":
            if notification.subject == subject_of(self._key):
                self._record = None
                self._changed = True
                self._leadership.ask_again()
                self._wake()
        elif notification.kind == "finished":
            if notification.subject in self._awaited:
                self._wake()
        elif notification.kind == "draining" or self._leadership.concerns(notification):
            self._wake()

    def _wake_for_end(self) -> None:
        if self._awaited:
            self._wake()

    async def _back_off(self) -> None:
        """Wait, if the last incarnation failed; to be resumed or paused by somebody ends that."""
        try:
            record = await self._ctx.store.automations.record(self._key)
            if record is not None and record.failures:  # Until it is tried again, it is known that it fails.
                driven = self._is_own(record) and await self._leadership.take()
                self._tell_problem(record if driven else None)
        except StoreUnavailable as error:
            self._unavailable(error)
            record = None
        failures = 0 if record is None else record.failures
        if not failures and not self._restarted:
            return
        until = self._ctx.clock.monotonic() + pause_after(failures, self._ctx.random)
        self._changed = False
        while not self._changed and self._runs.open and (left := until - self._ctx.clock.monotonic()) > 0:
            await self._wake.wait_or(self._ctx.clock, left)  # It is woken by other things as well.

    # What it does -------------------------------------------------------------------------------------------

    async def _turn(self) -> float | None:
        """Do what is due; seconds after which to look again, None: when something is heard."""
        try:
            if not self._runs.open:
                await self._leadership.hand_over()  # While this node ends its work, another one goes on.
                self._tell_problem(None)
                return None
            driven = await self._driven()
            self._tell_problem(driven)
            if driven is not None and not driven.paused:
                return await self._drive(driven)
            self._record = None
            # A notification may be lost.
            return None if self._ctx.store.cluster is None else self._leadership.patience
        except StaleWrite:
            self._record = (
                None  # Somebody else has changed it; or its own function did, and will do so again.
            )
            self._leadership.ask_again()
            await self._ctx.clock.sleep(self._stale.pause())  # It has been woken by that as well.
            return 0.0
        except StoreUnavailable as error:
            self._unavailable(error)
            self._record = None
            return _FIRST_PAUSE

    async def _driven(self) -> AutomationRecord | None:
        """Its record, if it is this node's part to drive it."""
        known = self._ctx.snapshot.automations.get(self._key[1])
        if known is None or known[1] != self._defined:
            return None  # This node has other definitions by now, and this process is about to end.
        now = self._ctx.clock.monotonic()
        if self._ctx.store.cluster is not None and now - self._read_at >= ASKS_AGAIN:
            self._record = None  # That it was paused may not have been heard.
        if self._record is None:
            self._record = await self._ctx.store.automations.record(self._key)
            self._read_at = now
        record = self._record
        if record is None:
            return None  # It is about to be defined.
        if not self._is_own(record):
            await self._stand_back(gone=record.gone_at is not None)
            return None
        return record if await self._leadership.take() else None

    def _is_own(self, record: AutomationRecord) -> bool:
        """Whether it is defined as this node has it; another one may have other code, and its record says so."""
        return record.gone_at is None and record.text == self._defined.definition

    async def _stand_back(self, *, gone: bool) -> None:
        """Somebody with other code has defined it otherwise, or not at all: leave it to the node that drives it.

        If none does, because that one has gone, or does not have it, it is defined as this node has it.
        """
        self._record = None
        if not gone and self._leadership.held and self._ctx.store.cluster is not None:
            await self._leadership.stand_back()
        elif await self._leadership.take_back():
            await define(self._ctx, only=self._key[1])
            self._wake()

    @abstractmethod
    async def _drive(self, record: AutomationRecord) -> float | None:
        """As `_turn`, where it is this node's part, and not paused.

        Raises:
            StaleWrite: It has been changed by somebody else.
            StoreUnavailable: The store is away.
            AutomationError: The user's function failed.
        """

    async def _move(
        self,
        record: AutomationRecord,
        *,
        cursor: Any,
        pending: tuple[Any, ...] = (),
        runs: Sequence[NewRun] = (),
        fire: Fire | None = None,
        succeeded: bool = True,
        events: Sequence[AutomationEvent] = (),
    ) -> None:
        """Make a change, and start its runs; without `succeeded`, failures so far count on."""
        move = Move(self._key, record.version, cursor, pending, runs, fire, events=events)
        if not succeeded:
            move = replace(move, failures=record.failures, failure=record.failure)
        moved = await make_move(self._ctx, self._runs, move)
        self._record = moved.record
        self._tell_problem(moved.record)
        for event in events:
            self._ctx.stream.publish(event)
        self._stale.reset()
        self._ctx.alarms.clear("store")
        if succeeded:
            self._ctx.alarms.clear(self._subject)

    async def _fail(
        self, record: AutomationRecord, failure: Failure, scheduled_at: datetime | None = None
    ) -> None:
        """Write a failure down and crash; where it has got to stays what the record says.

        Raises:
            AutomationError: Always, unless the store is away or somebody else has changed it.
        """
        await record_failure(
            self._ctx,
            record,
            failure,
            cursor=record.cursor,
            pending=record.pending,
            scheduled_at=scheduled_at,
        )
        raise AutomationError(failure.message, failure)

    def _tell_problem(self, record: AutomationRecord | None) -> None:
        """Have health say what its record says; None: nothing, it is not this node's part to drive it."""
        if record is None:
            forget_problem(self._ctx, self._defined.kind, self._defined.name)
        else:
            tell_problem(self._ctx, record)

    def _unavailable(self, error: StoreUnavailable) -> None:
        self._ctx.alarms.set("store", f"it does not say what {self._subject} is to do: {error}")
