"""What every cluster promises of pools: mix `PoolsContract` into a class with the fixtures `place` and `two`."""

from __future__ import annotations

from flowstone.runs.pools import Pool
from flowstone.store.cluster import Notification
from flowstone.store.pools import Claim, Granted


def claim(number, pools=None, *, priority=0):
    """A claim to one slot of the pool `w`, unless it says otherwise."""
    asked = tuple(sorted((pools or {"w": 1}).items()))
    return Claim(number, asked, priority, "run-1", f"step{number}")


class Claims:
    """One node and its claims; it knows of whatever it was told.

    Attributes:
        held: The claims that it was told are granted.
    """

    def __init__(self, cluster, name, fence=0):
        self.pools = cluster.pools
        self.name = name
        self.fence = fence
        self.held = set()

    async def say(self, *asked, over=(), pools=("w",)):
        """Ask for slots and give some back; which claims are newly known to be granted."""
        answer = await self.pools.exchange(
            self.name, self.fence, asked=asked, over=over, known=self.held, pools=pools
        )
        assert answer.fence == self.fence
        new = answer.claims.keys() - self.held
        self.held = (self.held | new) - set(over)
        return set(new)


async def shown(cluster, name="w"):
    """A pool: slots, taken, waiting."""
    (pool,) = [pool for pool in await cluster.pools.show([]) if pool.name == name]
    return pool.slots, pool.taken, pool.waiting


class PoolsContract:
    """The promises."""

    async def claimants(self, two, **slots):
        """Both nodes, which define these pools."""
        for name, cluster in zip(("n1", "n2"), two, strict=True):
            assert await cluster.pools.define(name, slots.items()) == 0
        return [Claims(cluster, name) for name, cluster in zip(("n1", "n2"), two, strict=True)]

    async def test_a_slot_is_granted_once(self, two):
        """To who came first; the next one has it when it is given back."""
        first, second = await self.claimants(two, w=1)
        assert await first.say(claim(1)) == {1}
        assert await second.say(claim(1), claim(2)) == set()
        assert await two[0].pools.show([]) == [Pool("w", 1, 1, 2, ("step1 of run run-1",))]
        assert await first.say(over=[1]) == set()
        assert await second.say() == {1}
        assert await second.say(over=[1]) == {2}
        assert await second.say(over=[2]) == set()
        assert await two[0].pools.show([]) == [Pool("w", 1, 0, 0)]

    async def test_priority_comes_first_then_who_came_first(self, two):
        """Over all nodes."""
        first, second = await self.claimants(two, w=1)
        assert await first.say(claim(1)) == {1}
        for number, node in enumerate((first, second, first, second), 2):
            assert await node.say(claim(number, priority=number // 4)) == set()
        assert await first.say(over=[1]) == {4}
        for node, number, other, other_number in (
            (first, 4, second, 5),
            (second, 5, first, 2),
            (first, 2, second, 3),
        ):
            assert await node.say(over=[number]) == set()
            assert await other.say() == {other_number}

    async def test_all_that_is_asked_for_or_nothing(self, two):
        """Who waits for several slots keeps those behind it out of its pools, and out of no other."""
        first, second = await self.claimants(two, v=1, w=2)
        assert await first.say(claim(1)) == {1}
        assert await second.say(claim(1, {"w": 2}), claim(2), claim(3, {"v": 1})) == {3}
        assert await first.say(over=[1]) == set()
        assert await second.say() == {1}
        assert await second.say(claim(4, {"v": 1, "w": 1}), over=[1], pools=("v", "w")) == {2}
        assert await second.say(over=[3], pools=("v",)) == {4}
        assert await shown(two[0]) == (2, 2, 0)

    async def test_who_is_granted_elsewhere_is_told(self, place, two):
        """The node, and nobody else."""
        first, second = await self.claimants(two, w=1)
        heard = []
        with place.store.cluster.watch(heard.append):
            await first.say(claim(1))
            await second.say(claim(1))
            await first.say(over=[1])
            await place.until(lambda: Notification("pool", "n2") in heard)
        assert Notification("pool", "n1") not in heard

    async def test_what_is_said_twice_is_said_once(self, two):
        """An answer may be lost: the same call has the same answer."""
        first, _ = await self.claimants(two, w=2)
        for _ in range(2):
            answer = await first.pools.exchange("n1", 0, asked=[claim(1), claim(2), claim(3)])
            assert answer == Granted(0, {1: ("w",), 2: ("w",)})
        for _ in range(2):
            answer = await first.pools.exchange("n1", 0, over=[1], known=[2], pools=["w"])
            assert answer == Granted(0, {3: ("w",)})
        assert await shown(two[0]) == (2, 2, 0)

    async def test_a_claim_that_is_withdrawn_keeps_nobody_waiting(self, two):
        """Whether it waited or was granted and its node did not know."""
        first, second = await self.claimants(two, w=2)
        await first.pools.exchange("n1", 0, asked=[claim(1), claim(2, {"w": 2}), claim(3)])
        assert await second.say(claim(1)) == set()
        assert await first.say(over=[2]) == {1, 3}
        assert await first.say(over=[3]) == set()
        assert await second.say() == {1}

    async def test_what_a_node_held_that_is_gone_is_free(self, two):
        """Its claims are forgotten, and what it says under its old fence is not heard."""
        first, second = await self.claimants(two, w=1)
        assert (await two[0].beats(["sales"]))[0].claims is True
        assert await first.say(claim(1), claim(2)) == {1}
        assert await second.say(claim(1)) == set()
        await two[1].pools.forget("n1")
        assert await second.say() == {1}
        assert await first.pools.exchange("n1", 0, asked=[claim(3)], pools=["w"]) == Granted(1, {})
        assert await shown(two[1]) == (1, 1, 0)
        assert {each.node: each.claims for each in await two[1].beats(["sales"])} == {"n1": False, "n2": True}
        await two[1].pools.forget("n1")
        assert await first.pools.define("n1", [("w", 1)]) == 1
        first.fence, first.held = 1, set()
        assert await first.say(claim(4)) == set()
        assert await second.say(over=[1]) == set()
        assert await first.say() == {4}

    async def test_a_node_that_leaves_frees_what_it_holds(self, two):
        """At once."""
        first, second = await self.claimants(two, w=1)
        await first.say(claim(1))
        await second.say(claim(1))
        await two[0].leave("n1")
        assert await second.say() == {1}

    async def test_who_is_no_node_has_no_claims(self, two):
        """And is told so."""
        assert await two[0].pools.define("n3", [("w", 1)]) is None
        assert (await two[0].pools.exchange("n3", 0, asked=[claim(1)], pools=["w"])).fence is None

    async def test_the_smallest_number_of_slots_counts(self, two):
        """Of those that nodes define which have not gone; where they differ can be seen."""
        pools = two[0].pools
        await pools.define("n1", [("w", 3), ("v", 1)])
        await two[1].pools.define("n2", [("w", 2)])
        assert await shown(two[0]) == (2, 0, 0)
        assert await pools.differences(["v", "w"]) == {"w": (2, 3)}
        first = Claims(two[0], "n1")
        assert await first.say(claim(1), claim(2), claim(3)) == {1, 2}
        await pools.forget("n2")
        assert await first.say() == {3}
        assert await pools.differences(["v", "w"]) == {}
        await pools.define("n1", [("w", 5)])
        assert await shown(two[0]) == (5, 3, 0)

    async def test_slots_that_are_set_count_before_those_defined(self, place, two):
        """More let waiters in; fewer take nothing from anybody; none: as defined."""
        first, second = await self.claimants(two, w=2)
        set_slots = place.store.pools.set
        assert await first.say(claim(1), claim(2), claim(3)) == {1, 2}
        await set_slots("w", 3, defined=2)
        assert await first.say() == {3}
        await set_slots("w", 1, defined=2)
        assert await place.store.pools.given() == {"w": 1}
        assert await second.say(claim(1)) == set()
        assert await shown(two[0]) == (1, 3, 1)
        assert await first.say(over=[1, 2]) == set()
        assert await second.say() == set()
        await set_slots("w", None, defined=2)
        assert await second.say() == {1}
        assert await place.store.pools.given() == {}

    async def test_who_asks_for_more_than_there_is_keeps_nobody_waiting(self, place, two):
        """It has its turn when there are more."""
        first, second = await self.claimants(two, v=1, w=4)
        await place.store.pools.set("w", 2, defined=4)
        assert await first.say(claim(1, {"w": 3}), claim(2, {"v": 1, "w": 4})) == set()
        assert await second.say(claim(1), claim(2, {"v": 1})) == {1, 2}
        await place.store.pools.set("w", 4, defined=4)
        assert await first.say() == {1}
        assert await second.say(over=[1, 2], pools=("v", "w")) == set()
        assert await first.say(over=[1]) == {2}
