"""Where a user's function meets the runtime: whatever it raises becomes a value.

Everything is caught, `SystemExit` and `KeyboardInterrupt` included: raised inside a task those would tear down
the event loop and with it every other asset. Formatting is inside the guard as well, because an exception's
`__str__` is the user's code too: it may raise, or return 100 MB.

A thread hands back the same outcome, never an exception: `StopIteration` set on a future hangs its awaiter on
Python 3.11.
"""

from __future__ import annotations

import traceback
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from flowstone.errors import Retryable
from flowstone.runs.records import Failure
from flowstone.runs.retry_policy import is_retryable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flowstone.assets.retry import Retry
    from flowstone.runs.records import FailureKind

__all__ = ["Outcome", "call", "call_async", "describe"]

Outcome: TypeAlias = tuple[Literal[True], Any] | tuple[Literal[False], Failure]
"""`(True, value)` or `(False, failure)`."""

_MESSAGE_LIMIT = 10_000
_TRACEBACK_LIMIT = 50_000


async def call_async(
    function: Callable[..., Any], arguments: Mapping[str, Any], retry: Retry | None
) -> Outcome:
    """Call and await a function on the loop."""
    try:
        value = function(**arguments)
        if isawaitable(value):
            value = await value
    except BaseException as error:  # noqa: BLE001 - the guard: see the module docstring
        return False, describe(error, retry)
    return True, value


def call(function: Callable[..., Any], arguments: Mapping[str, Any], retry: Retry | None) -> Outcome:
    """Call a plain function, on whatever thread this is."""
    try:
        return True, function(**arguments)
    except BaseException as error:  # noqa: BLE001 - the guard: see the module docstring
        return False, describe(error, retry)


def describe(error: BaseException, retry: Retry | None, kind: FailureKind | None = None) -> Failure:
    """The failure that an exception amounts to. Never raises, whatever the exception does.

    A `CancelledError` that we did not ask for is the asset's own doing: kind `cancelled_by_asset`.
    """
    if kind is None:
        kind = "cancelled_by_asset" if type(error).__name__ == "CancelledError" else "error"
    return Failure(
        kind=kind,
        message=_message(error),
        traceback=_traceback(error),
        retryable=_is_retryable(retry, error),
        after=_after(error),
    )


def _is_retryable(retry: Retry | None, error: BaseException) -> bool:
    try:
        return is_retryable(retry, error)
    except BaseException:  # noqa: BLE001 - `__instancecheck__` of a user's metaclass runs here
        return False


def _after(error: BaseException) -> float | None:
    after = error.after if isinstance(error, Retryable) else None
    return float(after) if isinstance(after, int | float) else None


def _message(error: BaseException) -> str:
    name = type(error).__name__
    try:
        text = str(error)
    except BaseException as broken:  # noqa: BLE001 - a user's `__str__`
        text = f"<its message cannot be read: {type(broken).__name__}>"
    return _clip(f"{name}: {text}" if text else name, _MESSAGE_LIMIT)


def _traceback(error: BaseException) -> str:
    try:
        frames = traceback.TracebackException.from_exception(error, limit=-50, capture_locals=False)
        text = "".join(frames.format())
    except BaseException as broken:  # noqa: BLE001 - a user's `__str__`, `__notes__` or `__cause__`
        text = f"<its traceback cannot be read: {type(broken).__name__}>\n"
        text += "".join(traceback.format_tb(error.__traceback__, limit=-50))
    return _clip(text, _TRACEBACK_LIMIT)


def _clip(text: str, limit: int) -> str:
    """Both ends of a long text: the beginning says what it is, the end where it happened."""
    if len(text) <= limit:
        return text
    half = limit // 2 - 20
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"
