"""Whether what is to be called of an automation can be: with the one argument that it is given."""

from __future__ import annotations

import inspect
from typing import Any

from flowstone.errors import DefinitionError

__all__ = ["check_called"]


def check_called(function: Any, where: str, argument: str) -> None:
    """Raise DefinitionError unless it can be called with one argument.

    Args:
        function: What somebody has passed or decorated.
        where: What it belongs to, as an error begins.
        argument: What it is called with, as people know it.
    """
    if not callable(function):
        raise DefinitionError(f"{where} takes a function, not {function!r:.100}.")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # Of some built-in ones nothing is known.
    try:
        signature.bind(None)
    except TypeError as error:
        raise DefinitionError(f"{where} is called with one argument, {argument}: {error}.") from None
