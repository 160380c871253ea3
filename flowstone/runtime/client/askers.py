"""Who asks for something, and why: what callers say for those who read it later."""

from __future__ import annotations

from typing import Final

from flowstone.errors import ArgumentError

__all__ = ["asker", "checked_reason"]

_LONGEST: Final = 10_000  # Characters.


def asker(by: object, actor: str | None) -> str | None:
    """Who asks.

    Args:
        by: As the caller says it; None or empty: not at all.
        actor: Whoever the runtime acts for.

    Raises:
        ArgumentError: It is no text, or too long.
    """
    return _text("by", by) or actor


def checked_reason(reason: object) -> str:
    """Why, as the caller says it; None is as good as nothing. Raises `ArgumentError` as `asker`."""
    return _text("reason", reason)


def _text(name: str, given: object) -> str:
    if given is None:
        return ""
    if not isinstance(given, str) or len(given) > _LONGEST:
        raise ArgumentError(
            f"{name}={given!r:.50} takes text for those who read it, up to {_LONGEST:,} characters."
        )
    return given
