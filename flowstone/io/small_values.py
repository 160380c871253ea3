"""Whether a value is so small that encoding it takes less time than handing it to a thread."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from flowstone.assets.exact_dates import REAL

__all__ = ["is_small"]

_MOST: Final = 400  # Parts; of text and bytes each so many characters count as one.
_CHARACTERS: Final = 32
_TEXT: Final = frozenset({str, bytes, bytearray})
_ATOMS: Final = frozenset({type(None), bool, float, REAL.date, timedelta, Decimal, UUID})
_ITEMS: Final = frozenset({list, tuple, set, frozenset})


def is_small(value: object) -> bool:
    """Whether `value` is a tree of a few hundred plain built-in values.

    Instances of other classes never are: what their encoding does, and for how long, is their own affair. It looks
    at no more than those few hundred, however large the value, or round in circles.
    """
    left = _MOST
    waiting = [value]
    while waiting:
        item = waiting.pop()
        kind = type(item)
        left -= 1
        if kind in _TEXT:
            left -= len(item) // _CHARACTERS  # type: ignore[arg-type]  # what is in _TEXT has a length
        elif isinstance(item, int) and kind is int:
            left -= item.bit_length() // 256
        elif isinstance(item, dict) and kind is dict:
            if len(item) > left:
                return False
            waiting += item
            waiting += item.values()
        elif kind in _ITEMS:
            if len(item) > left:  # type: ignore[arg-type]  # what is in _ITEMS has a length
                return False
            waiting += item  # type: ignore[arg-type]  # and items
        elif kind not in _ATOMS:
            return False
        if left < 0:
            return False
    return True
