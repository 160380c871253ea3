"""The whole supervision tree of a runtime, on one screen.

    runtime              rest_for_one
    ├─ store             owns the store: retention, and closing it last
    ├─ services          one_for_one
    │  ├─ asset_registry   publishes immutable graph snapshots
    │  ├─ io_managers      one_for_one: one process per IO manager
    │  ├─ resources        one_for_one: one process per resource; torn down in reverse order
    │  ├─ events           fan-out to subscribers
    │  └─ logs             writes what attempts log and print
    ├─ runs              dynamic: one supervisor per run that outlives its first turn (run/tree.py), temporary
    │  ├─ cancel:<run id>  sees to a cancel whose caller could not wait for it (run/abandoned_runs.py)
    │  └─ <run id>         one_for_all
    │     ├─ steps           one task per attempt: user code meets us here
    │     └─ coordinator     significant: drives the pure state machine
    ├─ cluster           rest_for_one; only where several nodes share the store (cluster/tree.py)
    │  ├─ notifications    receives what other nodes say
    │  ├─ membership       joins, watches the other nodes, gives up what was lost, leaves
    │  ├─ pools            asks for slots of pools, and gives them back
    │  ├─ rates            reserves turns of rates
    │  ├─ cancellations    stops runs that were cancelled on another node
    │  ├─ wake_ups         tells runs that steps of theirs were woken
    │  ├─ timekeeper       wakes what waits for an instant, on one node for all
    │  ├─ leases           one_for_all; only with `worker=True`, as the next
    │  │  ├─ steps           one task per attempt that is executed for another node
    │  │  └─ executor        takes the step leases given to this node
    │  └─ queue            takes runs out of the queue
    ├─ recovery          adopts runs whose owner is gone; goes on with parked runs
    ├─ automation        one_for_one; only with `automate=True` (automation/tree.py)
    │  ├─ definitions      tells the store what is defined
    │  ├─ schedule:<name>  fires at its ticks, on one node for all
    │  ├─ deliveries       hears when there is something for those who follow events
    │  ├─ freshness        tells of values that have become too old, on one node for all
    │  ├─ sensor:<name>    looks, on one node for all
    │  ├─ conditions:<pipeline>  starts assets whose condition holds, on one node for all
    │  └─ listener:<name>  one_for_all: delivers events, on one node for all
    │     ├─ calls           one task per call: user code meets us here as well
    │     └─ listener        reads what is to be delivered
    └─ watchman          last child, so the first to stop: drains

Children start from top to bottom and stop from bottom to top. Rest_for_one, because what stands below uses what
stands above: if the services' supervisor dies, the runs that used them start again from their records.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

from flowstone.actors import Child, Supervisor
from flowstone.runtime.run.recovery import Recovery
from flowstone.runtime.run.retention import Retention
from flowstone.runtime.run.watchman import Watchman
from flowstone.runtime.services.asset_registry import AssetRegistry
from flowstone.runtime.services.events import Events
from flowstone.runtime.services.io_manager import IOManagerActor
from flowstone.runtime.services.log_writer import LEAVING, LogWriter
from flowstone.runtime.services.resource import ResourceActor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowstone.io.manager import IOManager
    from flowstone.runtime.cluster.membership import Membership
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.local_runs import LocalRuns
    from flowstone.runtime.services.providers import ResourceProvider

__all__ = ["runtime_tree"]


def runtime_tree(
    ctx: RuntimeContext,
    runs: LocalRuns,
    io: Mapping[str, IOManager],
    resources: Mapping[str, ResourceProvider[Any]],
    membership: Membership | None = None,
    *,
    worker: bool,
    automate: bool,
) -> Supervisor:
    """The tree of one runtime, not yet started; with a `membership` where several nodes share the store."""
    cluster = ctx.store.cluster
    children: list[Child[Any]] = [
        Child("store", partial(Retention, ctx, runs), shutdown=ctx.settings.shutdown_timeout + 5.0),
        Child("services", partial(_service_children, ctx, io, resources)),
        Child("runs", runs.make_supervisor),
    ]
    if cluster is None or membership is None:
        children.append(Child("recovery", partial(Recovery, ctx, runs, adopt=worker)))
    else:
        from flowstone.runtime.cluster.tree import cluster_children  # noqa: PLC0415 - few runtimes need it

        children += cluster_children(ctx, runs, cluster, membership, worker=worker)
    if automate:
        from flowstone.runtime.automation.tree import automation_tree  # noqa: PLC0415 - few runtimes need it

        children.append(Child("automation", partial(automation_tree, ctx, runs)))
    children.append(Child("watchman", partial(Watchman, ctx, runs), shutdown=math.inf))
    return Supervisor(children, strategy="rest_for_one", name="runtime", clock=ctx.clock)


def _service_children(
    ctx: RuntimeContext, io: Mapping[str, IOManager], resources: Mapping[str, ResourceProvider[Any]]
) -> Supervisor:
    return Supervisor(
        [
            Child("asset_registry", partial(AssetRegistry, ctx.publish)),
            Child("io_managers", partial(_io_managers, ctx, io)),
            Child("resources", partial(_resources, ctx, resources)),
            Child("events", partial(Events, ctx.stream)),
            Child(
                "logs",
                partial(LogWriter, ctx.logs, ctx.store.logs, ctx.clock, ctx.alarms, ctx.random),
                shutdown=LEAVING + 1.0,
            ),
        ]
    )


def _io_managers(ctx: RuntimeContext, io: Mapping[str, IOManager]) -> Supervisor:
    return Supervisor(
        [
            Child(
                name,
                partial(IOManagerActor, name, manager, ctx.io, ctx.clock, ctx.random, ctx.alarms),
            )
            for name, manager in io.items()
        ]
    )


def _resources(ctx: RuntimeContext, resources: Mapping[str, ResourceProvider[Any]]) -> Supervisor:
    return Supervisor(
        [
            Child(
                name,
                partial(
                    ResourceActor,
                    name,
                    provider,
                    ctx.resources,
                    ctx.clock,
                    ctx.random,
                    ctx.alarms,
                ),
                shutdown=ctx.settings.cancel_timeout,
            )
            for name, provider in resources.items()
        ]
    )
