"""The part of the tree that only runtimes on a shared store have; `tree.py` draws it in its place."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from flowstone.actors import Child, Supervisor, TaskSupervisor
from flowstone.runtime.adoption import Adoption
from flowstone.runtime.cancellations import Cancellations
from flowstone.runtime.claimant import Claimant
from flowstone.runtime.notices import NoticeBoard
from flowstone.runtime.step_executor import StepExecutor

if TYPE_CHECKING:
    from flowstone.runtime.membership import Membership
    from flowstone.runtime.runs import Runs
    from flowstone.runtime.services import Services
    from flowstone.store.cluster import Cluster

__all__ = ["cluster_children"]

_LAST_WORDS = 2.0  # Seconds to tell the store that this node leaves; others find out without it.


def cluster_children(
    services: Services, runs: Runs, cluster: Cluster, membership: Membership, *, worker: bool
) -> list[Child[Any]]:
    """What stands between the runs and the watchman: the cluster's own processes, and recovery."""
    return [
        Child("cluster", partial(_cluster, services, runs, cluster, membership, worker=worker)),
        Child("recovery", partial(Adoption, services, runs, cluster, adopt=worker)),
    ]


def _cluster(
    services: Services, runs: Runs, cluster: Cluster, membership: Membership, *, worker: bool
) -> Supervisor:
    children: list[Child[Any]] = [
        Child("notices", partial(NoticeBoard, cluster, services.notices)),
        Child("membership", lambda: membership, shutdown=_LAST_WORDS),
        Child("cancellations", partial(Cancellations, services, runs, cluster)),
    ]
    if worker:
        children.append(Child("lent", partial(_lent, services, runs, cluster)))
        children.append(Child("claimant", partial(Claimant, services, runs, cluster)))
    return Supervisor(children, strategy="rest_for_one")


def _lent(services: Services, runs: Runs, cluster: Cluster) -> Supervisor:
    """One_for_all: an executor that crashed must not meet attempts that it does not know."""
    steps: list[TaskSupervisor] = []

    def make_steps() -> TaskSupervisor:
        steps[:] = [TaskSupervisor(shutdown=services.settings.cancel_timeout)]
        return steps[0]

    return Supervisor(
        [
            Child("steps", make_steps),
            Child("executor", lambda: StepExecutor(services, runs, cluster, steps[0]), shutdown=_LAST_WORDS),
        ],
        strategy="one_for_all",
    )
