"""What one batch records, and what a store of this process keeps at hand of it."""

from __future__ import annotations

import asyncio
import pickle

import asyncpg
import pytest

from flowstone.errors import StoreUnavailable
from flowstone.runs.events import StepStarted
from flowstone.store.postgres.journal import _GaveUp
from flowstone.store.postgres.recent_payloads import RecentPayloads
from flowstone.store.protocol import KeyTaken, StaleWrite
from tests.store.facts import begun, end, over, run, start


async def numbers(store, run_id="run-1"):
    """The numbers of its events, its steps that succeeded, and what its head counts."""
    told = await store.events(run_id)
    steps = [step.asset for step in await store.steps(run_id)]
    return [number for number, _ in told], steps, (await store.run(run_id)).counts


def batches(store, monkeypatch):
    """How many entries each batch has, from now on."""
    journal, sizes = store._journal, []
    commit = journal._commit

    async def watched(batch):
        sizes.append(len(batch))
        await commit(batch)

    monkeypatch.setattr(journal, "_commit", watched)
    return sizes


async def test_the_others_of_a_batch_are_sent_again(store, monkeypatch):
    """One that is refused takes no number, and those around it are recorded as if it had not been there."""
    await store.create_run(run())
    await store.write(begun())
    await store.write(end("a"))
    sizes = batches(store, monkeypatch)
    told = await asyncio.gather(
        store.write(end("b")),
        store.write(end("a")),
        store.write(start("c")),
        store.create_run(run("run-2")),
        store.write(begun("run-3")),
        store.write(end("d", status="failed")),
        return_exceptions=True,
    )
    assert [type(each) for each in told] == [
        type(None),
        StaleWrite,
        *[type(None)] * 2,
        StaleWrite,
        type(None),
    ]
    assert sizes == [6, 3]
    assert await numbers(store) == ([1, 2, 3, 4, 5, 6], ["a", "b", "d"], {"succeeded": 2, "failed": 1})
    assert (await store.run("run-2")) == run("run-2")


async def test_a_run_that_is_refused_holds_up_no_write(store, monkeypatch):
    """The writes of its batch are recorded with it."""
    await store.create_run(run(key="k"))
    await store.write(begun())
    sizes = batches(store, monkeypatch)
    told = await asyncio.gather(
        store.create_run(run("run-2", key="k")), store.write(end("b")), return_exceptions=True
    )
    assert [type(each) for each in told] == [KeyTaken, type(None)]
    assert sizes == [2]
    assert await numbers(store) == ([1, 2, 3], ["b"], {"succeeded": 1})


async def test_a_journal_that_gives_up_within_a_divided_batch_answers_all_of_it(store, monkeypatch):
    """Those whose half was not sent yet are told as well."""
    await store.create_run(run())
    journal, sizes = store._journal, []

    async def send(given):
        sizes.append(len(sizes))
        raise asyncpg.DataError("somebody's row") if len(sizes) == 1 else _GaveUp

    monkeypatch.setattr(journal, "_send", send)
    told = await asyncio.gather(*(store.write(end(asset)) for asset in "abcd"), return_exceptions=True)
    assert [type(each) for each in told] == [StoreUnavailable] * 4
    assert sizes == [0, 1]


async def test_starts_and_events_of_several_runs_in_one_batch(store, monkeypatch):
    """Each run has its own numbers, without a gap, and starts of first attempts are at the first one's place."""
    for run_id in ("run-1", "run-2"):
        await store.create_run(run(run_id))
        await store.write(begun(run_id))
    sizes = batches(store, monkeypatch)
    await asyncio.gather(
        *(
            store.write(event)
            for run_id in ("run-1", "run-2")
            for event in (
                end("a", run_id=run_id),
                start("b", run_id=run_id),
                end("c", run_id=run_id, status="skipped"),
                start("d", run_id=run_id),
            )
        ),
        store.write(over("run-2")),
    )
    assert sizes == [9]
    for run_id, count in (("run-1", 6), ("run-2", 7)):
        told = await store.events(run_id)
        assert [number for number, _ in told] == list(range(1, count + 1))
        assert [event.asset for _, event in told[2:6]] == ["a", "b", "d", "c"]
        assert [type(event) is StepStarted for _, event in told[2:6]] == [False, True, True, False]
        assert (await store.run(run_id)).counts == {"succeeded": 1, "skipped": 1}


async def test_a_value_of_this_process_is_not_looked_up(store, monkeypatch):
    """Small ones that are recorded here are at hand, until one is deleted."""
    await store.create_run(run())
    await store.write(end("a", location="l/a"), payload=b"value")
    await store.write(end("b", location="l/b"), payload=b"v" * 5_000)
    with pytest.raises(StaleWrite):
        await store.write(end("a", location="l/c"), payload=b"refused")
    asked = []
    fetch = store._database.fetch

    async def watched(name, *arguments):
        asked.append(name)
        return await fetch(name, *arguments)

    monkeypatch.setattr(store._database, "fetch", watched)
    assert await store.payload("l/a") == b"value"
    assert asked == []
    assert await store.payload("l/b") == b"v" * 5_000
    assert await store.payload("l/c") is None
    assert asked == ["payload", "payload"]
    await store.delete_payload("l/a")
    assert await store.payload("l/a") is None


def test_recent_values_are_bounded():
    """New ones take the place of the oldest."""
    recent = RecentPayloads()
    for number in range(4_097):
        recent.add(str(number), b"v")
    assert (recent.of("0"), recent.of("1"), recent.of("4096")) == (None, b"v", b"v")


async def test_steps_are_a_sequence_of_records(store):
    """Equal to a list of them, sliced like one, and pickled as one."""
    await store.create_run(run())
    ends = [end(asset) for asset in "abc"]
    for each in ends:
        await store.write(each)
    records = [each.materialization for each in ends]
    steps = await store.steps("run-1")
    assert steps == records
    assert steps[1:] == records[1:]
    assert steps[-1] is steps[-1]
    assert (len(steps), repr(steps), steps == "abc") == (3, repr(records), False)
    assert pickle.loads(pickle.dumps(await store.steps("run-1"))) == records
