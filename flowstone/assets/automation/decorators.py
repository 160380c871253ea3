"""Decorators that define automations: what has been made of one is applied to a function, or said to be missing.

`pipeline.schedule("nightly", cron=…)` without an asset defines nothing before it decorates a function; and with one
it has nothing to decorate. Both look like a definition to whoever reads them.
"""

from __future__ import annotations

import linecache
from typing import TYPE_CHECKING, Any

from flowstone.assets.asset import SourceLine
from flowstone.assets.interactive import Cell
from flowstone.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

__all__ = ["Decorators", "line_of", "refuse_as_decorator"]


class Decorators:
    """The decorators of a pipeline that have been made and not applied yet."""

    def __init__(self) -> None:
        self._made = 0
        self._waiting: dict[int, str] = {}

    def made(
        self, frame: FrameType, what: str, instead: str, define: Callable[[Any], object]
    ) -> Callable[[Any], Any]:
        """A decorator that defines something by a function, which it gives back.

        At a prompt, and in a cell of a notebook, none is missed: what comes of a cell is shown there, and the next
        one corrects it.

        Args:
            frame: The frame that it is made in.
            what: What makes it, as people write it.
            instead: What to do if it was not meant as a decorator; may be empty.
            define: Defines it by the function.
        """
        self._made += 1
        number = self._made
        source = line_of(frame)
        if Cell.of(frame, source) is None:
            self._waiting[number] = (
                f"{source}: {what} stands above no function, so it defines nothing: write @pipeline.{what} above "
                f"one{instead and f', or {instead}'}."
            )

        def decorate(function: Any) -> Any:
            self._waiting.pop(number, None)
            define(function)
            return function

        return decorate

    def check(self) -> None:
        """Raise DefinitionError if one was made and never applied."""
        for message in self._waiting.values():
            raise DefinitionError(message)


def line_of(frame: FrameType) -> SourceLine:
    """The line that a frame is at."""
    return SourceLine(frame.f_code.co_filename, frame.f_lineno)


def refuse_as_decorator(frame: FrameType, what: str, has: str) -> None:
    """Raise DefinitionError if a call that is a definition by itself is written as a decorator.

    The line of the call says that, where it can be read. Rejected: to give something that can be called, which
    everybody would see who defines it at a prompt.

    Args:
        frame: The frame of the call.
        what: The call, as people write it.
        has: What makes it a definition by itself.
    """
    source = line_of(frame)
    if linecache.getline(source.file, source.line, frame.f_globals).lstrip().startswith("@"):
        raise DefinitionError(
            f"{source}: {what} defines all there is, so it decorates no function: leave out the @ and the "
            f"function below it, or leave out {has}."
        )
