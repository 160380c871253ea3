"""The whole supervision tree of a runtime, on one screen.

    runtime              rest_for_one
    ├─ store             owns the store: retention, and closing it last
    ├─ services          one_for_one
    │  ├─ asset_registry   publishes immutable graph snapshots
    │  ├─ io_managers      one_for_one: one process per IO manager
    │  ├─ resources        one_for_one: one process per resource; torn down in reverse order
    │  └─ events           fan-out to subscribers
    ├─ runs              dynamic: one supervisor per run (run_tree.py), temporary
    │  └─ <run id>         one_for_all
    │     ├─ steps           one task per attempt: user code meets us here
    │     └─ coordinator     significant: drives the pure state machine
    ├─ cluster           rest_for_one; only where several nodes share the store (cluster_tree.py)
    │  ├─ notices          hears what other nodes say
    │  ├─ membership       joins, watches the other nodes, gives up what was lost, leaves
    │  ├─ cancellations    stops runs that were cancelled on another node
    │  ├─ lent             one_for_all; only in a worker, as the next
    │  │  ├─ steps           one task per attempt that is executed for another node
    │  │  └─ executor        takes the step leases given to this node
    │  └─ claimant         takes runs out of the queue
    ├─ recovery          adopts runs whose owner died, or closes them
    └─ watchman          last child, so the first to stop: drains

Children start from top to bottom and stop from bottom to top. Rest_for_one, because what stands below uses what
stands above: if the services' supervisor dies, the runs that used them start again from their records.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

from flowstone.actors import Child, Supervisor
from flowstone.runtime.asset_registry import AssetRegistry
from flowstone.runtime.events import Events
from flowstone.runtime.io_process import IOManagerProcess
from flowstone.runtime.recovery import Recovery
from flowstone.runtime.resource import ResourceProcess
from flowstone.runtime.store_keeper import StoreKeeper
from flowstone.runtime.watchman import Watchman

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowstone.io.manager import IOManager
    from flowstone.runtime.membership import Membership
    from flowstone.runtime.providers import ResourceProvider
    from flowstone.runtime.runs import Runs
    from flowstone.runtime.services import Services

__all__ = ["runtime_tree"]


def runtime_tree(
    services: Services,
    runs: Runs,
    io: Mapping[str, IOManager],
    resources: Mapping[str, ResourceProvider[Any]],
    membership: Membership | None = None,
    *,
    worker: bool,
) -> Supervisor:
    """The tree of one runtime, not yet started; with a `membership` where several nodes share the store."""
    cluster = services.store.cluster
    children: list[Child[Any]] = [
        Child("store", partial(StoreKeeper, services), shutdown=services.settings.shutdown_timeout + 5.0),
        Child("services", partial(_services, services, io, resources)),
        Child("runs", runs.make_supervisor),
    ]
    if cluster is None or membership is None:
        children.append(Child("recovery", partial(Recovery, services, runs, adopt=worker)))
    else:
        from flowstone.runtime.cluster_tree import cluster_children  # noqa: PLC0415 - few runtimes need it

        children += cluster_children(services, runs, cluster, membership, worker=worker)
    children.append(Child("watchman", partial(Watchman, services, runs), shutdown=math.inf))
    return Supervisor(children, strategy="rest_for_one", name="runtime", clock=services.clock)


def _services(
    services: Services, io: Mapping[str, IOManager], resources: Mapping[str, ResourceProvider[Any]]
) -> Supervisor:
    return Supervisor(
        [
            Child("asset_registry", partial(AssetRegistry, services.publish)),
            Child("io_managers", partial(_io_managers, services, io)),
            Child("resources", partial(_resources, services, resources)),
            Child("events", partial(Events, services.stream)),
        ]
    )


def _io_managers(services: Services, io: Mapping[str, IOManager]) -> Supervisor:
    return Supervisor(
        [
            Child(
                name,
                partial(IOManagerProcess, name, manager, services.io, services.clock, services.alarms),
            )
            for name, manager in io.items()
        ]
    )


def _resources(services: Services, resources: Mapping[str, ResourceProvider[Any]]) -> Supervisor:
    return Supervisor(
        [
            Child(
                name,
                partial(
                    ResourceProcess,
                    name,
                    provider,
                    services.resources,
                    services.clock,
                    services.random,
                    services.alarms,
                ),
                shutdown=services.settings.cancel_timeout,
            )
            for name, provider in resources.items()
        ]
    )
