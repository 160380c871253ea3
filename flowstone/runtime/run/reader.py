"""The attempt of a reader: an asset whose function is a generator, and whose value is what it yields.

Items are recorded a page at a time while the generator goes on, with the cursor that it has marked last, so that
another attempt begins where this one was. What takes the items one by one need not wait for the last of them. The
reader's own attempt drives such a step ahead (`ScatterAhead`): its items run while the reader still reads, and are
recorded as items of their own step. When all are done the reader has ended, the step that goes through them starts
as every other one when its inputs are there, and finds them done.

Why so, and not by an edge of the plan that is satisfied when the reader has started: the state machine then has
nothing to know of it. No step runs before its inputs, a reader that fails for good skips what depends on it, a
cancel stops the reader and with it whatever it drives, and no slot of the run is needed twice, so that
`max_parallel=1` cannot be a deadlock. The price is that the reader ends only when its items are done.

A reader holds no slot: it is held back by those that take its items, who need them. It is never further ahead of
them than a window. When what it drives has failed, and no step of the run that this failure leaves can take its
value, it ends at once, and has failed for this reason: it may be one that never ends, to nobody's use.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

from flowstone.actors import Crashed
from flowstone.assets.json_values import exact_json
from flowstone.assets.one_shot import PLAIN, find_one_shot
from flowstone.assets.partition_keys import encode_partition
from flowstone.errors import IOManagerError
from flowstone.io.manager import Target
from flowstone.runs import endings
from flowstone.runs.failure_reach import is_of_no_use
from flowstone.runs.item_values import PackedValues
from flowstone.runs.items import ENDED, ItemRow, ItemTable
from flowstone.runs.packed import PAGE, Packed
from flowstone.runs.records import Failure, Status
from flowstone.runtime.execution.guard import call, describe, outcome_of
from flowstone.runtime.run.attempt import Attempt
from flowstone.runtime.run.scatter_ahead import Feed, ScatterAhead
from flowstone.runtime.run.values import PAGES, load_pages
from flowstone.store.protocol import StoreRefused

if TYPE_CHECKING:
    from flowstone.actors import Exit, TaskHandle, TaskSupervisor
    from flowstone.actors.clock import Timer
    from flowstone.assets.context import Context
    from flowstone.assets.waiting import Answers
    from flowstone.runs.endings import AttemptEnd
    from flowstone.runs.events import StepSucceeded
    from flowstone.runtime.execution.guard import Outcome

__all__ = ["Reader"]

_RECORD_EVERY: Final = 1.0
"""Seconds after which the next item has those before it recorded, with the cursor, although they fill no page."""
_TURN: Final = 64  # Items after which a generator lets others run.
_SUCCEEDED: Final = ENDED[Status.SUCCEEDED]
_KEPT: Final = object()
"""The value is made up of the pages that are recorded."""


class _Stopped(BaseException):
    """Ends a generator whose items cannot be recorded."""


class Reader(Attempt):
    """Reads a generator to its end, and drives what takes its items one by one."""

    needs_slot = False

    def reads(self, steps: TaskSupervisor) -> Reader:
        """Say where its helpers run. Returns itself."""
        self._steps = steps
        self._table = ItemTable()
        self._page: list[Any] = []  # P2: items that are not recorded yet.
        self.page_due = False  # Whether they have waited for that long enough.
        self._page_timer: Timer | None = None
        self._first = 0  # The position of the first of them.
        self._count = 0  # Items so far.
        self._skip = 0  # Items that come again, because the cursor was marked before them.
        self._cursor: Any = None
        self._marked = 0  # How many items are behind the cursor.
        self._at_end = False
        self._trouble: BaseException | None = None
        self._in_vain: Failure | None = None  # Why nobody can use what it reads.
        self._crash: BaseException | None = None  # What ended something that it drove.
        self._failing: list[int] = []  # Steps that it drove, and that are going to fail.
        self._ahead: list[tuple[ScatterAhead, Feed, TaskHandle]] = []
        self._room_made: asyncio.Future[None] | None = None
        self._telling = False
        self._holding = False
        self._draining = False
        self._loop = asyncio.get_running_loop()
        return self

    # Life ---------------------------------------------------------------------------------------------------

    def stop(self, why: Literal["cancelled", "timeout", "shutdown"]) -> None:
        """Begin to stop it, and what it drives."""
        self._stop_ahead("shutdown" if why == "shutdown" else "cancelled")
        if self._draining:
            self.stopping = self.stopping or why  # It ends with them.
        else:
            super().stop(why)

    def hold(self) -> None:
        """Read no more, and let the items end that have begun."""
        self._holding = True
        for ahead, _, _ in self._ahead:
            ahead.hold()
        if not self._draining:
            super().stop("cancelled")

    def _ahead_failed(self, ahead: ScatterAhead, failure: Failure) -> None:
        """A step that takes its items is going to fail; read on only for the sake of another one."""
        self._failing.append(ahead.step)
        if self._at_end or self._draining or not is_of_no_use(self._plan, self.step, self._failing):
            return
        words = (
            f"Reading was ended, because nothing in this run can use what is read: {ahead.name} fails, as "
        )
        self._in_vain = replace(failure, message=words + failure.message)
        super().stop("cancelled")

    def _ahead_over(self, _ahead: Attempt, _end: object, how: Exit) -> None:
        """What it drove has ended. If it has crashed, nobody takes or records items: read no more of them."""
        if isinstance(how, Crashed) and self.stopping is None and not self._draining:
            self._crash = how.error
            super().stop("cancelled")

    def _ending(self, result: Any) -> AttemptEnd:
        if self._crash is not None and not isinstance(self._crash, StoreRefused):
            raise self._crash  # As if it had been its own.
        failure = self._own_end()
        return super()._ending(result) if failure is None else self._failed(failure)

    def killed(self, how: Exit) -> AttemptEnd:
        """As of every attempt, unless it has ended itself."""
        failure = self._own_end()
        return super().killed(how) if failure is None else self._failed(failure)

    def _own_end(self) -> Failure | None:
        """Why it has ended itself, if it has."""
        if self._crash is None:
            return self._in_vain
        if isinstance(self._crash, StoreRefused):
            return self._refused(self._crash)
        return describe(self._crash, self.asset.retry)

    def _stop_ahead(self, why: Literal["cancelled", "shutdown"] = "shutdown") -> None:
        for ahead, _, handle in self._ahead:
            if handle.exit is None:
                ahead.stop(why)

    def task_over(self, handle: TaskHandle, how: Exit) -> None:
        """Its task has ended, and nobody drives what it drove."""
        for _, _, driven in self._ahead:
            if driven.exit is None:
                driven.cancel()
        if self._page_timer is not None:
            self._page_timer.cancel()
        super().task_over(handle, how)

    # The recipe ---------------------------------------------------------------------------------------------

    async def _load(self) -> dict[str, Any]:
        await self._recall()
        return await super()._load()

    def _context(self, resources: dict[str, Any], answers: Answers | None) -> Context | None:
        context = super()._context(resources, answers)
        if context is not None:
            context.cursor = self._cursor
            context.on_checkpoint = self._checkpoint
        return context

    async def _call(self, arguments: dict[str, Any]) -> Outcome:
        self._begin_ahead()
        ok = True
        result: Any = None
        try:
            await self._feed_recorded()
            if not self._at_end:
                ok, result = await self._read(arguments)
                self._at_end = ok and self.stopping is None
                if self._trouble is not None:
                    raise self._trouble
                await self._record_page(end=self._at_end)
            for ahead, feed, _ in self._ahead:
                feed.ended = True
                ahead.more()
        except IOManagerError as error:
            ok, result = False, describe(error, self.asset.retry, "io")
        finally:
            if (not ok or self.stopping is not None or self._trouble is not None) and not self._holding:
                self._stop_ahead()
        self._draining = True
        if self._deadline is not None:
            self._deadline.pause()  # What others do with the items is not its own time.
        for _, _, handle in self._ahead:
            how = await handle.down()
            if isinstance(how, Crashed) and self.stopping is None:
                raise how.error
        return (True, self._value()) if ok else (False, result)

    async def _read(self, arguments: dict[str, Any]) -> Outcome:
        """Run the generator to its end."""
        function = self.asset.function
        if self.asset.run_in == "thread":
            work = partial(_read_in_thread, function, self)
            self.thread = self._ctx.threads.start(
                self.name, partial(call, work, arguments, self.asset.retry, self._catch)
            )
            outcome = await outcome_of(self.thread)
            self.thread = None
            return outcome

        async def read(**given: Any) -> None:
            generator = function(**given)
            try:
                async for item in generator:
                    self._accept(item)
                    if self._count % _TURN == 0 or self._is_full():
                        await self._make_room()
            finally:
                with suppress(AttributeError):
                    await generator.aclose()

        self.asset = replace(self.asset, function=read)
        return await self._call_on_loop(arguments)

    def _value(self) -> Any:
        if not self._in_memory:
            return _KEPT
        assert self._table.values is not None
        self._table.values.pack()
        return PackedValues(self._table)

    async def _keep(self, value: Any) -> StepSucceeded | Failure:
        if value is not _KEPT:
            return await super()._keep(value)
        location = f"{PAGES}{self.run_id}"
        return endings.succeeded(self, self._ctx.clock.now(), data_version=None, location=location, size=None)

    # Items --------------------------------------------------------------------------------------------------

    def _accept(self, item: Any) -> None:
        """The generator has yielded an item."""
        if self._skip:
            self._skip -= 1  # It is recorded, and keeps what it was.
            return
        if type(item) not in PLAIN and (found := find_one_shot(item)) is not None:
            raise IOManagerError(f"{self.name} yielded what cannot be kept: {found.explanation('yield')}.")
        if self._in_memory:
            self._table.end(self._count, _SUCCEEDED, 1)
            assert self._table.values is not None
            self._table.values.put(self._count, item)
        else:
            self._page.append(item)
            if self._page_timer is None:
                self._page_timer = self._ctx.clock.call_later(_RECORD_EVERY, self._page_is_due)
        self._count += 1
        self._hand_on(item)

    def _hand_on(self, item: Any) -> None:
        for _, feed, _ in self._ahead:
            feed.put(item)
        if self._ahead and not self._telling:
            self._telling = True
            self._loop.call_soon(self._tell_more)

    def _tell_more(self) -> None:
        self._telling = False
        for ahead, _, _ in self._ahead:
            ahead.more()

    def accept_from_thread(self, item: Any) -> None:
        """The generator has yielded an item, in its thread."""
        self._loop.call_soon_threadsafe(self._accept_here, item)

    def _accept_here(self, item: Any) -> None:
        try:
            self._accept(item)
        except IOManagerError as error:
            self._trouble = self._trouble or error

    def _page_is_due(self) -> None:
        self._page_timer = None
        self.page_due = bool(self._page)

    def _is_full(self) -> bool:
        return self.page_due or len(self._page) >= PAGE or self._is_ahead()

    def _is_ahead(self) -> bool:
        return any(len(feed) >= feed.window for _, feed, _ in self._ahead)

    async def _make_room(self) -> None:
        """Record what has gathered, let others run, and wait while those that take the items are behind."""
        try:
            if self.page_due or len(self._page) >= PAGE:
                await self._record_page()
            await asyncio.sleep(0)
            if self._is_ahead():
                if self._deadline is not None:
                    self._deadline.pause()
                while self._is_ahead():
                    self._room_made = self._loop.create_future()
                    await self._room_made
                if self._deadline is not None:
                    self._deadline.run()
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # Ours, not the generator's: told when that has ended.
            self._trouble = error
            raise _Stopped from error

    async def _room(self) -> bool:
        """As `_make_room`, for a generator in a thread; whether it is to go on."""
        if self._trouble is None and self.stopping is None:
            with suppress(_Stopped):
                await self._make_room()
        return self._trouble is None and self.stopping is None and not self.over

    def room_from_thread(self) -> bool:
        """Wait, in the thread, until it may go on; whether it is to."""
        return asyncio.run_coroutine_threadsafe(self._room(), self._loop).result()

    def _taken(self) -> None:
        """Somebody has taken items, or takes none any more."""
        waiting = self._room_made
        if waiting is not None and not waiting.done() and not self._is_ahead():
            waiting.set_result(None)

    # Records ------------------------------------------------------------------------------------------------

    def _checkpoint(self, cursor: Any) -> None:
        """What was yielded so far is behind this cursor."""
        cursor = exact_json(cursor, "context.checkpoint(...)")
        if self.asset.run_in == "thread":
            self._loop.call_soon_threadsafe(self._mark, cursor)  # Behind the items that are on their way.
        else:
            self._mark(cursor)

    def _mark(self, cursor: Any) -> None:
        self._cursor, self._marked = cursor, self._count - self._skip
        if self._in_memory:
            self._table.cursor = (cursor, self._marked)

    async def _recall(self) -> None:
        """What earlier attempts have read."""
        ctx, step = self._ctx, (self.asset_name, self.key)
        self._in_memory = ctx.memory is not None and ctx.io_manager(self.io).memory is not None
        self._recorded: list[ItemRow] = []
        if self._in_memory:
            assert ctx.memory is not None
            self._table = ctx.memory.items_of(self.run_id, step)
            self._table.values = self._table.values or Packed()
            self._count = self._table.ended
            self._cursor, self._marked = self._table.cursor or (None, 0)
        elif self.number > 1:
            self._recorded = list(await ctx.store.items.rows(self.run_id, step))
            for row in self._recorded:
                self._count = row.position + row.attempt
                self._at_end = self._at_end or row.attempt == 0
                if row.key is not None:
                    self._cursor, self._marked = json.loads(row.key)
        self._first = self._count
        self._skip = self._count - self._marked

    async def _feed_recorded(self) -> None:
        """Hand on what was read before."""
        if not self._ahead:
            return
        if self._in_memory:
            assert self._table.values is not None
            for position in range(self._count):
                self._hand_on(self._table.values[position])
                if position % _TURN == 0 or self._is_ahead():
                    await self._make_room()
            return
        async for page in load_pages(self._ctx, self.io, self._recorded):
            for item in page:
                self._hand_on(item)
                if self._is_ahead():
                    await self._make_room()

    async def _record_page(self, *, end: bool = False) -> None:
        """Store what has gathered as one object, and record it with the cursor."""
        if self._in_memory:
            return
        rows: list[ItemRow] = []
        payloads: list[tuple[str, bytes]] = []
        items, self._page = self._page, []
        self.page_due = False
        cursor = None if not self._marked else json.dumps((self._cursor, self._marked))
        if items:
            name = f"page-{self.number}-{self._first}"
            key = name if self.key is None else encode_partition((self.partition, name))
            target = Target(self.asset_name, key, self.run_id, self.number)
            stored = await self._ctx.io_manager(self.io).store(target, items)
            rows.append(ItemRow(self._first, _SUCCEEDED, len(items), cursor, None, stored.location))
            if stored.payload is not None:
                payloads.append((stored.location, stored.payload))
            self._first += len(items)
        if end:
            rows.append(ItemRow(self._first, _SUCCEEDED, 0, cursor))
        if rows:
            step = (self.asset_name, self.key)
            await self._ctx.store.items.record(self.run_id, step, self.epoch, rows, payloads, io=self.io)

    # What takes the items -----------------------------------------------------------------------------------

    def _begin_ahead(self) -> None:
        """Begin to drive the steps that take its items one by one, and need nothing else of this run."""
        plan, graph = self._plan, self._plan.graph
        for name in graph.dependents(self.asset_name):
            each = graph.assets[name].each
            number = (
                plan.number(name, self.key) if each is not None and each.source == self.asset_name else None
            )
            if each is None or number is None or plan.of(number).refresh != "all":
                continue
            if [each_step for steps in plan.upstream(number) for each_step in steps] != [self.step]:
                continue
            feed = Feed(max(64, 4 * each.max_parallel))
            ahead = ScatterAhead(
                self._ctx, plan, self.run_id, self.epoch, number, 1, exclusive=self.exclusive
            )
            ahead.drives(self._steps)
            ahead.on_over = self._ahead_over
            ahead.fed(feed, self._taken, self._ahead_failed)
            handle = self._steps.start(f"{ahead.name} ahead", ahead.run(), ahead.task_over)
            ahead.handle = handle
            self._ahead.append((ahead, feed, handle))


def _read_in_thread(function: Any, reader: Reader, **arguments: Any) -> None:
    """Run a plain generator, and hand its items to the loop."""
    generator = function(**arguments)
    try:
        for number, item in enumerate(generator, 1):
            reader.accept_from_thread(item)
            if reader.stopping is not None:
                return
            if (number % _TURN == 0 or reader.page_due) and not reader.room_from_thread():
                return
    finally:
        with suppress(AttributeError):
            generator.close()
