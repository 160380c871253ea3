"""What lies in the directory of an embedded server. Everything does, so that to remove it removes all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.frozen import frozen

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Layout"]


@frozen
class Layout:
    """The files of one embedded server, by name.

    Five lock files, because five things have to be known apart: `users.lock` is held shared by each process
    that uses the server, `start.lock` by the one that just starts or stops it, and `server.lock` by the server.
    `reaper.lock` is held by the process that waits until nobody is left who holds `presence.lock`, as each user
    does: it cannot wait for `users.lock`, which a user who leaves lets go of for an instant, to see if it was the
    last one.
    """

    directory: Path

    @property
    def data(self) -> Path:
        """What initdb made: the data directory of PostgreSQL."""
        return self.directory / "data"

    @property
    def unfinished(self) -> Path:
        """Where initdb works; renamed to `data` when it is done, so that half a directory is never started."""
        return self.directory / "data.unfinished"

    @property
    def users(self) -> Path:
        return self.directory / "users.lock"

    @property
    def start(self) -> Path:
        return self.directory / "start.lock"

    @property
    def server(self) -> Path:
        return self.directory / "server.lock"

    @property
    def presence(self) -> Path:
        return self.directory / "presence.lock"

    @property
    def reaper(self) -> Path:
        return self.directory / "reaper.lock"

    @property
    def log(self) -> Path:
        return self.directory / "server.log"

    @property
    def socket(self) -> Path:
        """The directory of the socket, or a link to it where this path would be too long for one."""
        return self.directory / "socket"
