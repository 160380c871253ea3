"""What every cluster promises of rates: mix `RatesContract` into a class with the fixtures `place` and `two`."""

from __future__ import annotations

import pytest

from flowstone.store.rates import Wanted


async def reserve(cluster, count=1, *, rate="api", gap=0.5, lead=0.0):
    """Turns of a rate: how many seconds away the first is, and how many there are."""
    (answer,) = await cluster.rates.reserve([Wanted(rate, gap, count, lead)])
    assert answer.rate == rate
    return answer.first - answer.now, answer.count


def near(seconds):
    """Real time passes between two calls."""
    return pytest.approx(seconds, abs=0.4)


class RatesContract:
    """The promises."""

    async def test_turns_follow_one_another_on_all_nodes(self, two):
        """At even intervals, and the first one at once, or when it is of use."""
        first, second = two
        assert await reserve(first, gap=10.0, lead=3.0) == (pytest.approx(3.0, abs=1e-5), 1)
        assert await reserve(second, gap=10.0) == (near(13.0), 1)
        assert await reserve(second, rate="other") == (pytest.approx(0.0, abs=1e-5), 1)

    async def test_none_is_saved_up(self, place, two):
        """After a pause there is one, and not those that nobody wanted."""
        await reserve(two[0])
        await place.step(100.0)
        assert await reserve(two[1]) == (pytest.approx(0.0, abs=1e-5), 1)
        assert await reserve(two[1]) == (near(0.5), 1)

    async def test_nobody_reserves_far_ahead(self, two):
        """So that nodes share what there is; whoever comes too early is told when to come again."""
        first, second = two
        assert (await reserve(first, 6))[1] == 6
        seconds, count = await reserve(second)
        assert (seconds, count) == (near(2.0), 0)

    async def test_a_clock_that_is_set_back_costs_moments(self, place, two):
        """Not as long as the step is; and nobody gets what somebody else may have still."""
        await reserve(two[0])
        await place.step(-3_600.0)
        assert await reserve(two[1]) == (near(3.0), 0)
        await place.step(2.1)
        assert await reserve(two[1]) == (near(1.9), 1)

    async def test_several_rates_at_a_time(self, two):
        """In one call."""
        wanted = [Wanted(name, 0.5, 2, 0.0) for name in ("b", "a")]
        answers = await two[0].rates.reserve(wanted)
        assert sorted((answer.rate, answer.count) for answer in answers) == [("a", 2), ("b", 2)]
