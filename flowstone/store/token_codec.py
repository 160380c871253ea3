"""Access tokens as JSON-able dicts, and back, exactly."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from flowstone.runs.access import AccessToken, Role
from flowstone.store.shapes import INSTANT, Pair, Shape

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["decode_token", "encode_token"]


def encode_token(token: AccessToken) -> dict[str, Any]:
    """As JSON has it."""
    return _TOKEN.encode(token)


def decode_token(data: Mapping[str, Any]) -> AccessToken:
    """Raises `Unreadable`."""
    return _TOKEN.decode(data)


_TOKEN: Final = Shape(
    AccessToken,
    {
        "role": Pair(attrgetter("value"), Role),
        **dict.fromkeys(("created_at", "expires_at", "used_at", "revoked_at"), INSTANT),
    },
)
