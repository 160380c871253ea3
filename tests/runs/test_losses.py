"""What the state machine makes of attempts that a dying process took along."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowstone.runs.commands import (
    AttemptLost,
    CancelSteps,
    FinishRun,
    RecordCancelled,
    RetryDue,
    RetryStep,
    StartStep,
)
from flowstone.runs.records import Status
from flowstone.runs.state import RunState
from tests.runs.plans import (
    HandPlan,
    cancel_requested,
    cancelled,
    failed,
    released,
    retried,
    started,
    succeeded,
)


def resumed(plan: HandPlan, *log, max_parallel: int = 4) -> RunState:
    """The state after a restart: what is in the log was recorded."""
    state = RunState(plan, max_parallel=max_parallel)  # type: ignore[arg-type]  # structural twin
    for event in log:
        state.replay(event)
    return state


def test_steps_in_flight_run_alone_one_after_another():
    """Each of them may be what killed the process; the others wait until all of them are done."""
    plan = HandPlan({"a": 4})
    state = resumed(plan, started(plan, 0, 1), started(plan, 2, 1))
    assert state.begin() == [StartStep(0, 2, exclusive=True)]
    assert state.apply(succeeded(plan, 0, 2)) == [StartStep(2, 2, exclusive=True)]
    assert state.apply(succeeded(plan, 2, 2)) == [StartStep(1, 1), StartStep(3, 1)]


def test_a_suspect_that_is_retried_is_one_no_more():
    """It has shown that it fails without ending the process, so its next attempt needs no quarantine."""
    plan = HandPlan({"a": 2})
    state = resumed(plan, started(plan, 0, 1))
    assert state.begin() == [StartStep(0, 2, exclusive=True)]
    assert state.apply(retried(plan, 0, 2)) == [RetryStep(0, 1.0), StartStep(1, 1)]


def test_a_step_between_two_attempts_is_no_suspect():
    """Its attempt had ended before the process did."""
    plan = HandPlan({"a": 2})
    state = resumed(plan, started(plan, 0, 1), retried(plan, 0, 1))
    assert state.lost(1) == []
    assert state.begin() == [StartStep(0, 2, failed=1), StartStep(1, 1)]


def test_losses_are_counted():
    """Attempts without an end, whatever ended between them."""
    plan = HandPlan({"a": 2})
    log = [started(plan, 0, 1), started(plan, 0, 2), retried(plan, 0, 2), started(plan, 0, 3)]
    state = resumed(plan, *log, started(plan, 1, 1))
    assert state.lost(1) == [(0, 3), (1, 1)]
    assert state.lost(2) == [(0, 3)]
    assert state.lost(3) == []


def test_a_lost_step_that_was_failed_skips_its_downstream():
    """Once its failure is recorded it is an ordinary failed step."""
    plan = HandPlan({"a": 1, "b": 1}, {"b": {"a": lambda key: [key]}})
    state = resumed(plan, started(plan, 0, 1), failed(plan, 0, 1))
    assert state.lost(1) == []
    (order,) = state.begin()
    assert order.steps == ((1, 0),)


def test_a_cancel_reaches_those_that_wait_to_run_alone():
    """They end cancelled without another attempt."""
    plan = HandPlan({"a": 2})
    state = resumed(plan, started(plan, 0, 1), started(plan, 1, 1))
    assert state.begin() == [StartStep(0, 2, exclusive=True)]
    orders = state.apply(cancel_requested())
    assert RecordCancelled((1,)) in orders
    state.apply(cancelled(plan, 1))
    assert state.apply(cancelled(plan, 0, 2)) == [FinishRun(Status.CANCELLED)]
    assert state.held == 0


def test_an_attempt_lost_while_the_run_goes_on_is_made_again_alone():
    """Its process may have died of it: it waits until nothing else of the run is under way."""
    plan = HandPlan({"a": 3})
    state = resumed(plan, max_parallel=2)
    assert state.begin() == [StartStep(0, 1), StartStep(1, 1)]
    assert state.apply(AttemptLost(0, 1)) == []
    assert state.losses(0) == 1
    assert state.apply(succeeded(plan, 1, 1)) == [StartStep(0, 2, exclusive=True)]
    assert state.apply(succeeded(plan, 0, 2)) == [StartStep(2, 1)]


def test_a_lost_attempt_that_had_never_begun_is_simply_made_again():
    """It cannot have ended anything: no suspicion and no loss, only another number, which fences its lease."""
    plan = HandPlan({"a": 2})
    state = resumed(plan)
    state.begin()
    assert state.apply(AttemptLost(0, 1, begun=False)) == [StartStep(0, 2)]
    assert state.losses(0) == 0
    assert state.apply(succeeded(plan, 0, 1)) == []
    assert state.apply(succeeded(plan, 0, 2)) == []


def test_news_of_a_loss_that_come_late_change_nothing():
    """An attempt whose end was recorded, or that was overtaken, is not lost."""
    plan = HandPlan({"a": 1})
    state = resumed(plan)
    state.begin()
    state.apply(retried(plan, 0, 1))
    assert state.apply(AttemptLost(0, 1)) == []
    assert state.apply(RetryDue(0)) == [StartStep(0, 2, failed=1)]
    assert state.apply(AttemptLost(0, 1)) == []
    state.apply(succeeded(plan, 0, 2))
    assert state.apply(AttemptLost(0, 2)) == []
    assert state.status_of(0) is Status.SUCCEEDED


def test_a_step_that_is_lost_while_the_run_is_cancelled_ends_cancelled():
    """It is not made again only to be stopped."""
    plan = HandPlan({"a": 1})
    state = resumed(plan)
    state.begin()
    state.apply(cancel_requested())
    assert state.apply(AttemptLost(0, 1)) == [RecordCancelled((0,))]
    assert state.apply(cancelled(plan, 0)) == [FinishRun(Status.CANCELLED)]


def test_losses_count_the_same_live_and_replayed():
    """Those of former processes, and those of other nodes while the run went on."""
    plan = HandPlan({"a": 1})
    state = resumed(plan, started(plan, 0, 1))
    assert state.begin() == [StartStep(0, 2, exclusive=True)]
    assert state.losses(0) == 1
    assert state.apply(AttemptLost(0, 2)) == [StartStep(0, 3, exclusive=True)]
    assert state.losses(0) == 2
    again = resumed(plan, *(started(plan, 0, attempt) for attempt in (1, 2, 3)))
    assert (again.losses(0), again.lost(3)) == (2, [(0, 3)])


def test_an_attempt_that_left_with_its_node_is_neither_suspect_nor_lost():
    """A node that shuts down stops its attempts first; whoever goes on makes them again, beside others."""
    plan = HandPlan({"a": 2})
    log = [started(plan, 0, 1), started(plan, 1, 1), released(plan, 0, 1), released(plan, 1, 1)]
    state = resumed(plan, *log)
    assert state.lost(1) == []
    assert state.begin() == [StartStep(0, 2), StartStep(1, 2)]


def test_only_failures_count_against_the_retries_of_an_asset():
    """Attempts that were lost, left with their node or never began are told apart, live and replayed."""
    plan = HandPlan({"a": 1})
    state = resumed(plan)
    state.begin()
    state.apply(retried(plan, 0, 1))
    assert state.apply(RetryDue(0)) == [StartStep(0, 2, failed=1)]
    assert state.apply(AttemptLost(0, 2)) == [StartStep(0, 3, exclusive=True, failed=1)]
    assert state.apply(AttemptLost(0, 3, begun=False)) == [StartStep(0, 4, failed=1)]
    assert state.apply(released(plan, 0, 4)) == [RetryStep(0, 0.0)]
    assert state.apply(RetryDue(0)) == [StartStep(0, 5, failed=1)]
    log = [started(plan, 0, 1), retried(plan, 0, 1), started(plan, 0, 2), started(plan, 0, 4)]
    again = resumed(plan, *log, released(plan, 0, 4), started(plan, 0, 5), retried(plan, 0, 5))
    assert again.begin() == [StartStep(0, 6, failed=2)]
    assert again.losses(0) == 1


def test_the_past_of_a_step_is_forgotten_with_its_end():
    """What is kept is bounded by the steps that are live."""
    plan = HandPlan({"a": 2})
    state = resumed(plan, started(plan, 0, 1), started(plan, 0, 2), started(plan, 1, 1), retried(plan, 1, 1))
    state.begin()
    state.apply(succeeded(plan, 0, 3))
    state.apply(succeeded(plan, 1, 2))
    assert [(state.losses(step), state.failures(step)) for step in (0, 1)] == [(0, 0), (0, 0)]


@given(st.data(), st.integers(1, 12), st.integers(1, 5))
def test_no_suspect_ever_runs_beside_another_step(data, size, max_parallel):
    """Whatever was in flight and in whatever order steps end, suspects run alone and everything runs."""
    plan = HandPlan({"a": size})
    suspects = data.draw(st.sets(st.integers(0, size - 1)))
    state = resumed(plan, *(started(plan, step, 1) for step in suspects), max_parallel=max_parallel)
    running: dict[int, int] = {}
    done: set[int] = set()
    orders = state.begin()
    while True:
        for order in orders:
            if isinstance(order, StartStep):
                running[order.step] = order.attempt
                assert order.exclusive == (order.step in suspects)
        if not running:
            break
        assert len(running) <= max_parallel
        assert len(running) == 1 or not suspects & set(running)
        step = data.draw(st.sampled_from(sorted(running)))
        done.add(step)
        orders = state.apply(succeeded(plan, step, running.pop(step)))
    assert done == set(range(size))
    assert state.held == 0


# Attempts that outlive the owner of the run -----------------------------------------------------------------


def test_what_goes_on_in_another_process_is_kept():
    """It holds its slot, is no suspect and no loss, and its end counts; only the others run alone."""
    plan = HandPlan({"a": 4})
    state = resumed(plan, started(plan, 0, 1), started(plan, 1, 1), started(plan, 2, 1), max_parallel=2)
    assert state.lost(1, kept={0, 2}) == [(1, 1)]
    assert state.begin(kept={0, 2}) == []
    assert state.running == (0, 2)
    assert state.apply(succeeded(plan, 2, 1)) == []
    assert state.apply(succeeded(plan, 0, 1)) == [StartStep(1, 2, exclusive=True)]
    assert (state.losses(0), state.losses(1)) == (0, 1)


def test_what_is_kept_is_waited_for():
    """Its downstream starts when it has ended, and the run ends once."""
    plan = HandPlan({"a": 2, "b": 2}, {"b": {"a": lambda key: [key]}})
    state = resumed(plan, started(plan, 0, 1), succeeded(plan, 1, 1))
    assert state.begin(kept={0}) == [StartStep(3, 1)]
    assert state.apply(succeeded(plan, 0, 1)) == [StartStep(2, 1)]
    assert state.apply(succeeded(plan, 3, 1)) == []
    assert state.apply(succeeded(plan, 2, 1)) == [FinishRun(Status.SUCCEEDED)]


def test_what_was_retried_and_started_again_may_be_kept():
    """It does not wait as well."""
    plan = HandPlan({"a": 1})
    state = resumed(plan, started(plan, 0, 1), retried(plan, 0, 1), started(plan, 0, 2))
    assert state.begin(kept={0}) == []
    assert state.running == (0,)


def test_what_is_kept_is_cancelled_with_its_run():
    """The request to cancel is on record; the attempt answers with its own end."""
    plan = HandPlan({"a": 2})
    state = resumed(plan, started(plan, 0, 1), cancel_requested())
    assert state.begin(kept={0}) == [CancelSteps((0,)), RecordCancelled((1,))]
    assert state.apply(cancelled(plan, 1, 0)) == []
    assert state.apply(cancelled(plan, 0, 1)) == [FinishRun(Status.CANCELLED)]


def test_a_cancel_on_record_stops_nothing_where_nothing_runs():
    """What was in flight went with its process: it has only to be recorded."""
    plan = HandPlan({"a": 2})
    state = resumed(plan, started(plan, 0, 1), cancel_requested())
    assert state.begin() == [RecordCancelled((0, 1))]


def test_what_is_kept_is_not_stopped_unless_its_run_is_cancelled():
    """It goes on as if nothing had happened."""
    plan = HandPlan({"a": 2})
    assert resumed(plan, started(plan, 0, 1)).begin(kept={0}) == [StartStep(1, 1)]


def test_an_attempt_handed_back_before_it_began_has_used_its_number():
    """The next one is told apart from it by the number."""
    plan = HandPlan({"a": 1})
    state = resumed(plan, released(plan, 0, 1))
    assert state.begin() == [StartStep(0, 2)]
