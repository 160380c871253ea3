"""Steps that wait for pools or rates: they take no place of their run, and few of them wait at a time."""

from __future__ import annotations

import pytest

from flowstone.runs.commands import (
    AttemptLost,
    BeginStep,
    CancelSteps,
    HoldStarts,
    StartStep,
    StepInLine,
    StepServed,
)
from flowstone.runs.records import Status
from tests.runs.plans import HandPlan, cancel_requested, cancelled, same, started, succeeded
from tests.runs.world import make


def backfill(size, *limited):
    """Partitions of `pooled`, of `free`, and of `after`, which takes those of `pooled`."""
    return HandPlan(
        {"pooled": size, "free": size, "after": size},
        {"after": {"pooled": same}},
        limited=frozenset(limited or ("pooled",)),
    )


def starts(commands):
    return [each.step for each in commands if isinstance(each, StartStep)]


def test_the_place_of_a_step_that_stands_in_line_is_another_ones():
    """However many do: what needs no pool runs."""
    state = make(backfill(10), max_parallel=2)
    assert starts(state.begin()) == [0, 1]
    assert starts(state.apply(StepInLine(0))) == [2]
    assert starts(state.apply(StepInLine(1))) == [10], "as many stand in line as there are places"
    assert starts(state.apply(StepInLine(2))) == [11]
    assert state.status_of(0) is Status.QUEUED
    assert state.status_of(10) is Status.RUNNING


def test_a_step_that_is_served_takes_the_next_place_before_all_others():
    """In the order in which they are served."""
    plan = backfill(10)
    state = make(plan, max_parallel=2)
    state.begin()
    state.apply(StepInLine(0))
    state.apply(StepInLine(1))
    state.apply(StepInLine(2))  # 10 and 11 run.
    assert state.apply(StepServed(1)) == []
    assert state.apply(StepServed(0)) == []
    assert state.apply(succeeded(plan, 10, 1)) == [BeginStep(1)]
    assert state.apply(succeeded(plan, 1, 1)) == [BeginStep(0)]
    assert starts(state.apply(succeeded(plan, 0, 1))) == [21], "its partition of `after` goes before sources"


def test_a_step_that_is_served_begins_at_once_if_there_is_a_place():
    """And if it has never stood in line, there is nothing to do."""
    state = make(HandPlan({"pooled": 2}, limited=frozenset({"pooled"})), max_parallel=2)
    state.begin()
    assert state.apply(StepServed(0)) == []
    state.apply(StepInLine(0))
    assert state.apply(StepServed(0)) == [BeginStep(0)]


def test_the_place_of_a_step_whose_attempt_is_over_is_free_before_its_end_is_told():
    """For one that was served by that end; nothing else is ordered before it, and no place is given twice."""
    plan = backfill(10)
    state = make(plan, max_parallel=2)
    state.begin()
    state.apply(StepInLine(0))
    state.apply(StepInLine(1))  # 2 and 10 have the places.
    for _ in range(2):
        state.vacated(2)
    assert state.apply(StepServed(0)) == [BeginStep(0)]
    assert state.apply(StepServed(1)) == []
    assert state.apply(succeeded(plan, 2, 1)) == []
    assert state.apply(succeeded(plan, 10, 1)) == [BeginStep(1)]
    state.vacated(3)  # It has not been ordered.
    assert state.apply(succeeded(plan, 0, 1)) == [StartStep(22, 1)]


def test_those_that_were_passed_over_come_first_when_one_is_served():
    """They were ready before."""
    plan = backfill(10)
    state = make(plan, max_parallel=1)
    assert starts(state.begin()) == [0]
    assert starts(state.apply(StepInLine(0))) == [10]  # 1 to 9 were passed over.
    state.apply(StepServed(0))
    assert state.apply(succeeded(plan, 10, 1)) == [BeginStep(0)]
    assert starts(state.apply(succeeded(plan, 0, 1))) == [20]
    assert starts(state.apply(succeeded(plan, 20, 1))) == [1]


@pytest.mark.parametrize("places", [1, 4, 64])
def test_few_of_a_million_stand_in_line(places):
    """Less than twice as many as may run, and what the state holds is its window."""
    plan = HandPlan({"pooled": 1_000_000}, limited=frozenset({"pooled"}))
    state = make(plan, max_parallel=places, window=1_000)
    orders = starts(state.begin())
    in_line = 0
    while orders:
        in_line += 1
        orders += starts(state.apply(StepInLine(orders.pop(0))))
    assert places <= in_line < 2 * places
    assert state.held <= 1_100


def test_what_stands_in_line_is_stopped_with_the_run_and_not_begun_while_starts_are_held():
    """It is ordered, and answers as every step that is."""
    plan = backfill(3)
    state = make(plan, max_parallel=1)
    state.begin()
    state.apply(StepInLine(0))
    state.apply(HoldStarts())
    assert state.apply(StepServed(0)) == []
    assert state.apply(succeeded(plan, 3, 1)) == []
    assert CancelSteps((0,)) in state.apply(cancel_requested())
    state.apply(cancelled(plan, 0, 1))
    assert state.running == ()


def test_a_step_that_runs_alone_keeps_its_place_and_lets_those_go_first_that_are_served():
    """Nothing begins beside it; what stands in line goes on standing there."""
    plan = backfill(3)
    state = make(plan, max_parallel=2)
    state.begin()
    state.apply(StepInLine(0))  # 1 and 2 have places; passed over is none.
    state.apply(AttemptLost(1, 1))
    assert state.apply(StepServed(0)) == [BeginStep(0)]
    assert state.apply(succeeded(plan, 2, 1)) == []
    assert state.apply(succeeded(plan, 0, 1)) == [StartStep(1, 2, exclusive=True)]
    assert state.apply(StepInLine(1)) == []
    assert starts(state.apply(succeeded(plan, 1, 2)))


def test_nothing_is_begun_while_more_run_than_may():
    """Attempts that went on in other processes are more than the run may have now."""
    plan = backfill(5)
    state = make(plan, max_parallel=1)
    for step in range(5):
        state.replay(started(plan, step, 1))
    assert starts(state.begin(kept=range(5))) == []
    for step in range(3):
        assert state.apply(StepInLine(step)) == []
        assert state.apply(StepServed(step)) == []
    assert state.apply(succeeded(plan, 3, 1)) == []
    assert state.apply(succeeded(plan, 4, 1)) == [BeginStep(0)]
