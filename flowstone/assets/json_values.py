"""Values that are handed over as JSON and come back equal, or are refused: nothing is rounded, cut or renamed."""

from __future__ import annotations

import json
from typing import Any, Final

from flowstone.errors import ArgumentError

__all__ = ["MOST_BYTES", "exact_json"]

MOST_BYTES: Final = 1_000_000
"""Of the JSON of one value."""


def exact_json(value: object, what: str) -> Any:
    """The value as JSON has it: dicts with text keys, lists (tuples become lists), texts, numbers, bools and None.

    Args:
        value: Anything.
        what: What it is, for the error.

    Raises:
        ArgumentError: It is something else, or more than a megabyte.
    """
    try:
        _check(value)
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise ArgumentError(
            f"{what} cannot be kept as JSON ({error}): give dicts with text keys, lists, texts, numbers, bools or "
            "None."
        ) from error
    if size > MOST_BYTES:
        raise ArgumentError(
            f"{what} is {size:,} bytes of JSON, more than {MOST_BYTES:,}: put it where large values live, and give "
            "its address."
        )
    return json.loads(text)


def _check(value: object) -> None:
    """Raise TypeError or ValueError for what JSON would change, or a database refuse."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"the key {key!r:.100} is no text")
            _check(key)
            _check(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _check(item)
    elif isinstance(value, str) and "\x00" in value:
        raise ArgumentError("a text has a NUL character")
