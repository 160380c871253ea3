"""What a caller is raised for a run that did not succeed.

The text comes from the records. Where the exception is at hand, in the process that ran the step, and is the only
one, it is the cause: a debugger can then go to the frame that raised it. No exception of ours refers to one of
the user's in any other way, and no record does, so that the frames and what they hold live as long as the error
that was raised and no longer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from flowstone.counting import count_of
from flowstone.errors import MaterializationFailed, RunCancelled, RunFailed
from flowstone.runs.failure_text import alike, failure_line, failure_lines, failure_note
from flowstone.runs.records import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flowstone.runs.records import Materialization
    from flowstone.runtime.client.result import RunResult

__all__ = ["Needs", "materialization_failed", "raise_unless_succeeded"]


class Needs(Protocol):
    """Which assets need which: a graph."""

    def __contains__(self, name: object, /) -> bool: ...

    def needed(self, names: Iterable[str]) -> frozenset[str]:
        """Assets, and everything upstream whose failure reaches one of them."""


_MOST_FAILURES = 100
_MOST_NOTES = 3


def materialization_failed(record: Materialization) -> MaterializationFailed:
    """The error for a step that failed."""
    error = MaterializationFailed(failure_line(record), record)
    _note(error, record)
    return error


def raise_unless_succeeded(result: RunResult, cause: BaseException | None, graph: Needs) -> None:
    """Raise what became of a run that did not succeed.

    Args:
        result: What it gave.
        cause: What its only failed step raised, if that is at hand.
        graph: Says which failures the run tolerates: those that reach what was asked for only as an `Outcome`.
    """
    if result.status is Status.FAILED:
        raise _run_failed(result, graph) from (cause if len(result.failed) == 1 else None)
    if result.status is Status.CANCELLED:
        raise RunCancelled(f"Run {result.run_id} was cancelled.", result.run_id, result)


def _run_failed(result: RunResult, graph: Needs) -> RunFailed:
    fatal, tolerated = _fatal_and_tolerated(result.failed.loaded, result.record.assets, graph)
    number = len(result.failed) - len(tolerated)
    what = f"{count_of(number, len(result), 'step')} failed"
    if len(result.skipped):
        what += f", {len(result.skipped)} {'was' if len(result.skipped) == 1 else 'were'} skipped"
    if tolerated:
        what += f", {len(tolerated)} {'failure is' if len(tolerated) == 1 else 'failures are'} tolerated"
    failures = (*fatal, *tolerated)[:_MOST_FAILURES]
    causes = failure_lines(fatal[:_MOST_FAILURES], number)
    if not failures:
        causes = ": the run was given up before its steps were recorded"
    error = RunFailed(f"Run {result.run_id}: {what}{causes}", failures, result)
    for group in alike(fatal[:_MOST_FAILURES])[:_MOST_NOTES]:
        _note(error, group[0])
    return error


def _fatal_and_tolerated(
    failed: Sequence[Materialization], targets: Sequence[str], graph: Needs
) -> tuple[list[Materialization], list[Materialization]]:
    """The failures because of which a run failed, and those that everything on the way takes as an `Outcome`."""
    needed = graph.needed(target for target in targets if target in graph)
    fatal = [step for step in failed if step.asset in needed]
    if not fatal:
        return list(failed), []
    return fatal, [step for step in failed if step.asset not in needed]


def _note(error: MaterializationFailed | RunFailed, record: Materialization) -> None:
    note = failure_note(record)
    if note is not None:
        error.add_note(note)
