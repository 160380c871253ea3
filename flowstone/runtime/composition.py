"""How one runtime is put together: everything that its parts share is made here, once, and passed down."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING

from flowstone.alarms import Alarms
from flowstone.runtime.context import RuntimeContext
from flowstone.runtime.loop_affinity import LoopAffinity
from flowstone.runtime.run.local_runs import LocalRuns
from flowstone.runtime.services.admission import Admission
from flowstone.runtime.services.attempt_logs import AttemptLogs
from flowstone.runtime.services.events import EventStream
from flowstone.runtime.services.failure_log import FailureLog
from flowstone.runtime.services.feed import FeedReaders
from flowstone.runtime.services.managers import warn_of_memory
from flowstone.runtime.services.notifications import Notifications
from flowstone.runtime.services.origins import Origins
from flowstone.runtime.services.peers import Peers
from flowstone.runtime.services.pools import Pools
from flowstone.runtime.services.rates import Rates
from flowstone.runtime.services.recent_successes import RecentSuccesses
from flowstone.store.memory import MemoryStore
from flowstone.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from random import Random

    from flowstone.actors import Clock, ProcessInfo
    from flowstone.assets.snapshot import Snapshot
    from flowstone.io.manager import IOManager
    from flowstone.runtime.cluster.membership import Membership
    from flowstone.runtime.cluster.node_watch import NodeWatch
    from flowstone.runtime.options import Options
    from flowstone.runtime.services.pools import AnyPools
    from flowstone.store.protocol import Store

__all__ = ["context_of", "membership_of", "node_watch_of", "runs_of"]


def context_of(
    store: Store,
    managers: Mapping[str, IOManager],
    snapshot: Snapshot,
    settings: Options,
    clock: Clock,
    random: Random,
    actor: str | None,
) -> RuntimeContext:
    """The services of a runtime that is being entered, on the event loop that runs."""
    node = f"{socket.gethostname()}-{os.getpid()}-{random.getrandbits(32):08x}"
    alarms = Alarms()
    admission = Admission(settings.max_concurrency, _pools(store, node, alarms), _rates(store, clock))
    admission.pools.define(snapshot.pools)
    admission.rates.define(snapshot.rates)
    return RuntimeContext(
        affinity=LoopAffinity(asyncio.get_running_loop()),
        node=node,
        snapshot=snapshot,
        settings=settings,
        clock=clock,
        random=random,
        store=store,
        stream=EventStream(),
        feeds=FeedReaders(store.feed),
        admission=admission,
        threads=Threads(settings.max_threads, "flowstone-asset"),
        managers=managers,
        io={},
        resources={},
        notifications=Notifications(),
        peers=Peers(clock, settings.lease),
        failures=FailureLog(),
        alarms=alarms,
        recent=RecentSuccesses(),
        origins=Origins(),
        logs=AttemptLogs(
            asyncio.get_running_loop(),
            clock,
            logging.getLevelNamesMapping()[settings.log_level.upper()],
            _number_of(node),
        ),
        begun_at=clock.now(),
        actor=actor,
        memory=store.state if type(store) is MemoryStore else None,
    )


def _number_of(node: str) -> int:
    """A number for a node, as good as unique: it fits into a column."""
    return int.from_bytes(blake2b(node.encode(), digest_size=8).digest(), "big", signed=True)


def _pools(store: Store, node: str, alarms: Alarms) -> AnyPools:
    if store.cluster is None:
        return Pools(store.pools)
    from flowstone.runtime.cluster.node_pools import NodePools  # noqa: PLC0415 - few runtimes need it

    return NodePools(node, store.cluster.pools, store.pools, alarms)


def _rates(store: Store, clock: Clock) -> Rates:
    if store.cluster is None:
        return Rates(clock)
    from flowstone.runtime.cluster.node_rates import NodeRates  # noqa: PLC0415 - few runtimes need it

    return NodeRates(clock, store.cluster.rates)


def runs_of(ctx: RuntimeContext, *, worker: bool) -> LocalRuns:
    """The runs it drives; other nodes may execute steps of them where the store is shared."""
    cluster = ctx.store.cluster
    if cluster is None:
        return LocalRuns(ctx, None, worker=worker)
    from flowstone.runtime.cluster.step_leases import StepLeases  # noqa: PLC0415 - few runtimes need it

    return LocalRuns(ctx, partial(StepLeases, ctx, cluster), worker=worker)


def node_watch_of(ctx: RuntimeContext) -> NodeWatch | None:
    """What looks at the nodes of its store; None where no other process can share it."""
    if ctx.store.cluster is None:
        return None
    from flowstone.runtime.cluster.node_watch import NodeWatch  # noqa: PLC0415 - few runtimes need it

    return NodeWatch(ctx.store.cluster, ctx.clock)


def membership_of(
    ctx: RuntimeContext, runs: LocalRuns, *, worker: bool, automate: bool, tree: Callable[[], ProcessInfo]
) -> Membership | None:
    """Its membership of the cluster; None where no other process can share the store."""
    cluster = ctx.store.cluster
    if cluster is None:
        return None
    warn_of_memory(ctx.managers)
    from flowstone.runtime.cluster.membership import Membership  # noqa: PLC0415 - few runtimes need it

    return Membership(ctx, runs, cluster, worker=worker, automate=automate, tree=tree)
