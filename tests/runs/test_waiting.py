"""Steps that wait for somebody else: they leave the window, and the run is parked when nothing else is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from flowstone.runs.commands import (
    AttemptLost,
    CancelSteps,
    CheckSteps,
    FinishRun,
    HoldStarts,
    ParkRun,
    RecordCancelled,
    RecordSkipped,
    StartStep,
)
from flowstone.runs.records import Status
from tests.runs.plans import (
    HandPlan,
    cancel_requested,
    cancelled,
    failed,
    released,
    reused,
    same,
    skipped,
    started,
    succeeded,
    waiting,
    woken,
)
from tests.runs.world import World, make, plans

if TYPE_CHECKING:
    from flowstone.runs.state import RunState


def only_first(_key):
    return [0]


def every(_key):
    return range(1_000_000)


def resumed(plan: HandPlan, *log, max_parallel: int = 4, window: int = 100) -> RunState:
    """The state after a restart: what is in the log was recorded."""
    state = make(plan, max_parallel, window)
    for event in log:
        state.replay(event)
    return state


def test_a_step_that_waits_holds_neither_a_slot_nor_a_place_in_the_window():
    """With one slot and a window of one step, every partition has its turn before the run is parked."""
    plan = HandPlan({"a": 3})
    state = make(plan, max_parallel=1, window=1)
    assert state.begin() == [StartStep(0, 1)]
    assert state.apply(waiting(plan, 0, 1)) == [StartStep(1, 1)]
    assert state.apply(waiting(plan, 1, 1)) == [StartStep(2, 1)]
    assert (state.waiting, state.held) == (2, 1)
    assert state.apply(succeeded(plan, 2, 1)) == [ParkRun()]
    assert state.status_of(0) is Status.WAITING


def test_what_was_denied_on_record_before_a_cancel_has_failed():
    """The record that was ordered for it is not made; what became of it is heard before that or instead of it."""
    plan = HandPlan({"a": 2})
    state = make(plan)
    state.begin()
    state.apply(waiting(plan, 0, 1))
    state.apply(waiting(plan, 1, 1))
    assert state.apply(cancel_requested()) == [RecordCancelled((0, 1))]
    assert state.apply(failed(plan, 0, 1)) == []
    assert state.apply(failed(plan, 0, 1)) == []
    assert (state.counts[Status.FAILED], state.counts[Status.CANCELLED]) == (1, 1)
    assert state.apply(cancelled(plan, 1, 0)) == [FinishRun(Status.CANCELLED)]


def test_what_has_succeeded_on_record_after_it_was_taken_for_lost_is_not_cancelled():
    """As with what was denied."""
    plan = HandPlan({"a": 1})
    state = make(plan)
    state.begin()
    state.apply(cancel_requested())
    assert state.apply(AttemptLost(0, 1)) == [RecordCancelled((0,))]
    assert state.apply(succeeded(plan, 0, 1)) == [FinishRun(Status.SUCCEEDED)]


def test_a_step_that_is_woken_is_attempted_again_which_is_no_retry():
    """The next attempt has the next number and counts no failure more."""
    plan = HandPlan({"a": 1})
    state = make(plan)
    state.begin()
    assert state.apply(waiting(plan, 0, 1)) == [ParkRun()]
    assert state.apply(woken(plan, 0, 1)) == [StartStep(0, 2)]
    assert state.apply(waiting(plan, 0, 2)) == [ParkRun()]
    assert state.apply(woken(plan, 0, 2)) == [StartStep(0, 3)]
    assert (state.failures(0), state.losses(0)) == (0, 0)
    assert state.apply(succeeded(plan, 0, 3)) == [FinishRun(Status.SUCCEEDED)]


def test_news_that_come_late_change_nothing():
    """A step is woken once; an attempt that was given up can neither wait nor be woken."""
    plan = HandPlan({"a": 2})
    state = make(plan)
    state.begin()
    assert state.apply(woken(plan, 0, 2)) == []
    state.apply(waiting(plan, 0, 1))
    assert state.apply(succeeded(plan, 1, 1)) == [ParkRun()]
    for late in (waiting(plan, 0, 1), woken(plan, 0, 2), failed(plan, 0, 2), succeeded(plan, 0, 1)):
        assert state.apply(late) == []
    assert state.apply(woken(plan, 0, 1)) == [StartStep(0, 2)]
    assert state.apply(woken(plan, 0, 1)) == []
    assert state.apply(waiting(plan, 0, 1)) == []
    assert state.running == (0,)


def test_what_depends_on_a_waiting_step_holds_no_place_either():
    """Its later partitions, and those of everything downstream, go on past it."""
    plan = HandPlan({"a": 3, "b": 3, "c": 3}, {"b": {"a": same}, "c": {"b": same}})
    state = make(plan, max_parallel=1, window=3)
    state.begin()
    assert state.apply(waiting(plan, 0, 1)) == [StartStep(1, 1)]
    assert [state.status_of(step) for step in (0, 3, 6)] == [Status.WAITING, Status.QUEUED, Status.QUEUED]
    for step in (1, 4, 7, 2, 5):
        (order,) = state.apply(succeeded(plan, step, 1))
        assert isinstance(order, StartStep)
    assert state.apply(succeeded(plan, 8, 1)) == [ParkRun()]
    assert state.apply(woken(plan, 0, 1)) == [StartStep(0, 2)]
    assert state.apply(succeeded(plan, 0, 2)) == [StartStep(3, 1)]
    assert state.apply(succeeded(plan, 3, 1)) == [StartStep(6, 1)]
    assert state.apply(succeeded(plan, 6, 1)) == [FinishRun(Status.SUCCEEDED)]


def test_what_is_deferred_waits_for_its_other_inputs_as_well():
    """It was blocked by three steps; one of them waited meanwhile. It starts when all three have a value."""
    plan = HandPlan(
        {"a": 1, "b": 1, "w": 1, "sum": 1}, {"sum": {"a": only_first, "b": only_first, "w": only_first}}
    )
    state = make(plan)
    state.begin()
    state.apply(waiting(plan, 2, 1))
    assert state.apply(woken(plan, 2, 1)) == [StartStep(2, 2)]
    assert state.apply(succeeded(plan, 2, 2)) == []
    assert state.apply(succeeded(plan, 0, 1)) == []
    assert state.apply(succeeded(plan, 1, 1)) == [StartStep(3, 1)]


def test_all_partitions_may_wait_for_one_step():
    """They enter the window, as far as it goes, when that one is woken."""
    plan = HandPlan({"gate": 1, "a": 50}, {"a": {"gate": only_first}})
    state = make(plan, max_parallel=2, window=5)
    state.begin()
    assert state.apply(waiting(plan, 0, 1)) == [ParkRun()]
    assert state.held == 0
    assert state.apply(woken(plan, 0, 1)) == [StartStep(0, 2)]
    assert state.held == 6
    assert state.apply(succeeded(plan, 0, 2)) == [StartStep(1, 1), StartStep(2, 1)]


def test_a_failure_skips_what_a_waiting_step_had_deferred():
    """At once, however far downstream: the answer could not help it any more."""
    plan = HandPlan(
        {"w": 1, "a": 1, "b": 1, "c": 1}, {"b": {"w": only_first, "a": only_first}, "c": {"b": same}}
    )
    state = make(plan)
    state.begin()
    state.apply(waiting(plan, 0, 1))
    assert state.apply(failed(plan, 1, 1)) == [RecordSkipped(((2, 1), (3, 1)))]
    assert state.apply(skipped(plan, 2)) == []
    assert state.apply(skipped(plan, 3)) == [ParkRun()]


def test_a_waiting_step_may_fail_without_another_attempt():
    """It was rejected, or its time is over: its downstream is skipped, and what else waits is parked again."""
    plan = HandPlan({"a": 2, "b": 2}, {"b": {"a": same}})
    state = make(plan)
    state.begin()
    state.apply(waiting(plan, 0, 1))
    assert state.apply(waiting(plan, 1, 1)) == [ParkRun()]
    assert state.apply(failed(plan, 0, 1)) == [RecordSkipped(((2, 0),))]
    assert state.apply(skipped(plan, 2)) == [ParkRun()]
    assert state.apply(failed(plan, 1, 1)) == [RecordSkipped(((3, 1),))]
    assert state.apply(skipped(plan, 3)) == [FinishRun(Status.FAILED)]


def test_cancelling_ends_what_waits_and_what_was_deferred():
    """As steps that never started, whether the run is parked or not; an answer comes too late then."""
    plan = HandPlan({"a": 2, "b": 2}, {"b": {"a": same}})
    state = make(plan)
    state.begin()
    state.apply(waiting(plan, 0, 1))
    assert state.apply(cancel_requested()) == [CancelSteps((1,)), RecordCancelled((3, 0, 2))]
    assert state.apply(woken(plan, 0, 1)) == []
    assert state.waiting == 0
    for step in (3, 0, 2):
        assert state.apply(cancelled(plan, step)) == []
    assert state.apply(cancelled(plan, 1, 1)) == [FinishRun(Status.CANCELLED)]


def test_a_cancelled_run_waits_for_nobody():
    """An attempt that ends in a wait while it is being stopped has been cancelled."""
    plan = HandPlan({"a": 1, "b": 1}, {"b": {"a": same}})
    state = make(plan)
    state.begin()
    assert state.apply(cancel_requested()) == [CancelSteps((0,)), RecordCancelled((1,))]
    assert state.apply(waiting(plan, 0, 1)) == [RecordCancelled((0,))]


def test_a_parked_run_is_replayed_as_after_a_restart():
    """What waits still waits, and is woken by what was recorded; nothing of it is a suspect."""
    plan = HandPlan({"a": 2, "b": 2}, {"b": {"a": same}})
    log = [started(plan, 0, 1), waiting(plan, 0, 1), started(plan, 1, 1), waiting(plan, 1, 1)]
    state = resumed(plan, *log)
    assert state.begin() == [ParkRun()]
    assert (state.waiting, state.held, state._attempts.numbers) == (2, 0, {})
    state = resumed(plan, *log, woken(plan, 1, 1))
    assert (state.lost(1), state.attempt_of(0), state.attempt_of(1)) == ([], 1, 1)
    assert state.begin() == [StartStep(1, 2)]
    assert state.apply(succeeded(plan, 1, 2)) == [StartStep(3, 1)]
    assert state.apply(succeeded(plan, 3, 1)) == [ParkRun()]
    again = resumed(
        plan, *log, woken(plan, 1, 1), started(plan, 1, 2), waiting(plan, 1, 2), woken(plan, 1, 2)
    )
    assert again.begin() == [StartStep(1, 3)]


def test_a_run_that_is_cancelled_while_it_is_parked_ends_when_it_is_driven_again():
    """The request is on record; nothing waits any more."""
    plan = HandPlan({"a": 1, "b": 1}, {"b": {"a": same}})
    state = resumed(plan, started(plan, 0, 1), waiting(plan, 0, 1), cancel_requested())
    assert state.begin() == [RecordCancelled((0, 1))]
    state.apply(cancelled(plan, 0))
    assert state.apply(cancelled(plan, 1)) == [FinishRun(Status.CANCELLED)]


def test_being_woken_twice_on_record_is_being_woken_once():
    """Two nodes may have heard the same answer."""
    plan = HandPlan({"a": 1})
    log = [started(plan, 0, 1), waiting(plan, 0, 1), woken(plan, 0, 1), woken(plan, 0, 1)]
    assert resumed(plan, *log).begin() == [StartStep(0, 2)]
    late = [started(plan, 0, 1), waiting(plan, 0, 1), woken(plan, 0, 1), started(plan, 0, 2)]
    state = resumed(plan, *late, woken(plan, 0, 1))
    assert state.running == (0,)


def test_the_end_of_a_wait_may_be_on_record_without_another_attempt():
    """It was rejected while nobody drove the run."""
    plan = HandPlan({"a": 1, "b": 1}, {"b": {"a": same}})
    state = resumed(plan, started(plan, 0, 1), waiting(plan, 0, 1), failed(plan, 0, 1))
    assert state.begin() == [RecordSkipped(((1, 0),))]


def test_waiting_does_not_clear_past_failures_nor_losses():
    """They still count when the step is woken."""
    plan = HandPlan({"a": 1})
    state = resumed(plan, started(plan, 0, 1))
    assert state.begin() == [StartStep(0, 2, exclusive=True)]
    state.apply(waiting(plan, 0, 2))
    assert state.losses(0) == 1
    assert state.apply(woken(plan, 0, 2)) == [StartStep(0, 3)]
    assert state.apply(released(plan, 0, 3))


def test_a_suspect_that_waits_lets_the_others_run():
    """It has shown that it does not end its process."""
    plan = HandPlan({"a": 2})
    state = resumed(plan, started(plan, 0, 1))
    state.begin()
    assert state.apply(waiting(plan, 0, 2)) == [StartStep(1, 1)]


def test_a_run_that_is_to_start_nothing_more_is_not_parked_before_its_time():
    """Steps that are ready are not done."""
    plan = HandPlan({"a": 2})
    state = make(plan, max_parallel=1)
    state.begin()
    state.apply(HoldStarts())
    assert state.apply(waiting(plan, 0, 1)) == []
    assert state.apply(cancel_requested()) == [RecordCancelled((1, 0))]


def test_reused_steps_may_be_all_that_is_left_beside_a_waiting_one():
    """They are looked up as ever before the run is parked."""
    plan = HandPlan({"w": 1, "a": 1, "b": 1}, {"b": {"a": same}}, {"a": "missing", "b": "missing"})
    state = make(plan)
    assert state.begin() == [StartStep(0, 1), CheckSteps((1,))]
    assert state.apply(waiting(plan, 0, 1)) == []
    assert state.apply(reused(plan, 1)) == [CheckSteps((2,))]
    assert state.apply(reused(plan, 2)) == [ParkRun()]


def test_many_waiting_steps_hold_nothing():
    """Of each of them and of what depends on it there is one byte, before and after they are woken."""
    size = 10_000
    plan = HandPlan({"a": size, "b": size, "all": 1}, {"b": {"a": same}, "all": {"b": every}})
    state = make(plan, max_parallel=4, window=100)
    most = 0
    orders = list(state.begin())
    while (order := orders.pop(0)) != ParkRun():
        orders += state.apply(waiting(plan, order.step, 1), order.step)
        most = max(most, state.held)
    assert (state.waiting, state.held) == (size, 0)
    assert most <= 110
    assert not state._attempts.numbers
    for step in range(0, size, 2):
        orders += state.apply(woken(plan, step, 1), step)
        most = max(most, state.held)
    assert most <= 110
    done = 0
    while (order := orders.pop(0)) != ParkRun():
        done += 1
        orders += state.apply(succeeded(plan, order.step, order.attempt), order.step)
        most = max(most, state.held)
    assert (done, state.waiting, state.held) == (size, size // 2, 0)
    assert most <= 110


@given(st.data(), plans(), st.integers(1, 4), st.sampled_from([1, 2, 3, 100]))
def test_all_that_can_be_done_is_done_before_a_run_is_parked(data, plan, max_parallel, window):
    """Any graph, any waits, any window: `World.check_parked` holds each time, and every step ends in the end."""
    world = World(plan, max_parallel, window, patience=True)
    while world.finish is None:
        world.move(*data.draw(st.sampled_from(world.moves())), data.draw)
    assert set(world.ended) == set(range(plan.total))
    assert world.state.held == 0


def test_a_wait_without_a_recorded_start_is_replayed_with_its_number():
    """A step that was executed elsewhere may have told nothing before it waited."""
    plan = HandPlan({"a": 1})
    state = resumed(plan, waiting(plan, 0, 3))
    assert state.attempt_of(0) == 3
    state.begin()
    assert state.apply(woken(plan, 0, 3)) == [StartStep(0, 4)]


def test_a_step_that_is_known_to_be_woken_before_it_is_known_to_wait_goes_on():
    """Both are on record: another node says the one, and a look for others that wait finds the other."""
    plan = HandPlan({"a": 2})
    state = make(plan)
    state.begin()
    state.apply(waiting(plan, 0, 1))
    assert state.apply(woken(plan, 1, 1)) == []
    assert state.apply(waiting(plan, 1, 1)) == [StartStep(1, 2)]
    assert state.apply(waiting(plan, 1, 2)) == [ParkRun()]


def test_a_wake_of_an_attempt_that_was_lost_is_not_that_of_the_next_one():
    plan = HandPlan({"a": 1})
    state = make(plan)
    state.begin()
    state.apply(woken(plan, 0, 1))
    (again,) = state.apply(AttemptLost(0, 1, begun=True))
    assert (again.step, again.attempt) == (0, 2)
    assert state.apply(waiting(plan, 0, 2)) == [ParkRun()]
