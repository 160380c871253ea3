"""How a step stands, in words: what it waits for, when it is tried again, who asked for what computed its value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowstone.counting import count
from flowstone.printable import one_line, printable
from flowstone.runs.automation import RULE, TAG
from flowstone.runs.explanation import when
from flowstone.runs.targets import request_label, targets_label

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from flowstone.runs.events import StepRetried, StepWaiting
    from flowstone.runs.pools import Pool
    from flowstone.runs.queued_step import QueuedStep
    from flowstone.runs.records import Failure, RunRecord, StepKey
    from flowstone.runs.running_step import RunningStep

__all__ = [
    "failure_words",
    "queued_words",
    "retry_words",
    "running_words",
    "wait_remedy",
    "wait_words",
    "who_asked",
]

_MOST_NAMED: Final = 3
_LONGEST: Final = 1_000  # Characters of a message.


def failure_words(failure: Failure | None) -> str:
    """`OSError: disk full (sales.py:14)`; of what was skipped by choice its reason alone."""
    if failure is None:
        return "no more is known of it"
    message = printable(failure.message)
    message = message if len(message) <= _LONGEST else f"{message[:_LONGEST]}…"
    where = failure.where if failure.kind != "skip" else ""
    return message + (f" ({printable(where)})" if where else "")


def running_words(step: RunningStep) -> str:
    """`running on NODE, attempt 2, 40 % done: page 4`."""
    words = f"running on {one_line(step.node)}, attempt {step.attempt}"
    if step.fraction is not None:
        words += f", {step.fraction:.0%} done"
    return words + (f": {one_line(step.message)}" if step.message else "")


def queued_words(step: QueuedStep, pools: Mapping[str, Pool]) -> str:
    """`queued behind pool "warehouse" (8 of 8 taken by load of run R, and 7 more)`."""
    if step.waits_for == "pool":
        return "queued behind " + " and ".join(_pool_words(name, pools.get(name)) for name in step.names)
    if step.waits_for == "rate":
        return f'queued for its turn of rate "{one_line(step.names[0])}"'
    return f"queued, waits for {step.told(pools)}"


def _pool_words(name: str, pool: Pool | None) -> str:
    words = f'pool "{one_line(name)}"'
    if pool is None:
        return words
    named = [one_line(holder) for holder in pool.holders[:_MOST_NAMED]]
    if len(pool.holders) > len(named):
        named.append(f"{len(pool.holders) - len(named):,} more")
    by = "" if not named else f" by {named[0]}" if len(named) == 1 else f" by {_listed(named)}"
    return f"{words} ({pool.taken:,} of {pool.slots:,} taken{by})"


def _listed(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}"


def wait_words(event: StepWaiting) -> str:
    """`waiting for approval "publish" since 2025-01-15 06:00:00 UTC: 12 rows`."""
    until = "" if event.deadline is None else f", until {when(event.deadline)}"
    if event.waits_for == "sleep":
        return f'sleeping ("{one_line(event.name)}") since {when(event.at)}{until}'
    message = (event.about or {}).get("message") if event.waits_for == "approval" else None
    about = f": {one_line(str(message))}" if message else ""
    return f'waiting for {event.waits_for} "{one_line(event.name)}" since {when(event.at)}{until}{about}'


def wait_remedy(event: StepWaiting) -> str | None:
    """What ends the wait, unless time alone does."""
    match event.waits_for:
        case "approval":
            return f"Approve or reject {event.id}." if event.id else "Approve or reject it."
        case "signal":
            return "Send the signal, by the token that the step handed out."
        case _:
            return None


def retry_words(event: StepRetried, now: datetime) -> str:
    """`retrying in 4 s, attempt 2 failed: OSError: disk full`."""
    left = event.delay - (now - event.at).total_seconds()
    soon = f"in {left:.0f} s" if left >= 1 else "now"
    return f"retrying {soon}: attempt {event.attempt} failed: {failure_words(event.failure)}"


def who_asked(run: RunRecord, key: StepKey) -> str:
    """Why a run computed a step: `schedule "nightly" asked for report`, or what asked for it."""
    asked = run.request
    target = request_label(asked)
    own = key[0] in asked.targets
    tags: Mapping[str, Any] = asked.tags
    if TAG in tags:
        what = "it" if own else target
        rule = f" by its rule {one_line(tags[RULE])}" if RULE in tags else ""
        return f'the automation "{one_line(tags[TAG])}" asked for {what}{rule}'
    if asked.kind == "backfill":
        many = "" if asked.span is not None else f" of {count(len(asked.keys), 'partition')}"
        return f"a backfill of {targets_label(asked)}{many} {'has' if own else 'needs'} it"
    if own:
        return "it was asked for"
    return f"{target} {'were' if asked.beside else 'was'} asked for, which {'need' if asked.beside else 'needs'} it"
