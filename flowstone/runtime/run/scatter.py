"""The attempt of a step that goes through the items of an upstream asset: it drives a window over them.

It is an ordinary attempt of an ordinary step, whose body is not a call of the function but a window: at most
`max_parallel` attempts of items are live, each in a task of its own, and the next one starts where one ends. It
holds no slot itself: its items take theirs through `Admission`, one by one. If the driver held it, the only slot of
a runtime with `max_concurrency=1` would never be free for an item.

Map of this file
    Life            stopping it, and what its end takes along
    The recipe      inputs, the window, the value
    The window      starting items, as many as may run
    On other nodes  what of the window is leased to them
    Ends of items   success, retry, failure, and what is tolerated

What became of an item is recorded by the driver, in batches (`kept_items.py`): the next one gathers while one is
written. How many have ended, and whether too many have failed, is counted in `runs/item_tally.py`.

A unit is what the function is called with: an item, or a batch of them (`runs/units.py`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

from flowstone.errors import ActorDown
from flowstone.runs import endings
from flowstone.runs.events import StepProgressed
from flowstone.runs.item_tally import TOLD, ItemTally
from flowstone.runs.items import ENDED, ItemRow
from flowstone.runs.records import Failure, Status
from flowstone.runs.units import END, LATER, Unit, UnitError, Units, source_problem
from flowstone.runtime.run.attempt import Attempt
from flowstone.runtime.run.item_attempt import ItemAttempt, Kept
from flowstone.runtime.run.item_leases import ItemLeases
from flowstone.runtime.run.kept_items import OF_ITEMS, KeptItems
from flowstone.runtime.run.values import ITEMS, StoredValues

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowstone.actors import Exit, TaskHandle, TaskSupervisor
    from flowstone.assets.context import Context
    from flowstone.assets.each import Each
    from flowstone.runs.events import StepSucceeded, StepWaiting
    from flowstone.runtime.run.item_attempt import ItemEnd
    from flowstone.runtime.run.item_leases import EndedLease
    from flowstone.runtime.run.remote_steps import RemoteSteps

__all__ = ["Scatter"]

_BURST: Final = 64  # Items that start before the loop turns.
_TRACED: Final = 1_000  # Failed items that are recorded with their tracebacks.
_MOST_RETRYING: Final = 1_000  # Items that wait for their next attempt before no further ones are begun.
_MOST_ROWS: Final = 5_000  # Items that wait to be recorded before no further ones are begun.
_TELL_EVERY: Final = (
    0.25  # Seconds: an item has no event, so this is how often a step says how far it has come.
)
_FAILED: Final = ENDED[Status.FAILED]
_SKIPPED: Final = ENDED[Status.SKIPPED]


class Scatter(Attempt):
    """Drives the items of one step.

    Attributes:
        template: What attempts of its items have in common; `shared`, `parameter` and `resources` likewise.
    """

    needs_slot = False
    _driving = False
    _holding = False

    def drives(self, steps: TaskSupervisor, remote: RemoteSteps | None = None) -> Scatter:
        """Say where its items run, and what lets other nodes go through some of them. Returns itself."""
        assert self.asset.each is not None
        self._steps = steps
        self._each: Each = self.asset.each
        self.parameter = self._each.source
        self.shared: dict[str, Any] = {}
        self.resources: dict[str, Any] = {}
        self.template: dict[str, Any] = {}
        self._live: dict[int, ItemAttempt] = {}
        # Units to be attempted again, with the number of the attempt, and whether with nothing beside it.
        self._again: deque[tuple[Unit, int, bool]] = deque()
        # Of an attempt that was lost these may be what ended the process.
        self._suspects = self._each.max_parallel if self.exclusive else 0
        self._losses: dict[int, int] = {}  # Items that were lost with a node -> how often.
        self._leases: ItemLeases | None = None
        if remote is not None:
            step = (self.asset_name, self.key)
            self._leases = ItemLeases(
                remote, self._ctx.clock, step, self.number, self._each.max_parallel, self._look_again
            )
        self._retrying = 0
        self._units: Units
        self._read = False  # Whether the source is at its end.
        self._filling = False
        self._failure: Failure | None = None  # Why the step fails.
        self._tally = ItemTally(self._each)
        self._waker: asyncio.Future[None] | None = None
        self._kept = KeptItems(self._ctx, self)
        self._tell_at = 0.0
        return self

    # Life ---------------------------------------------------------------------------------------------------

    def stop(self, why: Literal["cancelled", "timeout", "shutdown"]) -> None:
        """Begin to stop it. While items run it ends when they have, each of which has its own deadline."""
        if not self._driving:
            super().stop(why)
        elif self.stopping is None:
            self.stopping = why
            self._stop_items()

    def hold(self) -> None:
        """Begin no more items; what is not done when those have ended that run makes it end as cancelled."""
        self._holding = True
        self._stop_items(running=False)

    def task_over(self, handle: TaskHandle, how: Exit) -> None:
        """Its task has ended. If that was not by itself, nobody waits for its items any more."""
        live, self._live = self._live, {}
        for item in live.values():
            if item.handle is not None:
                item.handle.cancel()
        if self._leases:
            with suppress(ActorDown):  # The run's tree is stopping.
                self._leases.cancel()
        super().task_over(handle, how)

    def _stop_items(self, *, running: bool = True) -> None:
        """Forget those that wait for a slot, and stop those that run."""
        for item in tuple(self._live.values()):
            if item.handle is None:
                del self._live[item.position]
                self._again.append((item.unit, item.number, item.exclusive))
                if item.exclusive or item.pools or item.rate:
                    self._ctx.admission.withdraw(item)
            elif running:
                item.stop("shutdown" if self.stopping == "shutdown" else "cancelled")
        if running and self._leases is not None:
            self._leases.cancel()
        self._wake()

    # The recipe ---------------------------------------------------------------------------------------------

    async def _produce_in_time(self) -> StepSucceeded | StepWaiting | Failure:
        return await self._produce()  # The timeout is that of each item.

    def _context(self, resources: dict[str, Any], answers: Mapping[str, Any] | None) -> Context | None:
        del answers
        self.resources = resources  # Each item has a context of its own.
        return None

    async def _call(self, arguments: dict[str, Any]) -> Any:
        """In place of the function: go through the items."""
        source = arguments.pop(self.parameter)
        if self.asset.context_parameter is not None:
            del arguments[self.asset.context_parameter]
        self.shared = arguments
        units = await self._made_units(source)
        if isinstance(units, Failure):
            return False, units
        self._units = units
        failure = await self._drive()
        if failure is not None:
            return False, failure
        return True, await self._value(source)

    async def _drive(self) -> Failure | None:
        """Run the window to its end; why the step fails, if it does."""
        names = ("asset_name", "partition", "key", "asset", "version", "io", "run_id", "epoch", "step")
        own = ("pools", "rate", "priority", "_ctx", "_plan")
        self.template = {name: getattr(self, name) for name in (*names, *own)}
        self.template["on_over"] = self._item_over
        self._driving = True
        try:
            self._fill()
            while not self._over():
                if self._leases is not None and self._leases.ended:
                    await self._take_over(self._leases.take_ended())
                else:
                    await (self._kept.record() if self._kept.rows else self._woken())
                self._fill()
        finally:
            self._driving = False
        self._tell()
        self._metadata = self._tally.counts(self._all_items()).metadata
        if self._holding and not self._complete():
            self.stopping = self.stopping or "cancelled"
        if self.stopping is not None:
            return Failure("abandoned", "stopped")
        return self._failure

    async def _made_units(self, source: Any) -> Units | Failure:
        """What there is to be done; nothing if all of it is done."""
        problem = source_problem(self.parameter, source)
        if problem is not None:
            return Failure("error", f"TypeError: {problem}")
        await self._resume()
        done = len(self._kept.done) - self._kept.done.count(0)
        if self._each.batch is None and done >= len(source):
            self._read = True
            units = Units(self._each, iter(()), len(source))
        else:
            if isinstance(source, StoredValues):
                await source.all()
            units = Units.of(self._each, source)
        self._units = units
        self._check_tolerance()
        return units

    async def _resume(self) -> None:
        """Find what an earlier attempt of the step has done."""
        await self._kept.resume(of_reader=self._plan.graph.assets[self.parameter].is_reader)
        self._tally.resume(self._kept.done)
        if self._tally.failed:
            for row in await self._kept.recorded(code=_FAILED, limit=TOLD):
                assert row.failure is not None
                self._tally.remember(row.position, row.key, row.failure)

    async def _value(self, source: Any) -> Any:
        """What the function returned for each item that succeeded."""
        return await self._kept.value(source, named=isinstance(source, dict) and self._each.batch is None)

    async def _keep(self, value: Any) -> StepSucceeded | Failure:
        if value is not OF_ITEMS:
            return await super()._keep(value)
        location = f"{ITEMS}{self.run_id}"
        return endings.succeeded(self, self._ctx.clock.now(), data_version=None, location=location, size=None)

    async def keep(self, attempt: ItemAttempt, value: Any) -> Any:
        """Keep what the function returned for an item. Raises `IOManagerError` if that cannot be kept."""
        return await self._kept.keep(attempt, value)

    # The window ---------------------------------------------------------------------------------------------

    def _over(self) -> bool:
        if self._live or self._kept.rows or self._leases:
            return False
        return self._no_more() or self._complete()

    def _no_more(self) -> bool:
        """Whether no further item may begin."""
        return self._holding or self.stopping is not None or self._failure is not None

    def _complete(self) -> bool:
        return self._read and not (self._again or self._retrying)

    async def _woken(self) -> None:
        self._waker = asyncio.get_running_loop().create_future()
        try:
            await self._waker
        finally:
            self._waker = None

    def _wake(self) -> None:
        if self._waker is not None and not self._waker.done():
            self._waker.set_result(None)

    def _fill(self) -> None:
        """Start items while there are any and they may run."""
        if self._filling:
            return
        self._filling = True
        live, leases = self._live, self._leases
        begun = 0
        while (
            len(live) + (len(leases) if leases else 0) < self._each.max_parallel
            and not self._no_more()
            and len(self._kept.rows) < _MOST_ROWS
        ):
            if begun >= _BURST:
                # Those that end at once, or are done, would go on like this until the last one.
                asyncio.get_running_loop().call_soon(self._wake)
                break
            size = (
                0 if leases is None or self._again or self._suspects else leases.size(len(live), self._left())
            )
            if size is None:
                break
            if size:
                leased, passed = self._lease(size, _BURST - begun)
                begun += passed
                if leased or passed:
                    continue
            unit, number, alone = self._next()
            begun += 1
            if unit is None:
                if number:
                    continue  # It is done.
                break
            item = live[unit.position] = ItemAttempt(self, unit, number, exclusive=alone)
            self._ctx.admission.admit(item, self._launch)
        self._filling = False
        if self._over():
            self._wake()

    def _next(self) -> tuple[Unit | None, int, bool]:
        """The next unit to start, the number of its attempt, and whether it runs alone; None: there is none now."""
        if self._again:
            return self._again.popleft()
        if self._read or self._retrying >= _MOST_RETRYING:
            return None, 0, False
        try:
            unit = self._units.next()
        except UnitError as error:
            self._fail(Failure("error", str(error)))
            return None, 0, False
        if isinstance(unit, Unit):
            done = self._kept.done
            if unit.position < len(done) and done[unit.position]:
                return None, 1, False
            alone = self._suspects > 0
            self._suspects -= alone
            return unit, 1, alone
        if unit is not LATER:
            assert unit is END
            self._read = True
            self._check_tolerance()
        return None, 0, False

    def _launch(self, item: ItemAttempt) -> bool:
        """A slot is free. False if the item is not wanted any more."""
        if self._live.get(item.position) is not item:
            return False
        suspending = self._ctx.suspending
        if self._leases is not None:
            item.began = self._ctx.clock.monotonic()
        eager = self.asset_name not in suspending
        try:
            item.handle = handle = self._steps.start(
                f"{self.asset_name} {item.position}", item.run(), eager=eager
            )
        except ActorDown:  # The run's tree is stopping, and this with it.
            del self._live[item.position]
            return False
        if eager and handle.exit is None:
            suspending.add(self.asset_name)
        handle.call_on_exit(item.task_over)
        return True

    # On other nodes -----------------------------------------------------------------------------------------

    def _left(self) -> int | None:
        """How many units have not begun, if that is known."""
        total = self._units.total
        return None if total is None else total - self._units.position

    def _lease(self, size: int, most: int) -> tuple[bool, int]:
        """Let another node go through the next ones, as many.

        Args:
            size: How many.
            most: How many that are done may be passed for it.

        Returns:
            Whether there was any, and how many that are done were passed.
        """
        assert self._leases is not None
        units: list[Unit] = []
        passed = 0
        while len(units) < size and passed < most:
            unit, number, _ = self._next()
            if unit is not None:
                units.append(unit)
            elif number:
                passed += 1
            else:
                break
        if units and not self._leases.lease(units, len(self._live)):
            self._again.extend((unit, 1, False) for unit in units)
        return bool(units), passed

    async def _take_over(self, ended: Sequence[EndedLease]) -> None:
        """Leases are over: what is on record is done, and the rest is attempted again."""
        assert self._leases is not None
        for items, units, node, lost in ended:
            first, last, _ = items
            most = last - first + 1
            rows = await self._kept.recorded(after=first - 1, limit=most)
            found = {row.position: row for row in rows}
            if not (lost or any(unit.position in found for unit in units)):
                self._leases.unused(node)
            for unit in units:
                row = found.get(unit.position)
                if row is not None:
                    self._count(row)
                elif not lost:
                    self._again.append((unit, 1, False))
                else:
                    self._lost(unit)
        self._tell()

    def _lost(self, unit: Unit) -> None:
        """A node died while it went through this and others: it is attempted with nothing beside it."""
        losses = self._losses[unit.position] = self._losses.get(unit.position, 0) + 1
        if losses < self._ctx.settings.lost_attempts:
            self._again.append((unit, 1, True))
            return
        words = f"Too many attempts of it, {losses:,} in all, ended with the process that ran them."
        self._note_without_value(unit, losses, Failure("lost", words))

    def _look_again(self) -> None:
        if self._driving:
            self._fill()
            self._wake()

    # Ends of items ------------------------------------------------------------------------------------------

    def _item_over(self, item: ItemAttempt, end: ItemEnd | None, how: Exit) -> None:
        self._ctx.admission.leave(item)
        if self._live.get(item.position) is not item:
            return
        del self._live[item.position]
        if self._leases is not None:
            self._leases.took(self._ctx.clock.monotonic() - item.began)
        if end is None:
            end = item.ending(how)
        if type(end) is Kept:
            self._tally.succeeded += 1
            self._kept.succeeded(item, end.value)
            if self._kept.rows:
                self._wake()
        elif type(end) is Failure and self.stopping is None and self._failure is None:
            delay = item.retry_delay(end)
            if delay is None:
                self._note_without_value(item.unit, item.number, end)
            else:
                self._retrying += 1
                self._ctx.clock.call_later(delay, partial(self._retry, item.unit, item.number + 1))
        if self._ctx.clock.monotonic() >= self._tell_at:
            self._tell()
        if not self._filling:
            self._fill()

    def _note_without_value(self, unit: Unit, number: int, failure: Failure) -> None:
        code = _SKIPPED if failure.kind == "skip" else _FAILED
        if self._tally.failed >= _TRACED:  # A million of them would be gigabytes, and say the same.
            failure = replace(failure, traceback="", frames="")
        row = ItemRow(unit.position, code, number, unit.key, failure)
        self._kept.ended(row)
        if self._kept.rows:
            self._wake()
        if code == _FAILED:
            named = f"{unit.position:,}" if unit.key is None else f"{unit.key!r:.100}"
            self._ctx.failures.log_item(self.run_id, (self.asset_name, self.key), named, number, failure)
        self._count(row)

    def _count(self, row: ItemRow) -> None:
        """An item has ended."""
        self._tally.count(row)
        if row.code == _FAILED:
            self._check_tolerance()

    def _retry(self, unit: Unit, number: int) -> None:
        self._retrying -= 1
        if self._driving:
            self._again.append((unit, number, False))
            self._fill()

    def _check_tolerance(self) -> None:
        """Fail at once when more items have failed than may."""
        if self._failure is None:
            excess = self._tally.excess(self._units.total, self._units.position)
            if excess is not None:
                self._fail(Failure("error", excess))

    def _all_items(self) -> int:
        """How many items there are; while that is not known, how many have begun."""
        return self._units.position if self._units.total is None else self._units.total

    def _fail(self, failure: Failure) -> None:
        if self._failure is None:
            self._failure = failure
            self._stop_items()

    def _tell(self) -> None:
        """Say how far it has come, to whoever asks or listens."""
        ctx, total = self._ctx, self._units.total
        self._tell_at = ctx.clock.monotonic() + _TELL_EVERY
        if not total:  # Of a source that is still read nobody knows how much there is.
            return
        self.progress = self._tally.progress(total)
        if ctx.stream.heard:
            step = (self.run_id, self.asset_name, self.key, self.number)
            ctx.stream.publish(StepProgressed(ctx.clock.now(), *step, *self.progress))
