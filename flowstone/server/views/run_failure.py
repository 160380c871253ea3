"""Why a step did not succeed: the failure of an attempt, and the chain from what was skipped down to its cause."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowstone.counting import count
from flowstone.frozen import frozen
from flowstone.runs.records import Status
from flowstone.server.render import ICONS, shortened
from flowstone.server.run_steps import step_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.runs.records import Failure, Materialization, RunRecord
    from flowstone.server.asked import Asked

__all__ = ["Link", "Panel", "failure_of"]

_SKIPPED: Final = 200
_NAMED: Final = 3


@frozen
class Link:
    """One link of the chain: its shape, the steps that it names (text and shown name), and what became of them."""

    shape: str
    steps: Sequence[tuple[str, str]]
    words: str


@frozen
class Panel:
    """A step, and one attempt of it.

    Attributes:
        step: Its record.
        text: The step in addresses.
        shape: How it ended.
        attempts: The attempts with their shapes.
        attempt: The one that is shown; 0 if it had none.
        failure: Why that failed, or None.
        chain: From what was skipped to the cause.
    """

    step: Materialization
    text: str
    shape: str
    attempts: Sequence[tuple[int, str]]
    attempt: int
    failure: Failure | None
    chain: Sequence[Link]


async def failure_of(asked: Asked, run: RunRecord, step: Materialization, attempt: int | None) -> Panel:
    """What is shown of a step that has ended."""
    shown = attempt if attempt is not None and 0 < attempt <= step.attempt else step.attempt
    failure = step.failure
    attempts: Sequence[tuple[int, str]] = [(step.attempt, ICONS[step.status])] if step.attempt else []
    if step.attempt > 1:
        bars = await asked.timelines.of(run.id)
        attempts = bars.attempts_of(step.asset, step.partition_key) or attempts
        if shown != step.attempt:
            failure = bars.failure(step.asset, step.partition_key, shown)
    chain = await _chain(asked, run, step) if step.failure is not None else ()
    text = step_text(step.asset, step.partition_key)
    return Panel(step, text, ICONS[step.status], attempts, shown, failure, chain)


async def _chain(asked: Asked, run: RunRecord, step: Materialization) -> Sequence[Link]:
    root = await _root(asked, run, step)
    links = []
    if run.counts.get(Status.SKIPPED.value):
        skipped = await asked.runtime.steps(run.id, Status.SKIPPED, limit=_SKIPPED)
        of_root = _caused_by(skipped, root)
        if of_root:
            links.append(_skips(of_root, more=len(skipped) == _SKIPPED))
    links.append(_cause(root))
    return links


async def _root(asked: Asked, run: RunRecord, step: Materialization) -> Materialization:
    """Where it began: what a skipped step names as its cause, and so on."""
    seen = {step.name}
    while step.failure is not None and (cause := step.failure.cause) is not None and cause not in seen:
        seen.add(cause)
        ended: list[Materialization] = []
        for status in (Status.FAILED, Status.SKIPPED):
            ended += await asked.runtime.steps(run.id, status, limit=_SKIPPED)
        found = next((each for each in ended if each.name == cause), None)
        if found is None:
            break
        step = found
    return step


def _caused_by(skipped: Sequence[Materialization], root: Materialization) -> list[Materialization]:
    causes, found = {root.name}, []
    for each in skipped:  # Each comes after what it was skipped because of.
        if each.failure is not None and each.failure.cause in causes:
            causes.add(each.name)
            found.append(each)
    return found


def _skips(skipped: Sequence[Materialization], *, more: bool) -> Link:
    named = [(step_text(each.asset, each.partition_key), each.name) for each in skipped[:_NAMED]]
    left = len(skipped) - len(named)
    rest = f" and {left:,} more" if left else ""
    if more:
        rest = " and many more"
    words = f"{rest} {'was' if len(skipped) == 1 else 'were'} skipped"
    return Link("skipd", named, words)


def _cause(root: Materialization) -> Link:
    failure = root.failure
    assert failure is not None
    steps = [(step_text(root.asset, root.partition_key), root.name)]
    first = shortened(failure.message.partition("\n")[0], 300)
    if root.status is Status.SKIPPED:
        return Link("skipd", steps, f" was skipped: {first}")
    tries = f", {count(root.attempt, 'attempt')}" if root.attempt > 1 else ""
    where = f", at {failure.where}" if failure.where else ""
    return Link(ICONS[root.status], steps, f" failed: {first}{where}{tries}")
