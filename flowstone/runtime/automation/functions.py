"""Calls the functions of automations: in the guard, on the loop or in a thread, and taking only so much of them."""

from __future__ import annotations

import asyncio
from functools import partial
from inspect import isasyncgenfunction, isawaitable, isgenerator
from typing import TYPE_CHECKING, Any, Final

from flowstone.assets.signature import innermost, is_async
from flowstone.runtime.automation.requests import as_requests
from flowstone.runtime.execution.guard import call, call_async, outcome_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from flowstone.assets.automation.run_request import RunRequest
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.execution.guard import Outcome

__all__ = ["MOST_REQUESTS", "ask", "is_called_on_loop"]

MOST_REQUESTS: Final = 10_000
"""Requests that are taken of one call; what a function would yield after them, it is asked for at its next call."""

_SLOW: Final = 60.0  # Seconds after which somebody is told that a function has not returned.


async def ask(ctx: RuntimeContext, subject: str, function: Callable[[Any], Any], argument: Any) -> Outcome:
    """Call a function and take what it returns or yields: a list of `RunRequest`, or a failure.

    Args:
        ctx: What the runtime offers.
        subject: The automation as people know it: its kind and name.
        function: The user's function.
        argument: What it is given.

    Raises:
        CancelledError: The caller is to stop.
    """
    slow = ctx.clock.call_later(_SLOW, partial(_warn, ctx, subject))
    try:
        outcome = await _called(ctx, subject, function, argument)
    finally:
        slow.cancel()
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
    ctx.alarms.clear(f"{subject} (slow)", "it has returned")
    return outcome


def _warn(ctx: RuntimeContext, subject: str) -> None:
    ctx.alarms.set(f"{subject} (slow)", f"its function has not returned for {_SLOW:g} s")


async def _called(
    ctx: RuntimeContext, subject: str, function: Callable[[Any], Any], argument: Any
) -> Outcome:
    if is_called_on_loop(function):
        return await call_async(partial(_on_loop, function, argument, subject), {}, None)
    in_thread = partial(call, partial(_in_thread, function, argument, subject), {}, None)
    job = ctx.threads.start(subject, in_thread)
    try:
        outcome = await outcome_of(job)
    except asyncio.CancelledError:
        ctx.threads.abandon(job)
        raise
    if outcome[0] and hasattr(outcome[1], "__aiter__"):
        return await call_async(partial(_taken, outcome[1], subject), {}, None)
    return outcome


def is_called_on_loop(function: Callable[[Any], Any]) -> bool:
    """Whether it is async, as a function or as an object that is called like one."""
    called = function if hasattr(function, "__code__") else getattr(function, "__call__", function)  # noqa: B004 - which function it is
    return is_async(function) or is_async(called) or isasyncgenfunction(innermost(called))


async def _on_loop(function: Callable[[Any], Any], argument: Any, subject: str) -> list[RunRequest]:
    given = function(argument)
    if isawaitable(given):
        given = await given
    if hasattr(given, "__aiter__"):
        return await _taken(given, subject)
    return as_requests(given, subject)


async def _taken(given: AsyncIterator[Any], subject: str) -> list[RunRequest]:
    found: list[RunRequest] = []
    try:
        async for each in given:
            found += as_requests([each], subject)
            if len(found) >= MOST_REQUESTS:
                break
    finally:
        if hasattr(given, "aclose"):
            await given.aclose()
    return found


def _in_thread(function: Callable[[Any], Any], argument: Any, subject: str) -> Any:
    """What it returns or yields; what is to be iterated on the loop is handed there."""
    given = function(argument)
    if hasattr(given, "__aiter__"):
        return given
    return _drawn(given, subject) if isgenerator(given) else as_requests(given, subject)


def _drawn(given: Iterable[Any], subject: str) -> list[RunRequest]:
    found: list[RunRequest] = []
    for each in given:
        found += as_requests([each], subject)
        if len(found) >= MOST_REQUESTS:
            break
    return found
