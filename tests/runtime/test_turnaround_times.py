"""When leasing a step is worth the time that its lease takes."""

from __future__ import annotations

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
