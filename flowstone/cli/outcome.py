"""How a run ended, told in a few lines: the summary, what failed and why, what was skipped because of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.cli.documents import record_document
from flowstone.cli.earlier_inputs import earlier_inputs_hint
from flowstone.cli.item_failures import item_failure_lines, items_label
from flowstone.cli.labels import breakdown, duration, failure_label, record_label, status_label
from flowstone.cli.older_values import older_values_hint
from flowstone.cli.problem import FAILED, INTERRUPTED, WAITS
from flowstone.cli.tables import table
from flowstone.counting import count
from flowstone.masking import masked
from flowstone.runs.choices import is_by_choice
from flowstone.runs.failure_text import alike
from flowstone.runs.items import ItemCounts
from flowstone.runs.records import Status
from flowstone.runtime.client.step_list import StepList

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.table import Table

    from flowstone.cli.screen import Screen
    from flowstone.cli.session import Outcome
    from flowstone.runs.records import Materialization

__all__ = ["FAILURES_SHOWN", "failure_lines", "show_outcome", "skipped_line", "step_table", "tell_hints"]

FAILURES_SHOWN = 20
"""Failures shown in full; a broken source fails a thousand partitions in the same words."""


def failure_lines(failed: Sequence[Materialization], *, debug: bool = False) -> Iterator[str]:
    """A line per failure (`raw[2025-01-15] failed (error, attempt 3): ValueError: no data (sales.py:14)`).

    Steps that failed in the same words, all for one broken resource perhaps, share one.
    """
    groups = alike(failed.loaded if isinstance(failed, StepList) else failed)[:FAILURES_SHOWN]
    for group in groups:
        step, failure = group[0], group[0].failure
        name = record_label(step) + (f" and {len(group) - 1:,} more" if len(group) > 1 else "")
        if failure is None:
            yield f"{name} failed"
            continue
        yield f"{name} failed ({failure.kind}, attempt {step.attempt}): {failure_label(failure)}"
        if debug and failure.traceback:
            yield masked(failure.traceback).rstrip()
    if len(failed) > (shown := sum(map(len, groups))):
        more = count(len(failed) - shown, "more failed step")
        yield f"... and {more}: `flowstone run ID --limit N` or --json lists them."


def skipped_line(skipped: Sequence[Materialization]) -> str | None:
    """Which steps never ran, and because of what; None if all did."""
    if not skipped:
        return None
    first = skipped[0]
    because = ""
    if first.failure is not None and is_by_choice(first):
        because = f" by choice: {failure_label(first.failure)}"
    elif first.failure is not None and first.failure.cause:
        because = f" because {first.failure.cause} failed"
    if len(skipped) == 1:
        return f"{record_label(first)} was skipped{because}"
    return f"{count(len(skipped), 'step')} were skipped, such as {record_label(first)}{because}"


def step_table(screen: Screen, steps: Sequence[Materialization]) -> Table:
    """Steps as rows: name, status, attempt, how long, metadata."""
    shown = table(screen, "step", "status", "attempt", "took", "metadata", right=("attempt", "took"))
    for step in steps:
        shown.add_row(
            record_label(step),
            str(step.status),
            str(step.attempt),
            "-" if step.duration is None else duration(step.duration),
            _metadata_label(step.metadata),
        )
    return shown


def _metadata_label(metadata: Mapping[str, Any]) -> str:
    counts = ItemCounts.of(metadata)
    own = [f"{key}={value}" for key, value in metadata.items() if counts is None or key != "items"]
    return ", ".join(own if counts is None else [items_label(counts), *own])


def show_outcome(screen: Screen, outcome: Outcome) -> None:
    """Tell how a request ended and set the exit status."""
    if outcome.interrupted:
        screen.status = INTERRUPTED
    elif outcome.status is Status.WAITING and outcome.remembered:
        screen.status = WAITS
    elif outcome.status is not Status.SUCCEEDED and not _is_skipped_by_choice(outcome):
        screen.status = FAILED
    if screen.json:
        screen.document(_document(outcome, debug=screen.debug))
        return
    for line in failure_lines(outcome.steps.get("failed", ()), debug=screen.debug):
        screen.show(line)
    remembered = outcome.run_id if outcome.remembered else None
    tell_hints(screen, outcome.steps.get("failed", ()), remembered)
    skipped = skipped_line(outcome.steps.get("skipped", ()))
    if skipped:
        screen.show(skipped)
    with_value = (step for name in ("succeeded", "reused") for step in _loaded(outcome.steps.get(name, ())))
    for line in item_failure_lines(with_value, remembered=outcome.remembered):
        screen.show(line)
    screen.show(_summary(outcome))
    values = (_loaded(outcome.steps.get(name, ())) for name in ("succeeded", "reused"))
    if (older := older_values_hint(*values)) is not None:
        screen.note(older)
    if outcome.left is not None:
        screen.note(
            f"No other process can answer while this one has the store, so it ends here. Once it is answered, "
            f"`{outcome.left}` goes on with the run."
            if outcome.remembered
            else "Nobody can answer a run in memory, which ends with this command: name a store with --store, such "
            "as embedded://.flowstone/pg."
        )


def _is_skipped_by_choice(outcome: Outcome) -> bool:
    """Whether the only step, asked for alone, was skipped by choice, which is no failure."""
    return outcome.status is Status.SKIPPED and all(map(is_by_choice, outcome.steps.get("skipped", ())))


def tell_hints(screen: Screen, failed: Sequence[Materialization], run_id: str | None) -> None:
    """Say what else there is to know of failed steps.

    Args:
        screen: Where it is told.
        failed: The failed steps.
        run_id: Their run, where the store remembers it for another command.
    """
    if not screen.debug and (hint := _traceback_hint(failed, run_id)) is not None:
        screen.note(hint)
    if (hint := earlier_inputs_hint(_loaded(failed))) is not None:
        screen.note(hint)


def _traceback_hint(failed: Sequence[Materialization], run_id: str | None) -> str | None:
    """How to see the whole tracebacks of these steps; None if there are none."""
    if not any(step.failure is not None and step.failure.traceback for step in failed[:FAILURES_SHOWN]):
        return None
    if run_id is None:
        return "--debug shows the whole traceback."
    return f"`flowstone run {run_id} --debug` shows the whole traceback, `flowstone logs {run_id}` what was logged."


def _summary(outcome: Outcome) -> str:
    """`run 01K… succeeded: 1,510 steps in 0.3 s (1,498 succeeded, 12 reused)`."""
    if outcome.run_id is None:
        return "stopped before the run began"
    steps = sum(outcome.counts.values())
    how = status_label(outcome.status, outcome.counts)
    if outcome.interrupted and outcome.status is Status.CANCELLED:
        how = "stopped"
    return (
        f"run {outcome.run_id} {how}: {count(steps, 'step')} in {duration(outcome.seconds)} "
        f"({breakdown(outcome.counts)})"
    )


def _document(outcome: Outcome, *, debug: bool) -> dict[str, Any]:
    listed = [step for steps in outcome.steps.values() for step in _loaded(steps)]
    return {
        "run_id": outcome.run_id,
        "status": str(outcome.status),
        "interrupted": outcome.interrupted,
        "seconds": round(outcome.seconds, 6),
        "counts": dict(outcome.counts),
        "steps": [record_document(step, debug=debug) for step in listed],
    }


def _loaded(steps: Sequence[Materialization]) -> Sequence[Materialization]:
    """Of a very large run not all steps are at hand; `flowstone run ID --json` lists them."""
    return steps.loaded if isinstance(steps, StepList) else steps
