"""The service example, through its ASGI application: statuses, draining and requests that go away."""

from __future__ import annotations

import asyncio
import re
from datetime import date
from pathlib import Path

import httpx2
import pytest

from flowstone import Context

ROOT = Path(__file__).parents[2]


PLAIN = "Runtime(pipeline)"


def durable(example, database):
    """The example with one line changed."""
    return example("fastapi_service", PLAIN, f'Runtime(pipeline, store="{database}")')


@pytest.fixture(params=["in memory", "durable"])
async def service(example, database, request):
    """The example's module with its lifespan entered, as it is and with the one line that makes it durable."""
    module = example("fastapi_service") if request.param == "in memory" else durable(example, database)
    async with module.lifespan(module.app):
        yield module


@pytest.fixture
async def client(service):
    """A client that speaks to the application without a network."""
    transport = httpx2.ASGITransport(app=service.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://service") as client:
        yield client


async def test_a_request_computes_and_reads(client):
    """A POST materializes, and a GET then returns the value."""
    posted = await client.post("/orders/2025-03-04")
    assert posted.status_code == 200
    assert posted.json()["asset"] == "orders"
    assert (await client.post("/revenue/2025-03-04")).status_code == 200
    assert (await client.get("/revenue/2025-03-04")).json() == 64


async def test_a_durable_service_remembers(example, database):
    """With one line changed, the next process of the service reads what the last one computed."""
    for requests in ([("POST", 200), ("GET", 200)], [("GET", 200)]):
        module = durable(example, database)
        transport = httpx2.ASGITransport(app=module.app)
        async with (
            module.lifespan(module.app),
            httpx2.AsyncClient(transport=transport, base_url="http://service") as client,
        ):
            for method, status in requests:
                answer = await client.request(method, "/orders/2025-03-04")
                assert answer.status_code == status
            assert answer.json() == [12, 20, 32]


@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        ("POST", "/orderz/2025-03-04", 404, "AssetNotFound"),
        ("GET", "/orders/2025-03-05", 404, "ValueNotFound"),
        ("POST", "/orders/2031-01-01", 422, "PartitionError"),
        ("POST", "/revenue/2025-03-06", 409, "DependencyNotReady"),
        ("POST", "/orders/2025-03-09", 502, "MaterializationFailed"),
    ],
)
async def test_errors_have_their_status(client, method, path, status, error):
    """Each kind of error answers with its own HTTP status and one sentence."""
    answer = await client.request(method, path)
    assert answer.status_code == status
    assert answer.json()["error"] == error
    assert "\n" not in answer.json()["detail"]


async def test_requests_run_side_by_side(service, client):
    """Many requests share the one runtime on one loop."""
    answers = await asyncio.gather(*(client.post(f"/orders/2025-01-{day:02}") for day in range(6, 12)))
    assert [answer.status_code for answer in answers] == [200] * 6


async def test_a_draining_service_refuses(service, client):
    """After draining has begun a request answers 503."""
    await service.app.state.runtime.drain(1)
    assert (await client.post("/orders/2025-03-04")).status_code == 503


async def test_work_too_slow_answers_504(service, client, monkeypatch):
    """A computation that outlives its timeout is a gateway timeout."""

    async def late(*_, **__):
        raise TimeoutError("the run was cancelled after 10 s")

    monkeypatch.setattr(service.app.state, "runtime", type("Late", (), {"materialize": late})())
    assert (await client.post("/orders/2025-03-04")).status_code == 504


async def test_a_client_that_hangs_up_stops_the_work(example):
    """When the connection closes, the asset is cancelled and the answer is 499."""
    module = example("fastapi_service")
    started, stopped = asyncio.Event(), asyncio.Event()

    @module.pipeline.asset
    async def endless(context: Context) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    sent = []
    async with module.lifespan(module.app):
        await module.app(scope("/endless/2025-01-01"), hangs_up_after(started), send_to(sent))
        assert stopped.is_set()
        status = await module.app.state.runtime.status("endless", partition=date(2025, 1, 1))
        assert status == "cancelled"
    assert sent[0]["status"] == 499


async def test_a_cancelled_handler_stops_the_work(example):
    """When the server cancels the handler, the asset is cancelled and the cancellation goes on."""
    module = example("fastapi_service")
    started, stopped = asyncio.Event(), asyncio.Event()

    @module.pipeline.asset
    async def endless(context: Context) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async with module.lifespan(module.app):
        never = hangs_up_after(asyncio.Event())
        request = asyncio.create_task(module.app(scope("/endless/2025-01-01"), never, send_to([])))
        await started.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        assert stopped.is_set()


async def test_the_service_of_the_readme_answers():
    """The service shown in README.md computes a value and returns it."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    namespace = {"__name__": "readme"}
    exec(next(block for block in blocks if "FastAPI(" in block), namespace)
    app = namespace["app"]
    transport = httpx2.ASGITransport(app=app)
    async with (
        namespace["lifespan"](app),
        httpx2.AsyncClient(transport=transport, base_url="http://s") as client,
    ):
        assert (await client.post("/quotes/2025-03-07")).json() == 100.7


def scope(path):
    """What a server says about one request."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
        "client": ("test", 1),
        "server": ("service", 80),
    }


def hangs_up_after(event):
    """A `receive` that gives the whole request, then a disconnect once `event` is set."""
    messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive():
        if messages:
            return messages.pop()
        await event.wait()
        return {"type": "http.disconnect"}

    return receive


def send_to(sent):
    """A `send` that keeps the messages."""

    async def send(message):
        sent.append(message)

    return send
