"""What the cluster's processes have in common: woken by notifications and by time, never stopped by an outage."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from flowstone.errors import StoreUnavailable
from flowstone.runtime.cluster.poller import Poller
from flowstone.runtime.services.notifications import Notifications
from flowstone.store.cluster import Notification


class Counter(Poller):
    """Counts its polls; each takes the next of `errors`, if there is one."""

    kinds = ("queued", "look")
    unanswered = "it does not count"

    def __init__(self, ctx, patience=None):
        super().__init__(ctx)
        self.polls = []
        self.errors = []
        self.patience = patience

    def _patience(self):
        return self.patience

    async def _poll(self):
        self.polls.append(self._ctx.clock.monotonic())
        if self.errors:
            raise self.errors.pop()


@pytest.fixture
def ctx(clock):
    """As much of a runtime as a poller needs; its outages and alarms are kept."""
    said = []
    return SimpleNamespace(
        clock=clock,
        notifications=Notifications(),
        said=said,
        peers=SimpleNamespace(outage=lambda: said.append("outage")),
        alarms=SimpleNamespace(set=lambda *alarm: said.append(alarm)),
    )


def begin(background, poller):
    """Run it until the test ends."""
    return background(poller.run(lambda: None))


async def test_it_polls_once_for_all_that_was_heard_since_the_last_poll(ctx, background):
    """And not for what it did not ask to hear, nor before anything is heard."""
    counter = Counter(ctx)
    begin(background, counter)
    await ctx.clock.settle()
    assert counter.polls == []
    for kind in ("queued", "look", "queued", "nodes"):
        ctx.notifications.heard(Notification(kind))
    await ctx.clock.settle()
    assert len(counter.polls) == 1
    ctx.notifications.heard(Notification("tree"))
    await ctx.clock.settle()
    assert len(counter.polls) == 1


async def test_it_polls_when_its_patience_ends_though_nothing_is_heard(ctx, background):
    """Counted from the last poll."""
    counter = Counter(ctx, patience=2.0)
    begin(background, counter)
    await ctx.clock.advance(5.0)
    ctx.notifications.heard(Notification("look"))
    await ctx.clock.advance(2.0)
    assert counter.polls == [2.0, 4.0, 5.0, 7.0]


async def test_a_store_that_does_not_answer_is_told_of_and_asked_again(ctx, background):
    """Time in which nobody could be heard is not held against the other nodes."""
    counter = Counter(ctx)
    counter.errors = [StoreUnavailable("it restarts")]
    begin(background, counter)
    await ctx.clock.settle()
    for _ in range(2):
        ctx.notifications.heard(Notification("look"))
        await ctx.clock.settle()
    assert len(counter.polls) == 2
    assert ctx.said == ["outage", ("store", "it does not count: it restarts")]


async def test_it_listens_no_more_when_it_has_stopped(ctx, background):
    """The process that takes its place is not woken twice."""
    counter = Counter(ctx)
    task = begin(background, counter)
    await ctx.clock.settle()
    task.cancel()
    await ctx.clock.settle()
    ctx.notifications.heard(Notification("look"))
    await ctx.clock.settle()
    assert counter.polls == []
    assert not any(ctx.notifications._listeners.values())
