"""What a `WebhookAlert` sends, and what it makes of the answers."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx2
import pytest

from flowstone import DefinitionError, Permanent, Pipeline, Retryable, WebhookAlert
from flowstone.alerts import verify_signature
from flowstone.runs.automation_events import AssetOverdue, AutomationFailed, AutomationPaused
from flowstone.runs.events import RunFinished
from flowstone.runs.records import Failure, Status
from tests.store.facts import end

AT = datetime(2025, 1, 15, 6, tzinfo=UTC)
FAILED = RunFinished(AT, "run-1", "report", Status.FAILED, partition_key="d:2025-01-15")
URL = "https://hooks.example.com/services/T0/secret-path"


class Server:
    """Answers as it is told, and keeps what it was sent."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []

    def __call__(self, request):
        self.requests.append(request)
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx2.Response) else httpx2.Response(answer)

    def alert(self, url=URL, **options):
        """An alert that comes here."""
        return WebhookAlert(url, transport=httpx2.MockTransport(self), **options)


async def test_an_event_is_posted_as_json():
    """With what somebody needs to know of it."""
    server = Server()
    await server.alert().post(FAILED)
    (request,) = server.requests
    assert (request.method, str(request.url)) == ("POST", URL)
    assert request.headers["content-type"] == "application/json"
    body = json.loads(request.content)
    assert body.pop("id").startswith("evt_")
    assert body == {
        "kind": "run.failed",
        "at": "2025-01-15T06:00:00+00:00",
        "run_id": "run-1",
        "asset": "report",
        "partition": "d:2025-01-15",
        "message": "run failed: report[2025-01-15], run run-1",
    }


@pytest.mark.parametrize(
    ("event", "facts"),
    [
        (
            end("report", status=Status.FAILED),
            {"kind": "step.failed", "attempt": 1, "message": "step failed: report: ValueError: no"},
        ),
        (
            AssetOverdue(AT, "report", None, AT, 3600.0),
            {"run_id": None, "within": 3600.0, "since": AT.isoformat(), "kind": "asset.overdue"},
        ),
        (
            AutomationFailed(AT, "nightly", Failure("error", "ValueError: no")),
            {"name": "nightly", "asset": None, "message": "automation failed: nightly: ValueError: no"},
        ),
        (
            AutomationPaused(AT, "nightly", reason="It failed 10 times in a row."),
            {
                "kind": "automation.paused",
                "message": "automation paused: nightly: It failed 10 times in a row.",
            },
        ),
        (
            AutomationPaused(AT, "nightly", by="ada", reason="a deployment"),
            {"message": "automation paused: nightly: by ada, a deployment"},
        ),
        (AutomationPaused(AT, "nightly", by="ada"), {"message": "automation paused: nightly: by ada"}),
    ],
)
async def test_each_event_says_what_it_is_about(event, facts):
    """A failure has its message; what belongs to no run has none."""
    server = Server()
    await server.alert(kinds="run").post(event)
    body = json.loads(server.requests[0].content)
    assert {name: body[name] for name in facts} == facts


async def test_the_id_stays_and_the_signature_can_be_checked():
    """So whoever receives one twice knows it."""
    server = Server(500, 200)
    alert = server.alert(secret="hush", headers={"Authorization": "Bearer t0ken"})
    with pytest.raises(Retryable):
        await alert.post(FAILED)
    await alert.post(FAILED)
    first, second = server.requests
    assert first.content == second.content
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == json.loads(first.content)["id"]
    assert first.headers["authorization"] == "Bearer t0ken"
    found = verify_signature("hush", second.headers, second.content, now=time.time())
    assert found == second.headers["webhook-id"]


async def test_without_a_secret_nothing_is_signed():
    """The id is there all the same."""
    server = Server()
    await server.alert().post(FAILED)
    assert "webhook-signature" not in server.requests[0].headers
    assert "webhook-id" in server.requests[0].headers


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_2xx_means_that_it_was_taken(status):
    """Whatever else it says."""
    await Server(status).alert().post(FAILED)


@pytest.mark.parametrize("status", [301, 302, 303, 400, 401, 403, 404, 410, 422])
async def test_what_will_never_be_taken_is_not_sent_again(status):
    """The receiver is gone, or does not want it."""
    with pytest.raises(Permanent, match=f"https://hooks.example.com/… answered with status {status}"):
        await Server(status).alert().post(FAILED)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_what_may_be_taken_later_is_sent_again(status):
    """When, the listeners say."""
    with pytest.raises(Retryable, match=f"status {status}") as caught:
        await Server(status).alert().post(FAILED)
    assert caught.value.after is None


@pytest.mark.parametrize(
    "error", [httpx2.ConnectError("no route"), httpx2.ReadTimeout("slow"), httpx2.ReadError("")]
)
async def test_a_network_that_fails_is_tried_again(error):
    """It says so without the path of the URL, which is a secret."""
    with pytest.raises(Retryable, match="hooks") as caught:
        await Server(error).alert().post(FAILED)
    assert "secret-path" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("header", "low", "high"),
    [
        ("7", 7, 7),
        ("100000", 3600, 3600),
        (timedelta(seconds=100), 60, 100),
    ],
)
async def test_a_server_may_say_when(header, low, high):
    """In seconds or as an instant, up to an hour."""
    if isinstance(header, timedelta):
        header = format_datetime(datetime.now(UTC) + header, usegmt=True)
    answer = httpx2.Response(429, headers={"Retry-After": header})
    with pytest.raises(Retryable) as caught:
        await Server(answer).alert().post(FAILED)
    assert low <= caught.value.after <= high


@pytest.mark.parametrize("header", ["0", format_datetime(datetime(2020, 1, 1, tzinfo=UTC), usegmt=True)])
async def test_a_server_that_wants_to_be_asked_at_once_is_asked_as_usual(header):
    """All attempts would be used up while it is away for a second."""
    answer = httpx2.Response(503, headers={"Retry-After": header})
    with pytest.raises(Retryable) as caught:
        await Server(answer).alert().post(FAILED)
    assert caught.value.after is None


async def test_what_is_no_time_says_nothing():
    """It is waited for as usual."""
    with pytest.raises(Retryable) as caught:
        await Server(httpx2.Response(503, headers={"Retry-After": "soon"})).alert().post(FAILED)
    assert caught.value.after is None


async def test_redirects_on_the_same_host_are_followed():
    """With the same request."""
    server = Server(httpx2.Response(308, headers={"Location": "/other"}), 200)
    await server.alert(secret="hush").post(FAILED)
    assert [str(request.url) for request in server.requests] == [URL, "https://hooks.example.com/other"]
    assert server.requests[0].content == server.requests[1].content


@pytest.mark.parametrize(
    "location", ["https://evil.example.com/", "http://hooks.example.com/", "//evil.example.com/x"]
)
async def test_redirects_elsewhere_are_not_followed(location):
    """What was meant for one is nobody else's."""
    server = Server(httpx2.Response(307, headers={"Location": location}))
    with pytest.raises(Permanent, match="somebody else's"):
        await server.alert().post(FAILED)
    assert len(server.requests) == 1


async def test_redirects_in_a_circle_end():
    """After a few."""
    server = Server(*(httpx2.Response(307, headers={"Location": URL}) for _ in range(9)))
    with pytest.raises(Permanent, match="in a circle"):
        await server.alert().post(FAILED)
    assert len(server.requests) == 4


async def test_a_real_server_receives_it():
    """Over a socket of this machine, where http is good enough."""
    received = []

    async def serve(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        received.append((head, await reader.readexactly(length)))
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        await WebhookAlert(f"http://127.0.0.1:{port}/hook", secret="hush").post(FAILED)
    ((head, body),) = received
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if line)
    assert verify_signature("hush", headers, body, now=time.time()) == json.loads(body)["id"]


async def test_a_server_that_is_not_there_is_tried_again():
    """Nobody listens."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    with pytest.raises(Retryable, match=f"http://127.0.0.1:{port}/… could not be reached"):
        await WebhookAlert(f"http://127.0.0.1:{port}/hook").post(FAILED)


async def test_what_an_error_of_the_network_quotes_is_not_repeated():
    """It may be a header, which is a secret; the name of its class says what has happened."""
    error = httpx2.LocalProtocolError("Illegal header value b'Bearer t0ken'")
    with pytest.raises(Retryable, match=r"could not be reached \(LocalProtocolError\)") as caught:
        await Server(error).alert().post(FAILED)
    assert "t0ken" not in str(caught.value)


@pytest.mark.parametrize(
    "headers",
    [
        {"": "t0ken"},
        {"X t0ken": "x"},
        {"X:": "t0ken"},
        {"t0ken\r\nX": "t0ken"},
        {"X-é": "t0ken"},
        {"X\n": "t0ken"},
        {"X": "t0ken\n"},
        {"X": "t0ken\r\nHost: x"},
        {"X": " t0ken"},
        {"X": "t0ken\t"},
        {"X": "t0kené"},
        {"X": "t0ken\x00"},
        {"X": b"t0ken"},
        ["t0ken"],
        3,
    ],
)
def test_headers_that_cannot_be_sent_are_refused_unseen(headers):
    """Where they are written: a request that fails would be tried again for hours, and may quote them."""
    with pytest.raises(DefinitionError, match="headers=") as caught:
        WebhookAlert(URL, headers=headers)
    assert "t0ken" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_headers_that_can_be_sent_are_taken():
    """Whatever the standard allows in a name, and blanks within a value."""
    assert WebhookAlert(URL, headers={"X-Api_Key.1": "Bearer a b~!", "X-Empty": "", "Y": "x"})


@pytest.mark.parametrize(
    ("url", "by_proxy"), [("http://127.0.0.1/x", False), ("https://localhost/x", False), (URL, True)]
)
def test_a_proxy_of_the_environment_is_used_beyond_this_machine(monkeypatch, url, by_proxy):
    """Nothing that is sent in clear leaves this machine."""
    monkeypatch.setenv("ALL_PROXY", "http://proxy.example.com:3128")
    assert WebhookAlert(url)._client().trust_env is by_proxy


def test_nothing_secret_is_shown():
    """Neither in its text nor in what refuses it."""
    alert = WebhookAlert(
        "https://user:pw@hooks.example.com:8443/x?token=t", kinds="run", secret="hush", headers={"X": "key"}
    )
    assert repr(alert) == "WebhookAlert('https://hooks.example.com:8443/…', kinds=('run',))"
    with pytest.raises(DefinitionError) as caught:
        WebhookAlert("http://hooks.example.com/secret-path", secret="hush")
    assert "secret-path" not in str(caught.value)
    assert "https://" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("ftp://example.com", {}),
        ("https://", {}),
        ("https://[::1", {}),
        ("hooks.example.com", {}),
        (3, {}),
        ("http://example.com", {}),
        ("http://127.0.0.1.example.com", {}),
        (URL, {"kinds": "run.faild"}),
        (URL, {"kinds": ("step.progressed",)}),
        (URL, {"timeout": 0}),
        (URL, {"secret": ""}),
        (URL, {"secret": 3}),
        (URL, {"headers": {"Content-Type": "x"}}),
        (URL, {"headers": {"x": 3}}),
    ],
)
def test_what_cannot_work_is_refused(url, options):
    """Where it is written."""
    with pytest.raises(DefinitionError, match="WebhookAlert"):
        WebhookAlert(url, **options)


@pytest.mark.parametrize("url", ["http://localhost/x", "http://127.0.0.1:80/", "http://[::1]:8000/"])
def test_this_machine_may_be_told_in_clear(url):
    """Nobody else hears of it; elsewhere somebody has to say that it is meant."""
    assert WebhookAlert(url)
    assert WebhookAlert("http://example.com", insecure=True)


def test_it_is_a_listener_of_its_pipeline():
    """By its host, or its own name."""
    pipeline = Pipeline("sales")
    pipeline.add(WebhookAlert(URL, kinds=["run.failed", "step.failed"]))
    pipeline.add(WebhookAlert(URL, name="second", timeout=2))
    first, second = pipeline.automations.values()
    assert (first.name, first.kinds) == ("webhook hooks.example.com", ("run.failed", "step.failed"))
    assert second.name == "second"
    assert second.kinds == ("run.failed", "asset.overdue", "automation.failed", "automation.paused")
    with pytest.raises(DefinitionError, match="give one of them another name"):
        pipeline.add(WebhookAlert(URL))


def test_the_extra_is_asked_for(monkeypatch):
    """Where it is written, rather than when something has failed already."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DefinitionError, match=r"needs httpx2: install `flowstone\[http\]`"):
        WebhookAlert(URL)
