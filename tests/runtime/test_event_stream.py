"""The stream of events by itself: many who listen share what is published, and none can tell."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from hypothesis import example, given
from hypothesis import strategies as st

from flowstone.runs.events import RunStarted, StepStarted
from flowstone.runtime.services import events as module
from flowstone.runtime.services.events import EventStream

AT = datetime(2025, 1, 1, tzinfo=UTC)
RUNS = ("one", "two")
SMALL = 4

CHOICES = [((), None), (("step",), None), (("run.started",), None), ((), "one"), (("step",), "two")]

published = st.builds(
    lambda run, number: (
        StepStarted(AT, run, "a", None, number) if number % 3 else RunStarted(AT, run, "a", number)
    ),
    st.sampled_from(RUNS),
    st.integers(0, 100),
)
deeds = st.one_of(
    st.tuples(st.just("publish"), published),
    st.tuples(st.just("publish"), published),
    st.tuples(st.sampled_from(["read", "take", "enter", "leave", "close", "drop"]), st.integers(0, 4)),
    st.tuples(st.just("narrow"), st.integers(0, 4)),
)


class Alone:
    """A subscriber with a buffer of its own: what each of those who share must look like."""

    def __init__(self, kinds, run):
        self.kinds, self.run = kinds, run
        self.buffer, self.dropped = [], 0
        self.listens = self.closed = False

    def offer(self, event):
        """Take an event if it is wanted; the oldest one goes if there is no room."""
        fits = not self.kinds or event.kind in self.kinds or event.kind.partition(".")[0] in self.kinds
        if self.closed or not self.listens or not fits or self.run not in (None, event.run_id):
            return
        self.buffer.append(event)
        if len(self.buffer) > SMALL:
            del self.buffer[0]
            self.dropped += 1


async def act(deed, what, stream, shared, alone):
    """Do one thing to both; returns what came of it."""
    if deed == "publish":
        stream.publish(what)
        for each in alone:
            each.offer(what)
        return
    real, model = shared[what], alone[what]
    if deed == "enter" and not model.listens and not model.closed:
        await real.__aenter__()
        model.listens = True
    elif deed == "leave":
        await real.__aexit__()
        model.listens = False
    elif deed == "close":
        real.close()
        model.closed = True
    elif deed == "narrow" and model.run is None:
        real.narrow("one")
        model.run = "one"
        model.buffer = [event for event in model.buffer if event.run_id == "one"]
    elif deed == "read" and model.buffer:
        assert await anext(real) == model.buffer.pop(0)
    elif deed == "take":
        assert real.taken() == model.buffer
        model.buffer = []
    elif deed == "drop" and not model.closed:
        shared[what] = stream.subscribe(*CHOICES[what])
        alone[what] = Alone(*CHOICES[what])
    return


@given(st.lists(deeds, max_size=60))
@example([("enter", 0), ("publish", RunStarted(AT, "one", "a", 1)), ("leave", 0), ("enter", 0)])
def test_who_shares_a_channel_hears_what_it_would_hear_alone(steps):
    """Whoever else listens, reads, is slow or leaves: the same events, the same losses."""

    async def check():
        stream = EventStream()
        shared = [stream.subscribe(*choice) for choice in CHOICES]
        alone = [Alone(*choice) for choice in CHOICES]
        for deed, what in steps:
            await act(deed, what, stream, shared, alone)
            assert [len(each) for each in shared] == [len(each.buffer) for each in alone]
            assert [each.dropped for each in shared] == [each.dropped for each in alone]
            assert stream.heard == any(each.listens for each in alone)
            assert stream.unread == any(each.listens and each.buffer for each in alone)
            assert stream.statistics().subscribers == sum(each.listens for each in alone)
        assert [each.taken() for each in shared] == [each.buffer for each in alone]

    before, module._BUFFER, module._TRIM = (module._BUFFER, module._TRIM), SMALL, 3
    try:
        asyncio.run(check())
    finally:
        module._BUFFER, module._TRIM = before


async def test_what_everybody_has_read_is_let_go():
    """A channel does not keep 10,000 events for those who are quick."""
    stream = EventStream()
    async with stream.subscribe(()) as one, stream.subscribe(()) as other:
        for number in range(3 * module._TRIM):
            stream.publish(StepStarted(AT, "one", "a", None, number))
            one.taken()
            other.taken()
        (channel,) = stream._channels.values()
        assert len(channel._events) <= module._TRIM


async def test_to_publish_costs_the_same_for_one_subscriber_and_for_a_hundred():
    """An event is put down once for all who have chosen the same."""
    stream = EventStream()
    subscriptions = [stream.subscribe(("step",)) for _ in range(100)]
    for each in subscriptions:
        await each.__aenter__()
    stream.publish(StepStarted(AT, "one", "a", None, 1))
    assert len(stream._channels) == 1
    assert [len(each) for each in subscriptions] == [1] * 100


async def test_a_reader_that_gave_up_waiting_is_not_remembered_for_each_time():
    """However often it waits and is cancelled before something is published."""
    stream = EventStream()
    async with stream.subscribe(()) as events:
        for _ in range(20):
            reading = asyncio.create_task(anext(events))
            await asyncio.sleep(0)
            reading.cancel()
            await asyncio.wait([reading])
        (channel,) = stream._channels.values()
        assert len(channel.waiting) == 1
