"""What is said of a run that waits for a node or a process, or for its steps."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from flowstone.cli.drivers import Drivers
from flowstone.cli.queued import nobody_goes_on, why_waiting, without_node
from flowstone.runs.records import RunRecord, RunSpec, Status
from flowstone.runs.running_step import RunningStep
from flowstone.store.cluster import Node, NodeReport, WatchedNode

NOW = datetime(2025, 1, 1, tzinfo=UTC)


def node(
    *pipelines: str,
    age: float = 1.0,
    unfit: str | None = None,
    name: str = "n",
    gone: bool = False,
    resumes: tuple[str, ...] = (),
) -> WatchedNode:
    """A node, and why it cannot run `run()`."""
    about = Node(name, "host", 1, "1", pipelines, 4, 15.0)
    report = NodeReport(unfit={} if unfit is None else {"01": unfit}, resumes=resumes)
    return WatchedNode(about, NOW, NOW, age, gone=gone, runs=0, clock_skew=0, report=report)


def run(status: Status = Status.QUEUED, owner: str | None = None) -> RunRecord:
    return RunRecord("01", "shop", RunSpec("materialize", "report"), status, NOW, owner=owner)


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ((), "none is alive: start `flowstone serve MODULE:PIPELINE`"),
        ((node("shop", age=100.0),), "none is alive"),
        ((node(),), "none is alive"),  # A program that drives runs of its own takes no other.
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
def test_a_queued_run_says_for_whom_it_waits(nodes, said):
    """No node, none of its pipeline, none that can run it, or room on one; also when it was handed back."""
    assert said in why_waiting(Drivers(nodes), run())
    assert said in why_waiting(Drivers(nodes), run(Status.RUNNING))


def test_only_of_a_queued_run_that_no_node_would_take_it_is_said_at_once():
    """What is submitted is told so; with a node that holds the pipeline, or when one has taken it, nothing."""
    assert "none is alive" in without_node(Drivers(()), run())
    assert "for a node that holds 'shop'" in without_node(Drivers([node("other")]), run())
    assert without_node(Drivers([node("shop")]), run()) is None
    assert without_node(Drivers(()), run(Status.RUNNING, "n")) is None


def test_a_parked_run_waits_for_its_steps_and_not_for_a_node():
    """Whatever the nodes are, and in a store of a single process as well; without any, it says what to start."""
    parked = run(Status.WAITING)
    told = "for its steps, which sleep or wait for an answer: `flowstone approvals` lists what to approve"
    for some in (Drivers([node("shop")]), Drivers(None, in_use=True), Drivers(None)):
        assert why_waiting(some, parked) == told
        assert some.mark(parked) == ""
    for none in (Drivers([]), Drivers([node("other")])):
        assert why_waiting(none, parked).startswith(
            f"{told}. No node holds 'shop' now: start `flowstone serve"
        )
    assert why_waiting(Drivers(None, in_use=False), parked) == (
        f"{told}. No process has the store now: `flowstone serve MODULE:PIPELINE` goes on with it"
    )


def test_other_runs_wait_for_nobody():
    """One that is over, or that somebody drives; nor is anything said of a store of which that is not known."""
    living = Drivers([node("shop")])
    for drivers in (living, Drivers(None), Drivers(None, in_use=True)):
        assert why_waiting(drivers, run(Status.RUNNING, "n")) is None
        assert drivers.mark(run(Status.RUNNING, "n")) == ""
    for drivers in (living, Drivers([]), Drivers(None, in_use=False)):
        assert why_waiting(drivers, run(Status.CANCELLED, "n")) is None
        assert nobody_goes_on(drivers, run(Status.CANCELLED)) is None
        assert drivers.mark(run(Status.FAILED)) == ""
    assert why_waiting(Drivers(None), run()) is None


@pytest.mark.parametrize(
    ("nodes", "mark", "said"),
    [
        ((), "no node", "for its node n, which is gone; no other node holds 'shop'"),
        ((node("shop", gone=True),), "no node", "for its node n, which has stopped; no other"),
        (
            (node("shop", age=8.2),),
            "no heartbeat for 8 s",
            "for its node n, which has sent no heartbeat for 8 s, since 00:00:00 UTC; no other node holds 'shop'",
        ),
        (
            (node("shop", age=100.0), node("shop", name="other")),
            "no heartbeat for 1 min 40 s",
            "another node that holds 'shop' goes on with the run once it has watched that for a lease",
        ),
    ],
)
def test_a_node_that_is_silent_is_told_before_its_lease_is_over(nodes, mark, said):
    """Of each run that it drives: its record says `running` until another node has taken it over."""
    drivers = Drivers(nodes)
    assert drivers.mark(run(Status.RUNNING, "n")) == mark
    assert said in why_waiting(drivers, run(Status.RUNNING, "n"))


def test_a_run_that_no_process_drives_says_so():
    """In a store of a single process, after a kill or when a step of it was woken by a command."""
    nobody = Drivers(None, in_use=False)
    for left in (run(Status.RUNNING, "n"), run(Status.RUNNING), run()):
        assert nobody.mark(left) == "no process"
        assert why_waiting(nobody, left) == (
            "for a process, and none has the store: `flowstone serve MODULE:PIPELINE` goes on with it"
        )
    other = Drivers(None, in_use=True)  # A command that does not go on with runs of others.
    assert other.mark(run(Status.RUNNING)) == "no process"
    assert "When the one that has the store now has ended" in why_waiting(other, run(Status.RUNNING))
    known = Drivers(None, in_use=True, holder=4711)
    assert known.mark(run(Status.RUNNING, "web1-4712-9c0f2a1b")) == "no process"
    assert known.mark(run(Status.RUNNING, "web1-4711-9c0f2a1b")) == ""


def test_of_a_run_in_the_queue_the_status_says_so():
    """It was running before: a step of it was woken, or its node has stopped."""
    assert Drivers([node("shop")]).mark(run(Status.RUNNING)) == "in the queue"
    assert Drivers([node("other")]).mark(run(Status.RUNNING)) == "no node"


def test_whoever_answers_is_told_that_nobody_goes_on():
    """With what to start; nothing if somebody is there."""
    woken = run(Status.RUNNING)
    assert nobody_goes_on(Drivers(None, in_use=False), woken) == (
        "Nobody drives run 01 now: `flowstone serve MODULE:PIPELINE` goes on with it."
    )
    assert nobody_goes_on(Drivers([node("other")]), woken) == (
        "Nobody drives run 01 now. It waits for a node that holds 'shop' (1 other node alive, of other pipelines): "
        "start `flowstone serve MODULE:PIPELINE`."
    )
    assert nobody_goes_on(Drivers([node("shop")]), woken) is None
    assert nobody_goes_on(Drivers(None, in_use=True), woken) is None


def test_a_process_that_waits_for_a_run_goes_on_with_it():
    """Its node holds no pipeline, and takes no other run; while it drives the run as well."""
    waiting, owner = Drivers([node(resumes=("01",))]), Drivers([node()])
    woken, driven = run(Status.RUNNING), run(Status.RUNNING, "n")
    assert nobody_goes_on(waiting, woken) is None
    assert why_waiting(waiting, woken) == "for the process that waits for it, which goes on with it"
    assert waiting.mark(woken) == "in the queue"
    assert nobody_goes_on(owner, driven) is None
    assert "Nobody drives run 01 now. It waits for a node" in nobody_goes_on(owner, woken)


def test_whoever_answers_is_told_how_long_the_last_process_has_been_silent():
    """Within its lease it may have been killed, and that it lives is not known; after the lease it is gone."""
    woken = run(Status.RUNNING)
    assert nobody_goes_on(Drivers([node(age=9.0, resumes=("01",))]), woken) == (
        "Run 01 is to go on in the node n, which has sent no heartbeat for 9 s, since 00:00:00 UTC. If that was "
        "killed, nobody drives the run: start `flowstone serve MODULE:PIPELINE`, which goes on with it."
    )
    assert nobody_goes_on(Drivers([node("shop", age=100.0)]), woken) == (
        "Nobody drives run 01 now. The node n would go on with it, but has sent no heartbeat for 1 min 40 s, since "
        "00:00:00 UTC. It waits for a node, and none is alive: start `flowstone serve MODULE:PIPELINE`."
    )
    assert nobody_goes_on(Drivers([node("shop", age=9.0), node("shop", name="m")]), woken) is None


def test_runs_of_a_node_on_which_a_step_runs_alone_wait_for_it():
    """Of its own run it is said if that has other steps; of those of other nodes nothing."""
    step = RunningStep("02", "raw", None, 2, "n", NOW, alone=True)
    busy = node("shop")
    drivers = Drivers([replace(busy, report=NodeReport(running=(step,))), node("shop", name="other")])
    said = "until raw of run 02, which was in flight when its node was lost, has ended alone"
    assert why_waiting(drivers, run(Status.RUNNING, "n")) == said
    assert why_waiting(drivers, run(Status.RUNNING, "other")) is None
    own = replace(run(Status.RUNNING, "n"), id="02")
    assert why_waiting(drivers, own) is None
    assert why_waiting(drivers, replace(own, total=2)) == said.replace("raw of run 02", "its step raw")
    calm = replace(step, alone=False)
    assert why_waiting(Drivers([replace(busy, report=NodeReport(running=(calm,)))]), own) is None
