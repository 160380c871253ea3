"""Counting events and showing the count."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest
from rich.console import Console

from flowstone.cli.progress import Tally
from flowstone.cli.progress.display import PlainLines
from flowstone.cli.progress.live import LiveBar, picture
from flowstone.runs.events import (
    RunFinished,
    RunStarted,
    RunWaiting,
    StepCancelled,
    StepFailed,
    StepProgressed,
    StepRetried,
    StepReused,
    StepStarted,
    StepSucceeded,
    StepWaiting,
    StepWoken,
)
from flowstone.runs.records import Failure, Materialization, Status

AT = datetime(2025, 1, 1, tzinfo=UTC)


class Clock:
    """Seconds that pass when told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def record(key, status=Status.SUCCEEDED):
    return Materialization("raw", None, key, "r1", status)


def started(key, run="r1"):
    return StepStarted(AT, run, "raw", key, 1)


def succeeded(key, run="r1"):
    return StepSucceeded(AT, run, "raw", key, 1, record(key))


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def tally(clock):
    counted = Tally(clock)
    counted.apply(RunStarted(AT, "r1", "raw", 4))
    return counted


def test_counts_and_running(tally):
    """Started steps run until they end; endings are counted by kind; attempts made again are told apart."""
    tally.apply(started("a"))
    tally.apply(started("b"))
    tally.apply(StepProgressed(AT, "r1", "raw", "b", 1, 0.5, "half"))
    assert tally.under_way() == "raw[a], raw[b] (50% half)"
    tally.apply(succeeded("a"))
    tally.apply(StepRetried(AT, "r1", "raw", "b", 1, Failure("error", "no"), 1.0))
    assert (dict(tally.counts), tally.retries, tally.running) == ({"succeeded": 1}, 1, {})
    tally.apply(StepReused(AT, "r1", "raw", "c", record("c", Status.REUSED)))
    tally.apply(StepFailed(AT, "r1", "raw", "b", 2, record("b", Status.FAILED)))
    tally.apply(RunFinished(AT, "r1", "raw", Status.FAILED))
    assert (tally.done, tally.status) == (3, Status.FAILED)


def test_a_step_that_waits_does_not_run(tally):
    """It is neither done nor under way."""
    tally.apply(started("a"))
    tally.apply(StepWaiting(AT, "r1", "raw", "a", 1, "publish", "approval"))
    assert (tally.done, tally.retries, tally.running) == (0, 0, {})
    assert (tally.waits(), tally.remaining, tally.needs_an_answer) == ("raw[a] (publish)", None, False)
    tally.apply(RunWaiting(AT, "r1", "raw", 1))
    assert tally.needs_an_answer
    tally.apply(StepWoken(AT, "r1", "raw", "a", 1, "publish"))
    assert (tally.waits(), tally.needs_an_answer) == ("", False)
    tally.apply(StepWaiting(AT, "r1", "raw", "a", 2, "nap", "sleep"))
    tally.apply(RunWaiting(AT, "r1", "raw", 1))
    assert not tally.needs_an_answer
    tally.apply(StepFailed(AT, "r1", "raw", "a", 2, record("a", Status.FAILED)))
    assert (tally.waiting, tally.parked) == ({}, False)


def test_what_was_cancelled_is_not_done(tally):
    """Most of it never began: the bar of a run that was stopped is not full."""
    tally.apply(succeeded("a"))
    for name in ("b", "c", "d"):
        tally.apply(StepCancelled(AT, "r1", "raw", name, 1, record(name, Status.CANCELLED)))
    assert (tally.done, tally.total, tally.counts["cancelled"]) == (1, 4, 3)


def test_other_runs_do_not_count(tally):
    """One command shows one run, whatever else the runtime does."""
    tally.apply(RunStarted(AT, "r2", "raw", 1_000))
    tally.apply(started("x", run="r2"))
    tally.apply(succeeded("x", run="r2"))
    assert (tally.run_id, tally.total, tally.done, tally.running) == ("r1", 4, 0, {})


def test_rate_and_remaining(tally, clock):
    """What is left is judged by what was done; before anything was done nothing is claimed."""
    assert (tally.rate, tally.remaining) == (0.0, None)
    tally.apply(succeeded("a"))
    clock.now += 2
    assert (tally.rate, tally.remaining) == (0.5, 6.0)


def test_many_running_steps_are_named_by_the_oldest(tally):
    """A hundred running steps are three names and a number."""
    for number in range(100):
        tally.apply(started(f"k{number}"))
    assert tally.under_way() == "raw[k0], raw[k1], raw[k2] and 97 more"


def test_plain_lines_come_at_most_once_a_second(tally, clock):
    """Ten thousand steps are a handful of lines, and a line is only written if something changed."""
    lines: list[str] = []
    plain = PlainLines(tally, lines.append)
    tally.total = 10_000
    for number in range(10_000):
        tally.apply(succeeded(str(number)))
        clock.now += 0.0005
        plain.refresh()
    assert lines[0] == "run r1: 10,000 steps"
    assert len(lines) == 1 + 4
    assert lines[1] == "2,000 of 10,000 steps: 2,000 succeeded; 2,000 steps/s, 4 s left"
    clock.now += 10
    before = len(lines)
    plain.refresh()
    assert len(lines) == before


def test_plain_lines_of_a_long_run_are_rare(tally, clock):
    """An hour is a few dozen lines, not thousands."""
    lines: list[str] = []
    plain = PlainLines(tally, lines.append)
    tally.total = 100_000
    for number in range(3_600):
        tally.apply(succeeded(str(number)))
        clock.now += 1
        plain.refresh()
    assert 60 < len(lines) < 160


def shown(tally, width=80):
    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None).print(picture(tally, width))
    return stream.getvalue()


def test_live_picture(tally, clock):
    """The display has the bar, done of total, the rate, the time left, the counts and what runs."""
    assert "0/4 steps" in shown(tally)
    tally.apply(succeeded("a"))
    tally.apply(StepFailed(AT, "r1", "raw", "b", 1, record("b", Status.FAILED)))
    tally.apply(started("c"))
    clock.now += 4
    text = shown(tally)
    assert "2/4 steps" in text
    assert "0.5/s  4 s left" in text
    assert "1 succeeded  1 failed" in text
    assert "running raw[c]" in text


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_live_picture_is_three_lines_at_any_width(tally, width):
    """A narrow terminal cuts the display, it does not fold it."""
    for number in range(50):
        tally.apply(started(f"a-rather-long-partition-{number}"))
    assert len(shown(tally, width).splitlines()) == 3


def test_live_bar_leaves_a_clean_terminal(tally):
    """When the display closes the cursor is visible again."""
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=80)
    bar = LiveBar(tally, console, owns_stdout=False)
    bar.refresh()
    bar.close()
    assert stream.getvalue().rindex("\x1b[?25h") > stream.getvalue().rindex("\x1b[?25l")
