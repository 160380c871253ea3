"""Questions that are asked at the same time share a query, and fail or succeed each for itself."""

from __future__ import annotations

import asyncio

import pytest

from flowstone.actors import TaskSupervisor
from flowstone.errors import StoreUnavailable
from flowstone.store.postgres import batch_loader as module
from flowstone.store.postgres.batch_loader import BatchLoader


class Source:
    """Answers with the square of each even number, when it is let."""

    def __init__(self, tasks) -> None:
        self.asked: list[list[int]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.error: Exception | None = None
        self.ask = BatchLoader(self.answer, lambda work: tasks.start("ask", work))

    async def answer(self, keys):
        self.asked.append(list(keys))
        await self.open.wait()
        if self.error is not None:
            raise self.error
        return {key: key * key for key in keys if key % 2 == 0}


@pytest.fixture
async def source():
    """A source whose queries run under a task supervisor."""
    async with TaskSupervisor() as tasks:
        yield Source(tasks)


async def test_a_lone_question_is_asked_at_once(source):
    """Keys without an answer are left out."""
    assert await source.ask([1, 2, 4]) == {2: 4, 4: 16}
    assert source.asked == [[1, 2, 4]]


async def test_no_question_is_no_query(source):
    """Nothing to ask costs nothing."""
    assert await source.ask([]) == {}
    assert source.asked == []


async def test_questions_of_one_turn_share_a_query(source):
    """Each is answered for its own keys, and a key is asked for once."""
    answers = await asyncio.gather(*(source.ask([number, 2]) for number in range(50)))
    assert answers[4] == {4: 16, 2: 4}
    assert answers[5] == {2: 4}
    assert len(source.asked) == 1
    assert sorted(source.asked[0]) == list(range(50))


async def test_what_comes_during_a_query_waits_for_the_next(source):
    """It gathers meanwhile."""
    source.open.clear()
    first = asyncio.gather(source.ask([2]))
    while not source.asked:
        await asyncio.sleep(0)
    later = asyncio.gather(*(source.ask([number]) for number in (4, 6, 8)))
    await asyncio.sleep(0)
    source.open.set()
    assert await first == [{2: 4}]
    assert await later == [{4: 16}, {6: 36}, {8: 64}]
    assert source.asked == [[2], [4, 6, 8]]


async def test_a_query_has_a_limit(source, monkeypatch):
    """More keys than fit into one are asked for in several, a question never in parts."""
    monkeypatch.setattr(module, "_MOST", 3)
    answers = await asyncio.gather(*(source.ask([n, n + 2]) for n in (0, 10, 20)), source.ask(range(8)))
    assert [len(answer) for answer in answers] == [2, 2, 2, 4]
    assert [len(asked) for asked in source.asked] == [2, 2, 2, 8]


async def test_a_failed_query_fails_those_who_asked(source):
    """And nobody after them."""
    source.error = StoreUnavailable("away")
    answers = await asyncio.gather(source.ask([1]), source.ask([2]), return_exceptions=True)
    assert [type(answer) for answer in answers] == [StoreUnavailable, StoreUnavailable]
    source.error = None
    assert await source.ask([2]) == {2: 4}


async def test_a_cancelled_asker_disturbs_nobody(source):
    """The query it began goes on for the others."""
    source.open.clear()
    first = asyncio.gather(source.ask([2]))
    second = asyncio.gather(source.ask([4]))
    while not source.asked:
        await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    source.open.set()
    assert await second == [{4: 16}]


async def test_who_cannot_ask_is_told_each_time():
    """Where no query can be started, the second question is refused as the first was, and does not wait for it."""

    def refuse(work):
        work.close()
        raise StoreUnavailable("not open")

    source = Source(None)
    source.ask = BatchLoader(source.answer, refuse)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="not open"):
            await source.ask([2])


async def test_closing_answers_everybody():
    """Who waits when the tasks are stopped is told that the store was closed."""
    async with TaskSupervisor() as tasks:
        source = Source(tasks)
        source.open.clear()
        waiting = asyncio.gather(source.ask([2]), return_exceptions=True)
        while not source.asked:
            await asyncio.sleep(0)
        late = asyncio.gather(source.ask([4]), return_exceptions=True)
        await asyncio.sleep(0)
    assert [type(answer) for answer in await waiting] == [StoreUnavailable]
    assert [type(answer) for answer in await late] == [StoreUnavailable]
