"""How one runtime is put together: everything that its parts share is made here, once, and passed down."""

from __future__ import annotations

import asyncio
import os
import socket
from functools import partial
from typing import TYPE_CHECKING

from flowstone.alarms import Alarms
from flowstone.runtime.admission import Admission
from flowstone.runtime.events import EventStream
from flowstone.runtime.failure_log import FailureLog
from flowstone.runtime.loop_affinity import LoopAffinity
from flowstone.runtime.managers import warn_of_memory
from flowstone.runtime.notices import Notices
from flowstone.runtime.peers import Peers
from flowstone.runtime.processes import Processes
from flowstone.runtime.runs import Runs
from flowstone.runtime.services import Services
from flowstone.runtime.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from random import Random

    from flowstone.actors import Clock, ProcessInfo
    from flowstone.assets.snapshot import Snapshot
    from flowstone.io.manager import IOManager
    from flowstone.runtime.membership import Membership
    from flowstone.runtime.options import Options
    from flowstone.store.protocol import Store

__all__ = ["membership_of", "runs_of", "services_of"]


def services_of(
    store: Store,
    managers: Mapping[str, IOManager],
    snapshot: Snapshot,
    settings: Options,
    clock: Clock,
    random: Random,
) -> Services:
    """The services of a runtime that is being entered, on the event loop that runs."""
    return Services(
        affinity=LoopAffinity(asyncio.get_running_loop()),
        node=f"{socket.gethostname()}-{os.getpid()}-{random.getrandbits(32):08x}",
        snapshot=snapshot,
        settings=settings,
        clock=clock,
        random=random,
        store=store,
        stream=EventStream(),
        admission=Admission(settings.max_concurrency),
        threads=Threads(settings.max_threads),
        processes=Processes(),
        managers=managers,
        io={},
        resources={},
        notices=Notices(),
        peers=Peers(clock, settings.lease),
        failures=FailureLog(),
        alarms=Alarms(),
    )


def runs_of(services: Services) -> Runs:
    """The runs it drives; other nodes may execute steps of them where the store is shared."""
    cluster = services.store.cluster
    if cluster is None:
        return Runs(services, None)
    from flowstone.runtime.lending import Lending  # noqa: PLC0415 - few runtimes need it

    return Runs(services, partial(Lending, services, cluster))


def membership_of(
    services: Services, runs: Runs, *, worker: bool, tree: Callable[[], ProcessInfo]
) -> Membership | None:
    """Its membership of the cluster; None where no other process can share the store."""
    cluster = services.store.cluster
    if cluster is None:
        return None
    warn_of_memory(services.managers)
    from flowstone.runtime.membership import Membership  # noqa: PLC0415 - few runtimes need it

    return Membership(services, runs, cluster, worker=worker, tree=tree)
