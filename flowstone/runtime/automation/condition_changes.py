"""Writes down what was decided about conditions, with the runs that this starts: many conditions in one change.

Each condition is changed by itself: one whose record somebody else has changed meanwhile is left as it is, and is
decided about once more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from flowstone.assets.partition_labels import partition_label
from flowstone.counting import count
from flowstone.errors import FlowstoneError, StoreUnavailable
from flowstone.runs.automation import Fire, Move
from flowstone.runs.automation_events import AutomationPaused
from flowstone.runs.records import Failure
from flowstone.runtime.automation.condition_damping import Damping
from flowstone.runtime.automation.condition_runs import condition_runs
from flowstone.runtime.automation.condition_state import Wait, encoded
from flowstone.runtime.automation.failures import pause_after, record_failure
from flowstone.runtime.automation.problems import subject, tell_problem
from flowstone.runtime.automation.starting import start_runs
from flowstone.runtime.execution.guard import describe
from flowstone.store.protocol import StaleWrite

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowstone.assets.partition_view import PartitionView
    from flowstone.runs.automation import NewRun
    from flowstone.runs.automation_events import AutomationEvent
    from flowstone.runtime.automation.condition_state import AssetState, Key
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.local_runs import LocalRuns
    from flowstone.store.automations import Moved

__all__ = ["Changes", "Due"]

_SHOWN = 3  # Changes that are named in what is remembered of a fire.


class Due(NamedTuple):
    """A partition that is to be computed.

    Attributes:
        partition: As a value.
        mark: What its inputs are.
        rule: Which part of the condition asks for it.
        missing: Whether that is only because it has no value.
        changes: Upstream values that have changed.
    """

    partition: Any
    mark: str
    rule: str
    missing: bool
    changes: tuple[str, ...]


class _Change(NamedTuple):
    """A change of one condition.

    Attributes:
        state: The condition.
        due: What is to be computed.
        move: The change; with a pause nothing is computed.
    """

    state: AssetState
    due: Mapping[Key, Due]
    move: Move


class Changes:
    """Changes the records of conditions.

    Args:
        ctx: What the runtime offers.
        runs: Where new runs start on a store that no other node shares.
        stale: Names of conditions whose record somebody else has changed are added to it.

    Attributes:
        retries: By the monotonic clock: when the functions of conditions are asked again, of which one failed.
    """

    def __init__(self, ctx: RuntimeContext, runs: LocalRuns, stale: set[str]) -> None:
        self._ctx = ctx
        self._runs = runs
        self._stale = stale
        self._damping = Damping()
        self.retries: dict[str, float] = {}

    async def write(
        self, view: PartitionView, decided: Sequence[tuple[AssetState, Mapping[Key, Due]]]
    ) -> list[AssetState]:
        """Start what is due of these conditions, and write down what has become of the rest.

        Returns:
            Those that are to be looked at once more.

        Raises:
            StoreUnavailable: The store is away; some changes may be made.
        """
        changes: list[_Change] = []
        refused: list[tuple[AssetState, Mapping[Key, Due], Exception]] = []
        for state, due in decided:
            try:
                changes.append(self._change(view, state, due))
            except (FlowstoneError, TypeError, ValueError) as error:
                refused.append((state, due, error))
        for change, result in zip(changes, await self._made(changes), strict=True):
            try:
                await self._follow(change, result)  # Of each that was made, whatever became of the others.
            except (FlowstoneError, TypeError, ValueError) as error:
                refused.append((change.state, change.due, error))
        for _, _, why in refused:
            if isinstance(why, StoreUnavailable):
                raise why
        return [state for state, due, why in refused if not await self._refuse(state, due, why)]

    def _change(self, view: PartitionView, state: AssetState, due: Mapping[Key, Due]) -> _Change:
        if too_often := self._damping.refuses(state.name, due, self._ctx.clock.monotonic()):
            return _Change(state, {}, self._pause(state, *too_often))
        if not due:
            return _Change(state, due, _move(state))
        asked: list[NewRun] = []
        try:
            groups: dict[tuple[str, bool], list[Any]] = {}
            for each in due.values():
                groups.setdefault((each.rule, each.missing), []).append(each.partition)
            for (rule, missing), partitions in groups.items():
                for run, shared in condition_runs(
                    self._runs, view, state.name, partitions, rule, missing=missing
                ):
                    asked.append(run)
                    keys = map(encoded, shared)
                    state.begin_run(run.record.id, {key: due[key].mark for key in keys})
        except Exception:
            _withdraw(state, asked)
            raise
        fire = Fire(self._ctx.clock.now(), "started", reason=_reason(due))
        return _Change(state, due, _move(state, runs=asked, fire=fire, failures=0, failure=None))

    async def _made(self, changes: Sequence[_Change]) -> list[Moved | Exception]:
        """What becomes of changes: at once, or one by one if there is one that the store cannot take."""
        try:
            return list(await self._ctx.store.automations.move_each([change.move for change in changes]))
        except (FlowstoneError, TypeError, ValueError) as error:
            if len(changes) == 1 or isinstance(error, StoreUnavailable):
                return [error for _ in changes]
        return [result for change in changes for result in await self._made([change])]

    async def _follow(self, change: _Change, result: Moved | Exception) -> None:
        """Do what follows from a change; raises why it was not made."""
        state, move = change.state, change.move
        if isinstance(result, Exception):
            _withdraw(state, move.runs)
            raise result
        is_last = self._written(state, move, result)
        if not (result.record.failures or result.record.paused):
            self._ctx.alarms.clear(subject("condition", state.name))
        if move.paused:
            self._damping.forget(state.name)
            _publish(self._ctx, move.events)
            self._ctx.alarms.set(
                subject("condition", state.name), "" if move.fire is None else move.fire.reason
            )
        elif change.due:
            for run, fired in zip(move.runs, result.runs, strict=True):
                if fired is not None and fired.id != run.record.id:
                    state.rename(run.record.id, fired.id)
            await start_runs(self._ctx, self._runs, result, move.runs)
            if state.changed and is_last:
                again = _move(state)
                self._written(state, again, await self._ctx.store.automations.move(again))

    def _written(self, state: AssetState, move: Move, moved: Moved) -> bool:
        """A change is made; whether it is the last one. If somebody else has made another, that is read."""
        state.moved(moved.record)
        tell_problem(self._ctx, moved.record)
        is_last = moved.record.version == move.version + 1
        if not is_last:
            self._stale.add(state.name)
        return is_last

    async def _refuse(self, state: AssetState, due: Mapping[Key, Due], error: Exception) -> bool:
        """A change was not made; False if its condition is to be looked at once more."""
        if isinstance(error, StaleWrite):
            self._stale.add(state.name)
            return False
        for key in due:
            state.wait(key, Wait())
        return await self.fail(state, describe(error, None))

    async def fail(self, state: AssetState, failure: Failure) -> bool:
        """Write a failure down, and plan when it is tried again.

        False if somebody else has changed the record, which is read again then.
        """
        ctx = self._ctx
        cursor, pending = state.cursor(), state.pending()
        try:
            moved = await record_failure(ctx, state.record, failure, cursor=cursor, pending=pending)
        except StaleWrite:
            self._stale.add(state.name)
            return False
        if moved.record.version != state.record.version + 1:
            self._stale.add(state.name)  # Somebody else has changed it since.
        state.moved(moved.record)
        pause = pause_after(moved.record.failures, ctx.random)
        self.retries[state.name] = ctx.clock.monotonic() + pause
        return True

    def _pause(self, state: AssetState, key: Key) -> Move:
        """It was due again and again: something that it leads to changes what it is computed from."""
        now = self._ctx.clock.now()
        partition = "" if key is None else f" for {partition_label(key)}"
        reason = (
            f"It was started {count(self._damping.most, 'time')} in {self._damping.seconds / 60:g} minutes"
            f"{partition}: something that follows from it changes what it is computed from. Resume it when "
            f"that is over."
        )
        events: list[AutomationEvent] = [AutomationPaused(now, state.name, reason=reason)]
        failure = Failure("error", reason)  # For those who ask what is wrong; nothing has failed.
        fire = Fire(now, "skipped", reason=reason)
        return _move(state, fire=fire, failures=0, failure=failure, events=events, paused=True)


def _move(state: AssetState, **more: Any) -> Move:
    """A change that writes down what is pending."""
    record = state.record
    known: dict[str, Any] = {}
    if not state.works:
        known = {"failures": record.failures, "failure": record.failure}
    return Move(record.key, record.version, state.cursor(), state.pending(), **(known | more))


def _withdraw(state: AssetState, asked: Sequence[NewRun]) -> None:
    """None of them was started, or what is on record is read again."""
    for run in asked:
        state.withdraw_run(run.record.id)


def _publish(ctx: RuntimeContext, events: Sequence[AutomationEvent]) -> None:
    for event in events:
        ctx.stream.publish(event)


def _reason(due: Mapping[Key, Due]) -> str:
    """What is remembered of it: the rule, and what has changed."""
    rules = dict.fromkeys(each.rule for each in due.values())
    changes = list(dict.fromkeys(change for each in due.values() for change in each.changes))
    shown = ", ".join(changes[:_SHOWN])
    more = f" and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
    changed = f": {shown}{more} changed" if changes else ""
    return " | ".join(rules) + changed
