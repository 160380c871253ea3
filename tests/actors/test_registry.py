"""Names for ids that are known only at run time."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
import weakref
from decimal import Decimal
from itertools import count

import pytest

from flowstone.actors import ActorDown, Child, NameTaken, Registry, Supervisor, TaskSupervisor
from tests.actors.probes import Crash, Do, Get, Probe, Quit, probe


class Named(Probe):
    """Registers itself under its name."""

    def __init__(self, name, log, registry):
        super().__init__(name, log)
        self.registry = registry

    def on_start(self, me):
        super().on_start(me)
        self.registry.register(("run", self.name), me.ref)


@pytest.fixture
def registry():
    """An empty registry."""
    return Registry()


async def test_an_actor_registers_itself_and_is_found(tree, registry):
    """The key is any hashable value."""
    async with tree([Child("a", lambda: Named("a", [], registry))]) as root:
        assert registry.lookup(("run", "a")) is root.child("a")
        assert ("run", "a") in registry
        assert list(registry) == [("run", "a")]
        assert len(registry) == 1
        assert await registry.lookup(("run", "a")).call(Get()) == 0
    assert len(registry) == 0


async def test_an_unknown_key_is_none(registry):
    """No error: asking is how one finds out."""
    assert registry.lookup("nobody") is None
    assert "nobody" not in registry


async def test_a_restarted_actor_gets_its_name_again(tree, clock, registry):
    """The name is free before the supervisor hears of the end, so on_start can register."""
    async with tree([Child("a", lambda: Named("a", [], registry))]) as root:
        first = root.child("a").instance
        root.child("a").cast(Crash())
        await clock.settle()
        assert root.child("a").instance is not first
        assert registry.lookup(("run", "a")).instance is root.child("a").instance


async def test_a_name_is_free_before_monitors_hear_of_the_end(tree, registry):
    """Whoever waits for the end finds the name free."""
    free = []
    child = Child(
        "a",
        lambda: Named("a", [], registry),
        restart="temporary",
        on_exit=lambda _: free.append(len(registry)),
    )
    async with tree([child]) as root:
        ref = root.child("a")

        async def watch():
            await ref.down()
            free.append(len(registry))

        watching = asyncio.create_task(watch())
        await asyncio.sleep(0)
        ref.cast(Quit())
        await watching
    assert free == [0, 0]


async def test_a_taken_name_is_refused(tree, registry):
    """NameTaken says by whom and carries the key."""
    async with tree([probe("a"), probe("b")]) as root:
        registry.register("x", root.child("a"))
        with pytest.raises(NameTaken, match="'x' is registered by a: look it up instead") as caught:
            registry.register("x", root.child("b"))
        assert caught.value.key == "x"


async def test_what_does_not_run_cannot_be_registered(tree, registry):
    """The name would never be free again."""
    async with tree([probe("a")]) as root:
        await root.stop_child("a")
        with pytest.raises(ActorDown, match="a is not running and cannot be registered"):
            registry.register("x", root.child("a"))


async def test_unregister_frees_a_name_for_another(tree, clock, registry):
    """The end of the first holder does not take it from the second."""
    async with tree([probe("a"), probe("b")]) as root:
        registry.register("x", root.child("a"))
        registry.unregister("x")
        registry.unregister("x")
        registry.register("x", root.child("b"))
        root.child("a").cast(Crash())
        await clock.settle()
        assert registry.lookup("x") is root.child("b")


async def test_one_actor_may_have_several_names(tree, registry):
    """All are free when it ends."""
    async with tree([probe("a")]) as root:
        for key in ("x", "y", 3):
            registry.register(key, root.child("a"))
        assert list(registry) == ["x", "y", 3]
        await root.stop_child("a")
        assert list(registry) == []


async def test_supervisors_of_both_kinds_can_be_registered(tree, registry):
    """Anything with a reference."""
    async with tree([Child("s", Supervisor), Child("t", TaskSupervisor)]) as root:
        registry.register("s", root.child("s"))
        registry.register("t", root.child("t"))
        await root.stop_child("t")
        assert list(registry) == ["s"]


async def test_two_registries_never_meet(tree):
    """There is no global one."""
    one, two = Registry(), Registry()
    async with tree([probe("a")]) as root:
        one.register("x", root.child("a"))
        assert two.lookup("x") is None


# Whose name it is ------------------------------------------------------------------------------------------


async def test_an_actor_frees_no_name_of_another(tree, registry):
    """Its own it does, itself or in a task of its own."""
    async with tree([probe("a"), probe("b")]) as root:
        a, b = root.child("a"), root.child("b")
        registry.register("x", a)
        registry.register("y", a)
        await b.call(Do(lambda: registry.unregister("x")))
        await b.call(Do(lambda: in_a_task(lambda: registry.unregister("x"))))
        assert registry.lookup("x") is a
        await a.call(Do(lambda: registry.unregister("x")))
        await a.call(Do(lambda: in_a_task(lambda: registry.unregister("y"))))
        assert list(registry) == []


async def in_a_task(action):
    """Do it in a task."""

    async def do():
        action()

    await asyncio.create_task(do())


async def test_a_cleanup_that_comes_late_does_not_free_the_name_of_the_next_holder(tree, registry):
    """What an actor had, and has given up, belongs to whoever has it now."""

    class Tidy(Named):
        def on_stop(self, how):
            self.registry.unregister(("run", "a"))

    async with tree([Child("a", lambda: Tidy("a", [], registry)), probe("b")]) as root:
        registry.unregister(("run", "a"), root.child("a"))
        registry.register(("run", "a"), root.child("b"))
        await root.stop_child("a")
        assert registry.lookup(("run", "a")) is root.child("b")


async def test_a_name_is_freed_for_the_reference_that_has_it_only(tree, registry):
    """As `register` takes the reference it is for, so may `unregister`."""
    async with tree([probe("a"), probe("b")]) as root:
        registry.register("x", root.child("a"))
        registry.unregister("x", root.child("b"))
        assert registry.lookup("x") is root.child("a")
        registry.unregister("x", root.child("a"))
        assert registry.lookup("x") is None
        registry.register("x", root.child("a"))
        await root.stop_child("b")
        registry.unregister("x", root.child("b"))
        assert "x" in registry


# What is a key ---------------------------------------------------------------------------------------------

ALIKE = [
    1,
    True,
    1.0,
    Decimal(1),
    (1,),
    (True,),
    (("run", 1),),
    (("run", True),),
    frozenset({1}),
    frozenset({1.0}),
]


async def test_keys_are_compared_by_type_too(tree, registry):
    """1, True and 1.0 are three keys, within tuples and frozensets as well."""
    children = [probe(str(number)) for number, _ in enumerate(ALIKE)]
    async with tree(children) as root:
        for number, key in enumerate(ALIKE):
            assert key not in registry
            registry.register(key, root.child(str(number)))
        assert [(type(key), key) for key in registry] == [(type(key), key) for key in ALIKE]
        for number, key in enumerate(ALIKE):
            assert registry.lookup(key) is root.child(str(number))
        registry.unregister(True)
        assert [key in registry for key in (1, True, 1.0)] == [True, False, True]
        with pytest.raises(TypeError, match="unhashable"):
            registry.lookup([])


# What is remembered ----------------------------------------------------------------------------------------


def held(action, times):
    """The bytes that so many actions leave behind."""
    action()
    tracemalloc.start()
    try:
        for _ in range(times):
            action()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


async def test_names_that_come_and_go_leave_nothing_with_a_living_actor(tree, registry):
    """However many it has had, and whichever."""
    numbers = count()
    async with tree([probe("a")]) as root:
        ref = root.child("a")

        def rename():
            key = ("run", next(numbers))
            registry.register(key, ref)
            registry.unregister(key)

        assert held(rename, 5_000) < 400_000
        assert len(registry) == 0
        registry.register("x", ref)
    assert len(registry) == 0


async def test_a_registry_is_forgotten_with_its_last_name(tree):
    """An actor that lives long does not hold the registries it once was in."""
    async with tree([probe("a")]) as root:
        registry = Registry()
        registry.register("x", root.child("a"))
        registry.unregister("x")
        gone = weakref.ref(registry)
        del registry
        gc.collect()
        assert gone() is None
