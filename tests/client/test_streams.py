"""What is waited for or followed goes on over connections that are cut: without a gap, and nothing comes twice."""

from __future__ import annotations

import asyncio
import json

import httpx2
import pytest

from flowstone import Context, Pipeline
from flowstone.client import Client
from flowstone.errors import ServerUnavailable, StoreUnavailable
from tests.client.shops import store


class Cutting:
    """An application between a client and its server that cuts every stream after so many messages.

    Args:
        app: The server's.
        after: How many messages of its body a stream has.
    """

    def __init__(self, app, after: int = 2) -> None:
        self.app = app
        self.after = after
        self.cuts = 0
        self.begun: list[bytes | None] = []
        self.away = False

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http" or not scope["path"].endswith(("/events", "/logs")):
            await self.app(scope, receive, send)
            return
        if self.away:
            await send({"type": "http.response.start", "status": 502, "headers": []})
            await send({"type": "http.response.body", "body": b"<html>"})
            return
        self.begun.append(dict(scope["headers"]).get(b"last-event-id"))
        sent = 0
        stream = False

        async def said(message) -> None:
            nonlocal sent, stream
            if message["type"] == "http.response.start":
                stream = b"text/event-stream" in dict(message["headers"]).get(b"content-type", b"")
            elif stream and message.get("body"):
                sent += 1
            await send(message)
            if stream and sent >= self.after:
                self.cuts += 1
                raise ConnectionResetError

        await self.app(scope, receive, said)


async def refuse(send, status: int, kind: str) -> None:
    """Answer with a problem."""
    told = {"type": kind, "title": kind, "status": status, "detail": "Not now."}
    headers = [(b"content-type", b"application/problem+json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})


class Failing:
    """An application that answers 503 to the first requests for each address, as one whose database is away.

    Args:
        app: The server's.
        times: How often it does so for an address.
        started: Whether it does so from the beginning; if not, once something was changed.
    """

    def __init__(self, app, times: int, *, started: bool = True) -> None:
        self.app = app
        self.times = times
        self.started = started
        self.refused: dict[str, int] = {}

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] == "http" and scope["method"] == "GET" and self.started:
            address = scope["path"]
            if self.refused.get(address, 0) < self.times:
                self.refused[address] = self.refused.get(address, 0) + 1
                await refuse(send, 503, "StoreUnavailable")
                return
        await self.app(scope, receive, send)
        self.started = self.started or scope.get("method") == "POST"


class Forgetting:
    """An application whose feed is cut at its beginning, and never reaches back.

    Attributes:
        forgotten: Set once it has said so.
    """

    def __init__(self, app) -> None:
        self.app = Cutting(app, after=1)
        self.forgotten = asyncio.Event()

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] == "http" and b"last-event-id" in dict(scope["headers"]):
            await refuse(send, 410, "FeedExpired")
            self.forgotten.set()
            return
        await self.app(scope, receive, send)


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Pauses between tries pass at once."""
    real = asyncio.sleep
    monkeypatch.setattr("flowstone.client.feed.asyncio.sleep", lambda _: real(0))


@pytest.fixture
def cutting():
    """Wraps a server, and is found here afterwards."""
    made: list[Cutting] = []

    def wrap(app) -> Cutting:
        made.append(Cutting(app))
        return made[-1]

    wrap.made = made
    return wrap


async def test_a_feed_goes_on_after_its_last_event(serve, cutting):
    """Each event comes once, in order, however often the stream is cut."""
    async with serve(store(), wrap=cutting) as served, served.client.feed() as feed:
        begin = feed.position
        found = []
        for number in range(1, 5):
            await served.runtime.materialize_all("total")
            while len(found) < 7 * number:
                found.append(await anext(feed))
        async with served.runtime.feed(after=begin) as known:
            whole = [await anext(known) for _ in range(28)]
        assert [each.id for each in found] == [each.id for each in whole]
        assert cutting.made[0].cuts >= 4
        assert all(each is not None for each in cutting.made[0].begun[1:])


async def test_an_event_says_what_it_is_about_beside(serve):
    """Of a run of several assets, as the runtime's own feed does."""
    async with serve(store()) as served, served.client.feed("run.queued", asset="total") as feed:
        await served.runtime.materialize_all("orders,total")
        async with asyncio.timeout(30):
            entry = await anext(feed)
        assert {entry.asset, *entry.beside} == {"orders", "total"}
        assert (entry.is_about("orders"), entry.is_about("total")) == (True, True)
        assert not entry.is_about("visits")


async def test_a_run_is_waited_for_over_cuts(serve, cutting):
    """Also where its end comes while nobody is connected."""
    async with serve(store(), wrap=cutting) as served:
        result = await served.client.materialize_all("total")
        assert result.status == "succeeded"
        seen = []
        result = await served.client.backfill("visits", on_progress=seen.append)
        assert [each.done for each in seen] == [1, 2, 3, 4, 5, 6]


async def test_a_log_is_followed_over_cuts(serve, cutting):
    """Each line comes once."""
    async with serve(store(), wrap=cutting) as served:
        run = await served.client.submit_backfill("visits", refresh="all", max_parallel=1)
        lines = [line.fields["day"] async for line in served.client.logs(run.id, follow=True)]
        assert lines == [f"2025-01-0{day}" for day in range(1, 7)]
        assert cutting.made[0].cuts >= 2


async def test_a_server_that_stays_away_ends_what_is_followed(serve, cutting):
    """After `reconnect` seconds, and not before it was tried again."""
    impatient = {"reconnect": 0.01}
    async with serve(store(), wrap=cutting, client=impatient) as served, served.client.feed() as feed:
        cutting.made[0].away = True
        await served.runtime.materialize("orders")
        with pytest.raises(ServerUnavailable, match="no FlowStone server"):
            for _ in range(100):
                await anext(feed)


SEPARATORS = "one\u2028two\u2029three\x85four\x0bfive\x0csix\x1cseven"


async def test_what_a_line_says_does_not_end_it(serve):
    """Only a line feed ends a line: JSON has all other separators of lines in its texts as they are."""
    pipeline = Pipeline("separators")

    @pipeline.asset
    async def said(context: Context) -> None:
        context.log.info(SEPARATORS)

    async with serve(pipeline, client={"reconnect": 0.01}) as served:
        run = await served.client.submit("said", tags={"what": SEPARATORS})
        async with asyncio.timeout(20):
            assert [line.message async for line in served.client.logs(run.id, follow=True)] == [SEPARATORS]
            assert [line.message async for line in served.client.logs(run.id)] == [SEPARATORS]


@pytest.mark.parametrize("follow", [False, True])
async def test_a_log_that_cannot_be_read_is_asked_for_once(follow):
    """It is the same the next time."""
    asked = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(200, text='data: {"no": "line"}\n\n' if follow else '{"no": "line"}\n')

    async with Client("http://127.0.0.1:1", transport=httpx2.MockTransport(answer)) as client:
        with pytest.raises(ServerUnavailable, match="cannot be read"):
            await anext(client.logs("a", follow=follow))
    assert len(asked) == 1


async def test_a_log_that_is_cut_before_its_first_line_is_not_asked_for_for_ever():
    """A server that answers and then says nothing has not been reached."""
    asked = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(200, text="")

    async with Client("http://127.0.0.1:1", transport=httpx2.MockTransport(answer)) as client:
        with pytest.raises(ServerUnavailable, match="ended before the run"):
            await anext(client.logs("a", follow=True))
    assert len(asked) == 5


async def test_a_feed_and_a_log_outlast_a_store_that_is_away(serve):
    """A 503 of the server is waited out as a connection that fails."""
    made = []

    def wrap(app) -> Failing:
        made.append(Failing(Cutting(app), 3, started=False))
        return made[-1]

    async with serve(store(), wrap=wrap) as served:
        async with served.client.feed() as feed:
            made[0].started = True
            found = []
            for _ in range(2):
                await served.runtime.materialize_all("total")
                found += [await anext(feed) for _ in range(7)]
        assert made[0].refused == {"/api/v1/events": 3}
        assert [each.id for each in found] == sorted({each.id for each in found})
        run = await served.client.submit_backfill("visits", refresh="all", max_parallel=1)
        assert len([line async for line in served.client.logs(run.id, follow=True)]) == 6
        assert made[0].refused[f"/api/v1/runs/{run.id}/logs"] == 3


async def test_a_run_that_is_waited_for_outlasts_a_store_that_is_away(serve):
    """Whatever is asked after it was started is asked until it is answered, more often than a plain question."""

    def wrap(app):
        failing = Failing(app, 8, started=False)

        async def answer(scope, receive, send) -> None:
            stream = scope["type"] == "http" and scope["path"] == "/api/v1/events"
            await (app if stream else failing)(scope, receive, send)

        return answer

    async with serve(store(), wrap=wrap) as served:
        assert (await served.client.materialize("orders")).status == "succeeded"
        assert (await served.client.materialize_all("total")).status == "succeeded"
        seen = []
        await served.client.backfill("visits", on_progress=seen.append)
        assert [each.done for each in seen] == [1, 2, 3, 4, 5, 6]


async def test_a_store_that_stays_away_is_said(serve):
    """As what it is, once it was away for `reconnect` seconds."""
    made = []

    def wrap(app) -> Failing:
        made.append(Failing(Cutting(app), 10**9, started=False))
        return made[-1]

    async with serve(store(), wrap=wrap, client={"reconnect": 0.01}) as served, served.client.feed() as feed:
        made[0].started = True
        await served.runtime.materialize("orders")
        with pytest.raises(StoreUnavailable, match="Not now"):
            for _ in range(100):
                await anext(feed)


@pytest.mark.parametrize("reported", [False, True])
async def test_a_run_goes_on_that_a_feed_does_not_reach_back_to(serve, reported):
    """What happened while nobody was connected is on record."""
    made = []
    pipeline = Pipeline("forgotten")

    @pipeline.asset
    async def slow() -> int:
        await made[0].forgotten.wait()
        return 1

    def wrap(app) -> Forgetting:
        made.append(Forgetting(app))
        return made[-1]

    async with serve(pipeline, wrap=wrap) as served, asyncio.timeout(60):
        run = await served.client.submit("slow")
        if reported:
            kinds = [event.kind async for event in run.events()]
            assert kinds.count("run.finished") == 1
            assert kinds.count("step.succeeded") == 1
        else:
            assert (await run.wait()).status == "succeeded"


async def test_who_watches_is_told_what_was_raised(serve, cutting):
    """The error of the block, or that of the stream, as itself: `except` finds it."""
    async with serve(store(), wrap=cutting, client={"reconnect": 0.01}) as served:
        with pytest.raises(LookupError, match="of the block"):
            async with served.client.watch(lambda: None):
                raise LookupError("of the block")
        with pytest.raises(ServerUnavailable, match="no FlowStone server"):
            async with asyncio.timeout(60), served.client.watch(lambda: None):
                cutting.made[0].away = True
                for _ in range(2):
                    await served.runtime.materialize_all("total")
                await asyncio.Event().wait()
