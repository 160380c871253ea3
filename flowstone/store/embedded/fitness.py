"""Whether an embedded server could run in a directory, found out without making anything there."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from flowstone.errors import StoreUnavailable
from flowstone.store.embedded.account import account_for
from flowstone.store.embedded.binaries import find_binaries
from flowstone.store.embedded.layout import Layout

if TYPE_CHECKING:
    from pathlib import Path

    from flowstone.store.embedded.account import Account

__all__ = ["barred", "obstacle", "refuse_windows"]


def obstacle(directory: Path) -> str | None:
    """Why no server can run in a directory, which need not exist yet; None if nothing speaks against it."""
    try:
        refuse_windows()
        account = account_for(Layout(directory).data)
        find_binaries(account, None)
        nearest = next(each for each in (directory, *directory.absolute().parents) if each.exists())
        closed = barred(account, nearest.resolve())
    except StoreUnavailable as error:
        return str(error)
    except OSError as error:
        return f"{directory} cannot be looked at ({error.strerror})"
    return closed


def barred(account: Account, directory: Path) -> str | None:
    """The sentence for a directory that the server's account cannot enter; None if it can."""
    closed = account.barred_from(directory)
    if closed is None:
        return None
    return (
        f"PostgreSQL does not run as root, and {account.name} cannot enter {closed}; use a directory "
        "whose parents every user can enter, such as one in /var/lib, or start FlowStone as another user"
    )


def refuse_windows() -> None:
    """Raise `StoreUnavailable` where there is no flock and no socket of the file system."""
    if sys.platform == "win32":
        raise StoreUnavailable(
            "embedded Postgres does not run on Windows; use WSL, or the postgresql:// URL of a server"
        )
