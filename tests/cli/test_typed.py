"""The command that Launch shows is pasted into a shell as it is."""

from __future__ import annotations

import errno
import html
import os
import re
import shlex
import signal
import socket
from urllib.request import Request, urlopen

import pytest

from flowstone.cli.commands.serve import written
from tests.cli.programs import finished, read_until, started

pytestmark = pytest.mark.usefixtures("shop")


def shown(url, query):
    """The command on the page of Launch."""
    with urlopen(f"{url}/launch?{query}") as answer:
        page = answer.read().decode()
    return html.unescape(re.search(r'<pre class="cmd"[^>]*>(.*?)</pre>', page, re.DOTALL)[1])


@pytest.mark.parametrize("store", ["file://my runs", None])
def test_the_command_of_launch_runs(tmp_path, cli, store):
    """It names the pipeline and the store that this server was given; in the environment the shell has it."""
    options = ("--store", store) if store else ()
    with started(tmp_path, "serve", "shop.py", "--port", "0", *options) as process:
        url = process.stdout.readline().strip()
        read_until(process, "works for")
        alone = shown(url, "asset=total")
        days = shown(url, "asset=visits_doubled&partitions=2025-01-01:2025-01-03")
        process.send_signal(signal.SIGTERM)
        assert finished(process)[0] == 0
    assert alone.startswith("flowstone materialize shop.py:pipeline total")
    for command in (alone, days):
        program, *arguments = shlex.split(command.replace("\\\n", ""))
        assert program == "flowstone"
        ran = cli(*arguments)
        assert (ran.status, "succeeded" in ran.stderr + ran.stdout) == (0, True), command


def test_a_node_in_memory_is_given_work_on_its_pages(tmp_path):
    """And says that nothing else can."""
    with started(tmp_path, "serve", "shop.py", "--port", "0", "--store", "memory://") as process:
        url = process.stdout.readline().strip()
        read_until(process, "Only its pages and its API can give it work")
        read_until(process, "works for")
        body = b'{"asset": "total", "upstream": true}'
        asked = Request(f"{url}/api/v1/runs", data=body, headers={"Content-Type": "application/json"})
        with urlopen(asked) as answer:
            assert answer.status == 201
        process.send_signal(signal.SIGTERM)
        assert finished(process)[0] == 0


def test_without_pages_nothing_can_give_it_work(cli, monkeypatch):
    """Then it is refused, with what to do."""
    monkeypatch.setattr("flowstone.cli.commands.serve.has_server", lambda: False)
    refused = cli("serve", "shop.py", "--store", "memory://")
    assert (refused.status, "Nobody could give work" in refused.stderr) == (2, True)
    assert "flowstone[server]" in refused.stderr


@pytest.mark.parametrize(
    ("host", "code", "remedy"),
    [
        ("192.0.2.7", errno.EADDRNOTAVAIL, "It is no address of this machine"),
        ("127.0.0.1", errno.EADDRINUSE, "See who has it"),
        ("127.0.0.1", errno.EACCES, "A port below 1024"),
    ],
)
def test_an_address_that_is_not_to_be_had(cli, monkeypatch, host, code, remedy):
    """What to do depends on why."""

    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(socket.socket, "bind", refuse)
    refused = cli("serve", "shop.py", "--host", host, "--port", "8150")
    assert refused.status == 2
    assert remedy in refused.stderr
    assert ("ss -ltnp" in refused.stderr) == (code == errno.EADDRINUSE)


def test_a_password_is_not_shown():
    """The command takes the store with one from the environment."""
    assert written("postgresql://ada:secret@db/flow") == '"$FLOWSTONE_STORE"'
    assert written("postgresql://db/flow?user=ada&password=secret") == '"$FLOWSTONE_STORE"'
    assert written("postgresql://ada@db/flow?sslmode=require") == "'postgresql://ada@db/flow?sslmode=require'"
