"""The process that drives the conditions of all assets of a pipeline, on one node for all.

It sleeps until something happens: an event of what it follows (`condition_hints.py`), an instant
(`condition_instants.py`), or a definition that is new. What that is about is gathered for a moment, so that a burst
is one look; then the partitions concerned, and no others, are looked at (`condition_facts.py`) and decided about.

What is decided is a comparison of records, so it does not matter if something is looked at twice: what was asked
for is on record with the condition, in the very change that writes down the run, with a mark of the inputs that it
was asked for. So deliveries are done after that, and a process that dies in between starts nothing twice.

    waits       a partition whose upstream is about to be computed is looked at after that: a diamond runs once
    covered     what happens while its run is under way is looked at when that is over, by what it was computed from
    damped      a partition that is due again and again pauses its condition, and that says so
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Final

from flowstone.assets.automation.asset_condition import Condition
from flowstone.assets.partition_view import PartitionView
from flowstone.errors import StoreUnavailable
from flowstone.runs.automation import key_of_subject
from flowstone.runtime.automation.condition_decisions import Decisions
from flowstone.runtime.automation.condition_hints import Hints
from flowstone.runtime.automation.condition_instants import Instants, latest_keys
from flowstone.runtime.automation.condition_state import AssetState, encoded
from flowstone.runtime.automation.definitions import define_again
from flowstone.runtime.automation.following import CONDITIONS
from flowstone.runtime.automation.leadership import Leadership
from flowstone.runtime.automation.problems import forget_problem, tell_problem
from flowstone.runtime.run.planning import dynamic_keys
from flowstone.runtime.services.notifications import Wakeup
from flowstone.store.deliveries import OF_ONE_LANE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from flowstone.assets.snapshot import Snapshot
    from flowstone.runs.automation import AutomationRecord
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.local_runs import LocalRuns
    from flowstone.store.cluster import Notification
    from flowstone.store.deliveries import Delivery

__all__ = ["ConditionsDriver"]

_PAGE: Final = 1_000  # Deliveries that are read at once, and keys of an asset that is looked at as a whole.
_RETRY: Final = (
    1.0  # Seconds after which a store that is away is asked again, or before a restart does anything.
)
_LULL: Final = 1 / 8  # Of the time for which changes are gathered: after so long without one they are over.
_FEW: Final = 50  # Records that are read one by one; if more have changed, all are.


class ConditionsDriver:
    """Drives the conditions of a pipeline, if that is this node's part; else watches whose it is.

    Args:
        ctx: What the runtime offers.
        runs: Where new runs start on a store that no other node shares.
        pipeline: The pipeline's name.
        restarted: Whether this is not its first incarnation.
    """

    def __init__(self, ctx: RuntimeContext, runs: LocalRuns, pipeline: str, *, restarted: bool) -> None:
        self._ctx = ctx
        self._runs = runs
        self._pipeline = pipeline
        self._restarted = restarted
        self._wake = Wakeup()
        self._leadership = Leadership(ctx, (pipeline, CONDITIONS))
        self._states: dict[str, AssetState] = {}
        self._snapshot: Snapshot | None = None  # That the states are of; None: nothing is known.
        self._stale: set[str] = set()  # Records that somebody else has changed.
        self._foreign: set[str] = set()  # Conditions that are defined otherwise on record.
        self._removed: set[str] = set()  # Conditions that a node without them has taken away.
        self._undefined: set[str] = (
            set()
        )  # Conditions that are not on record yet: what happens waits for them.
        self._instants = Instants(ctx.snapshot.graph, {})
        self._decisions = Decisions(ctx, runs, self._states, self._stale)
        self._hints = Hints()
        self._unscanned: deque[tuple[str, int]] = (
            deque()
        )  # Assets to look at as a whole, each from a position on.
        self._news = True
        self._more = False  # Whether there is more of it than was read at once.
        self._ended = False  # Whether a run is over for whose end something waits.
        self._checked = 0.0  # By the monotonic clock: when the runs that something waits for were looked at.
        self._heard_at = 0.0  # By the monotonic clock: when something was heard of that had happened.
        self._next: datetime | None = None  # The next tick, or partition.
        self._due_at: float | None = None  # By the monotonic clock: when to look at what was gathered.

    async def run(self, started: Callable[[], None]) -> None:
        started()
        self._wake()
        self._runs.on_gone[self._gone] = None
        kinds = ("deliveries", "automation", "reloaded", "finished", "nodes", "look", "draining")
        try:
            with self._ctx.notifications.on(self._heard, *kinds):  # type: ignore[arg-type] # each is one
                delay: float | None = None
                if self._restarted:
                    await self._ctx.clock.sleep(_RETRY)
                while True:
                    await self._wake.wait_or(self._ctx.clock, delay)
                    delay = await self._turn()
                    forget_problem(self._ctx, "conditions", self._pipeline)  # It goes on after a crash.
        finally:
            self._runs.on_gone.pop(self._gone, None)

    # What wakes it ------------------------------------------------------------------------------------------

    def _heard(self, notification: Notification) -> None:
        kind, subject = notification.kind, notification.subject
        if kind == "deliveries":
            if subject == self._pipeline:
                self._news = True
                self._heard_at = self._ctx.clock.monotonic()
                self._wake()
        elif kind == "automation":
            pipeline, name = key_of_subject(subject)
            if pipeline == self._pipeline and (name == CONDITIONS or name in self._ctx.snapshot.automations):
                self._leadership.ask_again()
                if name != CONDITIONS:
                    self._stale.add(name)
                self._wake()
        elif kind == "reloaded":
            self._snapshot = None
            self._wake()
        elif kind == "finished":
            if subject in self._decisions.held:
                self._gone()
        elif kind == "draining" or self._leadership.concerns(notification):
            self._wake()

    def _gone(self) -> None:
        if self._decisions.held:
            self._ended = True
            self._wake()

    # A turn -------------------------------------------------------------------------------------------------

    async def _turn(self) -> float | None:
        """Do what is due; seconds after which to look again, None: when something is heard."""
        try:
            if not self._runs.open:
                await self._leadership.hand_over()  # While this node ends its work, another one goes on.
                self._let_go()
                return None
            held = self._leadership.held
            if not (await self._leadership.take_back() and await self._know(takes_over=not held)):
                if not self._leadership.held:
                    self._let_go()
                # A notification may be lost.
                return None if self._ctx.store.cluster is None else self._leadership.patience
            if (delay := self._delay()) is None or delay > 0:
                return delay
            self._due_at = None
            await self._look()
        except StoreUnavailable as error:
            self._ctx.alarms.set("store", f"it does not say what conditions are about: {error}")
            self._snapshot = None
            return _RETRY
        return 0.0

    def _delay(self) -> float | None:
        """Seconds until there is something to do, or None."""
        clock, decisions = self._ctx.clock, self._decisions
        now, monotonic = clock.now(), clock.monotonic()
        if decisions.held and monotonic >= self._checked + self._ctx.settings.lease:
            self._ended = True  # That a run is over may have been said in vain.
        instant = None if self._next is None else (self._next - now).total_seconds()
        retry = None if decisions.retry_at is None else decisions.retry_at - monotonic
        overdue = any(wait is not None and wait <= 0 for wait in (instant, retry))
        if self._more or self._unscanned:
            return 0.0
        if self._news or self._hints or self._ended or overdue:
            if self._due_at is None:
                self._due_at = monotonic + self._ctx.settings.condition_delay
            lull = self._heard_at + self._ctx.settings.condition_delay * _LULL
            return max(0.0, min(self._due_at, lull) - monotonic)
        # A clock that was set meanwhile is noticed soon.
        lease = self._ctx.settings.lease
        waits = [retry, None if instant is None else min(instant, lease), lease if decisions.held else None]
        return min((wait for wait in waits if wait is not None), default=None)

    async def _look(self) -> None:
        """Gather what something is about, and decide."""
        now = self._ctx.clock.now()
        snapshot = self._ctx.snapshot
        view = PartitionView(snapshot.graph, now, await dynamic_keys(self._ctx) if snapshot.dynamic else None)
        deliveries = await self._read(view)
        if self._ended:
            self._ended, self._checked = False, self._ctx.clock.monotonic()
            await self._decisions.look_at_held(self._hints)
        self._decisions.retry(self._hints)
        self._notice_instants(view)
        await self._scan(view)
        await self._decisions.decide(view, self._hints)
        if deliveries:
            keys = [each.key for each in deliveries]
            await self._ctx.store.deliveries.done(self._pipeline, CONDITIONS, keys)

    async def _read(self, view: PartitionView) -> Sequence[Delivery]:
        """What has happened: the partitions concerned are noted, and runs that are over."""
        if not self._news:
            return ()
        self._news = False
        found = await self._ctx.store.deliveries.pending(self._pipeline, CONDITIONS, limit=_PAGE)
        self._news = self._more = bool(found) and _is_full(found)
        for run_id, (asset, succeeded) in self._hints.read(found, view, self._states).items():
            self._decisions.end_run(run_id, asset, self._hints, succeeded=succeeded)
        return found

    def _notice_instants(self, view: PartitionView) -> None:
        if self._next is not None and view.now < self._next:
            return
        for state, cron in list(self._instants.ticks(view.now)):
            self._hints.add_waiting(state, ticks=(cron,))
            for key in latest_keys(view.set_of(state.name)):
                self._hints.add(state.name, encoded(key), ticks=(cron,))
            state.changed = True
        for state, keys in self._instants.grown(view):
            for key in keys:
                self._hints.add(state.name, encoded(key))
        self._instants.reach(view.now)
        self._next = self._instants.after(view.now)

    async def _scan(self, view: PartitionView) -> None:
        """Look at a new condition, or one of an asset whose code has changed: at all partitions, page by page."""
        read = 0
        while self._unscanned and read < _PAGE:
            name, position = self._unscanned.popleft()
            state = self._states.get(name)
            if state is None:
                continue
            keys = view.keys(name)[position : position + _PAGE]
            for key in keys:
                self._hints.add(name, encoded(key))
            read += len(keys)
            if position + len(keys) < len(view.keys(name)):
                self._unscanned.appendleft((name, position + len(keys)))
            else:
                state.scanned = state.version
                state.changed = True
                self._hints.touch(name)

    def _let_go(self) -> None:
        """Others drive them, or are about to: nothing is known of them here any more."""
        self._snapshot = None
        for name, (pipeline, defined) in self._ctx.snapshot.automations.items():
            if pipeline == self._pipeline and isinstance(defined, Condition):
                forget_problem(self._ctx, defined.kind, name)

    # What is known ------------------------------------------------------------------------------------------

    async def _know(self, *, takes_over: bool) -> bool:
        """Read what is on record, if that is not known or has changed; False if others drive it, or nobody yet.

        A condition that is defined otherwise on record is left, with all others, to the node that defines it so; if
        that does not drive them, because this node `takes_over`, it is defined as this node has it.
        """
        if self._snapshot is not self._ctx.snapshot or len(self._stale) > _FEW:
            await self._know_all()
        changed = await self._know_stale()
        if lost := self._removed | (self._foreign if takes_over else set()):
            await define_again(self._ctx, self._pipeline, lost)
            self._stale |= lost
            self._removed.clear()
            changed = await self._know_stale()
        if changed and self._foreign:
            await self._leadership.stand_back()
            return False
        return not self._undefined

    async def _know_stale(self) -> bool:
        """Read records that have changed; whether there were any."""
        if not self._stale:
            return False
        while self._stale:
            name = next(iter(self._stale))
            self._know_one(name, await self._ctx.store.automations.record((self._pipeline, name)))
            self._stale.discard(name)
        self._notice_all()
        return True

    async def _know_all(self) -> None:
        snapshot = self._ctx.snapshot
        self._stale.clear()
        self._foreign.clear()
        records = {
            record.name: record for record in await self._ctx.store.automations.records([self._pipeline])
        }
        self._states.clear()
        self._undefined.clear()
        self._removed.clear()
        self._unscanned.clear()
        self._decisions.forget()
        for name in snapshot.automations:
            self._know_one(name, records.get(name))
        await self._decisions.look_at_runs(self._hints)
        self._snapshot = snapshot
        self._news = True
        self._notice_all()

    def _notice_all(self) -> None:
        """There may be instants now that were none before."""
        self._instants = Instants(self._ctx.snapshot.graph, self._states)
        self._next = self._ctx.clock.now() if self._states else None

    def _know_one(self, name: str, record: AutomationRecord | None) -> None:
        self._states.pop(name, None)
        self._foreign.discard(name)
        self._undefined.discard(name)
        self._removed.discard(name)
        defined = self._ctx.snapshot.automations.get(name)
        if defined is None or defined[0] != self._pipeline or not isinstance(defined[1], Condition):
            return
        if record is None or record.gone_at is not None:
            self._undefined.add(name)
            if record is not None:
                self._removed.add(name)
            return
        if record.text != defined[1].definition:
            self._foreign.add(name)
            forget_problem(self._ctx, defined[1].kind, name)
            return
        asset = self._ctx.snapshot.graph.assets[name]
        state = AssetState(defined[1], record, asset.version or "")
        tell_problem(self._ctx, record)
        self._decisions.learn(state)
        self._hints.add_waiting(state)
        if state.is_unscanned:
            self._unscanned.append((name, 0))


def _is_full(found: Sequence[Delivery]) -> bool:
    """Whether there may be more than was read."""
    if len(found) >= _PAGE:
        return True
    return max(Counter(each.lane for each in found).values()) >= OF_ONE_LANE
