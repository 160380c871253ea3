"""Who lives and who is gone, as one observer sees it who watches beats by its own monotonic clock."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstone import StoreUnavailable
from flowstone.runtime.services.peers import Peers
from flowstone.store.cluster import Beats, Node, WatchedNode
from tests.runtime.cluster.scene import LEASE

LOOK = 1.0
NOON = datetime(2025, 1, 1, 12, tzinfo=UTC)


class Time:
    """A clock that is set."""

    def __init__(self):
        self.seconds = 1_000.0

    def monotonic(self):
        return self.seconds


class Sky:
    """An observer, and what it sees."""

    def __init__(self):
        self.time = Time()
        self.peers = Peers(self.time, LEASE)

    def look(self, count, *, age=0.0, lease=LEASE, gone=False, runs=0, after=0.0):
        """The node `n` has beaten so often; the look comes after so many seconds."""
        self.time.seconds += after
        self.peers.heard([Beats("n", count, lease, gone, age, runs)])

    @property
    def gone(self):
        return self.peers.gone("n")


@pytest.fixture
def sky():
    return Sky()


def known(sky, capacity=8):
    """What the node says of itself is known."""
    node = Node("n", "h", 1, "1", ("town",), capacity, LEASE)
    sky.peers.saw([WatchedNode(node, NOON, NOON, 0.0, False, 0, 0.0)])


def test_a_node_is_gone_when_it_was_silent_for_its_lease(sky):
    """Its own, as it said; not before, and not without a look that shows no beat."""
    sky.look(5, lease=3.0)
    for _ in range(2):
        sky.look(5, lease=3.0, after=LOOK)
        assert not sky.gone
    sky.time.seconds += LOOK
    assert not sky.gone
    sky.look(5, lease=3.0)
    assert sky.gone
    sky.look(6, lease=3.0)
    assert not sky.gone


def test_who_has_just_begun_to_watch_knows_of_no_death(sky):
    """However long ago the last beat was, by a clock that may have been stepped."""
    sky.look(5, age=86_000.0, runs=2)
    known(sky)
    assert (sky.gone, sky.peers.orphaned()) == (False, [])
    assert sky.peers.all_alive() == []  # But nothing is given to it.
    for _ in range(int(LEASE)):
        sky.look(5, age=86_000.0, runs=2, after=LOOK)
    assert (sky.gone, sky.peers.orphaned()) == (True, ["n"])


def test_who_seems_to_live_at_the_first_look_is_given_work(sky):
    """And who has beaten since, whatever the store's clock says."""
    sky.look(5, age=3.0)
    assert sky.peers.strangers()
    known(sky)
    assert not sky.peers.strangers()
    assert [each.node.id for each in sky.peers.all_alive()] == ["n"]
    late = Sky()
    late.look(5, age=-3_600.0)
    known(late)
    assert late.peers.all_alive() == []
    late.look(6, age=-3_600.0, after=LOOK)
    assert [each.node.id for each in late.peers.all_alive()] == ["n"]


def test_a_node_that_left_is_gone_at_once(sky):
    """Also if an outage comes after that; when it joins again it is there again."""
    sky.look(5)
    sky.look(5, gone=True, runs=1)
    sky.peers.outage()
    assert (sky.gone, sky.peers.orphaned()) == (True, ["n"])
    sky.look(6)
    assert not sky.gone


def test_a_beat_counts_from_when_it_was_as_far_as_that_is_certain(sky):
    """Between the look that did not show it and the one that did, whatever the store's clock says."""
    for age, begun in [(0.25, 0.25), (-3_600.0, 0.0), (3_600.0, 1.0)]:
        sky = Sky()
        sky.look(5)
        sky.look(6, age=age, after=LOOK)
        assert sky.peers.next_end() == pytest.approx(LEASE - begun)


def test_an_outage_is_nobodys_death(sky):
    """Who lives has had no chance to beat: its silence begins again; who was gone before stays so."""
    sky.look(5)
    sky.time.seconds += LEASE - 1.0
    sky.peers.outage()
    sky.look(5, after=LOOK)
    assert not sky.gone
    sky.look(5, after=LEASE)
    assert sky.gone
    sky.peers.outage()
    assert sky.gone


async def test_a_question_that_fails_or_takes_long_tells_of_an_outage(sky):
    """The answer shows the store as it was before everybody could beat again."""

    async def answer(seconds, error=None):
        sky.time.seconds += seconds
        if error is not None:
            raise error
        return "found"

    for seconds, error in [(0.0, StoreUnavailable("away")), (LEASE, None)]:
        sky.look(5)
        sky.time.seconds += LEASE - 1.0
        if error is None:
            assert await sky.peers.asked(answer(seconds)) == "found"
        else:
            with pytest.raises(StoreUnavailable):
                await sky.peers.asked(answer(seconds, error))
        sky.look(5, after=2.0)
        assert not sky.gone


def test_what_was_not_watched_is_no_silence(sky):
    """A process that was stopped for more than a lease knows nothing of that time."""
    sky.look(5)
    sky.look(5, after=10 * LEASE)
    assert not sky.gone
    sky.look(5, after=LEASE)
    assert sky.gone


def test_a_node_that_is_not_listed_any_more_is_silent(sky):
    """The store may forget one that lives, if its clock is stepped by a day: it joins again in a moment."""
    sky.look(500)
    sky.time.seconds += LOOK
    sky.peers.heard([])
    assert not sky.gone
    sky.look(1, after=LOOK)
    assert not sky.gone
    sky.time.seconds += LEASE
    sky.peers.heard([])
    assert sky.gone
    assert sky.peers.next_end() is None


def test_an_owner_that_is_no_node_is_gone_after_a_lease(sky):
    """It has this observer's lease from when its runs were first seen."""
    sky.look(0, age=None, lease=None, runs=1)
    assert (sky.peers.orphaned(), sky.peers.strangers()) == ([], False)
    sky.look(0, age=None, lease=None, runs=1, after=LEASE)
    assert sky.peers.orphaned() == ["n"]


@given(
    ages=st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=60, max_size=60),
    phase=st.floats(0.0, 0.99),
    beats=st.integers(0, 8),
)
def test_no_clock_kills_or_keeps_alive(ages, phase, beats):
    """Whatever ages the store tells: who beats is never gone, who stops is gone after its lease and a look."""
    sky = Sky()
    began = sky.time.seconds
    last = began + phase + beats * LEASE / 4
    for age in ages:
        sky.time.seconds += LOOK
        now = sky.time.seconds
        so_far = [n for n in range(beats + 1) if began + phase + n * LEASE / 4 <= now]
        sky.look(len(so_far), age=age)
        if now < last + LEASE - LOOK:
            assert not sky.gone
        if now >= last + LEASE + LOOK:
            assert sky.gone
