"""How well a runtime is: what does not work, by name, and what it is doing."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Protocol

from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowstone.actors import ProcessInfo
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.local_runs import LocalRuns

__all__ = ["Health", "health"]


class _Checked(Protocol):
    """What can be asked whether it works: a resource, or an IO manager."""

    problem: str | None

    async def check(self) -> str | None:
        """Why it does not work, asked now; or None."""


@frozen
class Health:
    """A runtime's health. True in a condition if everything works.

    Attributes:
        resources: Each resource's problem, or None.
        io: Each IO manager's problem, or None.
        store: The store's problem, or None.
        retried: Runs that this node had to stop and is retrying, by id, and why.
        automations: What does not work at present of automations driven here, by kind and name (`sensor inbox`).
        abandoned: Steps and threads that could not be stopped and still run, by name.
        runs: Live runs.
        steps: Steps that hold a slot.
        waiting: Steps that wait for a slot.
        draining: Whether new runs are refused.
    """

    resources: Mapping[str, str | None] = field(default_factory=dict)
    io: Mapping[str, str | None] = field(default_factory=dict)
    store: str | None = None
    retried: Mapping[str, str] = field(default_factory=dict)
    automations: Mapping[str, str] = field(default_factory=dict)
    abandoned: tuple[str, ...] = ()
    runs: int = 0
    steps: int = 0
    waiting: int = 0
    draining: bool = False

    @property
    def problems(self) -> tuple[str, ...]:
        """What does not work, one phrase each."""
        named = [
            *(f"resource {name!r}: {problem}" for name, problem in self.resources.items() if problem),
            *(f"IO manager {name!r}: {problem}" for name, problem in self.io.items() if problem),
            *(f"run {run_id} is tried again: {why}" for run_id, why in self.retried.items()),
            *(f"{name}: {problem}" for name, problem in self.automations.items()),
            *(f"abandoned: {name}" for name in self.abandoned),
        ]
        if self.store:
            named.append(f"store: {self.store}")
        return tuple(named)

    @property
    def status(self) -> str:
        """`ok`, or `degraded` if anything does not work."""
        return "degraded" if self.problems else "ok"

    def __bool__(self) -> bool:
        return not self.problems


async def health(
    ctx: RuntimeContext, runs: LocalRuns, tree: ProcessInfo, store_problem: str | None, *, ask: bool = True
) -> Health:
    """Ask everything that can be asked, now; or say what is known."""
    from flowstone.runtime.cluster.node_report import retried_runs  # noqa: PLC0415 - only who asks loads it

    admission = ctx.admission.statistics()
    abandoned = [name for process in tree.walk() for name in process.abandoned]
    return Health(
        resources={name: await _problem(process, ask=ask) for name, process in ctx.resources.items()},
        io={name: await _problem(process, ask=ask) for name, process in ctx.io.items()},
        store=store_problem,
        retried=retried_runs(runs),
        automations=dict(ctx.automation_problems),
        abandoned=(*abandoned, *ctx.threads.statistics().abandoned),
        runs=sum(not run.over for run in runs.live.values()),
        steps=admission.taken,
        waiting=admission.waiting,
        draining=not runs.open,
    )


async def _problem(process: _Checked, *, ask: bool) -> str | None:
    return await process.check() if ask else process.problem
