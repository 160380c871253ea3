"""Numbers that people set. A limit that is nan limits nothing, and as a timer it upsets the loop's agenda."""

from __future__ import annotations

import math

__all__ = ["LONGEST", "at_least", "delay"]

LONGEST = 365 * 24 * 3600.0
"""Seconds of a single timer of the loop, some of which take no more; what is longer is set again."""


def at_least(least: float, value: object) -> bool:
    """Whether it is a number, infinity included, and that large; nan never is."""
    return isinstance(value, int | float) and value >= least


def delay(seconds: float) -> float:
    """The seconds of a timer, which may be negative: then they are over.

    Raises:
        ValueError: nan.
    """
    if math.isnan(seconds):
        raise ValueError("A delay is a number of seconds, not nan.")
    return seconds
