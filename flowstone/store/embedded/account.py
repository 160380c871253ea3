"""The account the server runs under, because PostgreSQL refuses to run as root.

Started by root it runs as the owner of its data, or at first as `postgres` or `nobody`, whichever exists. No
account is made and no permission of a directory above is changed; what that account cannot enter is refused.
"""

from __future__ import annotations

import os
import stat
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from flowstone.errors import StoreUnavailable
from flowstone.frozen import frozen
from flowstone.store.lock import FileLock

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["Account", "account_for"]

_UNPRIVILEGED: Final = ("postgres", "nobody")
# All that a server may learn of our environment: it may hold secrets, and PG* variables that mean another server.
_INHERITED: Final = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")


@frozen
class Account:
    """Whoever runs the server; `ids` is None if that is us, else the user and group that root becomes."""

    name: str
    ids: tuple[int, int] | None = None

    def run(
        self, command: Sequence[str | Path], *, env: Mapping[str, str] | None = None, **how: Any
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command to its end under this account, in a session of its own: Ctrl-C is not meant for it."""
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        if self.ids is not None:
            how |= {"user": self.ids[0], "group": self.ids[1], "extra_groups": []}
        return subprocess.run(  # noqa: S603 - programs of PostgreSQL, from where `binaries` found them
            command,
            env={**inherited, "LC_ALL": "C", **(env or {})},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            check=False,
            **how,
        )

    def give(self, file: int) -> None:
        """Make the account own an open file of ours: by number, because a name may be swapped for a link."""
        if self.ids is not None:
            os.fchown(file, *self.ids)

    def lock(self, path: Path) -> FileLock:
        """A lock file of this account's, open; made, readable by its owner only, if it is missing."""
        lock = FileLock(path)
        self.give(lock.fileno())
        return lock

    def make_directory(self, path: Path) -> None:
        """Make a directory that only this account (and root) can enter."""
        path.mkdir(mode=0o700)
        self.give_directory(path)

    def give_directory(self, path: Path) -> None:
        """Make the account own a directory of ours."""
        file = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            self.give(file)
        finally:
            os.close(file)

    def barred_from(self, path: Path) -> Path | None:
        """The first directory on the way into `path` that this account cannot enter; None if there is none."""
        if self.ids is None:
            return None
        return next((each for each in [*reversed(path.parents), path] if not self._enters(each)), None)

    def _enters(self, directory: Path) -> bool:
        assert self.ids is not None
        status = directory.stat()
        user, group = self.ids
        if status.st_uid == user:
            return bool(status.st_mode & stat.S_IXUSR)
        if status.st_gid == group:
            return bool(status.st_mode & stat.S_IXGRP)
        return bool(status.st_mode & stat.S_IXOTH)


def account_for(data: Path) -> Account:
    """The account for the server of a data directory, which need not exist yet.

    Raises:
        StoreUnavailable: We are root and there is no account to become.
    """
    import pwd  # noqa: PLC0415 - is not on Windows, where this module is imported to be told so

    if os.geteuid() != 0:
        return Account("")
    if data.exists() and (status := data.stat()).st_uid != 0:
        return Account(f"the owner of {data}", (status.st_uid, status.st_gid))
    for name in _UNPRIVILEGED:
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(f"the user {name!r}", (entry.pw_uid, entry.pw_gid))
    raise StoreUnavailable(
        "PostgreSQL does not run as root, and this system has no user 'postgres' or 'nobody' to run it instead; "
        "start FlowStone as another user, or give it the postgresql:// URL of a server"
    )
