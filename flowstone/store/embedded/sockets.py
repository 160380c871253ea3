"""Where the server's socket is: in a directory that only its account can enter.

That is `socket` beside the data where possible. The name of a socket has at most 107 bytes, and settings that
list directories give some characters a meaning; for other paths `socket` is a link to a short one elsewhere.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flowstone.store.embedded.postmaster import PORT, answers

if TYPE_CHECKING:
    from flowstone.store.embedded.account import Account

__all__ = ["make_socket_directory", "remove_socket_directory"]

_LONGEST: Final = 103  # Bytes in a socket's name: 107 on Linux, 103 on macOS.


def make_socket_directory(place: Path, account: Account) -> Path:
    """Make the directory anew and return its path; `place` is it, or a link to it."""
    remove_socket_directory(place)
    if _fits(place):
        account.make_directory(place)
        return place
    directory = Path(tempfile.mkdtemp(prefix="flowstone-", dir=_base(account)))
    account.give_directory(directory)
    place.symlink_to(directory)
    return directory


def remove_socket_directory(place: Path) -> None:
    """Remove the directory of a stopped server, wherever it is."""
    if not place.is_symlink():
        with suppress(FileNotFoundError):
            shutil.rmtree(place)
        return
    # A copy of a server's directory links to the original's socket, which may be in use.
    if not answers(directory := place.readlink()):
        shutil.rmtree(directory, ignore_errors=True)
    place.unlink()


def _fits(place: Path) -> bool:
    name = f"{place}/.s.PGSQL.{PORT}"
    return len(os.fsencode(name)) <= _LONGEST and re.fullmatch(r"[A-Za-z0-9_./+-]+", name) is not None


def _base(account: Account) -> Path:
    # Not XDG_RUNTIME_DIR: it is removed at logout, and a server may go on after that.
    temporary = Path(tempfile.gettempdir())
    usual = _fits(temporary / "flowstone-12345678") and account.barred_from(temporary) is None
    return temporary if usual else Path("/tmp")  # noqa: S108 - mkdtemp makes a name nobody can foresee
