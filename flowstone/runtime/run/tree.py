"""The tree of one run: what fails together and ends together."""

from __future__ import annotations

from contextvars import Context
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flowstone.actors import Child, ProcessInfo, Supervisor, TaskSupervisor
from flowstone.actors.early import EarlyMe, begin_early
from flowstone.actors.tasks import NORMAL
from flowstone.runtime.run.coordinator import RunCoordinator

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.live_run import LiveRun
    from flowstone.runtime.run.remote_steps import Spread

__all__ = ["FirstTurn", "run_tree", "with_first_turns"]


class FirstTurn:
    """The first turn of a run, before it has a tree: many a run of a few steps is over when it ends.

    Coordinator and attempts are the very objects that the tree would be made of. If anything of the run is left
    after the turn (an attempt that waits, a retry, an error of ours), they become the first children of its tree,
    and all goes on as if they had been there from the beginning.

    A tree costs two tasks, three processes and four turns of the loop: twice as much as a step. What nobody can see
    or stop while it runs needs no supervisor; a turn of the loop is such a thing.
    """

    def __init__(self, ctx: RuntimeContext, run: LiveRun) -> None:
        self.steps = TaskSupervisor(shutdown=ctx.settings.cancel_timeout, name="steps")
        self.coordinator = RunCoordinator(ctx, run, self.steps)
        self._me = EarlyMe(ctx.clock)
        self._id = run.record.id

    def take(self, runs: Supervisor) -> bool:
        """Take it, below the supervisor of the runs; whether the run is over, and needs no tree."""
        if not begin_early(self.steps, runs, f"{self._id}.steps"):
            return False
        me = self._me
        try:
            # In a context of its own, as an actor.
            Context().run(_run_through, self.coordinator.begin(me))
        except BaseException as error:
            me.error = error
        if not me.stopped or me.error is not None or next(self.steps.running, None) is not None:
            return False
        self.coordinator.on_stop(NORMAL)
        return True

    async def drop(self) -> None:
        """There will be no tree for it: begin nothing more, and stop what has begun."""
        self._me.stop()
        self.coordinator.on_stop(NORMAL)
        await self.steps.stop()

    def info(self) -> ProcessInfo:
        """The run in `tree()`, as long as it has none of its own."""
        coordinator = ProcessInfo("coordinator", "actor", "running")
        return ProcessInfo(self._id, "supervisor", "running", children=(self.steps.tree(), coordinator))


def with_first_turns(tree: ProcessInfo, begun: Mapping[str, FirstTurn]) -> ProcessInfo:
    """The runtime's tree, with the runs in it that have none of their own yet."""
    if not begun:
        return tree
    first_turns = {run_id: first.info() for run_id, first in begun.items()}

    def with_runs(runs: ProcessInfo) -> ProcessInfo:
        others = {run.name: run for run in runs.children}
        return replace(runs, children=tuple((others | first_turns).values()))

    children = (with_runs(each) if each.name == "runs" else each for each in tree.children)
    return replace(tree, children=tuple(children))


def _run_through(coroutine: Coroutine[Any, Any, None]) -> None:
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
    raise RuntimeError("the first turn of a run in memory has nothing to wait for, and did")


def run_tree(
    ctx: RuntimeContext, run: LiveRun, spread: Spread | None, begun: dict[str, FirstTurn]
) -> Supervisor:
    """One_for_all: a coordinator that crashed must not meet attempts of its last incarnation.

    The coordinator is significant: when it ends, the run's tree ends. Three crashes a minute are bugs that a
    fourth start would not cure.

    Args:
        ctx: What the runtime offers.
        run: The run.
        spread: What lets other nodes execute steps, if there may be other nodes.
        begun: The runs that have taken their first turn, by id. The first start takes this run out of it.
    """
    steps: list[TaskSupervisor] = []

    def make_steps() -> TaskSupervisor:
        first = begun.get(run.record.id)
        steps[:] = [TaskSupervisor(shutdown=ctx.settings.cancel_timeout) if first is None else first.steps]
        return steps[0]

    def make_coordinator() -> RunCoordinator:
        first = begun.pop(run.record.id, None)
        return RunCoordinator(ctx, run, steps[0], spread) if first is None else first.coordinator

    return Supervisor(
        [
            Child("steps", make_steps),
            Child(
                "coordinator",
                make_coordinator,
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
