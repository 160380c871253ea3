"""Numbers as words of the command line: what an option takes is said in one sentence, whatever parses the line."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["seconds", "whole"]

N = TypeVar("N", int, float)


def whole(least: int | None = None) -> Callable[[str], int]:
    """The parser of an option that takes a whole number, of at least `least` if that is given."""
    return _parser(int, "a whole number", least)


def seconds(least: float) -> Callable[[str], float]:
    """The parser of an option that takes a number of seconds."""
    return _parser(float, "a number of seconds", least)


def _parser(read: Callable[[str], N], what: str, least: N | None) -> Callable[[str], N]:
    takes = what if least is None else f"{what} of at least {least}"

    def parse(text: str) -> N:
        try:
            value = read(text)
        except ValueError:
            value = None
        if value is None or not math.isfinite(value) or (least is not None and value < least):
            raise typer.BadParameter(f"it takes {takes}, not {str(text)!r:.100}.")
        return value

    return parse
