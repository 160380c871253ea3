"""A run that a change of an automation is about to join is not doomed by a caller that leaves meanwhile."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace

import pytest

from flowstone.runs.automation import Fire, FiredRun, NewRun
from flowstone.store import FileStore
from flowstone.store.callers import Caller
from flowstone.store.journal_file import JournalFile
from tests.store.automations_contract import NIGHTLY, defined, move, now
from tests.store.callers_contract import asked


@pytest.fixture
async def store(tmp_path):
    """A store in files."""
    store = FileStore(tmp_path)
    await store.open()
    yield store
    await store.close()


@pytest.mark.parametrize("cancelled", [False, True])
async def test_whoever_leaves_while_a_change_is_written_that_joins_the_run_does_not_doom_it(
    store, monkeypatch, cancelled
):
    """Also if nobody waits for that change any more: it is made all the same."""
    starter = Caller("run-1", "n1")
    assert await store.callers.create(asked("run-1"), starter) == "run-1"
    (record,) = await defined(store, NIGHTLY)
    writing, disk, append = threading.Event(), threading.Event(), JournalFile.append

    def slowly(self, bodies):
        writing.set()
        disk.wait()
        append(self, bodies)

    monkeypatch.setattr(JournalFile, "append", slowly)
    joins = NewRun(replace(asked("run-2"), owner=None), join=True)
    moving = asyncio.create_task(
        store.automations.move(move(record, runs=[joins], fire=Fire(now(), "started")))
    )
    await asyncio.to_thread(writing.wait)
    leaving = asyncio.create_task(store.callers.leave("run-1", starter))
    await asyncio.sleep(0)
    if cancelled:
        moving.cancel()
    disk.set()
    assert await leaving is None
    if not cancelled:
        assert (await moving).runs == (FiredRun("run-1", joined=True),)
    assert store.callers.ending() == []
    assert [run.id for run in await store.runs()] == ["run-1"]
