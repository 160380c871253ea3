"""A service in which the pages are mounted ends at the first signal, though pages are open."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
from http.client import HTTPConnection

import pytest

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


def _open_stream(opened, address, path):
    """Have this stream begin, on a connection of its own."""
    connection = HTTPConnection(address, timeout=HANGS)
    opened.callback(connection.close)
    connection.request("GET", path)
    answer = connection.getresponse()
    opened.callback(answer.close)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
