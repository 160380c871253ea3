"""Who gives a command: what is on record for what it does, unless `--by` says otherwise."""

from __future__ import annotations

import getpass

__all__ = ["asker"]


def asker(by: str | None = None) -> str | None:
    """The name that was given, or that of the user of the operating system; None where there is neither."""
    if by:
        return by
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # A container may have no name for its user.
        return None
