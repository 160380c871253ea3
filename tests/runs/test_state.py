"""The run state machine: examples one can read, then any order of events hypothesis can think of."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flowstone.runs.commands import (
    CancelSteps,
    CheckSteps,
    FinishRun,
    HoldStarts,
    RecordCancelled,
    RecordSkipped,
    RetryDue,
    RetryStep,
    StartStep,
    StepsNeeded,
)
from flowstone.runs.events import RunFinished
from flowstone.runs.records import Status
from flowstone.runs.state import RunState
from tests.runs.plans import (
    AT,
    HandPlan,
    cancel_requested,
    cancelled,
    failed,
    retried,
    reused,
    same,
    skipped,
    started,
    succeeded,
)
from tests.runs.world import Resumed, World, make, plans, snapshot


def diamond() -> HandPlan:
    return HandPlan(
        {"a": 1, "b": 1, "c": 1, "d": 1}, {"b": {"a": same}, "c": {"a": same}, "d": {"b": same, "c": same}}
    )


def test_a_diamond_starts_each_step_once_when_its_inputs_are_there() -> None:
    """The sink waits for both arms, and the run finishes after it."""
    plan = diamond()
    state = make(plan)
    assert state.begin() == [StartStep(0, 1)]
    assert state.apply(succeeded(plan, 0, 1)) == [StartStep(1, 1), StartStep(2, 1)]
    assert state.apply(succeeded(plan, 2, 1)) == []
    assert state.apply(succeeded(plan, 1, 1)) == [StartStep(3, 1)]
    assert state.apply(succeeded(plan, 3, 1)) == [FinishRun(Status.SUCCEEDED)]


def test_a_failure_skips_its_downstream_and_leaves_the_other_branch_alone() -> None:
    """The skipped step names the failed one; the run is failed, after the other branch is done."""
    plan = diamond()
    state = make(plan)
    state.begin()
    state.apply(succeeded(plan, 0, 1))
    assert state.apply(failed(plan, 1, 1)) == [RecordSkipped(((3, 1),))]
    assert state.apply(skipped(plan, 3)) == []
    assert state.apply(succeeded(plan, 2, 1)) == [FinishRun(Status.FAILED)]


def test_holding_starts_nothing_more_until_the_run_is_cancelled() -> None:
    """Running steps end as they do; what became ready waits, and is recorded as cancelled in the end."""
    plan = diamond()
    state = make(plan, max_parallel=1)
    state.begin()
    assert state.apply(HoldStarts()) == []
    assert state.apply(succeeded(plan, 0, 1)) == []
    (order,) = state.apply(cancel_requested())
    assert isinstance(order, RecordCancelled)
    assert sorted(order.steps) == [1, 2, 3]
    for step in (1, 2):
        assert state.apply(cancelled(plan, step)) == []
    assert state.apply(cancelled(plan, 3)) == [FinishRun(Status.CANCELLED)]


def test_a_skip_names_the_root_of_a_chain_of_skips() -> None:
    """Everything downstream of a failure names the step that failed, not its skipped neighbour."""
    plan = HandPlan({"a": 1, "b": 1, "c": 1}, {"b": {"a": same}, "c": {"b": same}})
    state = make(plan)
    state.begin()
    assert state.apply(failed(plan, 0, 1)) == [RecordSkipped(((1, 0), (2, 0)))]


def test_a_retry_gives_its_slot_back_while_it_waits() -> None:
    """Another step starts meanwhile; the next attempt has the next number."""
    plan = HandPlan({"a": 2})
    state = make(plan, max_parallel=1)
    assert state.begin() == [StartStep(0, 1)]
    assert state.apply(retried(plan, 0, 1)) == [RetryStep(0, 1.0), StartStep(1, 1)]
    assert state.apply(RetryDue(0)) == []
    assert state.apply(succeeded(plan, 1, 1)) == [StartStep(0, 2, failed=1)]


def test_an_attempt_that_was_given_up_changes_nothing() -> None:
    """A late success of attempt 1 is absorbed once attempt 2 runs."""
    plan = HandPlan({"a": 1})
    state = make(plan)
    state.begin()
    state.apply(retried(plan, 0, 1))
    state.apply(RetryDue(0))
    assert state.apply(succeeded(plan, 0, 1)) == []
    assert state.apply(succeeded(plan, 0, 2)) == [FinishRun(Status.SUCCEEDED)]


def test_terminal_states_absorb() -> None:
    """A second ending of a step, or a cancel of a finished run, changes nothing."""
    plan = HandPlan({"a": 1, "b": 1})
    state = make(plan)
    state.begin()
    state.apply(succeeded(plan, 0, 1))
    assert state.apply(failed(plan, 0, 1)) == []
    assert state.status_of(0) is Status.SUCCEEDED
    state.apply(succeeded(plan, 1, 1))
    assert state.apply(cancel_requested()) == []
    assert state.counts[Status.CANCELLED] == 0


def test_cancelling_stops_what_runs_and_records_what_does_not() -> None:
    """Running steps are told to stop, the others are recorded as cancelled, then the run is finished."""
    plan = HandPlan({"a": 2, "b": 2}, {"b": {"a": same}})
    state = make(plan, max_parallel=1)
    state.begin()
    assert state.apply(cancel_requested()) == [CancelSteps((0,)), RecordCancelled((2, 3, 1))]
    state.apply(cancelled(plan, 1))
    state.apply(cancelled(plan, 2))
    assert state.apply(cancelled(plan, 0, 1)) == []
    assert state.apply(cancelled(plan, 3)) == [FinishRun(Status.CANCELLED)]


def test_an_attempt_that_would_be_retried_while_the_run_is_cancelled_ends_cancelled() -> None:
    """No delay is waited for any more."""
    plan = HandPlan({"a": 1})
    state = make(plan)
    state.begin()
    state.apply(cancel_requested())
    assert state.apply(retried(plan, 0, 1)) == [RecordCancelled((0,))]
    assert state.apply(cancelled(plan, 0)) == [FinishRun(Status.CANCELLED)]


def test_what_depends_on_a_cancelled_step_is_cancelled_with_it() -> None:
    """Not skipped: nothing failed. Whether it was blocked by that step already, or is examined after it."""
    plan = HandPlan({"a": 1, "b": 1, "c": 1}, {"b": {"a": same}, "c": {"b": same}})
    state = make(plan)
    state.begin()
    assert state.apply(cancelled(plan, 0, 1)) == [RecordCancelled((1, 2))]
    state = make(plan)
    state.replay(cancelled(plan, 0, 1))
    assert state.begin() == [RecordCancelled((1, 2))]
    state.apply(cancelled(plan, 1))
    assert state.apply(cancelled(plan, 2)) == [FinishRun(Status.CANCELLED)]


def test_a_step_is_skipped_because_of_the_first_of_its_inputs_that_failed() -> None:
    """In the order of the plan, when it is examined after both."""
    plan = HandPlan({"a": 1, "b": 1, "c": 1}, {"c": {"a": same, "b": same}})
    state = make(plan)
    state.replay(failed(plan, 1, 1))
    state.replay(failed(plan, 0, 1))
    assert state.begin() == [RecordSkipped(((2, 0),))]


def test_the_root_of_a_skip_is_found_though_a_step_between_is_not_on_record() -> None:
    """A restart came when, of the steps that one failure skipped, only the last was recorded."""
    plan = HandPlan(
        {"a": 2, "b": 2, "c": 2, "d": 1}, {"b": {"a": same}, "c": {"b": same}, "d": {"c": lambda _: [1]}}
    )
    state = make(plan, window=1)
    state.replay(failed(plan, 1, 1))
    state.replay(skipped(plan, 5))
    assert state.begin() == [StartStep(0, 1), RecordSkipped(((6, 1),))]


def test_a_cancel_that_comes_too_late_does_not_turn_success_into_cancelled() -> None:
    """If every step succeeded all the same, the run succeeded: nothing was cancelled."""
    plan = HandPlan({"a": 1})
    state = make(plan)
    state.begin()
    state.apply(cancel_requested())
    assert state.apply(succeeded(plan, 0, 1)) == [FinishRun(Status.SUCCEEDED)]


def test_values_that_may_be_reused_are_looked_up_in_batches() -> None:
    """Reused steps let their downstream go on; the others start."""
    plan = HandPlan({"a": 2, "b": 2}, {"b": {"a": same}}, {"a": "missing", "b": "missing"})
    state = make(plan)
    assert state.begin() == [CheckSteps((0, 1))]
    assert state.apply(reused(plan, 0)) == [CheckSteps((2,))]
    assert state.apply(StepsNeeded((1,))) == [StartStep(1, 1)]


def test_nothing_is_looked_up_of_an_asset_without_a_record() -> None:
    """Its steps start at once, or stand where the answer would have put them: behind the ready ones."""
    plan = HandPlan({"a": 2, "b": 2}, {"b": {"a": same}}, {"a": "missing", "b": "missing"})
    known = {"b"}
    state = RunState(plan, max_parallel=1, knows=known.__contains__)  # type: ignore[arg-type]  # structural twin
    assert state.begin() == [StartStep(0, 1)]
    known.clear()
    assert state.apply(succeeded(plan, 0, 1)) == [StartStep(1, 1)]
    known.add("b")  # By another run.
    assert state.apply(succeeded(plan, 1, 1)) == [StartStep(2, 1), CheckSteps((3,))]


def test_an_empty_run_finishes_at_once() -> None:
    """A plan without steps succeeds: there was nothing to do."""
    assert make(HandPlan({})).begin() == [FinishRun(Status.SUCCEEDED)]


@given(plan=plans(), window=st.integers(1, 100))
def test_a_plan_that_is_run_again_opens_as_the_first_time(plan, window):
    plan.template = None
    first = make(plan, window=window)
    orders = first.begin()
    plan.template = plan
    for again in (make(plan, window=window), make(plan, window=window)):
        assert again.begin() == orders
        assert again.held == first.held
        assert [again.status_of(step) for step in range(plan.total)] == [
            first.status_of(step) for step in range(plan.total)
        ]


def test_downstream_goes_first_so_that_results_flow() -> None:
    """With one slot, the first partition is finished before the second source is opened."""
    plan = HandPlan({"a": 3, "b": 3}, {"b": {"a": same}})
    state = make(plan, max_parallel=1)
    order = drive(plan, state, lambda _: "succeed")
    assert order == [0, 3, 1, 4, 2, 5]


def test_many_steps_hold_a_window() -> None:
    """At no time does the state hold more than the window, however long the run is."""
    size = 20_000
    plan = HandPlan({"a": size, "b": size}, {"b": {"a": same}})
    state = make(plan, max_parallel=8, window=1_000)
    most = 0
    commands = state.begin()
    done = 0
    while commands:
        more = []
        for command in commands:
            match command:
                case StartStep(step, attempt):
                    event = SUCCEEDED_EVENTS.get(plan, step, attempt)
                    more += state.apply(event, step)
                    done += 1
                case FinishRun(status):
                    assert status is Status.SUCCEEDED
        most = max(most, state.held)
        commands = more
    assert done == 2 * size
    assert most <= 1_100


class _Cached:
    """One success event used for all steps: the machine is told the step's number beside it."""

    def __init__(self) -> None:
        self._event: Any = None

    def get(self, plan: HandPlan, step: int, attempt: int) -> Any:
        if self._event is None:
            self._event = succeeded(plan, 0, 1)
        assert attempt == 1
        return self._event


SUCCEEDED_EVENTS = _Cached()


def drive(plan: HandPlan, state: RunState, choose: Any) -> list[int]:
    """Carry out commands in order, one event at a time; returns the order of starts."""
    order: list[int] = []
    queue = list(state.begin())
    while queue:
        command = queue.pop(0)
        match command:
            case StartStep(step, attempt):
                order.append(step)
                queue += state.apply(succeeded(plan, step, attempt))
            case RecordSkipped(steps):
                for step, _ in steps:
                    queue += state.apply(skipped(plan, step))
            case _:
                pass
    return order


# Any legal order --------------------------------------------------------------------------------------------


@given(st.data(), plans(), st.integers(1, 4), st.sampled_from([1, 3, 100]), st.booleans())
def test_any_order_of_events_ends_every_step_once(
    data: st.DataObject, plan: HandPlan, max_parallel: int, window: int, patience: bool
) -> None:
    """Whatever happens in whatever order, every step ends exactly once and the run's status follows."""
    world = World(plan, max_parallel, window, patience=patience)
    cancel_at = data.draw(st.one_of(st.none(), st.integers(0, 20)))
    turn = 0
    while world.finish is None:
        moves = world.moves()
        assert moves, "the run is stuck"
        if turn == cancel_at:
            world.cancel()
            moves = world.moves()
        if moves:
            world.move(*data.draw(st.sampled_from(moves)), data.draw)
        turn += 1
    assert set(world.ended) == set(range(plan.total))
    assert not world.running
    tally = Counter(world.ended.values())
    assert {s: n for s, n in world.state.counts.items() if n} == dict(tally)
    for step, status in world.ended.items():
        above = {world.ended[up] for up in plan.upstream_steps(step)}
        if status in (Status.SUCCEEDED, Status.REUSED):
            assert above <= {Status.SUCCEEDED, Status.REUSED}
        if not world.cancel_asked:
            assert (status is Status.SKIPPED) == bool(above & {Status.FAILED, Status.SKIPPED})
    assert world.state.held == 0


@given(st.data(), plans(), st.integers(1, 4), st.integers(0, 25), st.integers(0, 50))
def test_replay_equals_live_and_goes_on_to_the_same_kind_of_end(
    data: st.DataObject, plan: HandPlan, max_parallel: int, stop_at: int, cancel_at: int
) -> None:
    """Cut a run anywhere: replaying what was recorded gives the same state, and the rest still runs once."""
    world = World(plan, max_parallel, 100)
    for turn in range(stop_at):
        if turn == cancel_at:
            world.cancel()
        moves = world.moves()
        if world.finish is not None or not moves:
            break
        world.move(*data.draw(st.sampled_from(moves)), data.draw)
    world.hear_answers()
    again = make(plan, max_parallel)
    for event in world.log:
        again.replay(event)
    live_terminal, live_attempts = snapshot(world.state)
    terminal, attempts = snapshot(again)
    recorded = {step for step in range(plan.total) if step in world.ended}
    assert {s for s in range(plan.total) if terminal[s]} == recorded
    assert all(terminal[s] == live_terminal[s] for s in recorded)
    begun = world.begun()
    if world.cancel_asked:  # What was between two attempts has ended then, and is about to be recorded.
        live_attempts = [*live_attempts, *((step, 0) for step in begun.keys() - recorded)]
    assert dict(attempts) == {step: begun[step] for step, _ in live_attempts if step in begun}
    for step, _ in () if world.cancel_asked else attempts:
        # A loss is on record once the next attempt is; until then the attempt under way may be one.
        in_flight = (step in again.running) - (step in world.running)
        assert again.losses(step) + in_flight == world.state.losses(step) == world.losses[step]
        assert again.failures(step) == world.state.failures(step) == world.failures[step]
    resumed = Resumed(world, again)
    while resumed.finish is None:
        moves = resumed.moves()
        assert moves, "the resumed run is stuck"
        resumed.move(*data.draw(st.sampled_from(moves)), data.draw)
    assert set(resumed.ended) == set(range(plan.total))
    assert resumed.state.held == 0


def finished(status: Status) -> RunFinished:
    return RunFinished(AT, "run", "a", status)


def test_a_run_that_somebody_else_has_finished_is_not_cancelled_after_it() -> None:
    """Live or replayed: its last event stands."""
    plan = HandPlan({"a": 1})
    live = make(plan)
    live.begin()
    assert live.apply(finished(Status.FAILED)) == []
    assert live.apply(cancel_requested()) == []
    assert not live.cancelling
    replayed = make(plan)
    replayed.replay(finished(Status.FAILED))
    replayed.apply(cancel_requested())
    assert not replayed.cancelling


def test_replay_takes_no_second_end_of_a_step_and_none_of_a_step_it_does_not_have() -> None:
    """Nothing is counted twice, and what an older plan had beside is passed over."""
    plan = HandPlan({"a": 2})
    state = make(plan)
    state.replay(succeeded(plan, 0, 1))
    state.replay(failed(plan, 0, 1))
    state.replay(succeeded(HandPlan({"a": 2, "b": 1}), 2, 1))
    assert (state.counts[Status.SUCCEEDED], state.counts[Status.FAILED]) == (1, 0)
    assert state.begin() == [StartStep(1, 1)]


def test_replay_keeps_no_number_of_a_step_that_has_ended() -> None:
    """What is held does not grow with what is recorded."""
    plan = HandPlan({"a": 1})
    state = make(plan)
    state.replay(started(plan, 0, 2))
    state.replay(succeeded(plan, 0, 2))
    assert (state.attempt_of(0), state._attempts.numbers) == (0, {})


def test_a_step_between_two_attempts_is_replayed_as_one_that_waits() -> None:
    """It is no running one."""
    plan = HandPlan({"a": 1})
    state = make(plan)
    state.replay(started(plan, 0, 1))
    state.replay(retried(plan, 0, 1))
    assert (state.status_of(0), state.running) == (Status.WAITING, ())


def test_what_is_held_is_what_is_looked_up_and_what_waits_for_its_next_attempt() -> None:
    """One step each, whether it runs or waits."""
    plan = HandPlan({"a": 1, "b": 1}, {}, {"b": "missing"})
    state = make(plan)
    state.begin()
    assert state.held == 2
    state.apply(retried(plan, 0, 1))
    assert state.held == 2


def test_one_step_begun_before_a_restart_spares_no_other_its_look_up() -> None:
    """Only what has begun is known to be needed."""
    plan = HandPlan({"a": 2}, {}, {"a": "missing"})
    state = make(plan)
    state.replay(started(plan, 0, 1))
    state.replay(retried(plan, 0, 1))
    assert state.begin() == [StartStep(0, 2, failed=1), CheckSteps((1,))]


def test_a_run_with_a_failed_step_and_none_that_is_skipped_has_failed() -> None:
    """Nothing stands downstream of it."""
    plan = HandPlan({"a": 1})
    state = make(plan)
    state.begin()
    assert state.apply(failed(plan, 0, 1)) == [FinishRun(Status.FAILED)]


def test_nothing_is_ordered_before_the_run_begins() -> None:
    """Not even the end of a run without steps: what happens until then is only taken in."""
    state = make(HandPlan({}))
    assert state.apply(cancel_requested()) == []
    assert state.begin() == [FinishRun(Status.SUCCEEDED)]
