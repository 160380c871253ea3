"""On a terminal and under signals: the real program in processes of its own."""

from __future__ import annotations

import codecs
import contextlib
import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.cli.programs import command, environment, finished, read_until, started

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pty = pytest.importorskip("pty", reason="pseudo-terminals are a Unix thing")

GATED = """
import asyncio, sys, time
from pathlib import Path
from flowstone.assets import Pipeline, StaticPartitions

pipeline = Pipeline("gated")
letters = StaticPartitions(list("abcdef"))


async def gate():
    while not Path("open").exists():
        await asyncio.sleep(0.01)


@pipeline.asset(partitions=letters)
async def slow(context) -> str:
    print("begun", context.partition, file=sys.stderr, flush=True)
    await gate()
    return context.partition


@pipeline.asset(partitions=letters)
async def stubborn(context) -> str:
    print("begun", context.partition, file=sys.stderr, flush=True)
    while True:
        time.sleep(0.01)
"""


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "gated.py").write_text(GATED)
    return tmp_path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_finishes_what_runs(folder, number):
    """The first Ctrl-C begins nothing new, says so, lets running steps end and records them; status 130."""
    arguments = ["backfill", "gated.py", "slow", "--max-parallel", "2", "--json"]
    with started(folder, *arguments) as process:
        read_until(process, "begun b")
        process.send_signal(number)
        assert "Finishing 2 running steps" in read_until(process, "press Ctrl-C again")
        (folder / "open").touch()
        status, out, err = finished(process)
    assert status == 130
    document = json.loads(out)
    assert document["interrupted"] is True
    assert document["counts"] == {"succeeded": 2, "cancelled": 4}
    assert "begun c" not in err
    assert "Traceback" not in err


def test_second_signal_stops_now(folder):
    """The second Ctrl-C cancels what runs; what it had not finished is on record as cancelled."""
    with started(folder, "backfill", "gated.py", "slow", "--max-parallel", "2") as process:
        read_until(process, "begun b")
        process.send_signal(signal.SIGINT)
        read_until(process, "Finishing")
        process.send_signal(signal.SIGINT)
        status, out, err = finished(process)
    assert status == 130
    assert "stopped" in out
    assert "Traceback" not in err
    shown = subprocess.run(
        command("runs", "--json"), cwd=folder, env=environment(), capture_output=True, text=True, check=True
    )
    (run,) = json.loads(shown.stdout)["runs"]
    assert run["status"] == "cancelled"
    assert run["counts"] == {"cancelled": 6}


@pytest.mark.long
def test_third_signal_breaks_a_blocked_loop(folder):
    """An asset that blocks the event loop cannot make Ctrl-C dead: the third one ends the program."""
    with started(folder, "backfill", "gated.py", "stubborn") as process:
        read_until(process, "begun a")
        for _ in range(20):
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.5)
                break
        status, _, err = finished(process)
    assert status == 130
    assert "Traceback" not in err


def test_interrupting_while_a_module_loads(folder):
    """Ctrl-C before the run began ends with one line and status 130."""
    (folder / "loading.py").write_text(
        "import sys, time\nprint('loading', file=sys.stderr, flush=True)\ntime.sleep(60)\n"
    )
    with started(folder, "assets", "loading.py") as process:
        read_until(process, "loading")
        process.send_signal(signal.SIGINT)
        status, _, err = finished(process)
    assert (status, err) == (130, "Interrupted.\n")


class Terminal:
    """A command on a pseudo-terminal of 80 columns."""

    def __init__(self, folder: Path, *arguments: str, env: dict[str, str] | None = None) -> None:
        self.master, slave = pty.openpty()
        self.seen = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()  # A read may end inside a character.
        size = {"COLUMNS": "80", "LINES": "24"}
        self.process = subprocess.Popen(
            command(*arguments),
            cwd=folder,
            env={**environment(), **size, **(env or {})},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)

    def until(self, words: str) -> str:
        """Read until these words are on the screen; with no words, until the end."""
        while not words or words not in self.seen:
            try:
                part = os.read(self.master, 65536)
            except OSError:  # How Linux says that the other side is closed.
                part = b""
            if not part:
                assert not words, f"{words!r} never came; the screen was {self.seen[-2000:]!r}"
                break
            self.seen += self._decoder.decode(part)
        return self.seen

    def status(self) -> int:
        self.until("")
        return self.process.wait(60)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)


@pytest.fixture
def terminal(folder) -> Iterator:
    """Open commands on terminals; all are closed at the end."""
    opened: list[Terminal] = []

    def run(*arguments: str, **options) -> Terminal:
        opened.append(Terminal(folder, *arguments, **options))
        return opened[-1]

    yield run
    for one in opened:
        one.close()


def test_live_progress(terminal, folder):
    """On a terminal a bar shows done of total and what runs, and is gone when the result is there."""
    shown = terminal("backfill", "gated.py", "slow", "--max-parallel", "3")
    shown.until("0/6 steps")
    shown.until("running slow[a], slow[b], slow[c]")
    (folder / "open").touch()
    assert shown.status() == 0
    assert "succeeded: 6 steps" in shown.seen
    assert shown.seen.rindex("\x1b[?25h") > shown.seen.rindex("\x1b[?25l")


def test_interrupted_terminal_is_clean(terminal):
    """After Ctrl-C twice the cursor is back and the last line says how it ended."""
    shown = terminal("backfill", "gated.py", "slow", "--max-parallel", "1")
    shown.until("running slow[a]")
    shown.process.send_signal(signal.SIGINT)
    shown.until("press Ctrl-C again")
    shown.process.send_signal(signal.SIGINT)
    assert shown.status() == 130
    assert shown.seen.rindex("\x1b[?25h") > shown.seen.rindex("\x1b[?25l")
    assert "stopped" in shown.seen.splitlines()[-1]


def test_no_colour(terminal, folder):
    """With NO_COLOR nothing is coloured, and the result is the same."""
    (folder / "open").touch()
    shown = terminal("backfill", "gated.py", "slow", env={"NO_COLOR": "1"})
    assert shown.status() == 0
    assert "\x1b[3" not in shown.seen


def test_dumb_terminal_gets_plain_lines(terminal, folder):
    """A terminal that cannot move its cursor gets lines."""
    (folder / "open").touch()
    shown = terminal("backfill", "gated.py", "slow", env={"TERM": "dumb"})
    assert shown.status() == 0
    assert "\x1b[" not in shown.seen
    assert "6 steps" in shown.seen


def test_looking_while_another_process_works(folder):
    """Reading commands work beside a running one; a second writer is told who holds the store."""
    with started(folder, "backfill", "gated.py", "slow", "--max-parallel", "1") as process:
        read_until(process, "begun a")

        def beside(*arguments: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                command(*arguments),
                cwd=folder,
                env=environment(),
                capture_output=True,
                text=True,
                check=False,
            )

        looked = beside("runs", "--json")
        assert [run["status"] for run in json.loads(looked.stdout)["runs"]] == ["running"]
        refused = beside("materialize", "gated.py", "slow", "--partition", "b")
        assert refused.returncode == 1
        assert str(process.pid) in refused.stderr
        assert len(refused.stderr.strip().splitlines()) == 1
        (folder / "open").touch()
        assert finished(process)[0] == 0


@pytest.mark.parametrize(("depth", "code"), [("truecolor", "\x1b[38;2;"), ("", "\x1b[38;5;")])
def test_demo_in_colour(terminal, depth, code):
    """On a colour terminal the calendar is drawn in half blocks, in 24-bit colour or the nearest of 256."""
    shown = terminal("demo", env={"COLORTERM": depth})
    assert shown.status() == 0
    assert code in shown.seen
    assert shown.seen.count("▀") > 48 * 4 * 4
    assert "2015" in shown.seen
    assert "Try next" in shown.seen


def test_demo_with_sixteen_colours(terminal):
    """Where colours are too few for a scale, shades take their place."""
    shown = terminal("demo", env={"TERM": "xterm", "COLORTERM": ""})
    assert shown.status() == 0
    assert "▀" not in shown.seen
    assert "░" in shown.seen
