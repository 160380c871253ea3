"""The kinds of events: one list of exact ones, and what people's words for them mean."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

import pytest

from flowstone.assets.automation.event_kinds import EXACT_KINDS, exact_kinds
from flowstone.runs import events
from flowstone.runs.automation_events import AutomationEvent, AutomationFailed, Event
from flowstone.runs.events import RunFinished, StepStarted
from flowstone.runs.records import Failure, Status

AT = datetime(2025, 1, 1, tzinfo=UTC)


def test_the_exact_kinds_are_those_of_all_events():
    """The list that definitions are checked against names every event there is, and no other."""
    named = {each.kind for each in (*get_args(events.Event), *get_args(AutomationEvent))} - {"run.finished"}
    assert set(EXACT_KINDS) == named | {"run.succeeded", "run.failed", "run.cancelled"}
    assert len(EXACT_KINDS) == len(set(EXACT_KINDS))


def test_event_is_any_of_them():
    """The public `Event` is what a listener may be called with."""
    assert set(get_args(Event)) == {*get_args(events.Event), *get_args(AutomationEvent)}


@pytest.mark.parametrize(
    "status", [status for status in Status if status.terminal and f"run.{status.value}" in EXACT_KINDS]
)
def test_the_end_of_a_run_is_told_apart_by_its_outcome(status):
    """`run.failed` is what people want to hear of; `run.finished` is what is recorded."""
    event = RunFinished(AT, "r", "a", status)
    assert (event.kind, event.exact_kind) == ("run.finished", f"run.{status.value}")


def test_every_event_says_the_kind_that_people_ask_for():
    """Which is its own for all but the end of a run."""
    for each in (*get_args(events.Event), *get_args(AutomationEvent)):
        assert isinstance(each.exact_kind, property)
        if each is not RunFinished:
            assert each.exact_kind.fget(each) == each.kind


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("run.finished",), {"run.succeeded", "run.failed", "run.cancelled"}),
        (("run.failed", "asset.overdue"), {"run.failed", "asset.overdue"}),
        (("asset",), {"asset.late", "asset.overdue", "asset.fresh"}),
        (("automation",), {"automation.failed", "automation.paused", "automation.resumed"}),
        ((), set(EXACT_KINDS)),
    ],
)
def test_words_mean_exact_kinds(words, meant):
    """A kind, an outcome, or the first word for all of its kinds; nothing means everything."""
    assert exact_kinds(words) == meant


def test_what_is_not_recorded_is_not_delivered():
    """Progress is published only: all of a step's events are those that are recorded."""
    assert "step.progressed" in exact_kinds(("step",))
    assert "step.progressed" not in exact_kinds(("step",), recorded=True)
    with pytest.raises(ValueError, match="not recorded"):
        exact_kinds(("step.progressed",), recorded=True)


def test_a_mistyped_kind_is_refused_with_a_suggestion():
    """Rather than listened for in vain."""
    with pytest.raises(ValueError, match=r"Did you mean 'run\.failed'"):
        exact_kinds(("run.faild",))


def test_an_event_of_an_automation_belongs_to_no_run():
    """It has what other events have: when, about what, and of which run, which is none."""
    event = AutomationFailed(AT, "alert", Failure("error", "no"))
    assert (event.run_id, event.asset, event.partition_key) == ("", "", None)
    assert event.exact_kind == "automation.failed"
    assert StepStarted(AT, "r", "a", None, 1).exact_kind == "step.started"
