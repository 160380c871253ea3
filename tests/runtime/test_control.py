"""What is asked of a run reaches whoever drives it, once, whoever that is by then."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from flowstone.runs.records import Status
from flowstone.runtime.run.control import Cancel, Drain, GiveUp, Look, Release
from flowstone.runtime.run.live_run import LiveRun

REQUESTS = [Cancel("asked"), Drain(), GiveUp(), Release()]


@pytest.fixture
async def run():
    """A run that nobody drives yet."""
    return LiveRun(SimpleNamespace(id="run-1"), SimpleNamespace(), fresh=True)


@pytest.mark.parametrize("request_", REQUESTS)
async def test_what_is_asked_is_heard_once(run, request_):
    """Asking again changes nothing, not even with another reason."""
    heard = []
    assert run.listen(heard.append) == ()
    run.ask(request_)
    run.ask(request_)
    run.ask(Cancel("asked"))
    run.ask(Cancel("timeout"))
    assert heard == ([request_] if isinstance(request_, Cancel) else [request_, Cancel("asked")])
    assert type(request_) in run.requests
    assert run.cancelled == "asked"


async def test_a_coordinator_that_starts_anew_is_told_what_was_asked_before(run):
    """Also what was asked while nobody listened."""
    heard = []
    run.listen(heard.append)
    run.ask(Drain())
    run.listen_no_more()
    run.ask(Cancel("caller"))
    assert heard == [Drain()]
    assert run.listen(heard.append) == (Drain(), Cancel("caller"))


async def test_every_look_is_heard_and_none_is_remembered(run):
    """Each may be about another step; whoever drives the run next replays what it would have found."""
    heard = []
    run.listen(heard.append)
    run.ask(Look())
    run.ask(Look())
    assert (heard, run.requests) == ([Look(), Look()], {})


async def test_a_run_that_is_over_hears_nothing(run):
    """It has ended, whatever is asked of it."""
    heard = []
    run.listen(heard.append)
    run.finish(Status.SUCCEEDED)
    run.ask(Cancel("asked"))
    assert (heard, run.cancelled) == ([], None)
