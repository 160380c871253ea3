"""A call that would wait for itself fails at once and names the chain."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowstone.actors import ActorDown, CallCycle, Child, Supervisor
from tests.actors.probes import Do, Get, Probe, probe


def relay(refs, *names):
    """A message that the first actor turns into a call to the next, and so on."""
    message = Get()
    for name in reversed(names):
        message = Do(lambda name=name, message=message: refs[name].call(message))
    return message


@pytest.fixture
async def refs(tree):
    """Four probes by name."""
    async with tree([probe(name) for name in "abcd"], max_restarts=100) as root:
        yield {name: root.child(name) for name in "abcd"}


@pytest.mark.parametrize("path", ["a", "ba", "bca", "bcda"])
async def test_a_cycle_is_refused_where_it_would_close(path, refs, clock):
    """Whatever its length; the caller that closes it gets the error."""
    caught = []

    async def closing():
        try:
            return await refs["a"].call(Get())
        except CallCycle as error:
            caught.append(error)
            return "refused"

    message = Do(closing)
    for name in reversed(path[:-1]):
        message = Do(lambda name=name, message=message: refs[name].call(message))
    assert await refs["a"].call(message) == "refused"
    chain = ("a", *path)
    assert caught[0].chain == chain
    assert " -> ".join(chain) in str(caught[0])
    assert clock.timers == 0


async def test_a_cycle_that_does_not_begin_at_the_first_caller_names_only_itself(refs):
    """If a calls b, b calls c, and c calls b, the chain is b -> c -> b."""
    caught = []

    async def closing():
        try:
            await refs["b"].call(Get())
        except CallCycle as error:
            caught.append(error.chain)

    await refs["a"].call(Do(lambda: refs["b"].call(Do(lambda: refs["c"].call(Do(closing))))))
    assert caught == [("b", "c", "b")]


async def test_a_self_call_in_on_start_is_refused(tree):
    """Nobody would answer it."""

    class Impatient(Probe):
        async def on_start(self, me):
            await me.ref.call(Get())

    with pytest.raises(Exception, match="could not start a") as caught:
        async with tree([Child("a", Impatient)]):
            pytest.fail("the body must not run")
    assert caught.value.__cause__.chain == ("a", "a")


async def test_calls_in_a_row_are_no_cycle(refs):
    """If a calls b twice, and b calls c, nobody waits for itself."""
    assert await refs["a"].call(relay(refs, "b", "c", "d")) == 0
    assert await refs["a"].call(relay(refs, "b", "c")) == 0
    assert await refs["c"].call(relay(refs, "b", "a")) == 0


async def test_the_chain_ends_with_the_call(refs):
    """A cast that makes its actor call back later is no cycle."""
    done = asyncio.get_running_loop().create_future()

    async def call_back():
        done.set_result(await refs["a"].call(Get()))

    await refs["a"].call(Do(lambda: refs["b"].call(Get())))
    await refs["b"].call(Do(call_back))
    assert await done == 0


async def test_a_task_that_a_handler_started_may_call_its_actor(refs):
    """The handler does not wait for it, so it is no cycle."""
    tasks = []

    def spawn():
        tasks.append(asyncio.create_task(refs["a"].call(Get())))

    await refs["a"].call(Do(spawn))
    assert await tasks[0] == 0


@settings(deadline=None, max_examples=30)
@given(path=st.lists(st.sampled_from("abcd"), min_size=1, max_size=8))
def test_every_path_through_the_actors_ends_in_an_answer_or_a_cycle(path):
    """A path with a name twice is refused, one without is answered; none waits for a deadline."""

    async def run():
        async with Supervisor(
            [probe(name) for name in "abcd"], max_restarts=100, on_report=print_nothing
        ) as root:
            refs = {name: root.child(name) for name in "abcd"}
            try:
                return await refs[path[0]].call(relay(refs, *path[1:]))
            except (CallCycle, ActorDown) as error:
                return type(error)

    outcome = asyncio.run(run())
    if len(set(path)) == len(path):
        assert outcome == 0
    else:
        # The one that closes the cycle crashes on the error, unless it is the first caller's own call.
        assert outcome is ActorDown


def print_nothing(report):
    """Crashes are the point here."""
