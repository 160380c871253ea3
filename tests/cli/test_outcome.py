"""How a run's end is told, and which exit status it gives."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
import typer

from flowstone.cli.outcome import failure_lines, show_outcome, skipped_line, step_table
from flowstone.cli.screen import Screen
from flowstone.cli.session import Outcome
from flowstone.runs.items import ItemCounts
from flowstone.runs.records import Failure, Materialization, Status
from flowstone.runtime.client.step_list import StepList

AT = datetime(2025, 1, 1, tzinfo=UTC)


def step(key, status=Status.SUCCEEDED, failure=None, **more):
    return Materialization(
        "raw",
        None,
        key,
        "r1",
        status,
        attempt=2,
        started_at=AT,
        finished_at=AT + timedelta(seconds=1.5),
        failure=failure,
        **more,
    )


def told(outcome, capfd, *, json=False, debug=False):
    """Exit status and output of a command that ended so."""
    status = 0
    try:
        with Screen(json=json, debug=debug) as screen:
            show_outcome(screen, outcome)
    except typer.Exit as end:
        status = end.exit_code
    return status, capfd.readouterr().out


@pytest.mark.parametrize(
    ("status", "interrupted", "expected"),
    [
        (Status.SUCCEEDED, False, 0),
        (Status.FAILED, False, 1),
        (Status.CANCELLED, False, 1),
        (Status.CANCELLED, True, 130),
        (Status.SUCCEEDED, True, 130),
    ],
)
def test_exit_status(capfd, status, interrupted, expected):
    """0 if all succeeded, 1 if not, 130 if the user asked to stop, even if all was done by then."""
    outcome = Outcome("r1", status, 1.0, interrupted, counts={"succeeded": 1})
    assert told(outcome, capfd)[0] == expected


def test_summary(capfd):
    """One line: run, end, steps, time, endings."""
    counts = {"succeeded": 1200, "failed": 1}
    _, out = told(Outcome("r1", Status.FAILED, 75, False, counts=counts), capfd)
    assert out == "run r1 failed: 1,201 steps in 1 min 15 s (1,200 succeeded, 1 failed)\n"
    _, out = told(Outcome("r1", Status.CANCELLED, 0.5, True, counts={"cancelled": 2}), capfd)
    assert out == "run r1 stopped: 2 steps in 0.5 s (2 cancelled)\n"
    assert told(Outcome(None, Status.CANCELLED, 0.5, True), capfd) == (130, "stopped before the run began\n")


def test_failures_and_skips(capfd):
    """Failed steps are told one by one, skipped ones by their cause."""
    failed = step("d:2025-01-05", Status.FAILED, Failure("timeout", "took too long", "Traceback: deep"))
    skips = [
        step(f"d:2025-01-0{day}", Status.SKIPPED, Failure("dependency", "", cause="raw[2025-01-05]"))
        for day in (6, 7)
    ]
    steps = {"failed": (failed,), "skipped": tuple(skips)}
    outcome = Outcome("r1", Status.FAILED, 1.0, False, steps, {"failed": 1, "skipped": 2})
    _, out = told(outcome, capfd)
    assert out.splitlines()[:2] == [
        "raw[2025-01-05] failed (timeout, attempt 2): took too long",
        "2 steps were skipped, such as raw[2025-01-06] because raw[2025-01-05] failed",
    ]
    assert "deep" not in out
    assert "Traceback: deep" in told(outcome, capfd, debug=True)[1]


def test_skipped_line():
    """No skip, no line; one skip is named."""
    assert skipped_line([]) is None
    one = step(None, Status.SKIPPED, Failure("dependency", "", cause="orders"))
    assert skipped_line([one]) == "raw was skipped because orders failed"
    assert skipped_line([step(None, Status.SKIPPED)]) == "raw was skipped"


def test_a_failure_without_words():
    """A failed record without a reason is still told."""
    assert list(failure_lines([step("a", Status.FAILED)])) == ["raw[a] failed"]


def test_failures_cannot_drive_the_terminal():
    """Escape sequences in somebody's message are shown, not obeyed."""
    (line,) = failure_lines([step("a", Status.FAILED, Failure("error", "\x1b]0;title\x07"))])
    assert "\x1b" not in line
    assert "\x07" not in line


def test_document(capfd):
    """The same as data, with every step."""
    outcome = Outcome(
        "r1", Status.SUCCEEDED, 1.23456789, False, {"succeeded": (step("a"),)}, {"succeeded": 1}
    )
    _, out = told(outcome, capfd, json=True)
    document = json.loads(out)
    assert document["seconds"] == 1.234568
    assert [one["partition"] for one in document["steps"]] == ["a"]


def test_step_table(capfd):
    """Steps as rows with time and metadata."""
    with Screen() as screen:
        screen.show(step_table(screen, [step("a", metadata={"rows": 3, "name": "x\x1by"})]))
    row = capfd.readouterr().out.splitlines()[1]
    assert row.split()[:5] == ["raw[a]", "succeeded", "2", "1.5", "s"]
    assert row.endswith("rows=3, name=x\\x1by")


def test_what_a_user_records_as_items_is_shown_as_it_is(capfd):
    """Only the counts that FlowStone records are read as such."""
    own = [{"items": 3}, {"items": {"total": 3}}, {"items": dict.fromkeys(ItemCounts._fields, "3")}]
    with Screen() as screen:
        screen.show(step_table(screen, [step("a", metadata=each) for each in own]))
    assert all("items=" in row for row in capfd.readouterr().out.splitlines()[1:])


def test_a_document_lists_the_steps_that_are_at_hand(capfd):
    """Of a very large run that is the first ones; the counts are of all."""
    steps = {"succeeded": StepList([step("a"), step("b")], 1_000_000)}
    outcome = Outcome("r1", Status.SUCCEEDED, 1.0, False, steps, {"succeeded": 1_000_000})
    status, out = told(outcome, capfd, json=True)
    document = json.loads(out)
    assert (status, document["counts"]) == (0, {"succeeded": 1_000_000})
    assert [one["partition_key"] for one in document["steps"]] == ["a", "b"]


def test_steps_that_failed_in_the_same_words_share_a_line():
    """One broken resource is one line, and another failure another one."""
    failed = [step(str(n), Status.FAILED, Failure("resource", "db is away")) for n in range(19)]
    failed.insert(3, step("x", Status.FAILED, Failure("error", "ValueError: no")))
    assert list(failure_lines(failed)) == [
        "raw[0] and 18 more failed (resource, attempt 2): db is away",
        "raw[x] failed (error, attempt 2): ValueError: no",
    ]
