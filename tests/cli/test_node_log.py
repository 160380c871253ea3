"""What a node tells of its runs, for runs that change their owner meanwhile."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from flowstone.cli.screen import Screen
from flowstone.cli.serving.node_log import NodeLog
from flowstone.runs.events import StepWoken
from flowstone.runs.records import Status
from tests.store import facts

NOW = datetime(2025, 1, 1, tzinfo=UTC)
PARKED = facts.run(status=Status.RUNNING, epoch=1, total=3)


class Node:
    """A runtime that has one run, and its own handle of it."""

    node = "me"

    def __init__(self):
        self.known = PARKED

    async def run(self, run_id):
        return self

    async def record(self):
        return self.known


async def told(*moments, capfd):
    """What is told of these events, each with the owner and the epoch that the run has then."""
    node = Node()

    async def events():
        for event, owner, epoch in moments:
            node.known = replace(PARKED, owner=owner, epoch=epoch)
            yield event

    with Screen() as screen:
        await NodeLog(screen, node).follow(events())
    return [line.partition(" ")[2] for line in capfd.readouterr().err.splitlines()]


WOKEN = StepWoken(NOW, "run-1", "report", None, 1, "nap")


@pytest.mark.parametrize(
    ("owner", "line"),
    [
        ("me", "run run-1 goes on here: materialize all report, 3 steps"),
        ("other", "run run-1: takes steps of materialize all report for the node other"),
    ],
)
async def test_a_parked_run_is_told_of_when_somebody_goes_on_with_it(capfd, owner, line):
    """The event that wakes a step comes before: nobody drives the run then."""
    assert await told((WOKEN, None, 1), (facts.start(), owner, 2), capfd=capfd) == [line]


async def test_a_run_that_nobody_has_driven_is_told_of_when_it_ends(capfd):
    """Such as one that was cancelled while it was parked."""
    (line,) = await told((facts.over(status=Status.CANCELLED), None, 1), capfd=capfd)
    assert line.startswith("run run-1 cancelled after")
