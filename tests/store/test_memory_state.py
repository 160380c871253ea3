"""The shortcuts of the state in memory: what they leave behind is what the long way leaves behind."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from flowstone.runs.events import RunFinished, StepFailed, StepStarted, StepSucceeded
from flowstone.runs.records import Failure, Input, Materialization, RunRecord, RunSpec, Status
from flowstone.store.history import History
from flowstone.store.protocol import StaleWrite

if TYPE_CHECKING:
    from collections.abc import Sequence

START = datetime(2025, 1, 1, tzinfo=UTC)
RUN = RunRecord("r", "p", RunSpec("materialize_all", "a"), Status.RUNNING, START)

Fact = tuple[str, str, str | None, int, int]
"""What is written: kind, asset, key, attempt, epoch."""

facts: Any = st.lists(
    st.tuples(
        st.sampled_from(["start", "start", "succeed", "succeed", "fail", "claim", "finish"]),
        st.sampled_from("ab"),
        st.sampled_from([None, "s:x"]),
        st.integers(1, 3),
        st.integers(0, 2),
    ),
    max_size=30,
)


def record(asset: str, key: str | None, attempt: int, status: Status, at: datetime) -> Materialization:
    inputs = (Input("a", key, "r", 1),) if asset == "b" else ()
    return Materialization(asset, None, key, "r", status, attempt, at, at, location=f"{at}", inputs=inputs)


def write(history: History, fact: Fact, at: datetime, *, short: bool) -> None:
    kind, asset, key, attempt, epoch = fact
    if kind == "start":
        started = (at, "r", asset, key, attempt)
        if short:
            history.log_of("r").start((*started, None), epoch)
        else:
            history.write(StepStarted(*started), epoch)
    elif kind == "succeed":
        succeeded = record(asset, key, attempt, Status.SUCCEEDED, at)
        if short:
            history.log_of("r").succeed(succeeded, epoch)
            history.ledger.record(succeeded)
        else:
            history.write(StepSucceeded(at, "r", asset, key, attempt, succeeded), epoch)
    elif kind == "fail":
        failed = record(asset, key, attempt, Status.FAILED, at)
        history.write(StepFailed(at, "r", asset, key, attempt, failed), epoch)
    elif kind == "claim":
        history.claim("r", "n", epoch)
    elif attempt == 1:
        history.write(RunFinished(at, "r", "a", Status.FAILED), epoch)


def remembered(history: History) -> list[Any]:
    run = history.find("r")
    assert run is not None
    keys = [(asset, key) for asset in "ab" for key in (None, "s:x")]
    return [
        run.head(),
        run.log.page(0, 1_000),
        run.steps(None, 0, None),
        [run.steps(status, 0, None) for status in Status],
        [history.ledger.history(key, 100, 0) for key in keys],
        history.ledger.current(keys),
        [history.ledger.newest(*key) for key in keys],
        history.ledger.downstream(keys),
    ]


@given(facts)
def test_the_short_way_refuses_and_remembers_what_the_long_way_does(written: Sequence[Fact]) -> None:
    short, long = History(), History()
    for history in (short, long):
        history.create_run(RUN)
    for number, fact in enumerate(written):
        at = START + timedelta(seconds=number)
        said = []
        for history in (short, long):
            try:
                write(history, fact, at, short=history is short)
            except StaleWrite as error:
                said.append(str(error))
            else:
                said.append("")
        assert said[0] == said[1]
        assert remembered(short) == remembered(long)


@given(facts, st.integers(0, 30), st.data())
def test_who_uses_what_is_the_same_whenever_somebody_first_asks(
    written: Sequence[Fact], asked_after: int, data: st.DataObject
) -> None:
    """Asked for early it is kept up to date, asked for late it is worked out."""
    early, late = History(), History()
    keys = [(asset, key) for asset in "ab" for key in (None, "s:x")]
    for history in (early, late):
        history.create_run(RUN)
    for number, fact in enumerate(written):
        if number == asked_after:
            early.ledger.downstream(keys)
        drop = data.draw(st.sampled_from([[], [], keys[:1], keys[2:]]))
        for history in (early, late):
            with suppress(StaleWrite):
                write(history, fact, START, short=False)
            history.ledger.invalidate(drop)
    assert early.ledger.downstream(keys) == late.ledger.downstream(keys)


@given(st.lists(st.tuples(st.sampled_from(["run", "prune"]), st.integers(0, 4)), max_size=20))
def test_pruning_when_it_is_due_keeps_what_pruning_everything_keeps(steps: Sequence[tuple[str, int]]) -> None:
    """A look at an asset-partition that has nothing to prune is spared, and nothing else."""
    history = History()
    expected: list[datetime] = []
    for number, (step, keep) in enumerate(steps):
        if step == "run":
            at = START + timedelta(seconds=number)
            history.ledger.record(record("a", None, 1, Status.SUCCEEDED, at))
            expected.append(at)
        else:
            history.ledger.prune(keep, lambda _: False)
            expected = expected[-max(1, keep) :]
        assert [each.finished_at for each in history.ledger.history(("a", None), 99, 0)] == expected[::-1]


def test_the_failure_of_a_step_keeps_its_success_current() -> None:
    history = History()
    history.ledger.record(record("a", None, 1, Status.SUCCEEDED, START))
    failed = Materialization(
        "a", None, None, "s", Status.FAILED, 1, START, START, Failure("error", "ValueError")
    )
    history.ledger.record(failed)
    newest = history.ledger.newest("a", None)
    assert newest is not None
    assert newest.run_id == "r"
