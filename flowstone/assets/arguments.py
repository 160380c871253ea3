"""What people pass is of any type, whatever the annotation says: the few questions asked of every argument.

A bool is an int to Python, and nobody who writes `timeout=True` means one second; so it is no number here.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Final

__all__ = [
    "LONGEST_NAME",
    "LONGEST_TAGS",
    "MOST_PRIORITY",
    "are_short",
    "are_texts",
    "is_instant",
    "is_name",
    "is_number",
    "is_run_key",
    "is_run_priority",
    "is_stored_name",
    "is_whole",
]

LONGEST_NAME: Final = 200
"""Characters of a name, and of the key of a run: a database has both in indexes."""

LONGEST_TAGS: Final = 8 * 1024
"""Bytes of the tags of a run, names and values together: every list of runs has them."""

MOST_PRIORITY: Final = 2**31 - 1
"""Of a run: what a column of a database holds."""

_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")


def is_instant(value: object) -> bool:
    """Whether it is a datetime that says which instant it is: one with a time zone."""
    return isinstance(value, datetime) and value.utcoffset() is not None


def is_name(value: object) -> bool:
    """Whether it is a text with something in it besides white space."""
    return isinstance(value, str) and bool(value.strip())


def is_stored_name(value: object) -> bool:
    """Whether it is a name that every store can keep: not too long, and text that UTF-8 can hold, without NUL."""
    return is_name(value) and is_run_key(value)


def is_run_key(value: object) -> bool:
    """Whether it can be the key of a run: text of 1 to 200 characters that every store can keep."""
    return isinstance(value, str) and 0 < len(value) <= LONGEST_NAME and _UNSTORABLE.search(value) is None


def is_run_priority(value: object) -> bool:
    """Whether it can be the priority of a run."""
    return is_whole(value, at_least=-MOST_PRIORITY, at_most=MOST_PRIORITY)


def are_texts(value: object) -> bool:
    """Whether it is a mapping of texts to texts, as the tags of a run are."""
    return isinstance(value, Mapping) and all(
        isinstance(key, str) and isinstance(each, str) for key, each in value.items()
    )


def are_short(tags: Mapping[str, str]) -> bool:
    """Whether a run may have these tags: names of at most 200 characters, and in all what a list can show."""
    if any(len(name) > LONGEST_NAME for name in tags):
        return False
    return sum(len(text.encode(errors="replace")) for tag in tags.items() for text in tag) <= LONGEST_TAGS


def is_number(value: object, *, at_least: float = -math.inf, at_most: float = math.inf) -> bool:
    """Whether it is a float within the bounds, or an int that is also one; NaN is within none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if isinstance(value, int) and abs(value) > sys.float_info.max:
        return False  # Whoever calculates with it gets an OverflowError.
    return at_least <= value <= at_most


def is_whole(value: object, *, at_least: float = -math.inf, at_most: float = math.inf) -> bool:
    """Whether it is an int within the bounds."""
    return isinstance(value, int) and not isinstance(value, bool) and at_least <= value <= at_most
