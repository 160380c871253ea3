"""What becomes of a client when something is wrong: with the server, the token, or whatever is on the way."""

from __future__ import annotations

import asyncio
import gzip
import json
import pickle
import socket
import ssl
import subprocess
import sys
from datetime import timedelta

import httpx2
import pytest

from flowstone import RuntimeStopping
from flowstone.client import Client
from flowstone.errors import (
    AccessDenied,
    ArgumentError,
    AssetNotFound,
    FlowstoneError,
    ServerFailed,
    ServerUnavailable,
    StoreUnavailable,
)
from flowstone.server import ServerOptions
from tests.client.conftest import listening
from tests.client.shops import store

SECRET = "fst_Jx4GdE0Z9nQv3yI1hB7mWcT5uRkLs2oPaVfXqY8eN6g"
CLOSED = ServerOptions(open_on_loopback=False)


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Pauses between tries pass at once."""
    real = asyncio.sleep
    monkeypatch.setattr("flowstone.client.transport.asyncio.sleep", lambda _: real(0))
    monkeypatch.setattr("flowstone.client.feed.asyncio.sleep", lambda _: real(0))


def answering(*answers, seen: list | None = None) -> httpx2.MockTransport:
    """Gives these answers, or raises them, one after the other; the last one again and again."""
    left = list(answers)

    def answer(request: httpx2.Request) -> httpx2.Response:
        if seen is not None:
            seen.append(request)
        each = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(each, Exception):
            raise each
        return each

    return httpx2.MockTransport(answer)


def told(client: Client, error: BaseException) -> str:
    """All that anybody might print."""
    return f"{client!r} {client._transport!r} {vars(client)!r} {error!r} {error} {error.__cause__!r}"


async def test_a_server_that_is_not_there():
    """It is said which, and what to do; and after it was tried a few times."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        async with Client(f"http://127.0.0.1:{port}", SECRET) as client:
            with pytest.raises(
                ServerUnavailable, match=f"http://127.0.0.1:{port} cannot be reached: "
            ) as caught:
                await client.health()
            assert "flowstone serve" in caught.value.remedies.command
            assert SECRET not in told(client, caught.value)


async def test_a_token_that_is_worth_nothing(serve):
    """401 is `AccessDenied`, which is a `PermissionError`; the token is in no text."""
    async with serve(store(), options=CLOSED, token=SECRET) as served:
        with pytest.raises(AccessDenied, match="This token is worth nothing") as caught:
            await served.client.runs()
        assert isinstance(caught.value, PermissionError)
        assert "--token-file" in caught.value.remedies.command
        assert SECRET not in told(served.client, caught.value)


async def test_a_token_that_may_not_do_this(serve):
    """403 says what it may and what this needs."""
    async with serve(store(), options=CLOSED) as served:
        token = await served.runtime.create_token("ci", "read", timedelta(hours=1))
        async with Client(served.url, token) as reader:
            assert await reader.runs() == []
            with pytest.raises(
                AccessDenied, match="The token 'ci' may read; this needs one that may operate"
            ):
                await reader.submit("orders")
            with pytest.raises(AccessDenied, match="may admin"):
                await reader.set_pool("warehouse", slots=3)
        operating = await served.runtime.create_token("bob", "operate")
        async with Client(served.url, operating) as client:
            assert (await client.pause("nightly", by="ada")).paused_by == "ada (token bob)"
            await client.resume("nightly")
            assert (await client.pause("nightly")).paused_by == "bob"


async def test_a_token_that_is_revoked_ends_what_is_followed(serve):
    """Whoever follows is told, and does not come back for ever."""
    async with serve(store(), options=CLOSED) as served:
        token = await served.runtime.create_token("ci", "read")
        async with Client(served.url, token) as reader, reader.feed() as feed:
            await served.runtime.revoke_token("ci")
            with pytest.raises(AccessDenied):
                await anext(feed)


async def test_a_server_that_has_failed():
    """500 as ours tells it, and nothing of its inside."""
    body = {"type": "InternalError", "title": "x", "status": 500, "detail": "This server has failed."}
    answer = httpx2.Response(500, json=body, headers={"content-type": "application/problem+json"})
    async with Client("http://127.0.0.1", transport=answering(answer)) as client:
        with pytest.raises(ServerFailed, match="answers: This server has failed"):
            await client.health()


@pytest.mark.parametrize("status", [200, 401, 403, 404, 500, 502])
async def test_a_proxy_that_answers_itself(status):
    """HTML is no answer of ours, whatever its status: nobody looks into it."""
    page = httpx2.Response(status, html="<h1>Sign in to Contoso</h1>")
    async with Client("http://127.0.0.1", SECRET, transport=answering(page)) as client:
        with pytest.raises(FlowstoneError, match=r"http://127\.0\.0\.1 answers") as caught:
            await client.health()
        assert type(caught.value) is ServerUnavailable
        assert "Contoso" not in str(caught.value)


async def test_an_answer_of_another_shape():
    """JSON that is none of ours."""
    async with Client("http://127.0.0.1", transport=answering(httpx2.Response(200, json={"a": 1}))) as client:
        for call in (client.health, client.runs, client.late, client.tokens):
            with pytest.raises(ServerUnavailable, match="cannot read"):
                await call()


async def test_an_answer_without_an_end(monkeypatch):
    """It is not read into memory for ever, also where it is compressed."""
    monkeypatch.setattr("flowstone.client.transport._LARGEST", 10_000)
    large = gzip.compress(b'"' + b"a" * 1_000_000 + b'"')
    answer = httpx2.Response(200, content=large, headers={"content-encoding": "gzip"})
    async with Client("http://127.0.0.1", transport=answering(answer)) as client:
        with pytest.raises(ServerUnavailable, match="more than 0 MB"):
            await client.health()


async def test_a_redirect_is_not_followed():
    """Neither to another host, which would be given the token, nor anywhere else."""
    seen: list[httpx2.Request] = []
    there = httpx2.Response(307, headers={"location": "https://ada:pw@evil.example/api/v1/health?token=x"})
    async with Client("https://flow.example.com", SECRET, transport=answering(there, seen=seen)) as client:
        with pytest.raises(ServerUnavailable, match="sends whoever asks somewhere else") as caught:
            await client.health()
        with pytest.raises(ServerUnavailable, match="somewhere else"):
            async with client.feed():
                pass
        assert {request.url.host for request in seen} == {"flow.example.com"}
        assert "pw" not in str(caught.value)


async def test_no_token_goes_over_a_network_in_clear():
    """Except to this machine, or where somebody says that the network is theirs."""
    with pytest.raises(ArgumentError, match="in clear"):
        Client("http://flow.example.com", SECRET)
    for url in ("http://127.0.0.1:8150", "http://[::1]:8150", "http://localhost", "https://flow.example.com"):
        assert SECRET not in repr(Client(url, SECRET))
    Client("http://flow.example.com", SECRET, insecure=True)
    Client("http://flow.example.com")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "flow.example.com",
        "ftp://flow.example.com",
        "http://",
        "http://ada:pw@flow.example.com",
        8150,
        "http://flow.example.com/?token=x",
        "http://flow.example.com/#x",
        "http://[::1",
        "http://a:b",
    ],
)
async def test_an_address_that_is_none(url):
    """It is refused before anything is sent, and no password in it is shown."""
    with pytest.raises(ArgumentError) as caught:
        Client(url)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("token", ["", " ", "a\nb", "ä", 7])
async def test_a_token_that_is_none(token):
    """Such as one with the line's end of its file."""
    with pytest.raises(ArgumentError, match="flowstone token create"):
        Client("https://flow.example.com", token)


async def test_a_client_that_is_not_open(serve):
    """Before, after, and twice."""
    client = Client("http://127.0.0.1:1")
    with pytest.raises(RuntimeStopping, match="async with"):
        await client.health()
    async with client:
        pass
    with pytest.raises(RuntimeStopping, match="async with"):
        await client.health()
    with pytest.raises(RuntimeStopping, match="once"):
        async with client:
            pass


async def test_names_are_text_in_a_path(serve):
    """Whatever is in them leads nowhere else."""
    seen: list[httpx2.Request] = []
    answer = httpx2.Response(
        404, json={"type": "AssetNotFound", "title": "x", "status": 404, "detail": "No."}
    )
    async with Client("http://127.0.0.1/flow/", transport=answering(answer, seen=seen)) as client:
        for name in ("a/b", "../../tokens", "a?b#c", "%2e%2e", "ä", "a b"):
            with pytest.raises(AssetNotFound):
                await client.history(name)
        for name in ("..", ".", "", "a\x00b", "\ud800"):
            with pytest.raises(ArgumentError):
                await client.history(name)
    assert all(request.url.raw_path.startswith(b"/flow/api/v1/assets/") for request in seen)
    assert all(request.url.raw_path.partition(b"?")[0].count(b"/") == 6 for request in seen)


async def test_below_a_prefix_and_behind_one_that_is_cut_off(serve):
    """`https://flow.example.com/flow`, with a slash at its end or without, or with the path of the API."""
    from starlette.applications import Starlette
    from starlette.routing import Mount

    def mounted(app):
        return Starlette(routes=[Mount("/flow", app)])

    async with serve(store(), wrap=mounted) as served:
        for end in ("", "/", "/api/v1", "/api/v1/"):
            async with Client(f"{served.url}/flow{end}") as client:
                assert (await client.materialize("orders")).status == "succeeded"
        with pytest.raises(ServerUnavailable, match="no FlowStone"):
            await served.client.health()


async def test_tls(certificate, trusting):
    """A certificate that is trusted; one that is not is no server."""
    from flowstone import Runtime
    from flowstone.server import create_app

    async with Runtime(store()) as runtime:
        app = create_app(runtime)
        async with listening(app, ssl_certfile=certificate[0], ssl_keyfile=certificate[1]) as port:
            async with Client(f"https://127.0.0.1:{port}", verify=trusting) as client:
                assert await client.health()
            async with Client(f"https://127.0.0.1:{port}") as client:
                with pytest.raises(ServerUnavailable, match="certificate"):
                    await client.health()
            assert isinstance(trusting, ssl.SSLContext)


async def test_what_is_read_is_asked_again():
    """A connection that fails, and a server that cannot now."""
    away = {
        "type": "StoreUnavailable",
        "title": "x",
        "status": 503,
        "detail": "The database does not answer.",
    }
    no = httpx2.Response(503, json=away, headers={"content-type": "application/problem+json"})
    yes = httpx2.Response(200, json=[])
    seen: list[httpx2.Request] = []
    cut = httpx2.ReadError("cut")
    async with Client("http://127.0.0.1", transport=answering(cut, no, cut, yes, seen=seen)) as client:
        assert await client.late() == []
    assert len(seen) == 4
    async with Client("http://127.0.0.1", transport=answering(no)) as client:
        with pytest.raises(StoreUnavailable, match="The database does not answer"):
            await client.late()


async def test_what_may_have_been_done_is_not_asked_again():
    """But what was never sent is."""
    seen: list[httpx2.Request] = []
    unsent = httpx2.ConnectError("refused")
    lost = httpx2.ReadError("cut")
    async with Client("http://127.0.0.1", transport=answering(unsent, unsent, lost, seen=seen)) as client:
        with pytest.raises(ServerUnavailable):
            await client.invalidate("orders")
    assert len(seen) == 3


async def test_a_run_is_started_once_whose_answer_is_lost(serve):
    """Sent again with the same key, the server knows it."""
    lost = []

    def losing(app):
        async def through(scope, receive, send):
            starts = (
                scope["type"] == "http" and scope["method"] == "POST" and not scope["path"].endswith("cancel")
            )

            async def said(message):
                if starts and message["type"] == "http.response.start" and len(lost) % 2 == 0:
                    lost.append(scope["path"])
                    raise ConnectionResetError
                if starts and message["type"] == "http.response.body" and not message.get("more_body"):
                    lost.append("answered")
                await send(message)

            try:
                await app(scope, receive, said)
            except ConnectionResetError:
                await send({"type": "http.response.start", "status": 503, "headers": []})
                await send({"type": "http.response.body", "body": b"gone"})

        return through

    async with serve(store(), wrap=losing) as served:
        run = await served.client.submit("broken")
        assert run.submitted
        record = await served.client.materialize("orders")
        result = await served.client.backfill("visits", start="2025-01-01", end="2025-01-02")
        again = await served.client.retry(run.id)
        runs = await served.runtime.runs()
        assert [each.id for each in runs] == [again.id, result.run_id, record.run_id, run.id]
        assert lost.count("answered") == 4


async def test_whoever_gives_a_key_is_given_its_run(serve):
    """`once=` is the `Idempotency-Key`; another request by it is refused."""
    async with serve(store()) as served:
        first = await served.client.submit("orders", once="nightly")
        again = await served.client.submit("orders", once="nightly")
        assert (first.submitted, again.submitted, again.id) == (True, False, first.id)
        with pytest.raises(ArgumentError):
            await served.client.submit("total", once="nightly")


def test_without_the_extra(tmp_path):
    """It is said how to install it, when a client is made; importing needs nothing."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['httpx2'] = None\n")
    code = (
        "import importlib.util\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *more: None if name == 'httpx2' else find(name, *more)\n"
        "from flowstone.client import Client\n"
        "Client('http://127.0.0.1')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'flowstone[http]'" in done.stderr


def test_what_a_client_does_not_need_is_not_loaded():
    """Neither what serves, nor what speaks HTTP before it is entered."""
    code = (
        "import sys, flowstone.client\n"
        "heavy = ('fastapi', 'starlette', 'uvicorn', 'jinja2', 'httpx2', 'asyncpg', 'typer', 'rich', 'structlog')\n"
        "print(*[name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


async def test_errors_can_be_passed_on():
    """To another process, as those of the runtime can."""
    body = {"type": "AssetNotFound", "title": "x", "status": 404, "detail": "There is no asset 'a'."}
    answer = httpx2.Response(
        404, content=json.dumps(body), headers={"content-type": "application/problem+json"}
    )
    async with Client("http://127.0.0.1", transport=answering(answer)) as client:
        with pytest.raises(AssetNotFound) as caught:
            await client.why("a")
    assert str(pickle.loads(pickle.dumps(caught.value))) == "There is no asset 'a'."
