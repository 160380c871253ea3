"""What is done about partitions that something is about: nothing, wait, or start runs, on record in one change.

Map of this file
    forget ... retry    what is over: a run, or the time until a function is asked again
    decide              each partition that was noted, upstream first
    _wanted ... _holds  is it due, and now?
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowstone.assets.automation.condition import ConditionContext, Facts
from flowstone.runtime.automation.answers import whether
from flowstone.runtime.automation.condition_changes import Changes, Due
from flowstone.runtime.automation.condition_facts import read, subject_of
from flowstone.runtime.automation.condition_order import Busy
from flowstone.runtime.automation.condition_others import OtherRuns
from flowstone.runtime.automation.condition_state import Wait, written_cron

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowstone.assets.partition_view import PartitionView
    from flowstone.runs.records import Materialization, StepKey
    from flowstone.runtime.automation.condition_facts import Found, Subject
    from flowstone.runtime.automation.condition_hints import Hint, Hints
    from flowstone.runtime.automation.condition_state import AssetState, Key
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.local_runs import LocalRuns

__all__ = ["Decisions"]

_TOGETHER: Final = 100  # Conditions that are changed at once at most: they are locked meanwhile.


class Decisions:
    """Decides about partitions, and remembers what waits for what.

    Args:
        ctx: What the runtime offers.
        runs: Where new runs start on a store that no other node shares.
        states: The conditions, by asset; others change what these names stand for.
        stale: Names of conditions whose record somebody else has changed: it is to be read again.

    Attributes:
        held: Partitions that wait for a run of somebody else, which computes them as well.
        retry_at: By the monotonic clock: when a function that has failed is asked again; None: none has.
    """

    def __init__(
        self, ctx: RuntimeContext, runs: LocalRuns, states: dict[str, AssetState], stale: set[str]
    ) -> None:
        self._ctx = ctx
        self._states = states
        self._stale = stale
        self.held: dict[str, dict[StepKey, None]] = {}
        self._behind: dict[StepKey, None] = {}  # Partitions that wait for conditions upstream.
        self._changes = Changes(ctx, runs, stale)
        self._with_runs: set[str] = set()  # Assets of which runs may be under way.

    @property
    def retry_at(self) -> float | None:
        return min(self._changes.retries.values(), default=None)

    # What is over -------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Nothing is known any more of what waits for what: all that waits is looked at again."""
        self.held.clear()
        self._behind.clear()
        self._changes.retries.clear()

    def learn(self, state: AssetState) -> None:
        """A condition is known anew."""
        self._states[state.name] = state
        self._with_runs.add(state.name)

    def end_run(self, run_id: str, asset: str, hints: Hints, *, succeeded: bool) -> None:
        """A run is over: what waited for it is looked at."""
        state = self._states.get(asset)
        if state is not None and run_id in state.under_way:
            for key in state.end_run(run_id, succeeded=succeeded):
                hints.add(asset, key)
            hints.touch(asset)
            self._look_behind(hints)
        self._release(run_id, hints)

    async def look_at_runs(self, hints: Hints) -> None:
        """Find out which of the runs on record are over by now. Raises `StoreUnavailable`."""
        for state in list(self._states.values()):
            for run_id in list(state.under_way):
                record = await self._ctx.store.run(run_id)
                if record is None or record.status.terminal:
                    succeeded = record is not None and record.status.value == "succeeded"
                    for key in state.under_way[run_id]:
                        hints.add(state.name, key)
                    self.end_run(run_id, state.name, hints, succeeded=succeeded)

    async def look_at_held(self, hints: Hints) -> None:
        """Find out whether what something waits for is over. Raises `StoreUnavailable`."""
        for run_id in list(self.held):
            record = await self._ctx.store.run(run_id)
            if record is None or record.status.terminal:
                self._release(run_id, hints)

    def retry(self, hints: Hints) -> None:
        """Have those looked at again whose function failed, and whose time has come."""
        now, retries = self._ctx.clock.monotonic(), self._changes.retries
        for name in [name for name, at in retries.items() if at <= now]:
            del retries[name]
            if name in self._states:
                hints.add_waiting(self._states[name])

    def _release(self, run_id: str, hints: Hints) -> None:
        for name, key in self.held.pop(run_id, ()):
            state = self._states.get(name)
            wait = None if state is None else state.waiting.get(key)
            hints.add(name, key, ticks=() if state is None or wait is None else state.ticks_of(wait.ticks))

    def _look_behind(self, hints: Hints) -> None:
        for name, key in self._behind:
            state = self._states.get(name)
            if state is not None and (wait := state.waiting.get(key)) is not None:
                hints.add(name, key, ticks=state.ticks_of(wait.ticks), run=wait.run)
        self._behind.clear()

    # Decisions ----------------------------------------------------------------------------------------------

    async def decide(self, view: PartitionView, hints: Hints) -> None:
        """Look at all that was noted, upstream first, and do what follows. Raises `StoreUnavailable`."""
        taken = hints.take()
        graph = view.graph
        names = sorted((name for name in taken if name in self._states), key=graph.rank)
        looked_at: dict[str, list[tuple[Subject, Hint]]] = {
            name: list(self._subjects(view, name, taken[name])) for name in names
        }
        current = await read(self._ctx.store, (each for found in looked_at.values() for each, _ in found))
        waiting = (*self._behind, *(key for held in self.held.values() for key in held))
        busy = Busy(view, self._states, sorted(self._with_runs), waiting)
        others = OtherRuns(self._ctx)
        unwritten: dict[str, Mapping[Key, Due]] = {}
        left = dict.fromkeys(names)

        async def write() -> None:
            decided = [(self._states[name], due) for name, due in unwritten.items()]
            for state in await self._changes.write(view, decided):
                hints.put_back(state.name, taken[state.name])
            for name in unwritten:
                del left[name]
            unwritten.clear()

        try:
            for name in names:
                state = self._states[name]
                if len(unwritten) == _TOGETHER or (unwritten and state.automation.asks):
                    await write()  # Nobody waits for the answer to a question that others ask.
                due = {
                    subject.key: wanted
                    for subject, hint in looked_at[name]
                    if (wanted := await self._wanted(state, subject, current, hint, busy, others)) is not None
                }
                if due or state.changed:
                    unwritten[name] = due
                else:
                    del left[name]
            await write()
        finally:
            for name in left:  # If the store is away.
                hints.put_back(name, taken[name])

    def _subjects(
        self, view: PartitionView, name: str, hints: Mapping[Key, Hint]
    ) -> Sequence[tuple[Subject, Hint]]:
        found = []
        for key, hint in hints.items():
            subject = subject_of(view, name, key)
            if subject is None:
                self._states[name].forget(key)
            else:
                found.append((subject, hint))
        return found

    async def _wanted(
        self,
        state: AssetState,
        subject: Subject,
        current: Mapping[StepKey, Materialization],
        hint: Hint,
        busy: Busy,
        others: OtherRuns,
    ) -> Due | None:
        """What is to be computed, if it is, and now; else it is noted what it waits for."""
        key, found = subject.key, subject.found(current)
        if key in state.run_of:
            if state.saw[key] != found.mark:
                state.look_again(key)
            return None
        facts = Facts(found.states, frozenset(hint.ticks))
        if not await self._is_due(state, subject, found, facts):
            return None
        run = (
            None
            if (behind := busy.is_behind(subject))
            else await others.computing(subject.asset, {*hint.runs, *found.changed_by})
        )
        busy.add((subject.asset, key))
        if behind or run is not None:
            waiting = self._behind if run is None else self.held.setdefault(run, {})
            waiting[subject.asset, key] = None
            state.wait(key, Wait(_written(facts), run or ""))
            return None
        self._with_runs.add(state.name)
        missing = not facts.ticks and found.states & state.automation.states == {"missing"}
        return Due(subject.partition, found.mark, state.automation.rule(facts), missing, found.changes)

    async def _is_due(self, state: AssetState, subject: Subject, found: Found, facts: Facts) -> bool:
        """Whether the condition holds of what can be computed and was not tried; else note why it waits."""
        key = subject.key
        answer = await self._holds(state, subject, found, facts) if state.active else None
        if answer is None:
            state.wait(key, Wait(_written(facts)))
            return False
        tried = state.tried.get(key) == found.mark
        if answer and found.ready and (facts.ticks or not tried):
            return True
        self._leave(state, key, found, tried=tried)
        return False

    def _leave(self, state: AssetState, key: Key, found: Found, *, tried: bool) -> None:
        """It does not hold, or cannot be: a tick may come, for which what holds now is kept."""
        if not tried and state.automation.crons and found.ready and found.states & state.automation.states:
            state.wait(key, Wait())
        else:
            state.settle(key)
        if not found.states:
            state.succeed(key)

    async def _holds(self, state: AssetState, subject: Subject, found: Found, facts: Facts) -> bool | None:
        """Whether the condition holds; None if a function of it failed, which is on record then."""
        said: dict[int, bool] = {}
        while not isinstance(answer := state.automation.holds(facts, said), bool):
            if state.name in self._changes.retries or state.name in self._stale or not found.ready:
                return None if found.ready else False
            context = ConditionContext(
                subject.asset,
                subject.partition,
                self._ctx.clock.now(),
                found.last,
                found.changes,
                tuple(cron.text for cron in facts.ticks),
            )
            outcome = await whether(self._ctx, f"condition {state.name}", answer, context)
            if outcome[0] or outcome[1].kind == "skip":
                state.answered()
            if not outcome[0]:
                if outcome[1].kind == "skip":
                    return False
                await self._changes.fail(state, outcome[1])
                return None
            said[id(answer)] = outcome[1]
        return answer


def _written(facts: Facts) -> tuple[str, ...]:
    return tuple(sorted(map(written_cron, facts.ticks)))
