"""The attributes of an instance, one by one."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from flowstone.io.codecs.codec import CodecError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["encode_state", "is_cached"]


def encode_state(state: Mapping[str, Any], encode: Callable[[Any], Any]) -> dict[str, Any]:
    """Every attribute encoded; a refusal says which one it was."""
    encoded = {}
    for name, part in state.items():
        try:
            encoded[name] = encode(part)
        except CodecError as error:
            error.inside(f".{name}")
            raise
    return encoded


def is_cached(cls: type, name: str) -> bool:
    """Whether the attribute is a `functools.cached_property`, which will be computed again when asked for."""
    return isinstance(getattr(cls, name, None), functools.cached_property)
