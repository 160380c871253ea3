"""Who may connect: the user that owns the data, and root, as the kernel tells the server; no password exists.

`peer` asks the kernel who is at the other end of the socket, so there is no secret that a URL, a log or an
environment could give away. The socket's directory is closed to others as well; this holds where that does not, as
after a `chmod`, or for a program that was handed an open directory.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from flowstone.store.embedded.account import Account

__all__ = ["restrict_access"]

_RULES: Final = """\
# Written by FlowStone at each start: only who owns this directory, and root, may connect.
local all all peer map=flowstone
local replication all peer map=flowstone
"""
_ANY_ROLE: Final = 16  # The version whose map may name all roles at once.


def restrict_access(data: Path, account: Account, major: int) -> bool:
    """Have the data directory's server refuse everybody else; whether its rules were others before.

    They are read when the server starts, and by one that runs when it is told so with SIGHUP.
    """
    role = "all" if major >= _ANY_ROLE else "postgres"
    people = "".join(f'flowstone "{name}" {role}\n' for name in _allowed(account))
    changed = [_write(data / name, text, account) for name, text in _files(people)]
    return any(changed)


def _files(people: str) -> tuple[tuple[str, str], ...]:
    # First the map, without which the rules would let nobody in.
    return ("pg_ident.conf", f"# Written by FlowStone at each start.\n{people}"), ("pg_hba.conf", _RULES)


def _allowed(account: Account) -> list[str]:
    """The names of root and of the server's user, to be written in double quotes."""
    import pwd  # noqa: PLC0415 - is not on Windows, where this module is imported to be told so

    own = os.geteuid() if account.ids is None else account.ids[0]
    names = []
    for uid in sorted({0, own}):
        with suppress(KeyError):  # PostgreSQL does not run as a user without a name.
            names.append(pwd.getpwuid(uid).pw_name.replace('"', '""'))
    return names


def _write(path: Path, text: str, account: Account) -> bool:
    """Replace a file in one step, unless it says so already."""
    with suppress(OSError, UnicodeDecodeError):
        if path.read_text() == text:
            return False
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        account.give(file)
        os.write(file, text.encode())
        os.fsync(file)
    finally:
        os.close(file)
    part.rename(path)
    return True
