"""What every store promises, as tests: subclass `StoreContract` with a `place` fixture that gives a `Place`.

Map of this file
    runs, events and their fences       what may be written, by whom
    steps, what is current              what a write changes
    history, lineage                    what is known of an asset-partition
    dynamic partitions, retention
    life cycle                          what outlives reopening
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date, datetime
from typing import Protocol

import pytest

from flowstone import errors
from flowstone.assets.partition_keys import encode_partition
from flowstone.runs.asset_activity import AssetActivity
from flowstone.runs.asset_freshness import NewestSuccess
from flowstone.runs.events import (
    RunCancelRequested,
    RunQueued,
    RunStarted,
    StepProgressed,
    StepRetried,
    StepStarted,
    StepSucceeded,
    StepWaiting,
    StepWoken,
)
from flowstone.runs.records import Failure, Status
from flowstone.store.protocol import KeyTaken, StaleWrite, Store
from tests.store.facts import FAILURE, at, begun, end, ending, over, record, run, start

R = ("report", None)


class Place(Protocol):
    """Where a store lives: it can be left and come back to."""

    store: Store

    async def reopen(self) -> Store:
        """Close the store and open it again, as a new process would if it can outlive one."""


async def finished_run(store: Store, run_id: str, *events) -> None:
    """A whole run in few words."""
    await store.create_run(run(run_id))
    await store.write_many([begun(run_id), *events, over(run_id)])


def ids(heads) -> list[str]:
    """The ids of runs."""
    return [head.id for head in heads]


class StoreContract:
    """The promises. Each test gets a fresh, open store.

    Attributes:
        keeps_payloads: Whether the store keeps the bytes that come with a success.
    """

    keeps_payloads = True

    # Runs ---------------------------------------------------------------------------------------------------

    async def test_a_created_run_is_found(self, place):
        """`run` gives back the record that `create_run` took, and None for an unknown id."""
        await place.store.create_run(run())
        assert await place.store.run("run-1") == run()
        assert await place.store.run("run-2") is None

    async def test_creating_a_run_twice_changes_nothing(self, place):
        """The same record again is accepted, because its writer may not know whether it was recorded."""
        await place.store.create_run(run())
        await place.store.write(begun())
        await place.store.create_run(run())
        assert (await place.store.run("run-1")).status is Status.RUNNING
        assert len(await place.store.runs()) == 1

    async def test_a_run_is_the_same_with_another_priority(self, place):
        """What it does is that; the first priority stays."""
        await place.store.create_run(run(priority=2))
        await place.store.create_run(run(priority=1))
        assert (await place.store.run("run-1")).priority == 2

    async def test_an_id_belongs_to_one_run(self, place):
        """Another record with the id of a known run is refused."""
        await place.store.create_run(run())
        with pytest.raises(StaleWrite, match="run-1"):
            await place.store.create_run(run(pipeline="other"))

    async def test_events_move_the_head_of_a_run(self, place):
        """A run starts, counts its steps by status and finishes."""
        store = place.store
        await store.create_run(run())
        await store.write(begun(total=3))
        head = await store.run("run-1")
        assert (head.status, head.started_at, head.total) == (Status.RUNNING, at(1), 3)
        for event in (end("a"), end("b"), end("c", status=Status.FAILED), over(status=Status.FAILED)):
            await store.write(event)
        head = await store.run("run-1")
        assert (head.status, head.finished_at) == (Status.FAILED, at(99))
        assert head.counts == {"succeeded": 2, "failed": 1}

    async def test_a_resumed_run_keeps_its_first_start(self, place):
        """A second `RunStarted` updates the total only."""
        await place.store.create_run(run())
        await place.store.write(begun(total=3, second=1))
        await place.store.write(begun(total=4, second=50))
        head = await place.store.run("run-1")
        assert (head.started_at, head.total) == (at(1), 4)

    async def test_runs_are_listed_newest_first_in_pages(self, place):
        """`before` continues after the last run of a page; neither ids nor clocks say which run is newer."""
        for second, number in enumerate((3, 1, 5, 2, 4)):
            await place.store.create_run(run(f"run-{number}", created_at=at(-3600 * second)))
        store = await place.reopen()
        first = await store.runs(limit=2)
        assert [head.id for head in first] == ["run-4", "run-2"]
        assert [head.id for head in await store.runs(limit=9, before="run-2")] == ["run-5", "run-1", "run-3"]
        assert await store.runs(before="run-3") == []
        assert await store.runs(limit=0) == []

    async def test_a_page_begins_behind_a_known_run(self, place):
        """Where a page would begin at a run that nobody knows, that is said, of any status."""
        await finished_run(place.store, "run-1")
        for statuses in ((), {Status.SUCCEEDED}):
            with pytest.raises(errors.RunNotFound, match="run-35"):
                await place.store.runs(statuses=statuses, before="run-35")

    async def test_the_order_of_runs_outlives_retention(self, place):
        """Runs stay in the order they came in, whichever finished first, and new ones come behind them."""
        store = place.store
        for name in ("run-7", "run-1", "run-5", "run-3"):
            await store.create_run(run(name))
        for name in ("run-3", "run-7", "run-5"):
            await store.write(over(name))
        await store.prune(keep_versions=1, keep_runs=2)
        store = await place.reopen()
        await store.create_run(run("run-2"))
        store = await place.reopen()
        assert [head.id for head in await store.runs()] == ["run-2", "run-5", "run-1", "run-7"]
        assert [head.id for head in await store.runs(before="run-5")] == ["run-1", "run-7"]

    async def test_runs_are_found_by_how_their_ids_begin(self, place):
        """Some of those that begin so, and none that does not."""
        for name in ("ab1", "ac1", "ab2", "b", "ab"):
            await place.store.create_run(run(name))
        assert {head.id for head in await place.store.runs_beginning("ab", limit=9)} == {"ab", "ab1", "ab2"}
        assert len(await place.store.runs_beginning("a", limit=2)) == 2
        assert await place.store.runs_beginning("ad") == []

    async def test_runs_are_found_by_status(self, place):
        """A page of chosen statuses is full although other runs lie between."""
        for number in range(1, 7):
            await place.store.create_run(run(f"run-{number}"))
            if number % 2:
                await place.store.write(begun(f"run-{number}"))
        running = await place.store.runs(statuses={Status.RUNNING}, limit=2)
        assert [head.id for head in running] == ["run-5", "run-3"]
        queued = await place.store.runs(statuses=[Status.QUEUED, Status.WAITING])
        assert [head.id for head in queued] == ["run-6", "run-4", "run-2"]

    async def test_runs_are_found_by_the_asset_asked_for(self, place):
        """Alone and together with statuses, in pages, whatever lies between."""
        for number in range(1, 9):
            await place.store.create_run(run(f"run-{number}", asset="ab"[number % 2]))
            if number > 4:
                await place.store.write(begun(f"run-{number}"))
        store = await place.reopen()
        assert ids(await store.runs(asset="a")) == ["run-8", "run-6", "run-4", "run-2"]
        assert ids(await store.runs(asset="a", limit=2, before="run-6")) == ["run-4", "run-2"]
        assert ids(await store.runs(asset="b", statuses=[Status.RUNNING])) == ["run-7", "run-5"]
        assert ids(await store.runs(asset="b", statuses=[Status.RUNNING, Status.QUEUED], limit=3)) == [
            "run-7",
            "run-5",
            "run-3",
        ]
        assert await store.runs(asset="c") == []

    async def test_a_run_of_several_assets_is_found_by_each_of_them(self, place):
        """With tags, statuses and in pages as the others, and once; the request comes back as it was."""
        several = replace(run().request, asset="b", beside={"a": "same", "c": "once", "d": "needed"})
        for number in range(1, 9):
            request = several if number % 2 else replace(run().request, asset="abcd"[number // 2 - 1])
            await place.store.create_run(run(f"run-{number}", request=request))
            if number > 4:
                await place.store.write(begun(f"run-{number}"))
        store = await place.reopen()
        assert (await store.run("run-1")).request == several
        for name, alone in zip("abcd", (2, 4, 6, 8), strict=True):
            found = sorted([1, 3, 5, 7, alone], reverse=True)
            assert ids(await store.runs(asset=name)) == [f"run-{number}" for number in found]
            assert ids(await store.runs(asset=name, tags={"team": None})) == [f"run-{n}" for n in found]
            begun_ones = [f"run-{number}" for number in found if number > 4]
            assert ids(await store.runs(asset=name, statuses=[Status.RUNNING])) == begun_ones
        assert ids(await store.runs(asset="a", limit=2, before="run-5")) == ["run-3", "run-2"]
        assert ids(await store.runs(asset="c", limit=2, before="run-7")) == ["run-6", "run-5"]
        assert await store.runs(asset="e") == []

    async def test_runs_are_found_by_their_tags(self, place):
        """By name, by name and value, by several at once; together with asset and statuses, in pages."""
        tags = [{}, {"team": "core"}, {"team": "web", "why=": 'it\'s "odd"'}, {"team": "core", "why=": ""}]
        for number, given in enumerate(tags * 2):
            request = replace(run().request, asset="ab"[number // 4], tags=given)
            await place.store.create_run(run(f"run-{number}", request=request))
        await place.store.write(begun("run-5"))
        store = await place.reopen()
        core = ["run-7", "run-5", "run-3", "run-1"]
        assert ids(await store.runs(tags={"team": None})) == [
            f"run-{number}" for number in (7, 6, 5, 3, 2, 1)
        ]
        assert ids(await store.runs(tags={"team": "core"})) == core
        assert ids(await store.runs(tags={"team": "core"}, limit=2, before="run-5")) == core[2:]
        assert ids(await store.runs(tags={"team": "core", "why=": None})) == ["run-7", "run-3"]
        assert ids(await store.runs(tags={"why=": 'it\'s "odd"'})) == ["run-6", "run-2"]
        assert ids(await store.runs(tags={"team": "core"}, asset="b")) == core[:2]
        assert ids(await store.runs(tags={"team": None}, statuses=[Status.RUNNING])) == ["run-5"]
        assert await store.runs(tags={"team": "cor"}) == await store.runs(tags={"core": None}) == []
        with pytest.raises(errors.RunNotFound, match="run-35"):
            await store.runs(tags={"team": "core"}, before="run-35")

    async def test_the_failures_of_an_asset_are_those_that_nothing_followed(self, place):
        """By partition key; a later record of whatever kind makes up for one, and so does none of another asset."""
        store = place.store
        await finished_run(
            store,
            "run-1",
            *(end("a", key, run_id="run-1", status=Status.FAILED) for key in ("c", "b", "a", None)),
            end("a", "d", run_id="run-1"),
            end("b", "a", run_id="run-1", status=Status.FAILED),
        )
        await finished_run(
            store,
            "run-2",
            end("a", "b", run_id="run-2"),
            end("a", "c", run_id="run-2", status=Status.FAILED, second=1),
            end("a", "d", run_id="run-2", status=Status.FAILED),
        )
        store = await place.reopen()
        failed = await store.failures("a")
        assert [(each.partition_key, each.run_id) for each in failed] == [
            (None, "run-1"),
            ("a", "run-1"),
            ("c", "run-2"),
            ("d", "run-2"),
        ]
        assert failed[0] == (await store.history(("a", None)))[0]
        assert await store.failures("a", limit=2) == failed[:2]
        assert await store.failures("c") == []
        await finished_run(store, "run-3", end("a", "a", run_id="run-3", status=Status.SKIPPED))
        assert [each.partition_key for each in await store.failures("a", limit=9)] == [None, "c", "d"]

    async def test_the_keys_of_assets_by_how_they_stand(self, place):
        """Current values, and newest records that made none: a key may be in both, and in none."""
        store = place.store
        bad, left, gone = Status.FAILED, Status.SKIPPED, Status.CANCELLED
        await finished_run(
            store,
            "run-1",
            *(end("a", key, run_id="run-1") for key in ("good", "then bad", "invalid", "then left")),
            end("a", "bad", run_id="run-1", status=bad),
            end("a", "then good", run_id="run-1", status=bad),
            end("a", "gone", run_id="run-1", status=gone),
            end("b", run_id="run-1"),
            end("c", run_id="run-1", status=left),
        )
        await finished_run(
            store,
            "run-2",
            end("a", "then bad", run_id="run-2", status=bad),
            end("a", "then good", run_id="run-2"),
            end("a", "then left", run_id="run-2", status=left),
        )
        await store.invalidate([("a", "invalid")])
        expected = {
            "a": {
                Status.SUCCEEDED: ["good", "then bad", "then good", "then left"],
                bad: ["bad", "then bad"],
                left: ["then left"],
                gone: ["gone"],
            },
            "b": {Status.SUCCEEDED: [None]},
            "c": {left: [None]},
        }
        for _ in range(2):
            found = await store.keys_by_status(["a", "b", "c", "d"])
            assert {
                asset: {status: sorted(keys, key=str) for status, keys in by.items()}
                for asset, by in found.items()
            } == expected
            store = await place.reopen()
        assert await store.keys_by_status([]) == {}
        assert await store.count_by_status(["a", "b", "c", "d"]) == {
            "a": {Status.SUCCEEDED: (4, 4), bad: (2, 1), left: (1, 1), gone: (1, 0)},
            "b": {Status.SUCCEEDED: (1, 1)},
            "c": {left: (1, 0)},
        }

    async def test_no_clock_says_what_became_of_an_asset_last(self, place):
        """But the order of recording, over all partitions and runs; also when some of it is forgotten."""
        store = place.store
        for number in range(12):
            key, status = "xyz"[number % 3], (Status.SUCCEEDED, Status.FAILED)[number % 4 == 3]
            step = end("a", key, started_at=at(1), second=100 - number, status=status, run_id=f"run-{number}")
            await store.create_run(run(f"run-{number}"))
            await store.write(step)
            await store.write(over(f"run-{number}", status, second=100 - number))
        recorded = [f"run-{number}" for number in reversed(range(12))]
        assert [each.run_id for each in await store.recent("a")] == recorded
        store = await place.reopen()
        assert [each.run_id for each in await store.recent("a", limit=5, offset=2)] == recorded[2:7]
        await store.prune(keep_versions=1, keep_runs=4)
        left = ["run-11", "run-10", "run-9", "run-8"]
        for _ in range(2):
            assert [each.run_id for each in await store.recent("a")] == left
            assert (await store.activity(["a"], limit=1))["a"].finished_at == at(100 - 11)
            store = await place.reopen()

    async def test_how_long_an_asset_takes_is_not_what_was_cancelled(self, place):
        """A step that was stopped ended, and says nothing of how long one takes."""
        store = place.store
        stopped = Status.CANCELLED
        await finished_run(
            store,
            "run-1",
            end("a", "one", started_at=at(1), second=11),
            end("a", "two", started_at=at(1), second=90, status=stopped),
            end("b", None, started_at=at(1), second=90, status=stopped),
        )
        for _ in range(2):
            assert await store.activity(["a", "b"], limit=5) == {
                "a": AssetActivity("a", at(90), (10.0,)),
                "b": AssetActivity("b", at(90), ()),
            }
            store = await place.reopen()

    async def test_what_was_skipped_is_found_by_its_cause(self, place):
        """Without what has a value: what was skipped by choice, and by each step whose failure was the cause."""
        store = place.store
        left, chosen = Status.SKIPPED, Failure("skip", "closed")
        failed = Failure("dependency", "raw[x] failed", cause="raw[x]")
        await finished_run(
            store,
            "run-1",
            end("a", "one", status=left, failure=failed),
            end("a", "two", status=left, failure=failed),
            end("a", "three", status=left, failure=Failure("skip", "no", cause="raw[y]")),
            end("a", "made since", status=left, failure=failed),
            end("b", None, status=left, failure=chosen),
            end("c", "made", second=3),
            end("d", "gone", status=Status.CANCELLED),
        )
        await finished_run(
            store,
            "run-2",
            end("a", "made since", run_id="run-2"),
            end("c", "made", run_id="run-2", status=left, failure=failed),
        )
        for _ in range(2):
            found = await store.skipped(["a", "b", "c", "d", "e"])
            assert {
                asset: {cause: sorted(keys, key=str) for cause, keys in by.items()}
                for asset, by in found.items()
            } == {"a": {"raw[x]": ["one", "two"], None: ["three"]}, "b": {None: [None]}}
            store = await place.reopen()

    async def test_what_became_of_an_asset_is_asked_for_all_partitions_together(self, place):
        """The newest first, page by page; of the attempts among them, how long they took."""
        store = place.store
        await finished_run(
            store,
            "run-1",
            end("a", "one", started_at=at(1), second=11),
            end("a", "two", started_at=at(1), second=21, status=Status.FAILED),
            end("a", "three", started_at=at(1), second=31),
            end("a", "left", started_at=None, second=41, status=Status.SKIPPED),
        )
        for _ in range(2):
            assert [each.partition_key for each in await store.recent("a")] == ["left", "three", "two", "one"]
            assert [each.status for each in await store.recent("a", limit=2, offset=1)] == [
                Status.SUCCEEDED,
                Status.FAILED,
            ]
            assert await store.recent("b") == []
            assert await store.activity(["a", "b"], limit=3) == {
                "a": AssetActivity("a", at(31), (20.0, 30.0))
            }
            assert await store.activity(["a"], limit=1) == {}
            store = await place.reopen()

    async def test_the_newest_success_of_an_asset_is_the_last_of_any_partition(self, place):
        """By arrival, whatever the clocks say; failures and other assets do not count, and it may be invalid."""
        store = place.store
        await finished_run(
            store,
            "run-1",
            end("a", "x", run_id="run-1", second=50),
            end("a", "y", run_id="run-1", second=40),
            end("b", run_id="run-1"),
            end("c", run_id="run-1", status=Status.FAILED),
        )
        await finished_run(
            store,
            "run-2",
            end("a", "y", run_id="run-2", second=20),
            end("a", "x", run_id="run-2", second=30),
            end("a", "z", run_id="run-2", status=Status.FAILED, second=60),
        )
        await finished_run(store, "run-3", end("a", "y", run_id="run-3", second=10))
        expected = {
            "a": NewestSuccess("a", "run-3", at(10)),
            "b": NewestSuccess("b", "run-1", at(2)),
        }
        assert await store.newest_successes(["a", "b", "c", "d"]) == expected
        store = await place.reopen()
        assert await store.newest_successes(["b", "a"]) == expected
        await store.invalidate([("a", "y")])
        assert (await store.newest_successes(["a"]))["a"] == NewestSuccess("a", "run-3", at(10), valid=False)
        assert await store.newest_successes([]) == {}

    async def test_how_long_assets_take(self, place):
        """The median of their successes, at whatever partition; what failed does not count."""
        store = place.store
        await finished_run(
            store, "run-1", end("a", "x", run_id="run-1"), end("a", "y", run_id="run-1", status=Status.FAILED)
        )
        taken = (await store.history(("a", "x")))[0].duration
        assert await store.durations(["a", "b"]) == ({} if taken is None else {"a": taken})

    async def test_how_the_attempts_of_a_step_go(self, place):
        """The newest start, retry or wait of a step of an unfinished run, after a restart as well."""
        store = place.store
        await store.create_run(run())
        await store.write(RunStarted(at(0), "run-1", "a", 2))
        assert await store.attempt_event("run-1", ("a", "x")) is None
        assert await store.attempt_event("run-2", ("a", "x")) is None
        started = StepStarted(at(1), "run-1", "a", "x", 1, "n1")
        retried = StepRetried(at(2), "run-1", "a", "x", 1, Failure("error", "no"), 5.0)
        other = StepStarted(at(3), "run-1", "a", None, 1)
        await store.write_many([started, other])
        assert await store.attempt_event("run-1", ("a", "x")) == started
        assert await store.attempt_event("run-1", ("a", None)) == other
        await store.write(retried)
        again = StepStarted(at(9), "run-1", "a", "x", 2, "n2")
        assert await store.attempt_event("run-1", ("a", "x")) == retried
        await store.write(again)
        store = await place.reopen()
        assert await store.attempt_event("run-1", ("a", "x")) == again
        assert await store.attempt_event("run-1", ("a", None)) == other

    async def test_a_run_keeps_its_key_and_priority(self, place):
        """Both come back with the head, before and after it has finished."""
        await place.store.create_run(run(key="nightly", priority=7))
        assert (await place.store.run("run-1")) == run(key="nightly", priority=7)
        await place.store.write(over())
        head = await (await place.reopen()).run("run-1")
        assert (head.key, head.priority) == ("nightly", 7)

    async def test_the_unfinished_run_with_a_key_is_found(self, place):
        """`run_with_key` finds it by its key alone, and only until it has finished."""
        store = place.store
        await store.create_run(run("run-1", key="nightly"))
        await store.create_run(run("run-2", key="daily"))
        await store.create_run(run("run-3"))
        await store.write(begun("run-1"))
        store = await place.reopen()
        assert (await store.run_with_key("nightly")).status is Status.RUNNING
        assert (await store.run_with_key("daily")).id == "run-2"
        assert await store.run_with_key("hourly") is None
        await store.write(over("run-1", Status.CANCELLED))
        assert await store.run_with_key("nightly") is None
        assert (await store.run_with_key("daily")).id == "run-2"

    async def test_one_unfinished_run_has_a_key(self, place):
        """A second run with the key is refused and leaves no trace; once the first has finished it is taken."""
        store = place.store
        await store.create_run(run("run-1", key="nightly"))
        await store.create_run(run("run-1", key="nightly"))
        with pytest.raises(KeyTaken, match="run-1"):
            await store.create_run(run("run-2", key="nightly"))
        store = await place.reopen()
        assert await store.run("run-2") is None
        await store.write(over("run-1"))
        await store.create_run(run("run-2", key="nightly"))
        store = await place.reopen()
        assert (await store.run_with_key("nightly")).id == "run-2"

    async def test_one_of_many_gets_a_key(self, place):
        """Of several who use a key at the same time one succeeds."""
        new = [place.store.create_run(run(f"run-{number}", key="nightly")) for number in range(5)]
        answers = await asyncio.gather(*new, return_exceptions=True)
        assert sum(isinstance(answer, KeyTaken) for answer in answers) == 4
        assert len(await place.store.runs()) == 1

    async def test_a_store_that_answers_has_no_problem(self, place):
        """`problem` is None while the store answers."""
        await place.store.create_run(run())
        assert place.store.problem is None

    # Payloads -----------------------------------------------------------------------------------------------

    async def test_a_payload_is_found_under_its_location(self, place):
        """The bytes written with a success are found by the location its record names, until deleted."""
        if not self.keeps_payloads:
            pytest.skip("keeps no payloads")
        store = place.store
        await store.create_run(run())
        await store.write(end("a", location="store:a"), payload=b"\0\xff value")
        await store.write(end("b", location="store:b"), payload=b"")
        store = await place.reopen()
        assert (await store.payload("store:a"), await store.payload("store:b")) == (b"\0\xff value", b"")
        assert await store.payload("store:c") is None
        there = [await store.has_payload(f"store:{name}") for name in "abc"]
        assert (store.keeps_payloads, there) == (True, [True, True, False])
        await store.delete_payload("store:a")
        await store.delete_payload("store:a")
        store = await place.reopen()
        assert (await store.payload("store:a"), await store.payload("store:b")) == (None, b"")
        assert (await store.has_payload("store:a"), await store.has_payload("store:b")) == (False, True)
        assert (await store.step("run-1", ("a", None))).location == "store:a"

    async def test_a_refused_success_leaves_no_payload(self, place):
        """A payload is kept together with its record or not at all, and never replaces another one."""
        if not self.keeps_payloads:
            pytest.skip("keeps no payloads")
        store = place.store
        await store.create_run(run())
        await store.write(end("a", location="store:1"), payload=b"first")
        for location in ("store:1", "store:2"):
            with pytest.raises(StaleWrite):
                await store.write(end("a", location=location), payload=b"second")
        with pytest.raises(StaleWrite):
            await store.write(end("b", run_id="run-9", location="store:3"), payload=b"third")
        found = [await store.payload(f"store:{number}") for number in (1, 2, 3)]
        assert found == [b"first", None, None]

    @pytest.mark.parametrize("size", [65_536, 65_537, 1_000_000, 1_000_001, 5_000_000])
    async def test_a_payload_may_be_large(self, place, size):
        """Payloads of any size come back as they were, also when several are asked for at once."""
        if not self.keeps_payloads:
            pytest.skip("keeps no payloads")
        store = place.store
        await store.create_run(run())
        contents = {f"store:{name}": name.encode() * size for name in "ab"}
        for location, content in contents.items():
            await store.write(end(location[-1], location=location), payload=content)
        await store.write(end("c", location="store:c"), payload=b"small")
        store = await place.reopen()
        found = await asyncio.gather(*(store.payload(f"store:{name}") for name in "abcd"))
        assert found == [*contents.values(), b"small", None]

    async def test_a_payload_is_forgotten_with_its_record(self, place):
        """Retention takes the payloads of the successes that it takes, and no others."""
        if not self.keeps_payloads:
            pytest.skip("keeps no payloads")
        store = place.store
        for number in range(3):
            run_id = f"run-{number}"
            await store.create_run(run(run_id))
            success = end("a", run_id=run_id, second=number, location=f"store:{number}")
            await store.write(success, payload=b"value")
            await store.write(over(run_id))
        assert len(await store.prune(keep_versions=2, keep_runs=1)) == 1
        assert [await store.has_payload(f"store:{number}") for number in range(3)] == [False, True, True]
        assert len(await store.prune(keep_versions=1, keep_runs=1)) == 1
        assert [await store.has_payload(f"store:{number}") for number in range(3)] == [False, False, True]

    async def test_a_payload_belongs_to_a_success_with_a_location(self, place):
        """Bytes that nobody could find again are a mistake of the caller."""
        if not self.keeps_payloads:
            pytest.skip("keeps no payloads")
        await place.store.create_run(run())
        for event in (start("a"), end("a"), end("a", status=Status.FAILED, location="store:a")):
            with pytest.raises(ValueError, match="payload"):
                await place.store.write(event, payload=b"lost")
        assert len(await place.store.events("run-1")) == 1

    # Events and fences --------------------------------------------------------------------------------------

    async def test_events_come_back_as_they_were_written(self, place):
        """Events are numbered from 1 in order, the creation of the run first, progress left out."""
        store = place.store
        written = [
            begun(),
            start("a", attempt=1),
            StepRetried(at(2), "run-1", "a", None, 1, FAILURE, 0.5),
            start("a", attempt=2),
            StepWaiting(at(2), "run-1", "a", None, 2, "publish", "approval", at(9)),
            StepWoken(at(2), "run-1", "a", None, 2, "publish"),
            start("a", attempt=3),
            StepWaiting(at(2), "run-1", "a", None, 3, "bank", "signal"),
            StepWoken(at(2), "run-1", "a", None, 3, "bank"),
            start("a", attempt=4),
            end("a", attempt=4),
            end("b", "eu", status=Status.REUSED),
            end("c", status=Status.SKIPPED),
            end("d", status=Status.CANCELLED, attempt=0),
            end("e", status=Status.FAILED),
            RunCancelRequested(at(3), "run-1", "report", "enough"),
            over(status=Status.CANCELLED),
        ]
        await store.create_run(run())
        for event in written:
            await store.write(event)
            if not isinstance(event, type(over())):
                await store.write(StepProgressed(at(2), "run-1", "z", None, 1, 0.5))
        queued = RunQueued(at(0), "run-1", "report", run().request)
        assert await store.events("run-1") == list(enumerate([queued, *written], 1))

    async def test_an_event_may_differ_from_its_record(self, place):
        """The instant and the attempt of an event are its own, even where its record has others."""
        differing = [
            replace(end("a"), at=at(77)),
            replace(end("b"), attempt=7),
            replace(end("c", status=Status.FAILED), attempt=7),
        ]
        await place.store.create_run(run())
        await place.store.write_many(differing)
        assert await (await place.reopen()).events("run-1", after=1) == list(enumerate(differing, 2))

    async def test_events_that_were_recorded_at_once_are_paged(self, place):
        """Starts of many steps, between other events: every page has what lies there, wherever it begins."""
        store = place.store
        await store.create_run(run())
        starts = [
            start(name, key, second=second) for second, name in enumerate("abcde") for key in (None, "x")
        ]
        await asyncio.gather(store.write(begun()), *map(store.write, starts))
        await asyncio.gather(*(store.write(end(event.asset, event.partition_key)) for event in starts))
        await asyncio.gather(*map(store.write, [start("f", key) for key in "uvw"]))
        whole = await store.events("run-1")
        assert [number for number, _ in whole] == list(range(1, 26))
        assert [event for _, event in whole[2:12]] == starts
        for limit in (1, 3, 7):
            for after in range(26):
                page = await store.events("run-1", after=after, limit=limit)
                assert page == whole[after : after + limit]

    async def test_events_are_paged(self, place):
        """`after` and `limit` choose a page by sequence number."""
        await place.store.create_run(run())
        await place.store.write_many([start("a", str(number)) for number in range(5)])
        page = await place.store.events("run-1", after=2, limit=2)
        assert [(number, event.partition_key) for number, event in page] == [(3, "1"), (4, "2")]
        assert await place.store.events("run-1", after=6) == []
        assert await place.store.events("run-1", limit=0) == []
        assert await place.store.events("nobody") == []

    async def test_the_queued_event_is_recorded_once(self, place):
        """Writing `RunQueued` adds nothing, because `create_run` said it."""
        await place.store.create_run(run())
        await place.store.write(RunQueued(at(0), "run-1", "report", run().request))
        assert len(await place.store.events("run-1")) == 1

    async def test_an_unfinished_run_keeps_every_event(self, place):
        """A run is resumed from its events, so none is let go before it has finished."""
        await place.store.create_run(run())
        for chunk in range(11):
            await place.store.write_many([start("a", f"{chunk}-{number}") for number in range(1_000)])
        assert (await place.store.events("run-1", limit=1))[0][0] == 1
        await place.store.write(over())
        store = await place.reopen()
        kept = await store.events("run-1", limit=100_000)
        assert len(kept) >= 10_000
        assert kept[-1] == (11_002, over())
        assert [number for number, _ in kept] == list(range(kept[0][0], 11_003))

    async def test_a_former_owner_is_refused(self, place):
        """After a claim, writes with the old epoch are refused and change nothing; the new owner's pass."""
        store = place.store
        await store.create_run(run(owner="node-1"))
        await store.write(start("a"), epoch=0)
        claimed = await store.claim("run-1", "node-2", epoch=0)
        assert (claimed.owner, claimed.epoch) == ("node-2", 1)
        with pytest.raises(StaleWrite, match="epoch"):
            await store.write(end("a"), epoch=0)
        with pytest.raises(StaleWrite):
            await store.write_many([end("a")])
        assert await store.step("run-1", ("a", None)) is None
        await store.write(end("a"), epoch=1)
        assert await store.step("run-1", ("a", None)) == record("a")
        assert (await store.run("run-1")).owner == "node-2"

    async def test_one_of_many_claims_succeeds(self, place):
        """Two nodes that saw the same orphan do not both get it."""
        await place.store.create_run(run())
        claims = [place.store.claim("run-1", f"node-{number}", epoch=0) for number in range(5)]
        answers = await asyncio.gather(*claims, return_exceptions=True)
        assert sum(isinstance(answer, StaleWrite) for answer in answers) == 4
        assert (await place.store.run("run-1")).epoch == 1

    async def test_a_claim_needs_an_unfinished_run(self, place):
        """A finished run is not claimed, and an unknown one is not found."""
        await finished_run(place.store, "run-1")
        with pytest.raises(StaleWrite, match="finished"):
            await place.store.claim("run-1", "node", epoch=0)
        with pytest.raises(errors.RunNotFound, match="run-9"):
            await place.store.claim("run-9", "node", epoch=0)

    async def test_a_finished_run_takes_no_writes(self, place):
        """Terminal states are absorbing: nothing is written to a run that has finished."""
        await finished_run(place.store, "run-1", end("a"))
        before = await place.store.run("run-1"), await place.store.events("run-1")
        for event in (start("b"), end("b"), over(status=Status.CANCELLED), begun()):
            with pytest.raises(StaleWrite, match="finished"):
                await place.store.write(event)
        assert before == (await place.store.run("run-1"), await place.store.events("run-1"))

    async def test_an_unknown_run_takes_no_writes(self, place):
        """A write to a run that was never created, or that retention removed, is refused."""
        with pytest.raises(StaleWrite, match="run-1"):
            await place.store.write(start())
        with pytest.raises(StaleWrite):
            await place.store.write_many([start(), end()])

    async def test_a_run_finishes_in_a_terminal_status(self, place):
        """`RunFinished` with a status that something follows is a mistake of the caller."""
        await place.store.create_run(run())
        with pytest.raises(ValueError, match="terminal"):
            await place.store.write(over(status=Status.RUNNING))
        assert (await (await place.reopen()).run("run-1")).status is Status.QUEUED

    async def test_a_step_has_one_terminal_record(self, place):
        """The second record of a step is refused, even an equal one, and so is a late start."""
        store = place.store
        await store.create_run(run())
        await store.write(end("a", location="first"))
        for late in (end("a", location="second"), end("a", status=Status.FAILED), start("a", attempt=2)):
            with pytest.raises(StaleWrite, match="a already has its record"):
                await store.write(late)
        assert (await store.step("run-1", ("a", None))).location == "first"
        assert (await store.run("run-1")).counts == {"succeeded": 1}
        assert len(await store.history(("a", None))) == 1
        assert len(await store.events("run-1")) == 2

    async def test_an_overtaken_attempt_is_refused(self, place):
        """Once attempt 2 has started, attempt 1 can neither succeed, fail, retry, wait, be woken nor start."""
        store = place.store
        await store.create_run(run())
        await store.write(start("a", attempt=1))
        await store.write(start("a", attempt=2))
        retried = StepRetried(at(2), "run-1", "a", None, 1, FAILURE, 0.5)
        waits = StepWaiting(at(2), "run-1", "a", None, 1, "publish", "approval")
        woken = StepWoken(at(2), "run-1", "a", None, 1, "publish")
        failed = end("a", attempt=1, status=Status.FAILED)
        for late in (end("a", attempt=1), failed, retried, waits, woken, start("a")):
            with pytest.raises(StaleWrite, match="overtaken by attempt 2"):
                await store.write(late)
        await store.write(end("a", attempt=2))
        assert (await store.step("run-1", ("a", None))).attempt == 2

    async def test_a_run_may_cancel_a_step_of_any_attempt(self, place):
        """Cancelling and skipping are decisions of the run, which no attempt overtakes."""
        await place.store.create_run(run())
        await place.store.write(start("a", attempt=2))
        await place.store.write(end("a", attempt=0, status=Status.CANCELLED))
        assert (await place.store.step("run-1", ("a", None))).status is Status.CANCELLED

    @pytest.mark.parametrize(
        "batch",
        [
            [end("b"), end("a")],
            [end("b"), end("b", location="again")],
            [end("b"), start("b", attempt=2)],
            [start("b", attempt=2), end("b", attempt=1)],
            [end("b"), over(), end("c")],
            [over(), over()],
        ],
    )
    async def test_a_batch_is_written_whole_or_not_at_all(self, place, batch):
        """One refused event refuses its batch, also when an earlier event of the batch is the reason."""
        store = place.store
        await store.create_run(run())
        await store.write(end("a"))
        before = await store.events("run-1"), await store.run("run-1"), await store.current([("b", None)])
        with pytest.raises(StaleWrite):
            await store.write_many(batch)
        after = await store.events("run-1"), await store.run("run-1"), await store.current([("b", None)])
        assert before == after

    async def test_a_batch_is_of_one_run(self, place):
        """A batch that mixes runs is a mistake of the caller; an empty one is nothing."""
        await place.store.create_run(run("run-1"))
        await place.store.create_run(run("run-2"))
        with pytest.raises(ValueError, match="one run"):
            await place.store.write_many([end("a", run_id="run-1"), end("a", run_id="run-2")])
        await place.store.write_many([])
        assert await place.store.steps("run-1") == []

    async def test_writers_of_many_runs_do_not_disturb_each_other(self, place):
        """Concurrent writes of many runs are all there, each run's in its order."""
        store = place.store

        async def one(number: int) -> None:
            name = f"run-{number:02}"
            await store.create_run(run(name))
            await store.write(begun(name))
            steps = [store.write(end("a", str(step), run_id=name, second=number)) for step in range(10)]
            await asyncio.gather(*steps)
            await store.write(over(name))

        await asyncio.gather(*(one(number) for number in range(20)))
        heads = await store.runs()
        assert {head.counts["succeeded"] for head in heads} == {10}
        assert len(heads) == 20
        current = await store.current([("a", str(step)) for step in range(10)])
        assert len(current) == 10
        for key, found in current.items():
            assert found == (await store.history(key))[0]

    # Steps --------------------------------------------------------------------------------------------------

    async def test_steps_are_listed_in_the_order_they_ended(self, place):
        """`steps` pages through all records of a run, or those of one status."""
        store = place.store
        await store.create_run(run())
        statuses = [Status.SUCCEEDED, Status.FAILED, Status.SUCCEEDED, Status.SKIPPED, Status.SUCCEEDED]
        written = [record("a", str(number), status=status) for number, status in enumerate(statuses)]
        for made in written:
            await store.write(ending(made))
        assert await store.steps("run-1") == written
        assert await store.steps("run-1", offset=1, limit=2) == written[1:3]
        assert await store.steps("run-1", offset=9) == []
        assert await store.steps("run-1", limit=0) == []
        succeeded = [made for made in written if made.status is Status.SUCCEEDED]
        assert await store.steps("run-1", status=Status.SUCCEEDED) == succeeded
        assert await store.steps("run-1", status=Status.SUCCEEDED, offset=2, limit=5) == succeeded[2:]
        assert await store.steps("run-1", status=Status.REUSED) == []
        assert await store.steps("nobody") == []

    async def test_a_page_does_not_change_under_its_reader(self, place):
        """What a call returned is not extended by later writes."""
        await place.store.create_run(run())
        await place.store.write(end("a"))
        steps, history = await place.store.steps("run-1"), await place.store.history(("a", None))
        await place.store.write(end("b"))
        await finished_run(place.store, "run-2", end("a", run_id="run-2"))
        assert (len(steps), len(history)) == (1, 1)

    async def test_partitions_keep_their_types(self, place):
        """A record comes back with its partition as the Python value it was, also after reopening."""
        keys = [
            "eu",
            7,
            date(2025, 1, 15),
            datetime(2025, 1, 15, 2, tzinfo=at(0).tzinfo),
            ("eu", date(2025, 1, 1)),
            None,
        ]
        made = [
            replace(
                record("a", metadata={"rows": 3, "nested": {"list": [1, 2.5, None, True, "ü"]}}),
                partition=key,
                partition_key=None if key is None else encode_partition(key),
            )
            for key in keys
        ]
        made.append(record("c", config={"threshold": 5, "limits": {"high": 1.5}, "names": ["ü"]}))
        made.append(record("d", config={}))
        keys += [None, None]
        await place.store.create_run(run())
        await place.store.write_many([ending(one) for one in made])
        store = await place.reopen()
        found = await store.steps("run-1")
        assert found == made
        assert [type(one.partition) for one in found] == [type(key) for key in keys]

    @pytest.mark.parametrize("finished", [None, at(5).replace(tzinfo=None)])
    async def test_a_terminal_record_has_an_instant(self, place, finished):
        """A record without `finished_at` gets its event's, and a naive one is taken as UTC."""
        made = replace(record("a"), finished_at=finished)
        await place.store.create_run(run())
        await place.store.write(StepSucceeded(at(5), "run-1", "a", None, 1, made))
        store = await place.reopen()
        assert (await store.current([("a", None)]))["a", None] == record("a", second=5, started_at=at(1))

    # What is current ----------------------------------------------------------------------------------------

    async def test_the_newest_success_is_current(self, place):
        """A later success replaces an earlier one; keys without one are left out of the answer."""
        store = place.store
        await finished_run(store, "run-1", end(second=2, location="old"))
        await finished_run(store, "run-2", end(run_id="run-2", second=3, location="new"))
        current = await store.current([R, ("nothing", None), ("report", "eu")])
        assert {key: found.location for key, found in current.items()} == {R: "new"}

    @pytest.mark.parametrize(
        "later", [pytest.param(-3600, id="clock set back"), pytest.param(-30, id="clock behind"), 0, 1]
    )
    async def test_what_is_recorded_last_is_newest(self, place, later):
        """Whatever the clock of its node said, in each part of what is known of an asset-partition."""
        store = place.store
        for number, (name, second) in enumerate([("run-5", 0), ("run-9", 0), ("run-1", later)]):
            inputs = [("raw", str(number))]
            await finished_run(store, name, end(run_id=name, second=second, inputs=inputs))
        store = await place.reopen()
        assert (await store.current([R]))[R].run_id == "run-1"
        assert [found.run_id for found in await store.history(R)] == ["run-1", "run-9", "run-5"]
        edges = await store.downstream([("raw", str(number)) for number in range(3)])
        assert [len(users) for users in edges.values()] == [0, 0, 1]
        forgotten = await store.prune(keep_versions=2, keep_runs=9)
        assert [one.run_id for one in forgotten] == ["run-5"]
        store = await place.reopen()
        assert (await store.current([R]))[R].run_id == "run-1"
        assert [found.run_id for found in await store.history(R, limit=1)] == ["run-1"]

    async def test_two_nodes_with_different_clocks_take_turns(self, place):
        """Of two whose clocks are half a minute apart, whoever recorded last has the current value."""
        store = place.store
        for turn in range(6):
            name = f"run-{turn}"
            ahead = 30 if turn % 2 == 0 else 0
            await finished_run(store, name, end(run_id=name, second=turn + ahead))
            assert (await store.current([R]))[R].run_id == name
        store = await place.reopen()
        assert (await store.current([R]))[R].run_id == "run-5"
        assert [found.run_id for found in await store.history(R)] == [
            f"run-{turn}" for turn in (5, 4, 3, 2, 1, 0)
        ]

    async def test_a_slow_attempt_that_is_not_fenced_counts_when_it_is_recorded(self, place):
        """What a run that was asked for earlier records later is newer than what others recorded before."""
        store = place.store
        await store.create_run(run("run-1"))
        await finished_run(store, "run-2", end(run_id="run-2", second=9, location="first"))
        await store.write(end(second=5, location="second"))
        assert (await store.current([R]))[R].location == "second"

    @pytest.mark.parametrize("status", [Status.FAILED, Status.SKIPPED, Status.REUSED, Status.CANCELLED])
    async def test_only_successes_become_current(self, place, status):
        """Failed, skipped, reused and cancelled records leave alone what is current."""
        await finished_run(place.store, "run-1", end(second=2))
        await finished_run(place.store, "run-2", end(run_id="run-2", second=9, status=status))
        assert (await place.store.current([R]))[R].run_id == "run-1"
        assert len(await place.store.history(R)) == 2

    async def test_none_is_a_partition_of_its_own(self, place):
        """The key of "no partition" and every other, also one that looks like nothing, are apart."""
        await finished_run(place.store, "run-1", end(), end("report", "None"), end("report", "n:"))
        assert len(await place.store.current([R, ("report", "None"), ("report", "n:"), ("report", "")])) == 3
        assert set(await place.store.current_keys("report")) == {None, "None", "n:"}

    async def test_a_thousand_keys_are_asked_for_at_once(self, place):
        """`current` takes any iterable of keys."""
        await finished_run(place.store, "run-1", *(end("a", str(number)) for number in range(1_000)))
        found = await place.store.current(("a", str(number)) for number in range(1_500))
        assert set(found) == {("a", str(number)) for number in range(1_000)}

    async def test_invalidated_values_are_not_current(self, place):
        """`invalidate` counts the values it invalidated, and an older one does not come back."""
        store = place.store
        await finished_run(store, "run-1", end(second=2))
        await finished_run(store, "run-2", end(run_id="run-2", second=3))
        assert await store.invalidate([R, R, ("nothing", None)]) == 1
        assert await store.invalidate([R]) == 0
        store = await place.reopen()
        assert await store.current([R]) == {}
        assert await store.current_keys("report") == []
        assert len(await store.history(R)) == 2

    async def test_the_next_success_is_current_after_an_invalidation(self, place):
        """Also where the clock was set back meanwhile; and retention then takes the invalid ones."""
        store = place.store
        await finished_run(store, "run-2", end(run_id="run-2", second=5))
        await store.invalidate([R])
        await finished_run(store, "run-1", end(second=5 - 3600))
        assert (await store.current([R]))[R].run_id == "run-1"
        assert await store.invalidate([R]) == 1
        store = await place.reopen()
        await finished_run(store, "run-0", end(run_id="run-0", second=5 - 7200))
        store = await place.reopen()
        assert (await store.current([R]))[R].run_id == "run-0"
        gone = await store.prune(keep_versions=1, keep_runs=9)
        assert sorted(one.run_id for one in gone) == ["run-1", "run-2"]

    async def test_current_keys_are_those_of_one_asset(self, place):
        """`current_keys` lists the partitions of the asset that have a value, failed ones not."""
        await finished_run(
            place.store,
            "run-1",
            end("a", "x"),
            end("a", "y"),
            end("a", "z", status=Status.FAILED),
            end("b", "w"),
        )
        await place.store.invalidate([("a", "x")])
        assert await place.store.current_keys("a") == ["y"]
        assert await place.store.current_keys("nothing") == []

    # History and lineage ------------------------------------------------------------------------------------

    async def test_history_is_newest_first_over_all_runs(self, place):
        """All terminal records of one asset-partition are paged in the order they were recorded."""
        for number, second in enumerate([5, 1, 4, 2, 3]):
            status = Status.FAILED if second == 4 else Status.SUCCEEDED
            name = f"run-{number}"
            await finished_run(place.store, name, end(run_id=name, second=second, status=status))
        found = await place.store.history(R)
        assert [one.finished_at for one in found] == [at(second) for second in (3, 2, 4, 1, 5)]
        assert await place.store.history(R, limit=2, offset=1) == found[1:3]
        assert await place.store.history(R, limit=0) == []
        assert await place.store.history(("report", "eu")) == []

    async def test_downstream_follows_current_materializations(self, place):
        """A consumer is listed under its direct inputs, each pair once, after re-runs too."""
        store = place.store
        inputs = [("raw", "1"), ("raw", "2"), ("raw", "1")]
        for name in ("run-1", "run-2"):
            await finished_run(
                store,
                name,
                end("sum", run_id=name, inputs=inputs),
                end("max", run_id=name, inputs=[("raw", "1")]),
            )
        found = await store.downstream([("raw", "1"), ("raw", "2"), ("raw", "3")])
        assert {key: sorted(consumers) for key, consumers in found.items()} == {
            ("raw", "1"): [("max", None), ("sum", None)],
            ("raw", "2"): [("sum", None)],
            ("raw", "3"): [],
        }

    async def test_downstream_forgets_former_inputs(self, place):
        """When a consumer is computed from other inputs, or invalidated, the old edges are gone."""
        store = place.store
        await finished_run(store, "run-1", end("sum", inputs=[("raw", "1"), ("raw", "2")]))
        await finished_run(
            store, "run-2", end("sum", run_id="run-2", second=3, inputs=[("raw", "2"), ("raw", "3")])
        )
        keys = [("raw", "1"), ("raw", "2"), ("raw", "3")]
        assert [len(consumers) for consumers in (await store.downstream(keys)).values()] == [0, 1, 1]
        await store.invalidate([("sum", None)])
        store = await place.reopen()
        assert [len(consumers) for consumers in (await store.downstream(keys)).values()] == [0, 0, 0]

    async def test_consumers_come_and_go(self, place):
        """An input may have any number of consumers, and each leaves by itself."""
        names = ["one", "two", "three", "four"]
        await finished_run(place.store, "run-1", *(end(name, inputs=[R]) for name in names))
        assert {name for name, _ in (await place.store.downstream([R]))[R]} == set(names)
        for gone in range(1, 5):
            await place.store.invalidate([(names[gone - 1], None)])
            assert {name for name, _ in (await place.store.downstream([R]))[R]} == set(names[gone:])

    async def test_a_superseded_success_has_no_edges(self, place):
        """Inputs of a success that is not current any more are nobody's lineage."""
        store = place.store
        await store.create_run(run("run-1"))
        await finished_run(store, "run-2", end("sum", run_id="run-2", second=9, inputs=[("raw", "2")]))
        await store.write(end("sum", second=3, inputs=[("raw", "1")]))
        found = await store.downstream([("raw", "1"), ("raw", "2")])
        assert found == {("raw", "1"): [("sum", None)], ("raw", "2"): []}

    # Dynamic partitions -------------------------------------------------------------------------------------

    async def test_dynamic_partitions_keep_their_order(self, place):
        """Keys are added once, in order, and counted; removing counts those that were there."""
        store = place.store
        assert await store.partitions("customers") == []
        assert await store.add_partitions("customers", ["b", "a", "b"]) == 2
        assert await store.add_partitions("customers", ["a", "c"]) == 1
        assert await store.remove_partitions("customers", ["a", "a", "z"]) == 1
        assert await store.remove_partitions("others", ["a"]) == 0
        assert await store.add_partitions("customers", ["a"]) == 1
        store = await place.reopen()
        assert await store.partitions("customers") == ["b", "c", "a"]
        assert await store.partitions("others") == []

    # Retention ----------------------------------------------------------------------------------------------

    async def test_prune_forgets_superseded_successes(self, place):
        """The newest `keep_versions` successes of each asset-partition stay; the others are returned."""
        store = place.store
        for number in range(1, 6):
            name = f"run-{number}"
            await finished_run(store, name, end(run_id=name, second=number), end("once", name, run_id=name))
        forgotten = await store.prune(keep_versions=2, keep_runs=100)
        assert sorted(one.run_id for one in forgotten) == ["run-1", "run-2", "run-3"]
        assert [one.run_id for one in await store.history(R)] == ["run-5", "run-4"]
        assert await store.prune(keep_versions=2, keep_runs=100) == []
        assert len(await store.steps("run-1")) == 2
        assert len(await store.current_keys("once")) == 5

    async def test_prune_never_forgets_what_is_current(self, place):
        """With `keep_versions=0` the current value stays, but an invalidated one goes."""
        store = place.store
        for number in range(1, 3):
            name = f"run-{number}"
            await finished_run(
                store, name, end("a", run_id=name, second=number), end("b", run_id=name, second=number)
            )
        await store.invalidate([("b", None)])
        forgotten = await store.prune(keep_versions=0, keep_runs=100)
        assert sorted((one.asset, one.run_id) for one in forgotten) == [
            ("a", "run-1"),
            ("b", "run-1"),
            ("b", "run-2"),
        ]
        assert (await store.current([("a", None)]))["a", None].run_id == "run-2"
        assert await store.history(("b", None)) == []

    async def test_prune_may_tighten(self, place):
        """A smaller `keep_versions` than last time reaches what last time was kept."""
        for number in range(1, 5):
            name = f"run-{number}"
            await finished_run(place.store, name, end(run_id=name, second=number))
        counts = [len(await place.store.prune(keep_versions=keep, keep_runs=9)) for keep in (3, 3, 2, 5, 1)]
        assert counts == [1, 0, 1, 0, 1]

    async def test_prune_forgets_the_runs_that_finished_first(self, place):
        """Finished runs beyond `keep_runs` go with events, steps and their failures; successes stay."""
        store = place.store
        await store.create_run(run("run-0"))
        await store.create_run(run("run-1"))
        await finished_run(
            store, "run-2", end(run_id="run-2", second=2), end("bad", run_id="run-2", status=Status.FAILED)
        )
        await finished_run(store, "run-3", end("bad", run_id="run-3", second=9, status=Status.FAILED))
        await store.write(over("run-1"))
        store = await place.reopen()
        assert await store.prune(keep_versions=5, keep_runs=2) == []
        store = await place.reopen()
        assert [head.id for head in await store.runs()] == ["run-3", "run-1", "run-0"]
        assert (await store.run("run-2"), await store.events("run-2"), await store.steps("run-2")) == (
            None,
            [],
            [],
        )
        assert (await store.current([R]))[R].run_id == "run-2"
        assert [one.run_id for one in await store.history(("bad", None))] == ["run-3"]
        with pytest.raises(StaleWrite):
            await store.write(end("late", run_id="run-2"))

    async def test_prune_leaves_what_an_unfinished_run_has_computed(self, place):
        """Later steps of it need that, however often others computed it since; when it has finished, it goes."""
        store = place.store
        await store.create_run(run("run-1"))
        await store.write(end(second=1))
        for name in ("run-2", "run-3"):
            await finished_run(store, name, end(run_id=name, second=2))
        assert [one.run_id for one in await store.prune(keep_versions=1, keep_runs=9)] == ["run-2"]
        store = await place.reopen()
        assert await store.prune(keep_versions=1, keep_runs=9) == []
        with pytest.raises(StaleWrite):
            await store.write(end(second=3))
        await store.write(over("run-1"))
        assert [one.run_id for one in await store.prune(keep_versions=1, keep_runs=9)] == ["run-1"]
        assert await (await place.reopen()).prune(keep_versions=1, keep_runs=9) == []

    async def test_prune_leaves_what_an_unfinished_run_reuses(self, place):
        """The value is another run's, which is long over."""
        store = place.store
        await finished_run(store, "run-1", end(run_id="run-1", location="v1"), end("other", run_id="run-1"))
        await store.create_run(run("run-2"))
        await store.write(end(run_id="run-2", status=Status.REUSED, location="v1"))
        for name in ("run-3", "run-4"):
            await finished_run(store, name, end(run_id=name, location=name), end("other", run_id=name))
        gone = await store.prune(keep_versions=1, keep_runs=9)
        assert sorted((one.asset, one.run_id) for one in gone) == [
            ("other", "run-1"),
            ("other", "run-3"),
            ("report", "run-3"),
        ]
        store = await place.reopen()
        assert await store.prune(keep_versions=1, keep_runs=0) == []
        await store.write(over("run-2"))
        assert [one.run_id for one in await store.prune(keep_versions=1, keep_runs=9)] == ["run-1"]

    @pytest.mark.parametrize(
        "limits", [{"keep_versions": -1, "keep_runs": 1}, {"keep_versions": 1, "keep_runs": -1}]
    )
    async def test_prune_takes_numbers_of_what_stays(self, place, limits):
        """A negative number is a mistake of the caller."""
        with pytest.raises(ValueError, match="0 or more"):
            await place.store.prune(**limits)

    # Life cycle ---------------------------------------------------------------------------------------------

    async def test_slots_that_were_set_are_remembered(self, place):
        """The last number for each pool; none: as its pipeline says."""
        pools = place.store.pools
        assert await pools.given() == {}
        await pools.set("w", 3, defined=1)
        await pools.set("v", 1, defined=1)
        await pools.set("w", 4, defined=1)
        await pools.set("v", None, defined=1)
        assert await pools.given() == {"w": 4}
        assert await (await place.reopen()).pools.given() == {"w": 4}

    async def test_everything_is_there_after_reopening(self, place):
        """Closing and opening a store changes no answer that it gives, and no fence."""
        store = place.store
        await finished_run(store, "run-1", end(inputs=[("raw", None)]), end("b", status=Status.FAILED))
        await store.create_run(run("run-2"))
        await store.write(start("b", run_id="run-2", attempt=2))
        await store.claim("run-2", "node-2", epoch=0)
        before = [await answers(store, name) for name in ("run-1", "run-2")]
        store = await place.reopen()
        assert before == [await answers(store, name) for name in ("run-1", "run-2")]
        with pytest.raises(StaleWrite, match="epoch"):
            await store.write(start("b", run_id="run-2", attempt=3), epoch=0)
        with pytest.raises(StaleWrite, match="overtaken"):
            await store.write(end("b", run_id="run-2", attempt=1), epoch=1)

    async def test_open_and_close_may_be_repeated(self, place):
        """Opening an open store and closing a closed one do nothing."""
        await place.store.open()
        await place.store.create_run(run())
        await place.store.close()
        await place.store.close()
        assert await (await place.reopen()).run("run-1") == run()


async def answers(store: Store, run_id: str) -> list:
    """What a store says about a run and the assets of these tests."""
    return [
        await store.run(run_id),
        await store.events(run_id),
        await store.steps(run_id),
        await store.current([R, ("b", None)]),
        await store.history(("b", None)),
        await store.downstream([("raw", None)]),
    ]
