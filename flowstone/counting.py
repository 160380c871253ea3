"""How many there are of something, as people write it: `1 step`, `1,461 steps`, `2 of 40 items`.

Whatever is counted may be one, so a number in a message, an error or a repr goes through here.
"""

from __future__ import annotations

__all__ = ["are", "count", "count_of"]


def count(number: int, noun: str) -> str:
    """`1 step`, `1,461 steps`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def count_of(some: int, number: int, noun: str) -> str:
    """`2 of 40 items`, `1 of 1 item`."""
    return f"{some:,} of {count(number, noun)}"


def are(number: int) -> str:
    """The verb for so many of something."""
    return "is" if number == 1 else "are"
