"""What every store promises of who wants a run: mix `CallersContract` into a class with the fixture `place`."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from flowstone.runs.automation import Definition, FiredRun, Move, NewRun
from flowstone.runs.events import RunCancelRequested
from flowstone.runs.records import RunSpec
from flowstone.store.callers import Caller
from flowstone.store.protocol import KeyTaken
from tests.store.facts import at, begun, over, run

SPEC = RunSpec(
    "materialize", "report", keys=("d:2025-01-15",), config={"report": {"a": 1, "b": [2, {"c": None}]}}
)


def asked(run_id="run-1", *, owner="n1", key=None, **changes):
    """A run as a call makes it; of a request that differs from `SPEC` so."""
    return run(
        run_id,
        request=replace(SPEC, **changes),
        owner=owner,
        started_at=None if owner is None else at(0),
        key=key,
    )


def caller(run_id, node="n1", **about):
    """The call that asked for this run."""
    return Caller(run_id, node, **about)


async def asks(store, run_id, *, node="n1", cancels=False, **changes):
    """Somebody asks for a run and would join one; the run that there is."""
    return await store.callers.create(
        asked(run_id, owner=node, **changes), caller(run_id, node, cancels=cancels)
    )


async def leaves(store, run_id, who, node="n1", *, cancels=False):
    """Somebody waits for a run no more, and its node drives the run."""
    return await store.callers.leave(run_id, Caller(who, node, cancels))


class CallersContract:
    """The promises."""

    # Attending ----------------------------------------------------------------------------------------------

    async def test_who_attends_a_run_is_not_the_only_one_who_wants_it(self, place):
        """The call that started it still waits, unless it has said that it does not."""
        store = place.store
        await asks(store, "run-1")
        await store.callers.attend("run-1", Caller("c1", "n2", cancels=True))
        assert await leaves(store, "run-1", "c1", "n2", cancels=True) is None
        assert await leaves(store, "run-1", "run-1") == "caller"

    async def test_a_starter_that_left_alone_is_not_there_for_who_comes_later(self, place):
        """And does not keep the run."""
        store = place.store
        await asks(store, "run-1")
        assert await leaves(store, "run-1", "run-1") == "caller"
        await store.callers.attend("run-1", Caller("c1", "n2"))
        assert await store.callers.wanted(["run-1"], "n2") == []
        assert await leaves(store, "run-1", "c1", "n2", cancels=True) == "unwanted"

    # Joining ------------------------------------------------------------------------------------------------

    async def test_a_run_under_way_is_joined(self, place):
        """The second one who asks is given the run of the first one, and makes none."""
        assert await asks(place.store, "run-1") == "run-1"
        assert await asks(place.store, "run-2", node="n2") == "run-1"
        assert await place.store.run("run-2") is None
        assert await place.store.run("run-1") == asked("run-1")

    async def test_of_many_who_ask_at_once_one_makes_a_run(self, place):
        """All get the same one."""
        found = await asyncio.gather(*(asks(place.store, f"run-{n}") for n in range(20)))
        assert len(set(found)) == 1
        assert [head.id for head in await place.store.runs()] == found[:1]

    async def test_a_run_that_was_started_otherwise_is_joined(self, place):
        """Whether it would have joined one makes no difference."""
        await place.store.create_run(asked("run-1"))
        assert await asks(place.store, "run-2") == "run-1"

    @pytest.mark.parametrize(
        "changes",
        [
            {"kind": "materialize_all", "upstream": True},
            {"asset": "other"},
            {"keys": ("d:2025-01-16",)},
            {"keys": (None,)},
            {"keys": (), "span": ("d:2025-01-15", "d:2025-01-16")},
            {"refresh": "missing"},
            {"beside": {"raw": "same"}},
            {"config": {}},
            {"config": {"report": {"a": 1, "b": [2, {"c": 0}]}}},
            {"config": {"report": {"a": "1", "b": [2, {"c": None}]}}},
            {"config": {"report": {"a": True, "b": [2, {"c": None}]}}},
        ],
        ids=str,
    )
    async def test_another_request_is_not_joined(self, place, changes):
        """What is computed, of what, and with what config has to be the same."""
        await place.store.create_run(asked("run-1"))
        assert await asks(place.store, "run-2", **changes) == "run-2"

    @pytest.mark.parametrize(
        ("changes", "same"),
        [
            ({"beside": {"raw": "same", "note": "once"}}, True),
            ({"beside": {"note": "once", "raw": "same"}}, True),
            ({"beside": {"note": "same", "raw": "same"}}, False),
            ({"beside": {"raw": "same"}}, False),
            ({}, False),
        ],
        ids=str,
    )
    async def test_a_run_of_several_assets_is_joined_by_one_of_the_same(self, place, changes, same):
        """In whatever order they stand, each with the same partitions of it."""
        await place.store.create_run(asked("run-1", beside={"raw": "same", "note": "once"}))
        store = await place.reopen()
        assert await asks(store, "run-2", **changes) == ("run-1" if same else "run-2")

    async def test_a_run_of_another_pipeline_is_not_joined(self, place):
        """Even if the request is the same."""
        await place.store.create_run(asked("run-1"))
        other = replace(asked("run-2"), pipeline="other")
        assert await place.store.callers.create(other, caller("run-2")) == "run-2"

    @pytest.mark.parametrize(
        "changes",
        [
            {"max_parallel": 3},
            {"timeout": 5.0},
            {"tags": {"by": "me"}},
            {"as_of": "2025-01-15T00:00:00+00:00"},
            {"config": {"report": {"b": [2, {"c": None}], "a": 1}}},
        ],
        ids=str,
    )
    async def test_what_makes_no_difference_is_ignored(self, place, changes):
        """How the run goes and what it is called."""
        await place.store.create_run(asked("run-1"))
        assert await asks(place.store, "run-2", **changes) == "run-1"

    async def test_a_finished_run_is_not_joined(self, place):
        """What it computed is there; whoever asks now wants it computed again."""
        await asks(place.store, "run-1")
        await place.store.write_many([begun("run-1"), over("run-1")])
        assert await asks(place.store, "run-2") == "run-2"
        assert await asks(place.store, "run-3") == "run-2"

    async def test_a_run_that_is_being_cancelled_is_not_joined(self, place):
        """Also after the store was opened again."""
        await asks(place.store, "run-1")
        await place.store.write_many([begun("run-1"), RunCancelRequested(at(2), "run-1", "report", "asked")])
        store = await place.reopen()
        assert await asks(store, "run-2") == "run-2"

    async def test_the_oldest_of_several_is_joined(self, place):
        """It has got further than the others."""
        for name in ("run-b", "run-a"):
            await place.store.create_run(asked(name))
        assert await asks(place.store, "run-2") == "run-b"
        assert await place.store.callers.create(asked("run-3"), caller("run-3"), but=["run-b"]) == "run-a"

    async def test_who_does_not_want_to_join_makes_a_run(self, place):
        """And is one of its callers."""
        await asks(place.store, "run-1")
        assert await place.store.callers.create(asked("run-2"), caller("run-2"), join=False) == "run-2"
        assert await leaves(place.store, "run-2", "run-2") == "caller"

    async def test_creating_twice_changes_nothing(self, place):
        """Whoever did not get the answer asks again, whatever has become of the run."""
        assert await asks(place.store, "run-1") == "run-1"
        assert await asks(place.store, "run-1") == "run-1"
        await place.store.write_many([begun("run-1"), over("run-1")])
        assert await asks(place.store, "run-1") == "run-1"
        assert len(await place.store.runs()) == 1

    async def test_an_unfinished_run_with_the_key_is_found(self, place):
        """Whatever it was asked for."""
        await place.store.create_run(asked("run-1", key="k", asset="other"))
        assert await place.store.callers.create(asked("run-2", owner=None, key="k"), None) == "run-1"
        own = asked("run-4", key="k")
        assert await place.store.callers.create(own, caller("run-4"), join=False) == "run-1"
        assert await (await place.reopen()).run("run-4") is None
        same = asked("run-5", key="own", asset="other")
        assert await place.store.callers.create(same, caller("run-5"), join=False) == "run-5"
        with pytest.raises(KeyTaken):
            await place.store.create_run(asked("run-3", key="k"))

    async def test_what_was_decided_outlives_reopening(self, place):
        """A run that was not made is not there afterwards either, and the one that was is joined still."""
        await asks(place.store, "run-1")
        await asks(place.store, "run-2")
        store = await place.reopen()
        if await store.run("run-1") is not None:
            assert [head.id for head in await store.runs()] == ["run-1"]
            assert await asks(store, "run-3") == "run-1"

    # Leaving ------------------------------------------------------------------------------------------------

    async def test_a_run_that_nobody_joined_is_cancelled_with_its_caller(self, place):
        """Whether it asked to join or not."""
        await place.store.create_run(asked("run-1"))
        assert await leaves(place.store, "run-1", "run-1") == "caller"
        assert await asks(place.store, "run-2", asset="other") == "run-2"
        assert await leaves(place.store, "run-2", "run-2") == "caller"
        assert await leaves(place.store, "run-2", "run-2") == "caller"

    async def test_a_run_goes_on_while_somebody_wants_it(self, place):
        """Its starter leaves, and then one of two who joined; the last one does not cancel it either."""
        await place.store.create_run(asked("run-1"))
        await asks(place.store, "run-2")
        await asks(place.store, "run-3")
        assert await leaves(place.store, "run-1", "run-1") is None
        assert await leaves(place.store, "run-1", "run-2") is None
        assert await leaves(place.store, "run-1", "run-3") is None
        assert await asks(place.store, "run-4") == "run-1"

    async def test_who_joined_and_left_does_not_keep_it(self, place):
        """Then its starter is the only one who wants it, as before."""
        await place.store.create_run(asked("run-1"))
        await asks(place.store, "run-2", node="n2")
        assert await leaves(place.store, "run-1", "run-2", "n2", cancels=True) is None
        assert await leaves(place.store, "run-1", "run-1") == "caller"

    async def test_the_last_one_may_cancel_it(self, place):
        """If it said so when it joined; who left before has no say."""
        await asks(place.store, "run-1")
        await asks(place.store, "run-2", cancels=True)
        assert await leaves(place.store, "run-1", "run-1") is None
        assert await leaves(place.store, "run-1", "run-2") == "unwanted"
        assert await asks(place.store, "run-3") == "run-3"

    async def test_one_who_joins_when_all_have_left_may_cancel_it(self, place):
        """Nobody is thought to be there who is not."""
        await asks(place.store, "run-1")
        await asks(place.store, "run-2")
        for who in ("run-1", "run-2"):
            assert await leaves(place.store, "run-1", who) is None
        await asks(place.store, "run-3", cancels=True)
        assert await leaves(place.store, "run-1", "run-3") == "unwanted"

    async def test_the_starter_may_be_the_last_one(self, place):
        """It says that the run is unwanted, if it was to be cancelled then."""
        await asks(place.store, "run-1", cancels=True)
        await asks(place.store, "run-2")
        assert await leaves(place.store, "run-1", "run-2") is None
        assert await leaves(place.store, "run-1", "run-1") == "unwanted"

    async def test_a_submitted_run_is_wanted_whoever_leaves(self, place):
        """Somebody will look at it later."""
        assert await place.store.callers.create(asked("run-1", owner=None), None) == "run-1"
        assert await asks(place.store, "run-2", cancels=True) == "run-1"
        assert await leaves(place.store, "run-1", "run-2") is None
        assert await place.store.callers.wanted(["run-1"], "n1") == ["run-1"]

    async def test_a_run_that_is_submitted_again_is_wanted_from_then_on(self, place):
        """Its starter does not cancel it any more."""
        await asks(place.store, "run-1", cancels=True)
        assert await place.store.callers.create(asked("run-2", owner=None), None) == "run-1"
        assert await leaves(place.store, "run-1", "run-1") is None

    async def test_a_run_can_be_kept(self, place):
        """Nobody who leaves cancels it then."""
        await asks(place.store, "run-1", cancels=True)
        await place.store.callers.keep("run-1")
        assert await leaves(place.store, "run-1", "run-1") is None

    async def test_a_run_with_a_new_owner_is_wanted_by_whoever_attends_it(self, place):
        """Of others nobody knows: unless its starter says that it waits, somebody may who cannot leave."""
        for name in ("run-1", "run-3"):
            await asks(place.store, name, asset=name) if name == "run-1" else None
        await place.store.create_run(asked("run-2", asset="b"))
        await place.store.create_run(asked("run-3", asset="c"))
        for name in ("run-2", "run-3"):
            await place.store.claim(name, "n9", epoch=0)
        await place.store.callers.attend("run-3", caller("run-3"))
        assert await asks(place.store, "run-4", asset="b", cancels=True) == "run-2"
        assert await leaves(place.store, "run-2", "run-4") is None
        assert await leaves(place.store, "run-2", "run-2") is None
        assert await asks(place.store, "run-5", asset="c", cancels=True) == "run-3"
        assert await leaves(place.store, "run-3", "run-3") is None
        assert await leaves(place.store, "run-3", "run-5") == "unwanted"

    async def test_who_wants_a_run_elsewhere_is_known(self, place):
        """Whoever drives it leaves it to others then, and does not cancel it."""
        await asks(place.store, "run-1")
        assert await place.store.callers.wanted(["run-1", "run-9"], "n1") == []
        await asks(place.store, "run-2", node="n2")
        assert await place.store.callers.wanted(["run-1", "run-9"], "n1") == ["run-1"]
        await leaves(place.store, "run-1", "run-2", "n2")
        assert await place.store.callers.wanted(["run-1", "run-9"], "n1") == []

    # Automations --------------------------------------------------------------------------------------------

    async def test_an_automation_joins_a_run_under_way(self, place):
        """It gets that one's id, and the run is wanted from then on whoever leaves it; another one is new."""
        store = place.store
        (record,) = await store.automations.define(
            {"sales": [Definition("nightly", "schedule", "0 6 * * *")]}, now=at(0)
        )
        await asks(store, "run-1", cancels=True)
        runs = (
            NewRun(asked("new-1", owner=None), join=True),
            NewRun(asked("new-2", owner=None, asset="b"), join=True),
            NewRun(asked("new-3", owner=None, asset="b"), join=True),
            NewRun(asked("new-4", owner=None)),
        )
        moved = await store.automations.move(Move(record.key, record.version, runs=runs))
        assert moved.runs == (
            FiredRun("run-1", joined=True),
            FiredRun("new-2"),
            FiredRun("new-2", joined=True),
            FiredRun("new-4"),
        )
        assert await leaves(store, "run-1", "run-1") is None

    @pytest.mark.parametrize("cancels", [False, True])
    async def test_an_automation_joins_no_run_that_is_about_to_be_cancelled(self, place, cancels):
        """Whoever left it last cancels it next: the automation has a run of its own, also after a restart."""
        store = place.store
        (record,) = await store.automations.define(
            {"sales": [Definition("nightly", "schedule", "0 6 * * *")]}, now=at(0)
        )
        await asks(store, "run-1", cancels=cancels)
        assert await leaves(store, "run-1", "run-1") == ("unwanted" if cancels else "caller")
        runs = (NewRun(asked("new-1", owner=None), join=True), NewRun(asked("new-2", owner=None), join=True))
        moved = await store.automations.move(Move(record.key, record.version, runs=runs))
        assert moved.runs == (FiredRun("new-1"), FiredRun("new-1", joined=True))
        store = await place.reopen()
        if await store.run("run-1") is not None:
            assert await store.run("new-1") is not None
            (again,) = await store.automations.records()
            assert again == moved.record
