"""Numbers that people set. A limit that is nan limits nothing, and as a timer it upsets the loop's agenda."""

from __future__ import annotations

import math

__all__ = ["LONGEST", "at_least", "check_max_children", "delay", "whole_at_least"]

LONGEST = 365 * 24 * 3600.0
"""Seconds of a single timer of the loop, some of which take no more; what is longer is set again."""


def at_least(least: float, value: object) -> bool:
    """Whether it is a number, infinity included, and that large; nan and booleans never are."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= least


def whole_at_least(least: int, value: object) -> bool:
    """Whether it is an int and that large: what counts something. Half a child and `True` restarts are mistakes."""
    return isinstance(value, int) and at_least(least, value)


def check_max_children(value: object) -> None:
    """Raise ValueError unless it limits how many children there may be."""
    if value is not None and not whole_at_least(0, value):
        raise ValueError(
            f"max_children is a whole number of at least 0, or None for no limit, not {value!r}."
        )


def delay(seconds: float) -> float:
    """The seconds of a timer, which may be negative: then they are over.

    Raises:
        ValueError: nan.
    """
    if math.isnan(seconds):
        raise ValueError("A delay is a number of seconds, not nan.")
    return seconds
