"""A node, and a service in which the pages are mounted, end at the first signal, though pages are open."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import subprocess
import sys
from http.client import HTTPConnection

import pytest

from flowstone.server.access.stopping import ServerStop
from flowstone.server.access.streams import answer_while_allowed
from tests.cli.programs import finished, read_until, started

SERVICE = """
from contextlib import asynccontextmanager

from fastapi import FastAPI

from flowstone import Pipeline, Runtime

pipeline = Pipeline("shop")


@pipeline.asset
async def orders() -> int:
    return 1


runtime = Runtime(pipeline)


@asynccontextmanager
async def lifespan(app):
    async with runtime:
        yield
    print("left", flush=True)


app = FastAPI(lifespan=lifespan)
app.mount("/flow", runtime.ui())
"""
NODE = """
from flowstone import Pipeline

pipeline = Pipeline("shop")


@pipeline.asset
async def orders() -> int:
    return 1
"""
STREAMS = ("/flow/live/", "/flow/live/runs", "/flow/api/v1/events")
HANGS = 120.0
"""Seconds after which it is no question of speed any more."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_ends_a_service_with_open_pages(tmp_path, number):
    """By uvicorn as it is: its lifespan is left in order, and nothing is said of streams that were cut."""
    (tmp_path / "service.py").write_text(SERVICE, encoding="utf-8")
    command = [sys.executable, "-m", "uvicorn", "service:app", "--port", "0"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            said = ""
            while not (found := re.search(r"running on http://(\S+:\d+)", said)):
                line = process.stderr.readline()
                assert line, said
                said += line
            with contextlib.ExitStack() as opened:
                for path in STREAMS:
                    _open_stream(opened, found[1], path)
                process.send_signal(number)
                out, rest = process.communicate(timeout=HANGS)
        finally:
            process.kill()
    assert "left" in out
    assert "Traceback" not in rest
    assert "ERROR" not in rest


@pytest.mark.parametrize(("store", "number"), [("file", signal.SIGINT), ("postgres", signal.SIGTERM)])
def test_one_signal_ends_a_node_with_open_pages(request, tmp_path, store, number):
    """Each stream ends as one that was not cut, and nothing is said of them."""
    url = f"file://{tmp_path}/store" if store == "file" else request.getfixturevalue("database")
    (tmp_path / "shop.py").write_text(NODE, encoding="utf-8")
    with (
        started(tmp_path, "serve", "shop.py", "--port", "0", "--store", url) as node,
        contextlib.ExitStack() as opened,
    ):
        address = node.stdout.readline().strip().removeprefix("http://")
        read_until(node, "Ctrl-C or SIGTERM stops it")
        answers = [
            _open_stream(opened, address, path) for path in ("/live/", "/live/system", "/api/v1/events") * 3
        ]
        node.send_signal(number)
        for answer in answers:
            answer.read()  # Raises where it was cut.
        status, _, rest = finished(node)
    assert status == 0
    assert "Traceback" not in rest
    assert "ERROR" not in rest
    assert "exceeded" not in rest


async def test_what_is_not_answered_when_the_server_stops_is_refused():
    """In words, and nothing else is: neither what was answered nor what has begun to be."""
    stop = ServerStop()
    asked, done = asyncio.Event(), []

    async def slow(_scope, _receive, send):
        asked.set()
        await asyncio.Event().wait()

    async def begun(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        asked.set()
        await done_waiting.wait()
        await send({"type": "http.response.body", "body": b"all", "more_body": False})

    done_waiting = asyncio.Event()
    for app in (slow, begun):
        sent = []

        async def send(message, sent=sent):
            sent.append(message)

        asked.clear()
        scope = {"type": "http", "path": "/api/v1/runs", "headers": []}
        answering = asyncio.create_task(answer_while_allowed(app, scope, None, send, None, stop))
        await asked.wait()
        stop.now()
        stop.refuse()
        done_waiting.set()
        await answering
        done.append((sent[0]["status"], sent[-1]["body"]))
    (refused, said), whole = done
    assert refused == 503
    assert json.loads(said)["type"] == "RuntimeStopping"
    assert whole == (200, b"all")


def _open_stream(opened, address, path):
    """Have this stream begin, on a connection of its own."""
    connection = HTTPConnection(address, timeout=HANGS)
    opened.callback(connection.close)
    connection.request("GET", path)
    answer = connection.getresponse()
    opened.callback(answer.close)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    return answer
