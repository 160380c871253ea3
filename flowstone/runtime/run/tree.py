"""The tree of one run: what fails together and ends together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.actors import Child, Supervisor, TaskSupervisor
from flowstone.runtime.run.coordinator import RunCoordinator

if TYPE_CHECKING:
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.live_run import LiveRun
    from flowstone.runtime.run.remote_steps import Spread

__all__ = ["run_tree"]


def run_tree(ctx: RuntimeContext, run: LiveRun, spread: Spread | None) -> Supervisor:
    """One_for_all: a coordinator that crashed must not meet attempts of its last incarnation.

    The coordinator is significant: when it ends, the run's tree ends. Three crashes a minute are bugs that a
    fourth start would not cure.
    """
    steps: list[TaskSupervisor] = []

    def make_steps() -> TaskSupervisor:
        steps[:] = [TaskSupervisor(shutdown=ctx.settings.cancel_timeout)]
        return steps[0]

    return Supervisor(
        [
            Child("steps", make_steps),
            Child(
                "coordinator",
                lambda: RunCoordinator(ctx, run, steps[0], spread),
                restart="transient",
                shutdown=ctx.settings.cancel_timeout,
                significant=True,
                mailbox=_mailbox(ctx, run),
            ),
        ],
        strategy="one_for_all",
        auto_shutdown="any_significant",
        max_restarts=3,
        within=60.0,
    )


def _mailbox(ctx: RuntimeContext, run: LiveRun) -> int:
    """Room for a message from everything that can be under way at once, so that no end of a step is refused."""
    parallel = run.record.request.max_parallel or ctx.settings.max_concurrency
    return 1000 + 3 * parallel
