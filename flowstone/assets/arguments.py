"""What people pass is of any type, whatever the annotation says: the few questions asked of every argument.

A bool is an int to Python, and nobody who writes `timeout=True` means one second; so it is no number here.
"""

from __future__ import annotations

import math
import re
import sys

__all__ = ["is_name", "is_number", "is_stored_name", "is_whole"]

_LONGEST_NAME = 200  # Characters: a database has it in indexes.


def is_name(value: object) -> bool:
    """Whether it is a text with something in it besides white space."""
    return isinstance(value, str) and bool(value.strip())


def is_stored_name(value: object) -> bool:
    """Whether it is a name that every store can keep: not too long, and text that UTF-8 can hold, without NUL."""
    if not isinstance(value, str) or not is_name(value) or len(value) > _LONGEST_NAME:
        return False
    return re.search("[\x00\ud800-\udfff]", value) is None


def is_number(value: object, *, at_least: float = -math.inf, at_most: float = math.inf) -> bool:
    """Whether it is a float within the bounds, or an int that is also one; NaN is within none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if isinstance(value, int) and abs(value) > sys.float_info.max:
        return False  # Whoever calculates with it gets an OverflowError.
    return at_least <= value <= at_most


def is_whole(value: object, *, at_least: float = -math.inf) -> bool:
    """Whether it is an int of at least a bound."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= at_least
