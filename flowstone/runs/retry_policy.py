"""Whether a failed attempt is followed by another one, and after how many seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.errors import Permanent, Retryable

if TYPE_CHECKING:
    from random import Random

    from flowstone.assets.retry import Retry
    from flowstone.runs.records import Failure

__all__ = ["is_retryable", "next_delay"]


def is_retryable(retry: Retry | None, error: BaseException) -> bool:
    """Whether the exception alone allows another attempt; how many are left is `next_delay`'s question."""
    if isinstance(error, Permanent):
        return False
    if isinstance(error, Retryable):
        return True
    return isinstance(error, retry.on if retry is not None else Exception)


def next_delay(retry: Retry | None, attempt: int, failure: Failure, random: Random) -> float | None:
    """Seconds until the attempt after `attempt`, or None if there is none.

    Exponential back-off, capped by `max_delay`, then spread by `jitter` (a fraction, both ways) so that
    steps which failed together do not come back together. `Retryable(after=…)` replaces the back-off.
    """
    if retry is None or attempt >= retry.attempts or not failure.retryable:
        return None
    if failure.after is not None:
        return max(0.0, failure.after)
    return max(0.0, _backed_off(retry, attempt) * (1.0 + retry.jitter * random.uniform(-1.0, 1.0)))


def _backed_off(retry: Retry, attempt: int) -> float:
    if not retry.delay:
        return 0.0
    try:
        return min(retry.max_delay, retry.delay * float(retry.backoff) ** (attempt - 1))
    except OverflowError:  # No float is as long as that, and so neither is `max_delay`.
        return retry.max_delay
