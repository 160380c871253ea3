"""What is said of a run that waits for a node, or for its steps."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from flowstone.cli.queued import why_waiting, without_node
from flowstone.runs.records import RunRecord, RunRequest, Status
from flowstone.store.cluster import Node, NodeReport, WatchedNode

NOW = datetime(2025, 1, 1, tzinfo=UTC)


class Queue:
    """A store that knows these nodes."""

    def __init__(self, *nodes: WatchedNode) -> None:
        self.cluster = self
        self._nodes = nodes

    async def nodes(self) -> tuple[WatchedNode, ...]:
        return self._nodes


def node(*pipelines: str, age: float = 1.0, unfit: str | None = None) -> WatchedNode:
    """A node, and why it cannot run `run()`."""
    about = Node("n", "host", 1, "1", pipelines, 4, 15.0)
    report = NodeReport(unfit={} if unfit is None else {"01": unfit})
    return WatchedNode(about, NOW, NOW, age, gone=False, runs=0, clock_skew=0, report=report)


def run(status: Status = Status.QUEUED, owner: str | None = None) -> RunRecord:
    return RunRecord("01", "shop", RunRequest("materialize", "report"), status, NOW, owner=owner)


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ((), "none is alive: start `flowstone worker MODULE:PIPELINE`"),
        ((node("shop", age=100.0),), "none is alive"),
        ((node("other"),), "for a node that holds 'shop' (1 other node alive, of other pipelines)"),
        ((node("other"), node("shop")), "for room on 1 node holding 'shop': `flowstone tree`"),
        (
            (node("shop", unfit="no such asset."), node("shop", age=100.0)),
            "none of 1 node holding 'shop' can: no such asset. `flowstone cancel 01` takes it out",
        ),
        (
            (node("shop"), node("shop", unfit="no such asset.")),
            "`flowstone tree` shows what they do; 1 other node cannot run it: no such asset.",
        ),
    ],
)
async def test_a_queued_run_says_for_whom_it_waits(nodes, said):
    """No node, none of its pipeline, none that can run it, or room on one; also when it was handed back."""
    assert said in await why_waiting(Queue(*nodes), run())
    assert said in await why_waiting(Queue(*nodes), run(Status.RUNNING))


async def test_only_of_a_queued_run_that_no_node_would_take_it_is_said_at_once():
    """What is submitted is told so; with a node that holds the pipeline, or when one has taken it, nothing."""
    assert "none is alive" in await without_node(Queue(), run())
    assert "for a node that holds 'shop'" in await without_node(Queue(node("other")), run())
    assert await without_node(Queue(node("shop")), run()) is None
    assert await without_node(Queue(), run(Status.RUNNING, "n")) is None


async def test_a_parked_run_waits_for_its_steps_and_not_for_a_node():
    """Whatever the nodes are, and in a store of a single process as well."""
    for nodes in ((), (node("other"),), (node("shop"),)):
        assert "`flowstone approvals`" in await why_waiting(Queue(*nodes), run(Status.WAITING))
    alone = Queue()
    alone.cluster = None
    assert "`flowstone approvals`" in await why_waiting(alone, run(Status.WAITING))


async def test_other_runs_wait_for_nobody():
    """Nor does one in a store of a single process."""
    assert await why_waiting(Queue(), run(Status.RUNNING, "n")) is None
    assert await why_waiting(Queue(), run(Status.CANCELLED)) is None
    alone = Queue()
    alone.cluster = None
    assert await why_waiting(alone, run()) is None
