"""What was typed becomes a value without pydantic, where that is simple.

The parser builds a pydantic adapter for each parameter of a command, also for one that was not given. That and the
import of pydantic take longer than all that a command which only looks has to do. A default needs no conversion,
text is text, and what has a parser of ours is given to it; whatever else is left to the library.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["convert_simply"]


def convert_simply(parameters: Iterable[Any]) -> None:
    """Let the parameters of a command convert what is simple by themselves.

    Args:
        parameters: The library's; those of a version of it that says otherwise what they take stay as they are.
    """
    for parameter in parameters:
        if hasattr(parameter, "type_descriptor") and "process_value" not in vars(parameter):
            parameter.process_value = partial(_process, parameter, parameter.process_value)


def _process(parameter: Any, otherwise: Callable[..., Any], context: Any, value: Any) -> Any:
    """The value as the command gets it; raises the parser's errors."""
    if parameter.multiple or parameter.nargs != 1:
        is_simple = value is None and not parameter.required
        value = () if is_simple else value
    elif value is None:
        is_simple = not parameter.required
    elif type(value) is str and value is not parameter.default:
        parse = parameter.type_descriptor.parameter_info.parser
        is_simple = parse is not None or parameter.type_descriptor.annotation is str
        value = value if parse is None else parse(value)
    else:
        is_simple = value is parameter.default
    if not is_simple:
        return otherwise(context, value)
    return value if parameter.callback is None else parameter.callback(context, parameter, value)
