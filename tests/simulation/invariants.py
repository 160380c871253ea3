"""What must be true in a world at every instant, and what must be true when nothing goes wrong any more."""

from __future__ import annotations

from flowstone.runs.events import (
    RunCancelRequested,
    RunFinished,
    RunStarted,
    RunWaiting,
    StepFailed,
    StepSucceeded,
)
from flowstone.testing.simulation.process import ProcessState
from tests.simulation.workload import SLOTS, TOGETHER
from tests.store.shared_history import SharedHistory

__all__ = ["Violation", "WatchedHistory", "WatchedLeases", "at_the_end", "now"]


OF_RUN = (RunStarted, RunWaiting, RunCancelRequested, RunFinished)


RAISED = ("the source is away", "the disk is full")
EXPECTED = frozenset()


class Violation(AssertionError):
    """Something is not as it must be."""


class WatchedLeases(dict):
    """The step leases of a world, which knows who was ever given a step."""

    def __init__(self):
        super().__init__()
        self.given = {}

    def __setitem__(self, step, lease):
        super().__setitem__(step, lease)
        self.given.setdefault(step, set()).add(lease.node)


class WatchedHistory(SharedHistory):
    """The history of a world, which looks at everything that is recorded.

    Args:
        shared: Its database.
        world: Where values are.
    """

    def __init__(self, shared, world):
        super().__init__(shared)
        self._world = world
        self._successes = {}
        self._newest = {}
        self._ended = {}

    def _add(self, run, event):
        if run.id in self._ended:
            raise Violation(f"{event.kind} was recorded in run {run.id}, which had {self._ended[run.id]}")
        self._check_writer(run, event)
        super()._add(run, event)
        if isinstance(event, StepSucceeded):
            self._succeeded(event)
        elif isinstance(event, StepFailed):
            self._failed(event.materialization)
        elif isinstance(event, RunFinished):
            self._ended[run.id] = event.status

    def move(self, move, but=()):
        moved = super().move(move, but)
        self._world.automatic.moved(move, moved)
        return moved

    def _check_writer(self, run, event):
        """What is recorded of a step says the owner of the run, or whoever was given the step."""
        writer, owner = self._world.writer, run.head().owner
        if writer is None or owner in {None, writer} or isinstance(event, OF_RUN):
            return  # Of a run that was given back, its owner may record until another one takes it.
        # A lease that was taken back is not: until a later attempt begins, what comes of it is as good as any.
        if writer not in self._shared.leases.given.get((run.id, event.asset, event.partition_key), ()):
            raise Violation(
                f"{event.kind} of {event.asset}[{event.partition_key}] in run {run.id} was recorded by {writer}, "
                f"though {owner} owns the run and it was never given the step"
            )

    def _succeeded(self, event):
        record = event.materialization
        step = (event.run_id, event.asset, event.partition_key)
        if step in self._successes:
            raise Violation(f"{step} succeeded twice: as {self._successes[step]}, and as {record.location}")
        self._successes[step] = record.location
        self._newest[step[1:]] = record
        if record.location is not None and self._world.values.whole.get(record.location) is None:
            self._world.check_manifest(event, record)

    def _failed(self, record):
        """A step fails for what was done to it, and for nothing else."""
        failure = record.failure
        if failure.kind not in EXPECTED and not any(words in failure.message for words in RAISED):
            raise Violation(f"{record.name} of run {record.run_id} failed: {failure.kind}: {failure.message}")

    def check_current(self):
        """What is current is what was recorded last."""
        for key, record in self.ledger.current(list(self._newest)).items():
            if record.location is not None and record.location not in self._world.values.whole:
                continue  # Of items; or kept with the record.
            if record.location is not None and self._world.values.whole[record.location] is None:
                raise Violation(f"{record.name} of run {record.run_id} is torn: {record.location}")
            if record.location != self._newest[key].location:
                raise Violation(
                    f"{key}: {record.location} is current, {self._newest[key].location} was recorded last"
                )

    def check_heads(self):
        """A run that has ended stays as it ended."""
        for run_id, status in self._ended.items():
            run = self.find(run_id)
            if run is not None and run.status is not status:
                raise Violation(f"run {run_id} had {status} and is {run.status}")


def now(world):
    """At any instant."""
    history, shared = world.shared.history, world.shared
    history.check_current()
    history.check_heads()
    taken = sum(each.pools.get("two", 0) for each in shared.claims if each.granted)
    if taken > SLOTS:
        raise Violation(f"{taken} slots of a pool of {SLOTS} are taken")
    running = sum(count for node, count in world.in_pool.items() if world.is_well(node))
    if running > SLOTS:
        raise Violation(f"{running} steps run in a pool of {SLOTS}: {world.in_pool}")
    leaving = shared.callers._over | history.cancelling
    joint = [
        log.id
        for log in shared.unfinished()
        if log.head().request.asset == TOGETHER and log.id not in leaving
    ]
    if len(joint) > 1:
        joint = [run_id for run_id in joint if run_id not in _to_be_cancelled(world)]
    if len(joint) > 1:
        raise Violation(f"{joint} are under way, of which each could have been joined")


def _to_be_cancelled(world):
    """Runs that the node which drives them was asked to cancel, while the store cannot be told."""
    runtimes = [node.runtime for node in world.nodes if node.runtime is not None]
    live = [run for runtime in runtimes for run in runtime._runs.live.values()]
    return [run.record.id for run in live if run.cancelled is not None]


def at_the_end(world):
    """Why the world is not at rest, though nothing goes wrong any more; None if it is."""
    return next((f"{what}: {left}" for what, left in _left(world) if left), None)


def _left(world):
    """What there may be left, and what is left."""
    history, shared = world.shared.history, world.shared
    yield "runs are not over", [_about(shared, log.id) for log in shared.unfinished()]
    if world.options["keep_runs"] > len(history._order):
        missing = [run_id for run_id in world.acknowledged if history.find(run_id) is None]
        yield "runs that were acknowledged are lost", missing
    if world.automates:
        yield from world.automatic.left(world)
    yield "slots are taken, or waited for", shared.claims
    yield "step leases are left", list(shared.leases)
    usable = [node for node in world.nodes if node.usable]
    yield "steps run", [node.name for node in usable if node.runtime.running_steps()]
    alive = [task for process, task in world.asked if process.state is ProcessState.RUNNING]
    yield "what was asked broke", [broken for broken in map(_broken, alive) if broken]
    yield "some still wait for an answer", [task.get_name() for task in alive if not task.done()]


def _broken(task):
    error = task.exception() if task.done() and not task.cancelled() else None
    return None if error is None else f"{task.get_name()}: {error!r}"


def _about(shared, run_id):
    head = shared.history.find(run_id).head()
    counts = dict(head.counts)
    return f"{run_id} ({head.request.asset}): {head.status}, owner {head.owner}, epoch {head.epoch}, {counts}"
