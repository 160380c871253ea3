"""What a compacted journal knows of deliveries: they go by the same names before and after."""

from __future__ import annotations

import pytest

from flowstone.runs.automation import Definition
from flowstone.runs.automation_events import AssetLate, AutomationPaused
from flowstone.runs.records import Failure
from flowstone.store import FileStore
from flowstone.store import file as file_module
from flowstone.store.replay import Replay
from tests.store.deliveries_contract import PIPELINE, follower
from tests.store.facts import at
from tests.store.looking import journal, reread

LATE = AssetLate(at(0), "report", None, at(0), 60.0)


async def pending(store) -> list:
    """What is to be delivered to the one follower, with its numbers."""
    return list(await store.deliveries.pending(PIPELINE, "alert", limit=100))


@pytest.mark.parametrize("followed", [False, True])
async def test_events_of_no_run_are_numbered_on_with_followers_or_without(store, directory, followed):
    """A store that lives goes on counting, so its journal does: else what it delivers later is something else."""
    if followed:
        await store.deliveries.follow(PIPELINE, [follower()])
    await store.deliveries.add(PIPELINE, [LATE] * 3)
    for number in range(300):
        await store.pools.set("gpu", number + 1, defined=500)
    before = journal(directory).stat().st_ino
    store._compactor._due = 0
    store._compactor.look()
    await store._compactor.idle()
    assert store.problem is None
    assert journal(directory).stat().st_ino != before
    assert (await reread(directory)).state.outbox.numbered == store.state.outbox.numbered == 3
    await store.deliveries.follow(PIPELINE, [follower()])
    await store.deliveries.add(PIPELINE, [LATE, LATE])
    assert await pending(await reread(directory)) == await pending(store)
    await store.deliveries.done(PIPELINE, "alert", [each.key for each in (await pending(store))[:-1]])
    assert await pending(await reread(directory)) == await pending(store)
    assert [each.number for each in await pending(store)] == [5]


async def test_a_journal_written_anew_when_it_is_opened_counts_on_too(store, directory):
    """However often that happens."""
    await store.deliveries.add(PIPELINE, [LATE] * 3)
    for _ in range(2):
        await store.close()
        file_module.rewrite(journal(directory), file_module.snapshot(store.state), 0o600)
        store = FileStore(directory)
        await store.open()
        assert store.state.outbox.numbered == 3
    await store.close()


def test_an_older_summary_has_the_number_with_its_followers():
    """It is read as it was meant."""
    replay = Replay()
    replay.apply(["kept_follower", PIPELINE, [["alert", ["asset.late"], None, False], 0, None, None], 7])
    assert replay.restoring
    replay.apply(["summary"])
    assert replay.history.outbox.numbered == 7
    assert [state.follower.name for _, state in replay.history.outbox.followers()] == ["alert"]


async def test_who_paused_and_what_fails_outlives_the_journal(store, directory):
    """What it is written anew as says both."""
    await store.automations.define({PIPELINE: [Definition("alert", "listener", "asset.late")]}, now=at(0))
    await store.automations.pause(
        (PIPELINE, "alert"), True, events=[AutomationPaused(at(1), "alert", "ada", "x")]
    )
    await store.deliveries.follow(PIPELINE, [follower("alert", "asset")])
    await store.deliveries.add(PIPELINE, [LATE])
    (late,) = await pending(store)
    await store.deliveries.failed(PIPELINE, "alert", late.key, Failure("error", "refused"))
    await store.close()
    file_module.rewrite(journal(directory), file_module.snapshot(store.state), 0o600)
    store = FileStore(directory)
    await store.open()
    (record,) = await store.automations.records()
    assert (record.pausing.at, record.pausing.by, record.pausing.reason) == (at(1), "ada", "x")
    (state,) = await store.deliveries.followers(PIPELINE)
    assert (state.attempts, state.failing.message) == (1, "refused")
    await store.close()
