"""How often a failing asset is tried again, and how long each wait is; only the declaration, no clock."""

from __future__ import annotations

import math

from flowstone.assets.arguments import is_number, is_whole
from flowstone.errors import DefinitionError
from flowstone.frozen import frozen

__all__ = ["Retry"]


@frozen
class Retry:
    """Try a failed asset again.

    The wait before attempt *n* + 1 is `delay * backoff ** (n - 1)` seconds, at most `max_delay`, made longer
    or shorter at random by at most the fraction `jitter`. An asset without a `Retry` has one attempt.

    Args:
        attempts: How many attempts there are in all, the first one included; default 3.
        delay: Seconds before the second attempt; default 1.0.
        backoff: Factor between one wait and the next, at least 1; default 2.0.
        max_delay: Seconds that no wait exceeds; default 60.0.
        jitter: Random share of each wait, 0 (none) to 1; default 0.1.
        on: Exception types worth another attempt, one or a tuple; default `(Exception,)`.

    Raises:
        DefinitionError: A value is out of range or of another type.
    """

    attempts: int = 3
    delay: float = 1.0
    backoff: float = 2.0
    max_delay: float = 60.0
    jitter: float = 0.1
    on: tuple[type[Exception], ...] | type[Exception] = (Exception,)

    def __post_init__(self) -> None:
        if not is_whole(self.attempts, at_least=1):
            raise DefinitionError(f"Retry(attempts={self.attempts!r}) must be a whole number of at least 1.")
        _check_number("delay", self.delay, at_least=0)
        _check_number("backoff", self.backoff, at_least=1)
        _check_number("max_delay", self.max_delay, at_least=0)
        _check_number("jitter", self.jitter, at_least=0, at_most=1)
        object.__setattr__(self, "on", _exception_types(self.on))


def _check_number(field: str, value: object, *, at_least: float, at_most: float = math.inf) -> None:
    if not is_number(value, at_least=at_least, at_most=at_most):
        upper = "" if math.isinf(at_most) else f" and at most {at_most:g}"
        raise DefinitionError(f"Retry({field}={value!r}) must be a number of at least {at_least:g}{upper}.")


def _exception_types(on: object) -> tuple[type[Exception], ...]:
    types = on if isinstance(on, tuple) else (on,)
    for kind in types:
        # Only `Exception`: a cancellation or an interpreter exit must never be answered with another attempt.
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            raise DefinitionError(f"Retry(on=…) takes exception types such as (OSError,), not {kind!r}.")
    if not types:
        raise DefinitionError("Retry(on=()) would never retry; leave out `retry=` instead.")
    return types
