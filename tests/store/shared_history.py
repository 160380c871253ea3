"""What a database remembers beyond what a `History` does: it has a clock, tells its nodes, and loses no job.

`SharedHistory` differs from a `History` where Postgres does: deadlines that were asked for in seconds are counted
by its own clock, what asks to cancel is an event of its own, retention keeps to the assets that it is given.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from flowstone.runs.automation import duty_of
from flowstone.runs.endings import denied
from flowstone.runs.events import (
    RunCancelRequested,
    RunFinished,
    RunWaiting,
    StepWaiting,
    StepWoken,
)
from flowstone.runs.records import Status
from flowstone.runs.waits import status_when_over
from flowstone.store.cluster import Notification
from flowstone.store.history import History

__all__ = ["SharedHistory"]


class SharedHistory(History):
    """The state behind a `SharedMemory`.

    Attributes:
        cancelling: Runs that somebody asked to cancel.
        submitted: Runs of whose end every node is told.
        parked: Run -> since when, by the monotonic clock.
    """

    def __init__(self, shared):
        super().__init__()
        self._shared = shared
        self.cancelling = set()
        self.submitted = set()
        self.parked = {}
        self._held = None  # While a batch is recorded: what waits are to be told of it.
        self.outbox.watchers[self] = lambda pipeline: shared.tell(Notification("deliveries", pipeline))

    # Waits --------------------------------------------------------------------------------------------------

    def write_many(self, events, epoch):
        """As `History.write_many`; waits are looked at when all is on record, those that begin first."""
        self._held = []
        try:
            super().write_many(events, epoch)
        finally:
            held, self._held = self._held, None
        if held:
            run = self.find(held[0].run_id)
            self._look(run, held)
            if run.finished:
                self.waits.finish(run.id, self._shared.now())

    def _waits(self, run, event):
        if self._held is None:
            self._look(run, [event])
        else:
            self._held.append(event)

    def _look(self, run, events):
        if any(isinstance(event, RunCancelRequested) for event in events):
            self.cancelling.add(run.id)
        self._come_to_wait(run, [event for event in events if isinstance(event, StepWaiting)])
        for event in events:
            now = self._shared.now()
            match event:
                case StepWaiting():
                    pass
                case RunWaiting():
                    over = run.finished or run.id in self.cancelling
                    if self.waits.open_in(run.id) == event.steps and not over:
                        self._park(run, event.timeout, now)
                case _:
                    super()._waits(run, replace(event, at=now))

    def _come_to_wait(self, run, asked):
        for event in asked:
            now = self._shared.now()
            deadline = event.deadline
            if event.timeout is not None:
                deadline = now + timedelta(seconds=event.timeout)
            known = self.waits.find(run.id, (event.asset, event.partition_key), event.name)
            wait = self.waits.ask(replace(event, at=now, deadline=deadline))
            if wait.status == "open" and wait is not known and run.id in self.cancelling:
                self.waits.close(wait, "cancelled", None, now)
        for event in asked:
            wait = self.waits.find(run.id, (event.asset, event.partition_key), event.name)
            if wait.status == "answered" and not run.finished:
                run.add(StepWoken(self._shared.now(), run.id, *wait.step, event.attempt, wait.name))
                self._shared.tell(Notification("woken", run.id))
            elif wait.status == "open":
                self._tell_deadline(wait.deadline)

    def _park(self, run, timeout, now):
        run.park()
        self.submitted.add(run.id)
        self.parked[run.id] = self._shared.clock.monotonic()
        if timeout is not None:
            until = now + timedelta(seconds=timeout)
            self.waits.park(run.id, until)
            self._tell_deadline(until)

    def _tell_deadline(self, until):
        if until is not None and not self.waits.next_deadline(None) < until:
            self._shared.tell(Notification("deadline"))

    def answer(self, run_id, step, name, answer, now, status, by=None):
        try:
            return super().answer(run_id, step, name, answer, now, status, by)
        except Exception:
            run = self.find(run_id)
            if run is not None:
                self._tell_queued(run)
            raise

    def _go_on(self, run, wait, now):
        """As `History._go_on`; a step that has ended is left as it is, and everybody is told."""
        event = self._wake(run, wait, now) if wait.status == "answered" else self._deny(run, wait, now)
        self._awake(run)
        return event

    def _wake(self, run, wait, now):
        by = wait.answer.get("by") if wait.kind == "approval" and wait.answer else None
        event = StepWoken(now, run.id, *wait.step, wait.attempt, wait.name, by)
        run.add(event)
        return event

    def _deny(self, run, wait, now):
        event = denied(wait, now)
        if run.step(wait.step) is None:
            self._add(run, event)
            if run.head().owner is not None:
                self._shared.tell(Notification("steps", run.id))
        return event

    def _awake(self, run):
        """A step of it goes on, or was denied what it waited for."""
        self._shared.tell(Notification("woken", run.id))
        if run.head().owner is not None:
            self._go_on_from_here(run)
        elif run.status is Status.WAITING:
            self._unpark(run)
        else:
            self._go_on_from_here(run)
            self._shared.tell(Notification("queued", run.head().pipeline))

    def _unpark(self, run):
        self._go_on_from_here(run)
        self._shared.enqueue(run.id, run.head().pipeline)

    def _go_on_from_here(self, run):
        run.unpark()
        self.waits.unpark(run.id)
        since = self.parked.pop(run.id, None)
        if since is not None:
            spent = self._shared.spent.get(run.id, 0.0)
            self._shared.spent[run.id] = spent + self._shared.clock.monotonic() - since

    def expire(self, now, runs, limit):
        """End waits whose deadline has passed, and have parked runs cancelled whose timeout is over.

        Steps that are denied what they waited for come first, and one that waited for several things is so once.
        """
        del runs
        due, overdue = self.waits.take_due(now, None, limit)
        closed = [
            self.waits.close(wait, status_when_over(wait.kind, wait.about), None, now)
            for wait in due
            if self.waits.find(wait.run_id, wait.step, wait.name).status == "open"
        ]
        over = sorted((wait for wait in closed if wait.run_id not in overdue), key=_in_order)
        for wait in over:
            if wait.status != "answered":
                self._deny(self.find(wait.run_id), wait, now)
        for wait in over:
            if wait.status == "answered":
                self._wake(self.find(wait.run_id), wait, now)
        for run_id in dict.fromkeys(wait.run_id for wait in over):
            self._awake(self.find(run_id))
        for run_id in overdue:
            self.waits.unpark(run_id)
            self.cancel(run_id, "timeout")
        return []

    def define_automations(self, defined, now, whole=True):
        """As `History.define_automations`, by its own clock; who drove one that is forgotten does so no more."""
        del now
        self.forget_gone_automations()
        return super().define_automations(defined, self._shared.now(), whole)

    def forget_gone_automations(self):
        """Forget those that no pipeline has defined for a day, and who drives them."""
        before = {record.key for record in self.automations.records(())}
        super().define_automations({}, self._shared.now())
        for key in before - {record.key for record in self.automations.records(())}:
            self._shared.duties.pop(duty_of(key), None)

    def make(self, move, but):
        """As `History.make`; the runs that it starts are submitted."""
        known = {run.record.id for run in move.runs if run.record.id in self._runs}
        moved = super().make(move, but)
        for run in move.runs:
            if run.record.id in self._runs and run.record.id not in known:
                self.queue(run.record)
        return moved

    # Runs ---------------------------------------------------------------------------------------------------

    def queue(self, run):
        """A run that was just written down is for whichever node takes it."""
        self.submitted.add(run.id)
        self._shared.enqueue(run.id, run.pipeline)

    def cancel(self, run_id, reason, by=None, comment=""):
        """Have a run cancelled; one that was not begun has ended with that."""
        run = self.find(run_id)
        if run is None or run.finished:
            return
        now, asset = self._shared.now(), run.head().request.asset
        if run_id not in self.cancelling:
            self._add(run, RunCancelRequested(now, run_id, asset, reason, by, comment))
        self._shared.tell(Notification("cancel", run_id))
        if run.head().owner is not None:
            return
        if run.status is Status.QUEUED:
            self._add(run, RunFinished(now, run_id, asset, Status.CANCELLED))
            self._shared.queue.pop(run_id, None)
            self._shared.tell(Notification("finished", run_id))
        elif run.status is Status.WAITING:
            self._shared.tell(Notification("woken", run_id))
            self._unpark(run)
        else:
            self._tell_queued(run)

    def _tell_queued(self, run):
        if run.head().owner is None and run.status is Status.RUNNING:
            self._shared.tell(Notification("queued", run.head().pipeline))

    # Retention ----------------------------------------------------------------------------------------------

    def prune(self, keep_versions, keep_runs, assets=None):
        """As `History.prune`, for successes of these assets alone.

        A run stays while something of it is to be delivered.
        """
        old = list(self._finished)[: max(0, len(self._finished) - keep_runs)]
        forgotten = {run_id for run_id in old if not self._is_to_be_told(run_id)}
        for run_id in old:
            if run_id in forgotten:
                self._forget(run_id)
        self._release_of_runs(forgotten)
        gone = []
        for key, timeline in tuple(self.ledger.timelines()):
            if assets is None or key[0] in assets:
                forgotten_here, _ = timeline.prune(keep_versions, self._is_unfinished)
                gone += forgotten_here
                self.ledger._forgot(key, timeline, len(forgotten_here))
        for record in gone:
            key = (record.run_id, record.asset, record.partition_key)
            if key in self.items:
                self.unneeded[key] = None
        return gone, forgotten

    def _forget(self, run_id):
        """Whatever there is of a run, but for what is history of an asset."""
        self._finished.remove(run_id)
        run = self._runs.pop(run_id)
        self.ledger.forget(run.outcomes())
        self.waits.forget(run_id)
        del self._order[self._place(run)]
        self.cancelling.discard(run_id)
        self.submitted.discard(run_id)
        self.parked.pop(run_id, None)
        self._shared.spent.pop(run_id, None)
        self._shared.adoptions.pop(run_id, None)
        self._shared.queue.pop(run_id, None)
        self._shared.callers._present.pop(run_id, None)

    def _is_to_be_told(self, run_id):
        return any(run_id in followed.lanes for followed in self.outbox._followed.values())

    def _release_of_runs(self, forgotten):
        """Items of steps without a value go with their run, unless an IO manager keeps values of theirs."""
        for key in [key for key in self.items if key[0] in forgotten and key not in self.unneeded]:
            timeline = self.ledger._timeline(key[1:])
            if timeline is None or all(record.run_id != key[0] for record in timeline.records):
                if self.items[key].io is None:
                    for position in self.items[key].positions():
                        self._shared.payloads.pop(self.items[key].row(position).location or "", None)
                    del self.items[key]
                else:
                    self.unneeded[key] = None


def _in_order(wait):
    return wait.deadline, wait.run_id, wait.asset, wait.partition_key or "", wait.name
