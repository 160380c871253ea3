"""Whether another attempt follows, and after how long."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstone import DefinitionError, Permanent, Retry, Retryable
from flowstone.runs.records import Failure
from flowstone.runs.retry_policy import is_retryable, next_delay

FAILURE = Failure("error", "no", retryable=True)


@pytest.mark.parametrize(
    ("retry", "error", "expected"),
    [
        (None, ValueError(), True),
        (None, KeyboardInterrupt(), False),
        (Retry(), ValueError(), True),
        (Retry(), SystemExit(), False),
        (Retry(on=(OSError,)), ConnectionError(), True),
        (Retry(on=(OSError,)), ValueError(), False),
        (Retry(on=OSError), OSError(), True),
        (Retry(on=(OSError,)), Retryable("busy"), True),
        (Retry(), Permanent("no"), False),
        (Retry(on=(Permanent,)), Permanent("no"), False),
        (None, Retryable("busy"), True),
    ],
)
def test_which_exceptions_allow_another_attempt(retry, error, expected):
    """`on` decides, `Permanent` never does, `Retryable` always does."""
    assert is_retryable(retry, error) is expected


def test_no_attempt_follows_without_a_retry_or_beyond_its_attempts():
    """The number of attempts counts the first one."""
    assert next_delay(None, 1, FAILURE, Random(1)) is None
    retry = Retry(attempts=3)
    assert next_delay(retry, 1, FAILURE, Random(1)) is not None
    assert next_delay(retry, 2, FAILURE, Random(1)) is not None
    assert next_delay(retry, 3, FAILURE, Random(1)) is None
    assert next_delay(retry, 1, Failure("error", "no"), Random(1)) is None


def test_delays_grow_to_their_limit():
    """`delay * backoff ** (n - 1)`, at most `max_delay`."""
    retry = Retry(attempts=10, delay=1, backoff=2, max_delay=10, jitter=0)
    assert [next_delay(retry, n, FAILURE, Random(1)) for n in range(1, 7)] == [1, 2, 4, 8, 10, 10]
    constant = Retry(attempts=10, delay=3, backoff=1, jitter=0)
    assert [next_delay(constant, n, FAILURE, Random(1)) for n in (1, 5)] == [3, 3]


@pytest.mark.parametrize("backoff", [1e200, 1e308, float("inf"), 10**300])
def test_a_delay_that_no_float_holds_is_the_longest(backoff):
    """It is beyond `max_delay`; none at all stays none."""
    retry = Retry(attempts=10, delay=1e-9, backoff=backoff, max_delay=2, jitter=0)
    assert [next_delay(retry, n, FAILURE, Random(1)) for n in (2, 3, 9)] == [2, 2, 2]
    none = Retry(attempts=10, delay=0, backoff=backoff)
    assert next_delay(none, 9, FAILURE, Random(1)) == 0


@pytest.mark.parametrize("field", ["delay", "backoff", "max_delay", "jitter"])
def test_a_number_that_no_float_holds_is_refused(field):
    """An int may be of any length."""
    with pytest.raises(DefinitionError, match=f"Retry\\({field}=1000"):
        Retry(**{field: 10**400})


def test_after_replaces_the_back_off():
    """The time the asset asked for, as it is; never negative."""
    retry = Retry(delay=1, jitter=1, max_delay=5)
    assert next_delay(retry, 1, Failure("error", "no", retryable=True, after=7.5), Random(1)) == 7.5
    assert next_delay(retry, 1, Failure("error", "no", retryable=True, after=-1), Random(1)) == 0


@given(
    st.integers(1, 10**6),
    st.floats(0, 1e6),
    st.floats(1, allow_nan=False),
    st.floats(0, 1e6),
    st.floats(0, 1),
    st.integers(),
)
def test_no_delay_is_negative_or_beyond_its_limit(attempt, delay, backoff, max_delay, jitter, seed):
    """For any policy and attempt number: within the jitter of the back-off, and no overflow."""
    retry = Retry(attempts=attempt + 1, delay=delay, backoff=backoff, max_delay=max_delay, jitter=jitter)
    found = next_delay(retry, attempt, FAILURE, Random(seed))
    assert found is not None
    assert 0 <= found <= max_delay * (1 + jitter)
    assert found == next_delay(retry, attempt, FAILURE, Random(seed))
