"""What people pass is of any type, whatever the annotation says: the few questions asked of every argument.

A bool is an int to Python, and nobody who writes `timeout=True` means one second; so it is no number here.
"""

from __future__ import annotations

import math

__all__ = ["is_name", "is_number", "is_whole"]


def is_name(value: object) -> bool:
    """Whether it is a text with something in it besides white space."""
    return isinstance(value, str) and bool(value.strip())


def is_number(value: object, *, at_least: float = -math.inf, at_most: float = math.inf) -> bool:
    """Whether it is an int or a float within the bounds; NaN is within none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and at_least <= value <= at_most


def is_whole(value: object, *, at_least: float = -math.inf) -> bool:
    """Whether it is an int of at least a bound."""
    return isinstance(value, int) and is_number(value, at_least=at_least)
