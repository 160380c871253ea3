"""Which kind of attempt a step has: nearly all of a run have the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.runtime.run.attempt import Attempt
from flowstone.runtime.run.memory_attempt import MemoryAttempt

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.actors import TaskSupervisor
    from flowstone.runs.plan import RunPlan
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.remote_steps import RemoteSteps

__all__ = ["attempt_maker"]


def attempt_maker(
    ctx: RuntimeContext, plan: RunPlan, steps: TaskSupervisor, remote: RemoteSteps | None
) -> Callable[..., Attempt]:
    """What makes the attempts of a run; called as `Attempt` is.

    Args:
        ctx: What the runtime offers.
        plan: The plan of the run.
        steps: Where attempts run.
        remote: What lets other nodes go through items, if there may be other nodes.
    """
    usual = Attempt if ctx.memory is None else MemoryAttempt
    scatters = plan.graph.scatters
    if not scatters:
        return usual
    from flowstone.runtime.run.scatter import Scatter  # noqa: PLC0415 - few pipelines need it

    def make(
        ctx: RuntimeContext, plan: RunPlan, run_id: str, epoch: int, step: int, number: int, **options: Any
    ) -> Attempt:
        name = plan.of(step).asset
        if plan.graph.assets[name].is_reader:
            from flowstone.runtime.run.reader import Reader  # noqa: PLC0415 - as above

            return Reader(ctx, plan, run_id, epoch, step, number, **options).reads(steps)
        if plan.graph.assets[name].each is not None:
            return Scatter(ctx, plan, run_id, epoch, step, number, **options).drives(steps, remote)
        # What is given to those that take the value of such an asset takes more than a look-up.
        kind = Attempt if name in scatters else usual
        return kind(ctx, plan, run_id, epoch, step, number, **options)

    return make
