"""The port through which several nodes share one store: who lives, who drives which run, who executes which step.

A *node* is one runtime of one process. It beats: each beat raises a number. Its lease is over when somebody who
watches that number has seen none for the lease's length on a monotonic clock of its own, so no clock that can
be stepped has a say in who lives (`flowstone.runtime.ctx.peers`). A run has one owner, a node; each change of
owner raises the run's `epoch`, and every write carries the epoch it was made under, so a former owner can record
nothing. A *step lease* lets another node execute one attempt of one step; the owner decides, the other node
only executes. A *notification* wakes somebody up. It carries no facts: one that is lost costs time, never truth,
because everything it is about can also be found by looking (`Cluster.watch` says how often).

Stores that only one process can hold have no cluster (`Store.cluster` is None).
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from flowstone.runs.endings import AttemptEnd
    from flowstone.runs.queued_step import QueuedStep
    from flowstone.runs.records import RunRecord, StepKey
    from flowstone.runs.running_step import RunningStep
    from flowstone.store.pools import SharedPools
    from flowstone.store.rates import SharedRates

__all__ = [
    "Beats",
    "Cluster",
    "Node",
    "NodeReport",
    "Notification",
    "NotificationKind",
    "StepLease",
    "WatchedNode",
]


@frozen
class Node:
    """One runtime of one process, as it introduces itself.

    Attributes:
        id: Unique for ever: a process that restarts is another node.
        host: Name of its machine.
        pid: Its process there.
        version: Its FlowStone release.
        pipelines: Names of the pipelines it takes work of; none if it only drives runs of its own.
        capacity: Steps it runs at a time (`max_concurrency`).
        lease: Seconds without a new beat after which it counts as dead.
    """

    id: str
    host: str
    pid: int
    version: str
    pipelines: tuple[str, ...]
    capacity: int
    lease: float


@frozen
class NodeReport:
    """What a node says of itself with its beats, in words that are fit to be shown.

    Attributes:
        store: What it tries again against the store, since when and why; or None.
        retried: Runs that it had to give up and goes on with, by id, and why.
        unfit: Runs in the queue that it cannot run by its definitions, by id, and why.
        running: Steps that run on it, and how far they are; the first ones, where there are many.
        queued: Steps that are to begin on it, and what they wait for; likewise.
        resumes: Parked runs with which it goes on, though it takes no work: callers of its own wait for them.
        automates: The pipelines whose schedules, sensors and listeners act on it, once it is its turn.
        running_count: How many steps run on it, those of `running` and those that are left out.
        queued_count: How many are to begin on it, likewise.
        heard: The last who watches that it has heard of; see `Cluster.watch_nodes`.
        memory: Bytes of memory that its process holds, or None if that is not known. It changes all the time, so
            two reports that differ in it, or in the next one, say the same.
        load: How busy its machine is, of 1.0 in all, or None.
    """

    store: str | None = None
    retried: Mapping[str, str] = field(default_factory=dict)
    unfit: Mapping[str, str] = field(default_factory=dict)
    running: tuple[RunningStep, ...] = ()
    queued: tuple[QueuedStep, ...] = ()
    resumes: tuple[str, ...] = ()
    automates: tuple[str, ...] = ()
    running_count: int = 0
    queued_count: int = 0
    heard: int = 0
    memory: int | None = field(default=None, compare=False)
    load: float | None = field(default=None, compare=False)


@frozen
class WatchedNode:
    """A node as the store sees it.

    Attributes:
        node: What it said of itself.
        joined_at: When it joined, by the store's clock.
        beat_at: Its last beat, by the store's clock.
        age: Seconds since then by the same clock, which may have been stepped meanwhile.
        gone: Whether it has left.
        runs: Unfinished runs it owns.
        clock_skew: Seconds its clock was ahead of the store's at the last beat.
        tree: Its supervision tree as it last published it (`ProcessInfo` as JSON-able data), or None.
        tree_at: When that was.
        report: What it said of itself with its last beat.
    """

    node: Node
    joined_at: datetime
    beat_at: datetime
    age: float
    gone: bool
    runs: int
    clock_skew: float
    tree: Mapping[str, Any] | None = None
    tree_at: datetime | None = None
    report: NodeReport = field(default_factory=NodeReport)

    @property
    def seems_alive(self) -> bool:
        """What somebody may think who looks once: it has not left, and its last beat is younger than its lease.

        After a step of the store's clock it may be wrong until the next beat. It is for people, and for where it
        only costs time; who takes over the runs of a node has watched its beats.
        """
        return not self.gone and 0 <= self.age < self.node.lease


@frozen
class Beats:
    """How often a node has beaten.

    Attributes:
        node: Its id.
        count: Beats so far: each one raises it. 0 for one that owns runs and is no node any more.
        lease: Its lease in seconds; None where it is no node any more.
        gone: Whether it has left.
        age: Seconds since its last beat by the store's clock, if it is a node. A hint: that clock may be stepped.
        runs: Unfinished runs it owns, of the pipelines that were asked for.
        claims: Whether it has claims to slots of pools, or defines any.
        calls: Whether callers on it want runs that others may want as well.
    """

    node: str
    count: int
    lease: float | None
    gone: bool
    age: float | None
    runs: int
    claims: bool = False
    calls: bool = False


@frozen
class StepLease:
    """The right of one node to execute one attempt of one step, given by the owner of the run.

    Attributes:
        run_id: The run.
        asset: The step's asset.
        partition_key: Its encoded partition key, or None.
        attempt: The attempt's number.
        epoch: The run's epoch under which the owner gave the lease.
        node: The node that executes it.
        failed: How many attempts before it failed by themselves: what the retry policy counts.
        cancelled: Whether the owner wants it stopped.
    """

    run_id: str
    asset: str
    partition_key: str | None
    attempt: int
    epoch: int
    node: str
    failed: int = 0
    cancelled: bool = False


NotificationKind = Literal[
    "queued",
    "cancel",
    "leases",
    "steps",
    "woken",
    "deadline",
    "finished",
    "nodes",
    "pool",
    "tree",
    "deliveries",
    "automation",
    "watch",
    "reloaded",
    "draining",
    "look",
]


@frozen
class Notification:
    """Something may have changed.

    Attributes:
        kind: `queued` (a run waits, subject: its pipeline), `cancel` (a run is to be cancelled, subject: the
            run), `leases` (subject: the node that was given leases, or whose leases were cancelled), `steps`
            (a step that another node executed has ended, subject: the run), `woken` (a step that waited is to go
            on, subject: the run), `deadline` (something waits until an instant before all others), `finished`
            (subject: the run), `nodes` (a node joined or left), `pool` (slots were granted, or may be; subject: the
            node that asked), `tree` (somebody wants to see trees; subject: a node, or empty for all), `deliveries`
            (something is to be delivered to followers; subject: their pipeline), `automation` (it was paused,
            resumed or fired; subject: its pipeline and name), `watch` (somebody looks at what nodes do; subject: a
            number, and `trees` where these are looked at as well), `reloaded` (this runtime has other definitions),
            `draining` (this runtime takes no more runs), `look` (notifications may have been lost: look at
            everything).
        subject: What it is about.
    """

    kind: NotificationKind
    subject: str = ""


class Cluster(Protocol):
    """What the nodes of one store share. Every call may raise `StoreUnavailable`; each is safe to repeat."""

    @property
    def listens(self) -> bool:
        """Whether notifications arrive at once. If not (behind a pooler), only `look` arrives, twice a second."""

    @property
    def pools(self) -> SharedPools:
        """The slots that nodes share."""

    @property
    def rates(self) -> SharedRates:
        """The turns that nodes share."""

    # Nodes --------------------------------------------------------------------------------------------------

    async def join(self, node: Node, lost: Callable[[], None]) -> None:
        """Introduce this process's node and beat for it until `leave`, from a thread of its own.

        The thread, because an asset that blocks the event loop must not cost the node its lease.

        Args:
            node: The node.
            lost: Called on this event loop each time a beat is acknowledged after more than a lease without
                one, by the node's own monotonic clock: somebody else may own what it drove (`owned` tells).
        """

    async def hold(self, node_id: str, pipelines: Sequence[str]) -> None:
        """Say that this node takes work of these pipelines from now on, and of no others."""

    def report(self, report: NodeReport, *, at_once: bool = True) -> None:
        """Have this process's node say this with its next beat, and with those after it.

        Args:
            report: What it says.
            at_once: Whether the next beat comes at once.
        """

    async def leave(self, node_id: str) -> None:
        """Stop beating and say so: nobody has to wait for the end of the lease."""

    async def nodes(self, *, trees: bool = True) -> Sequence[WatchedNode]:
        """The nodes that beat within the last day or so, whether they live or not; oldest first.

        Args:
            trees: Whether with their trees, which may be large.
        """

    async def watch_nodes(self, seconds: float, *, trees: bool) -> int | None:
        """Have all nodes say at once, and whenever it changes, what they do, for so many seconds (about ten).

        Args:
            seconds: For how long; nodes count ten by their own clocks.
            trees: Whether they are to show their trees as well.

        Returns:
            A number, larger than any before: a node whose report has `heard` it has reported since. None where
            nothing can be written.
        """

    async def beats(self, pipelines: Collection[str]) -> Sequence[Beats]:
        """How often each node has beaten, and whoever else owns an unfinished run of these pipelines."""

    async def publish_tree(self, node_id: str, tree: Mapping[str, Any]) -> None:
        """Leave this node's supervision tree where others can see it."""

    # Runs ---------------------------------------------------------------------------------------------------

    async def submit(self, run: RunRecord) -> RunRecord:
        """Remember a run that nobody owns yet and put it in the queue, in one transaction.

        Returns the run; or, if it has a `key` that an unfinished run has already, that one.
        """

    async def take(
        self, node_id: str, pipelines: Collection[str], limit: int, *, but: Collection[str] = ()
    ) -> Sequence[RunRecord]:
        """Take runs out of the queue and make the node their owner, in one transaction.

        Highest priority first, then who came first; those of `but` are left alone. Their epoch is raised by one. A
        run whose status is still `queued` has no events but its creation.
        """

    async def take_back(self, run_id: str, node_id: str) -> RunRecord | None:
        """Take a run that was begun and that nobody drives, wherever it queues; None if somebody else has it.

        An answer that was lost is not known again: the run is the node's then, which finds out (`owned`).
        """

    async def take_duty(self, duty: str, node_id: str, gone: str | None) -> str:
        """Take a duty that one node has for all, if nobody has it, or the node that is `gone`; who has it now."""

    async def give_up_duty(self, duty: str, node_id: str) -> None:
        """Let anybody take a duty that this node has; nothing happens if it does not have it."""

    async def queued(self, pipelines: Collection[str], limit: int) -> Sequence[RunRecord]:
        """Runs of these pipelines in the queue, as many, in the order in which they are taken."""

    async def orphans(
        self, pipelines: Collection[str], gone: Collection[str], limit: int = 100
    ) -> Sequence[RunRecord]:
        """Unfinished runs that one of these nodes owns, and those without an owner that the queue has lost.

        Most urgent first, then who came first.
        """

    async def adopt(
        self, run_id: str, node_id: str, *, epoch: int, given_up: bool = False
    ) -> tuple[RunRecord, int]:
        """Take over an unfinished run, as `Store.claim` does and with its errors.

        Args:
            run_id: The run.
            node_id: Its new owner.
            epoch: Its epoch so far.
            given_up: Whether its last owner lives and could not go on with it. One that is gone and had begun
                with the run is not held against the run, which may only have waited there for a slot: an owner
                says that it has begun (`RunStarted`) when there is nothing more to be done before a step is.

        Returns:
            The run, and how often it was adopted since it last got anywhere, this time included.
        """

    async def owned(self, node_id: str) -> Mapping[str, int]:
        """The unfinished runs this node owns, each with its epoch."""

    async def spend(self, node_id: str, spent: Mapping[str, float]) -> None:
        """Remember for how many seconds, in total, these runs were driven; of those that this node owns."""

    async def spent(self, run_id: str) -> float:
        """For how many seconds a run was driven, as far as its owners came to say so."""

    async def release(self, run_id: str, node_id: str) -> None:
        """Give up an unfinished run that this node owns: nobody owns it, and it is in the queue again.

        Args:
            run_id: The run. One that is finished or not this node's is left alone.
            node_id: The node that gives it up.
        """

    async def under_way(self, key: StepKey) -> Sequence[tuple[RunRecord, bool]]:
        """The unfinished runs in which a step has no record yet, newest first, and whether it has begun there.

        Whether it is a step of the run at all, only its plan says; one that has begun is.
        """

    async def request_cancel(
        self, run_id: str, reason: str, *, by: str | None = None, comment: str = ""
    ) -> None:
        """Record that the run is to be cancelled, and tell its owner.

        A run that nobody owns, because it never started or is parked, is cancelled at once. Harmless when it has
        finished.

        Args:
            run_id: The run.
            reason: What brings it about; this and the following as in `RunCancelRequested`.
            by: Who asks for it.
            comment: Why they do.
        """

    async def cancelling(self, node_id: str) -> Sequence[str]:
        """The unfinished runs of this node that somebody asked to cancel."""

    # Step leases --------------------------------------------------------------------------------------------

    async def grant(self, leases: Sequence[StepLease]) -> None:
        """Give leases, all of one run; refused with `StaleWrite` if the run's epoch has moved."""

    async def leases(self, node_id: str) -> Sequence[StepLease]:
        """The leases this node holds, oldest first.

        A lease whose attempt has ended is among them until the owner of the run deletes it.
        """

    async def outstanding(self, run_id: str) -> Sequence[StepLease]:
        """The leases that a run has, also those given by its former owners."""

    async def cancel_leases(self, run_id: str, keys: Collection[StepKey]) -> None:
        """Ask the nodes that execute these steps of a run to stop them."""

    async def delete_leases(self, run_id: str, keys: Collection[StepKey] | None) -> None:
        """Delete the leases of steps that have ended or were given up; None for all of the run."""

    async def endings(self, run_id: str, attempts: Mapping[StepKey, int]) -> Sequence[AttemptEnd]:
        """The recorded ends of these attempts, those that have one.

        An attempt before, which was taken for lost, may have recorded the end of the step: then that is among them.
        """

    async def refuse(self, run_id: str, key: StepKey, attempt: int, why: str) -> None:
        """Say of an attempt of which a lease was given that the store will not have any record of its end."""

    async def refused(self, run_id: str) -> Mapping[StepKey, tuple[int, str]]:
        """Of which steps of a run that was said: the attempt, and why."""

    async def begun(self, run_id: str, attempts: Mapping[StepKey, int]) -> Collection[StepKey]:
        """Which of these attempts have a recorded start."""

    # Notifications ------------------------------------------------------------------------------------------

    def watch(self, heard: Callable[[Notification], None]) -> AbstractContextManager[None]:
        """Have `heard` called on this event loop for each notification, until the block ends.

        `Notification("look")` comes when the connection was lost and is back, and otherwise once a second
        (twice where `listens` is False): whoever looks then at everything misses nothing.
        """

    async def tell(self, notification: Notification) -> None:
        """Send a notification to every node."""
