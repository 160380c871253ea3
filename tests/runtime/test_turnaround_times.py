"""When leasing a step is worth the time that its lease takes."""

from __future__ import annotations

import pytest

from flowstone.runtime.cluster.placement import TurnaroundTimes


def test_nothing_known_is_worth_a_try():
    """Each asset is leased until both sides have been measured."""
    times = TurnaroundTimes()
    assert times.worth_leasing("a")
    times.took_here("a", 0.001)
    assert times.worth_leasing("a")
    times.took_elsewhere("a", 0.020)
    assert not times.worth_leasing("a")
    assert times.worth_leasing("b")


def test_long_steps_are_lent():
    """However long a lease takes: the own node may be too busy to hear of their ends."""
    times = TurnaroundTimes()
    times.took_here("a", 0.030)
    times.took_elsewhere("a", 0.100)
    assert times.worth_leasing("a")


def test_now_and_then_one_is_lent_to_see():
    """The first steps of another node may have been slow because it had to load everything."""
    times = TurnaroundTimes()
    times.took_here("a", 0.005)
    times.took_elsewhere("a", 1.0)
    leased = [times.worth_leasing("a") for _ in range(640)]
    assert sum(leased) == 10
    for _ in range(40):
        times.took_elsewhere("a", 0.009)
    assert all(times.worth_leasing("a") for _ in range(640))


def test_a_node_that_becomes_slow_lends_again():
    """Its own steps wait for each other, which others would not."""
    times = TurnaroundTimes()
    times.took_here("a", 0.005)
    times.took_elsewhere("a", 0.020)
    assert not times.worth_leasing("a")
    for _ in range(5):
        times.took_here("a", 0.050)
    assert times.worth_leasing("a")


def measured(store, turn, executed=0.010):
    """Times after some looks that took so long, at ends of attempts that did."""
    times = TurnaroundTimes()
    for _ in range(60):
        times.heard(store, turn)
        times.executed("a", executed)
    return times


def test_who_hears_late_gives_more_than_runs_at_a_time():
    """As many as end until then, and no more than twice as many."""
    assert TurnaroundTimes().ahead("a") == 1.0
    assert measured(0.002, 0.001).ahead("a") == pytest.approx(1.5, rel=1e-3)
    assert measured(0.002, 0.030).ahead("a") == 2.0
    assert measured(0.002, 0.030).ahead("b") == 1.0


def test_long_steps_do_not_wait_for_a_node_that_is_full():
    """They would run elsewhere by then."""
    assert measured(0.002, 0.030, executed=60.0).ahead("a") * 500 < 501


def test_who_computes_on_the_loop_takes_fewer_steps():
    """And leases them however long that takes: nobody else could tell other nodes what to do meanwhile."""
    idle, computing = measured(0.002, 0.001), measured(0.002, 0.032)
    assert idle.own_share == 1.0
    assert computing.own_share == pytest.approx(0.25, rel=1e-3)
    for times in (idle, computing):
        times.took_here("a", 0.010)
        times.took_elsewhere("a", 0.050)
    assert not idle.worth_leasing("a")
    assert computing.worth_leasing("a")
    for _ in range(20):
        computing.heard(0.002, 0.0)
    assert computing.own_share == 1.0
