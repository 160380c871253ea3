"""The command that Launch shows is pasted into a shell as it is."""

from __future__ import annotations

import html
import re
import shlex
import signal
from urllib.request import urlopen

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


def test_a_password_is_not_shown():
    """The command takes the store with one from the environment."""
    assert written("postgresql://ada:secret@db/flow") == '"$FLOWSTONE_STORE"'
    assert written("postgresql://db/flow?user=ada&password=secret") == '"$FLOWSTONE_STORE"'
    assert written("postgresql://ada@db/flow?sslmode=require") == "'postgresql://ada@db/flow?sslmode=require'"
