"""Changes of many automations at once, on a database: lost answers, and how often it is asked."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace

import asyncpg
import pytest

from flowstone.runs.automation import Fire, FiredRun, NewRun
from flowstone.store.protocol import StaleWrite
from tests.store.automations_contract import NIGHTLY, defined, move, now, queued

NAMES = [f"{number:02}" for number in range(20)]


async def changes_of(store, *, runs=True):
    """A change of each of some automations, with a run of its own that may be joined."""
    records = await defined(store, *(replace(NIGHTLY, name=name) for name in NAMES))
    asked = [NewRun(_of(queued(f"run-{name}"), f"a{name}"), join=True) for name in NAMES]
    return [
        move(record, cursor="far", runs=[run] if runs else (), fire=Fire(now(), "started"))
        for record, run in zip(records, asked, strict=True)
    ]


def _of(run, asset):
    return replace(run, request=replace(run.request, asset=asset))


async def test_a_lost_answer_is_no_second_change(store, monkeypatch):
    """Sent again, each is answered as it would have been; one that was refused is refused."""
    changes = await changes_of(store)
    await store.automations.move(replace(changes[5], runs=(), cursor="elsewhere"))
    transaction, entered = store._database.transaction, []

    @asynccontextmanager
    async def cut(**options):
        async with transaction(**options) as connection:
            yield connection
        entered.append(None)
        if len(entered) == 1:
            raise ConnectionResetError

    monkeypatch.setattr(store._database, "transaction", cut)
    made = await store.automations.move_each(changes)
    assert len(entered) == 2
    assert isinstance(made.pop(5), StaleWrite)
    assert [each.runs for each in made] == [(FiredRun(f"run-{name}"),) for name in NAMES if name != NAMES[5]]
    assert len(await store.runs(limit=100)) == len(NAMES) - 1


async def test_a_lost_answer_is_known_by_whoever_sends_again_after_others(store, monkeypatch):
    """What a change has done is on record with what it did, also when somebody else has made the next one."""
    (record,) = await defined(store, NIGHTLY)
    change = move(record, cursor="far", runs=[NewRun(queued("run-1"))], fire=Fire(now(), "started"))
    transaction = store._database.transaction

    @asynccontextmanager
    async def cut(**options):
        monkeypatch.undo()
        async with transaction(**options) as connection:
            yield connection
        other = replace(
            move(record, cursor="farther", fire=Fire(now(), "started")), version=record.version + 1
        )
        await store.automations.move(other)
        raise ConnectionResetError

    monkeypatch.setattr(store._database, "transaction", cut)
    moved = await store.automations.move(change)
    assert moved.runs == (FiredRun("run-1"),)
    assert (moved.record.version, moved.record.cursor) == (record.version + 2, "farther")
    assert [run.id for run in await store.runs()] == ["run-1"]
    with pytest.raises(StaleWrite):
        await store.automations.move(replace(change, runs=()))


@pytest.mark.parametrize("runs", [True, False])
async def test_many_changes_take_as_many_questions_as_one(store, monkeypatch, runs):
    """So their number costs no round trips."""
    asked = []
    for name in ("fetch", "fetchrow", "fetchval", "execute"):
        original = getattr(asyncpg.Connection, name)

        def counted(self, text, *given, _original=original, **more):
            asked.append(text)
            return _original(self, text, *given, **more)

        monkeypatch.setattr(asyncpg.Connection, name, counted)
    first, *others = await changes_of(store, runs=runs)
    asked.clear()
    await store.automations.move(first)
    alone = len(asked)
    asked.clear()
    await store.automations.move_each(others)
    assert len(asked) == alone
