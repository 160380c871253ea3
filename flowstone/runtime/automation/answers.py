"""Asks a function of a condition whether it holds: in the guard, on the loop or in a thread, at most a minute."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from flowstone.runs.records import Failure
from flowstone.runtime.automation.functions import is_called_on_loop, leave_if_stopped
from flowstone.runtime.execution.guard import call, call_async, outcome_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.execution.guard import Outcome
    from flowstone.thread_calls import ThreadCall

__all__ = ["whether"]

_LONGEST: Final = 60.0
"""Seconds that a function has: other conditions wait for its answer."""


async def whether(
    ctx: RuntimeContext, subject: str, function: Callable[[Any], Any], argument: Any
) -> Outcome:
    """Call a function for true or false; or a failure.

    Args:
        ctx: What the runtime offers.
        subject: The automation as people know it: its kind and name.
        function: The user's function.
        argument: What it is given.

    Raises:
        CancelledError: The caller is to stop.
    """
    outcome: Outcome | None = None
    try:
        async with asyncio.timeout(_LONGEST) as limit:
            outcome = await _answered(ctx, subject, function, argument)
    except TimeoutError:
        outcome = None
    await leave_if_stopped()
    if outcome is None or limit.expired():
        message = f"Its function has not returned for {_LONGEST:g} s."
        return False, Failure("timeout", message, retryable=True)
    return outcome


async def _answered(
    ctx: RuntimeContext, subject: str, function: Callable[[Any], Any], argument: Any
) -> Outcome:
    if is_called_on_loop(function):
        outcome = await call_async(partial(function, argument), {}, None)
    else:
        called = partial(call, partial(function, argument), {}, None)
        job: ThreadCall[Outcome] = ctx.threads.start(subject, called, lambda: ctx.threads.lend(job))
        try:
            outcome = await outcome_of(job)
        except asyncio.CancelledError:
            ctx.threads.abandon(job)
            raise
    # In the guard, because it is the user's object that says whether it is true.
    return await call_async(partial(bool, outcome[1]), {}, None) if outcome[0] else outcome
