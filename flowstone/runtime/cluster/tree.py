"""The part of the tree that only runtimes on a shared store have; `tree.py` draws it in its place."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from flowstone.actors import Child, Supervisor, TaskSupervisor
from flowstone.runtime.cluster.adoption import Adoption
from flowstone.runtime.cluster.membership import Cancellations
from flowstone.runtime.cluster.node_pools import NodePools, PoolExchange
from flowstone.runtime.cluster.node_rates import NodeRates, TurnReservation
from flowstone.runtime.cluster.queue_consumer import QueueConsumer
from flowstone.runtime.cluster.step_executor import StepExecutor
from flowstone.runtime.cluster.timekeeper import Timekeeper, WakeUps
from flowstone.runtime.services.notifications import NotificationListener

if TYPE_CHECKING:
    from flowstone.runtime.cluster.membership import Membership
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.local_runs import LocalRuns
    from flowstone.store.cluster import Cluster

__all__ = ["cluster_children"]

_LAST_WORDS = 2.0  # Seconds to tell the store that this node leaves; others find out without it.


def cluster_children(
    ctx: RuntimeContext, runs: LocalRuns, cluster: Cluster, membership: Membership, *, worker: bool
) -> list[Child[Any]]:
    """What stands between the runs and the watchman: the cluster's own processes, and recovery."""
    return [
        Child("cluster", partial(_cluster, ctx, runs, cluster, membership, worker=worker)),
        Child("recovery", partial(Adoption, ctx, runs, cluster, adopt=worker)),
    ]


def _cluster(
    ctx: RuntimeContext, runs: LocalRuns, cluster: Cluster, membership: Membership, *, worker: bool
) -> Supervisor:
    pools, rates = ctx.admission.pools, ctx.admission.rates
    assert isinstance(pools, NodePools), "see composition.py"
    assert isinstance(rates, NodeRates), "see composition.py"
    children: list[Child[Any]] = [
        Child("notifications", partial(NotificationListener, cluster, ctx.notifications)),
        Child("membership", membership.process, shutdown=_LAST_WORDS),
        Child("pools", partial(PoolExchange, ctx, pools)),
        Child("rates", partial(TurnReservation, ctx, rates)),
        Child("cancellations", partial(Cancellations, ctx, runs, cluster)),
        Child("wake_ups", partial(WakeUps, ctx, runs)),
        Child("timekeeper", partial(Timekeeper, ctx, cluster)),
    ]
    if worker:
        children.append(Child("leases", partial(_lent, ctx, runs, cluster)))
        children.append(Child("queue", partial(QueueConsumer, ctx, runs, cluster)))
    return Supervisor(children, strategy="rest_for_one")


def _lent(ctx: RuntimeContext, runs: LocalRuns, cluster: Cluster) -> Supervisor:
    """One_for_all: an executor that crashed must not meet attempts that it does not know."""
    steps: list[TaskSupervisor] = []

    def make_steps() -> TaskSupervisor:
        steps[:] = [TaskSupervisor(shutdown=ctx.settings.cancel_timeout)]
        return steps[0]

    return Supervisor(
        [
            Child("steps", make_steps),
            Child("executor", lambda: StepExecutor(ctx, runs, cluster, steps[0]), shutdown=_LAST_WORDS),
        ],
        strategy="one_for_all",
    )
