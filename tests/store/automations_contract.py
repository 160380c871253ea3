"""What every store promises of automations, as tests: mix `AutomationsContract` into a class with `place`."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from flowstone.runs.automation import Definition, Fire, FiredRun, Move, NewRun
from flowstone.runs.automation_events import AutomationPaused, AutomationResumed
from flowstone.runs.records import Failure, Status
from flowstone.store.protocol import StaleWrite
from tests.store.facts import run

NIGHTLY = Definition("nightly", "schedule", "0 6 * * * UTC", cursor={"at": "2025-01-01T00:00:00+00:00"})
FILES = Definition("files", "sensor", "every 30 s")
KEY = ("sales", "nightly")


def now():
    """The time of day."""
    return datetime.now(UTC)


def queued(run_id):
    """A run that is to be started."""
    return run(run_id, owner=None, started_at=None, status=Status.QUEUED)


def move(record, **changes):
    """A change that keeps everything but what is said."""
    return replace(
        Move(record.key, record.version, record.cursor, record.pending, failures=record.failures), **changes
    )


async def defined(store, *definitions, pipeline="sales"):
    """What the store knows of these."""
    return await store.automations.define({pipeline: definitions or (NIGHTLY,)}, now=now())


class AutomationsContract:
    async def test_a_new_one_begins_at_its_cursor(self, place):
        """And is found again, by all and alone."""
        store = place.store
        (record,) = await defined(store)
        assert (record.pipeline, record.name, record.kind) == ("sales", "nightly", "schedule")
        assert record.cursor == NIGHTLY.cursor
        assert (record.paused, record.failures, record.gone_at) == (False, 0, None)
        assert await store.automations.records(["sales"]) == [record]
        assert await store.automations.records() == [record]
        assert await store.automations.records(["other"]) == []
        assert await store.automations.record(KEY) == record
        assert await store.automations.record(("sales", "other")) is None

    async def test_what_is_defined_again_stays_as_it_is(self, place):
        """Its cursor has moved since; only what decides when it acts makes it begin anew."""
        store = place.store
        (record,) = await defined(store)
        moved = await store.automations.move(move(record, cursor={"at": "later"}, paused=True))
        assert await defined(store) == [moved.record]
        (anew,) = await defined(store, replace(NIGHTLY, text="0 7 * * * UTC"))
        assert anew.cursor == NIGHTLY.cursor
        assert anew.paused
        assert anew.version > moved.record.version

    async def test_a_sensor_goes_on_where_it_was_at_another_pace(self, place):
        """With what is pending; one that has become a schedule begins anew."""
        store = place.store
        (record,) = await defined(store, FILES)
        await store.automations.move(move(record, cursor=["seen"], pending=("more",)))
        (faster,) = await defined(store, replace(FILES, text="every 5 s"))
        assert (faster.text, faster.cursor, faster.pending) == ("every 5 s", ["seen"], ("more",))
        (other,) = await defined(store, replace(NIGHTLY, name="files"))
        assert (other.cursor, other.pending) == (NIGHTLY.cursor, ())

    async def test_what_left_the_code_is_gone_and_may_come_back(self, place):
        """It goes on where it was, still paused."""
        store = place.store
        (record, _) = await defined(store, NIGHTLY, FILES)
        moved = await store.automations.move(move(record, cursor="far", paused=True))
        await defined(store, FILES)
        gone = await store.automations.record(KEY)
        assert gone.gone_at is not None
        with pytest.raises(StaleWrite):
            await store.automations.move(move(moved.record, cursor="farther"))
        assert await store.automations.pause(KEY, False) is None
        back, _ = await defined(store, NIGHTLY, FILES)
        assert (back.cursor, back.paused, back.gone_at) == ("far", True, None)

    async def test_other_pipelines_have_their_own(self, place):
        """One name in two pipelines is two automations."""
        store = place.store
        await defined(store)
        await defined(store, pipeline="stock")
        assert [record.key for record in await store.automations.records()] == [
            ("sales", "nightly"),
            ("stock", "nightly"),
        ]

    async def test_a_change_happens_as_a_whole(self, place):
        """The cursor, what is pending, the run and what is remembered of it."""
        store = place.store
        (record,) = await defined(store)
        fire = Fire(now(), "started", now())
        moved = await store.automations.move(
            move(record, cursor=["x"], pending=(1, "2"), runs=[NewRun(queued("run-1"))], fire=fire)
        )
        assert moved.record == await store.automations.record(KEY)
        assert (moved.record.cursor, moved.record.pending) == (["x"], (1, "2"))
        assert moved.record.version == record.version + 1
        assert moved.runs == (FiredRun("run-1"),)
        assert (await store.run("run-1")).status is Status.QUEUED
        (told,) = await store.automations.fires(KEY)
        assert told == replace(fire, runs=(FiredRun("run-1", status=Status.QUEUED),))

    async def test_a_change_upon_another_version_is_refused_as_a_whole(self, place):
        """Of two who decide the same one does it."""
        store = place.store
        (record,) = await defined(store)
        changes = [
            move(record, cursor=index, runs=[NewRun(queued(f"run-{index}"))], fire=Fire(now(), "started"))
            for index in range(5)
        ]
        results = await asyncio.gather(*map(store.automations.move, changes), return_exceptions=True)
        made = [result for result in results if not isinstance(result, Exception)]
        refused = [result for result in results if isinstance(result, Exception)]
        assert len(made) == 1
        assert {type(error) for error in refused} == {StaleWrite}
        assert len(await store.runs()) == len(await store.automations.fires(KEY)) == 1

    async def test_several_are_changed_at_once_each_by_itself(self, place):
        """What is refused of one is no matter to the others; what is the same is one run."""
        store = place.store
        names = [f"{number:02}" for number in range(12)]
        records = await defined(store, *(replace(NIGHTLY, name=name) for name in names))
        await store.automations.move(move(records[3], cursor="elsewhere"))
        same = [replace(queued(f"run-{number}"), key=None) for number in range(12)]
        changes = [
            move(record, cursor=number, runs=[NewRun(same[number], join=True)], fire=Fire(now(), "started"))
            for number, record in enumerate(records)
        ]
        changes[1] = replace(
            changes[1], runs=[NewRun(queued("own"), once="k"), NewRun(queued("more"), once="k")]
        )
        changes[2] = replace(changes[2], runs=(), fire=None)
        made = await store.automations.move_each(list(reversed(changes)))
        made = list(reversed(made))
        assert isinstance(made[3], StaleWrite)
        assert made[1].runs == (FiredRun("own"), None)
        assert made[2].runs == ()
        assert made[11].runs == (FiredRun("run-11"),), "they are made in order"
        assert {each.runs[0] for each in made[4:11]} == {FiredRun("run-11", joined=True)}
        assert {run.id for run in await store.runs()} == {"own", "run-11"}
        for number, record in enumerate(await store.automations.records()):
            assert record.cursor == ("elsewhere" if number == 3 else number)
            assert number == 3 or made[number].record == record
            kept = 0 if number in (2, 3) else 1
            assert len(await store.automations.fires(record.key)) == kept
        assert await store.automations.move_each([]) in ([], ())

    async def test_an_unknown_one_is_not_changed(self, place):
        """Nor is a run started for it."""
        store = place.store
        with pytest.raises(StaleWrite, match="is not there"):
            await store.automations.move(Move(KEY, 1, runs=[NewRun(queued("run-1"))]))
        assert await store.runs() == []

    async def test_a_key_starts_a_run_once(self, place):
        """Within a change and after it; another automation has keys of its own."""
        store = place.store
        record, other = await defined(store, NIGHTLY, FILES)
        runs = [NewRun(queued(f"run-{index}"), once=key) for index, key in enumerate("aab")]
        moved = await store.automations.move(move(record, runs=runs, fire=Fire(now(), "started")))
        assert moved.runs == (FiredRun("run-0"), None, FiredRun("run-2"))
        again = await store.automations.move(
            move(moved.record, runs=[NewRun(queued("run-3"), once="b")], fire=Fire(now(), "started"))
        )
        assert again.runs == (None,)
        await store.automations.move(move(other, runs=[NewRun(queued("run-4"), once="b")]))
        assert {record.id for record in await store.runs()} == {"run-0", "run-2", "run-4"}
        assert [len(fire.runs) for fire in await store.automations.fires(KEY)] == [0, 2]

    async def test_pausing_refuses_what_was_decided_before(self, place):
        """And resuming forgets failures; neither changes anything the second time."""
        store = place.store
        (record,) = await defined(store)
        failure = Failure("error", "OSError: no\x00 such file")
        failed = await store.automations.move(move(record, failures=3, failure=failure))
        assert failed.record.failure.message.startswith("OSError: no")
        paused = await store.automations.pause(KEY, True)
        assert (paused.paused, paused.failures) == (True, 3)
        assert await store.automations.pause(KEY, True) == paused
        with pytest.raises(StaleWrite):
            await store.automations.move(move(failed.record, cursor=1))
        resumed = await store.automations.pause(KEY, False)
        assert (resumed.paused, resumed.failures) == (False, 0)
        assert await store.automations.pause(KEY, False) == resumed
        assert await store.automations.pause(("sales", "other"), True) is None

    async def test_who_paused_one_and_why_is_remembered(self, place):
        """As long as it is paused, over restarts; who pauses it again changes nothing."""
        store = place.store
        (record,) = await defined(store)
        assert record.pausing is None
        told = AutomationPaused(now(), "nightly", "ad\x00a", "the warehouse m\ud800oves")
        await store.automations.pause(KEY, True, events=[told])
        await store.automations.pause(KEY, True, events=[AutomationPaused(now(), "nightly", "bob")])
        store = await place.reopen()
        kept = await store.automations.record(KEY)
        assert (kept.pausing.at, kept.pausing.name) == (told.at, "nightly")
        assert kept.pausing.by.startswith("ad")
        assert kept.pausing.reason.startswith("the warehouse m")
        moved = await store.automations.move(move(kept, cursor=2))
        assert moved.record.pausing == kept.pausing
        resumed = await store.automations.pause(
            KEY, False, events=[AutomationResumed(now(), "nightly", "bob")]
        )
        assert (resumed.paused, resumed.pausing) == (False, None)
        too_often = AutomationPaused(now(), "nightly", reason="It failed 10 times in a row.")
        moved = await store.automations.move(move(resumed, paused=True, events=[too_often]))
        assert moved.record.pausing == too_often
        assert (await store.automations.records())[0].pausing == too_often
        assert (await store.automations.pause(KEY, False)).pausing is None

    async def test_the_newest_hundred_fires_are_remembered(self, place):
        """Newest first, as many as are asked for."""
        store = place.store
        (record,) = await defined(store)
        for index in range(103):
            fire = Fire(now(), "skipped", reason=str(index))
            record = (await store.automations.move(move(record, fire=fire))).record
        fires = await store.automations.fires(KEY)
        assert [fire.reason for fire in fires] == [str(index) for index in range(102, 2, -1)]
        assert [fire.reason for fire in await store.automations.fires(KEY, limit=2)] == ["102", "101"]
        assert await store.automations.fires(KEY, limit=0) == []

    async def test_a_change_that_resumes_says_nothing_of_who_paused(self, place):
        """Whatever is told of it."""
        store = place.store
        (record,) = await defined(store)
        paused = AutomationPaused(now(), "nightly", "ann")
        moved = await store.automations.move(move(record, paused=True, events=[paused]))
        assert moved.record.pausing == paused
        moved = await store.automations.move(move(moved.record, paused=False, events=[paused]))
        assert (moved.record.paused, moved.record.pausing) == (False, None)

    async def test_the_runs_of_a_change_are_started_in_order(self, place):
        """So one that joins, joins one that the change itself has started before it."""
        store = place.store
        (record,) = await defined(store)
        runs = [NewRun(queued(f"run-{number}"), join=number != 1) for number in (1, 2, 3)]
        moved = await store.automations.move(move(record, runs=runs, fire=Fire(now(), "started")))
        joined = FiredRun("run-1", joined=True)
        assert moved.runs == (FiredRun("run-1"), joined, joined)
        last = [NewRun(queued("run-5"), join=True), NewRun(queued("run-4"))]
        moved = await store.automations.move(move(moved.record, runs=last))
        assert moved.runs == (joined, FiredRun("run-4"))
        assert [each.id for each in await store.runs()] == ["run-4", "run-1"]

    async def test_a_fire_says_who_asked_for_it(self, place):
        """And what has become of its runs."""
        store = place.store
        (record,) = await defined(store)
        fire = Fire(now() - timedelta(hours=1), "started", by="ada")
        await store.automations.move(move(record, runs=[NewRun(queued("run-1"))], fire=fire))
        (told,) = await store.automations.fires(KEY)
        assert told.by == "ada"
        assert told.runs[0].status is Status.QUEUED

    async def test_all_of_it_is_there_when_the_store_is_opened_again(self, place):
        """The cursor, what is pending, what it did, and the keys of its runs."""
        store = await place.reopen()
        (record,) = await defined(store)
        runs = [NewRun(queued("run-1"), once="a")]
        moved = await store.automations.move(
            move(record, cursor="x", pending=(1,), runs=runs, fire=Fire(now(), "started"), failures=2)
        )
        fires = await store.automations.fires(KEY)
        store = place.store
        assert await store.automations.record(KEY) == moved.record
        assert await store.automations.fires(KEY) == fires
        again = await store.automations.move(move(moved.record, runs=[NewRun(queued("run-2"), once="a")]))
        assert again.runs == (None,)
