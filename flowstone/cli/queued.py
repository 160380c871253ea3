"""What an unfinished run waits for: a node or a process that goes on with it, or its steps; and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.cli.drivers import refusals
from flowstone.counting import count
from flowstone.printable import one_line
from flowstone.runs.records import Status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowstone.cli.drivers import Drivers
    from flowstone.runs.records import RunRecord
    from flowstone.store.cluster import WatchedNode

__all__ = ["ALONE", "nobody_goes_on", "why_waiting", "without_node"]

ALONE = "was in flight when its node was lost"
_SERVE = "`flowstone serve MODULE:PIPELINE` goes on with it"
_START = "start `flowstone serve MODULE:PIPELINE`"


def why_waiting(drivers: Drivers, run: RunRecord) -> str | None:
    """What a run waits for, and what to do; None if it waits for nothing that can be told."""
    if run.status.terminal:
        return None
    if run.status is Status.WAITING:
        return _why_parked(drivers, run)
    if drivers.nodes is None:
        return _why_left(drivers) if drivers.left(run) else None
    if run.owner is None:
        return _why_queued(drivers, run)
    return _why_silent(drivers, run) or _why_held_up(drivers, run)


def without_node(drivers: Drivers, run: RunRecord) -> str | None:
    """As `why_waiting`, of a queued run that no living node would take; None for every other one."""
    if run.status is not Status.QUEUED or drivers.nodes is None or drivers.holders(run.pipeline):
        return None
    return _missing_node(drivers.nodes, run.pipeline)


def nobody_goes_on(drivers: Drivers, run: RunRecord) -> str | None:
    """Of a run whose step was woken: that nobody goes on with it now, and what does; None if somebody does."""
    if run.status.terminal:
        return None
    if drivers.nodes is None:
        return f"Nobody drives run {run.id} now: {_SERVE}." if drivers.are_none(run) else None
    silent = drivers.last_silent(run)
    if not drivers.are_none(run):
        if silent is None:
            return None
        return (
            f"Run {run.id} is to go on in the node {silent[0].node.id}, which {silent[1]}. If that was killed, "
            f"nobody drives the run: {_START}, which goes on with it."
        )
    last = "" if silent is None else f" The node {silent[0].node.id} would go on with it, but {silent[1]}."
    return f"Nobody drives run {run.id} now.{last} It waits {_missing_node(drivers.nodes, run.pipeline)}."


def _why_parked(drivers: Drivers, run: RunRecord) -> str:
    words = "for its steps, which sleep or wait for an answer: `flowstone approvals` lists what to approve"
    if not drivers.are_none(run):
        return words
    if drivers.nodes is None:
        return f"{words}. No process has the store now: {_SERVE}"
    return f"{words}. No node holds {run.pipeline!r} now: {_START}, which goes on with it"


def _why_left(drivers: Drivers) -> str:
    if drivers.in_use:
        return f"for a process. When the one that has the store now has ended, {_SERVE}"
    return f"for a process, and none has the store: {_SERVE}"


def _why_silent(drivers: Drivers, run: RunRecord) -> str | None:
    silent = drivers.silent(run)
    if silent is None:
        return None
    others = [each for each in drivers.holders(run.pipeline) if each.node.id != run.owner]
    then = (
        f"another node that holds {run.pipeline!r} goes on with the run once it has watched that for a lease"
        if others
        else f"no other node holds {run.pipeline!r}: {_START}, which goes on with the run"
    )
    return f"for its node {run.owner}, which {silent}; {then}"


def _why_held_up(drivers: Drivers, run: RunRecord) -> str | None:
    for step, watched in drivers.alone():
        if watched.node.id == run.owner and (step.run_id != run.id or run.total > 1):
            of = "its step " if step.run_id == run.id else ""
            whose = "" if step.run_id == run.id else f" of run {step.run_id}"
            return f"until {of}{one_line(step.name)}{whose}, which {ALONE}, has ended alone"
    return None


def _why_queued(drivers: Drivers, run: RunRecord) -> str:
    holders = drivers.holders(run.pipeline)
    if not holders and not drivers.are_none(run):
        return "for the process that waits for it, which goes on with it"
    if not holders:
        return _missing_node(drivers.nodes or (), run.pipeline)
    said = refusals(holders, run.id)
    if len(said) == len(holders):
        return (
            f"for a node that can run it; none of {count(len(holders), 'node')} holding {run.pipeline!r} can: "
            f"{' / '.join(dict.fromkeys(said))} `flowstone cancel {run.id}` takes it out of the queue"
        )
    others = f"; {count(len(said), 'other node')} cannot run it: {said[0]}" if said else ""
    room = f"for room on {count(len(holders) - len(said), 'node')} holding {run.pipeline!r}"
    return f"{room}: `flowstone tree` shows what they do{others}"


def _missing_node(nodes: Iterable[WatchedNode], pipeline: str) -> str:
    # One without pipelines is a program or a command that drives runs of its own.
    alive = sum(watched.seems_alive and bool(watched.node.pipelines) for watched in nodes)
    if not alive:
        return f"for a node, and none is alive: {_START}"
    others = f"{count(alive, 'other node')} alive, of other pipelines"
    return f"for a node that holds {pipeline!r} ({others}): {_START}"
