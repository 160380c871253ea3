"""The URL of a Postgres store, and how to name it without its secrets."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from flowstone.errors import StoreUnavailable

__all__ = ["Address"]


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is.

    Attributes:
        dsn: The URL as libpq understands it; it may hold a password, so it is never shown.
        user, host, database: For messages; empty where the URL leaves them to the environment.
    """

    dsn: str
    user: str
    host: str
    database: str

    @classmethod
    def of(cls, dsn: str) -> Address:
        """Read a URL.

        Raises:
            StoreUnavailable: It cannot be one; the message repeats nothing of it.
        """
        try:
            parts = urlsplit(dsn)
            options = parse_qs(parts.query, strict_parsing=bool(parts.query))
            host = parts.hostname or options.get("host", [""])[0]
            port = parts.port
        except ValueError:
            raise StoreUnavailable(
                "the store URL cannot be read; write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, "
                "with special characters of the password written as %XX"
            ) from None
        place = host if port is None else f"{host}:{port}"
        return cls(dsn, unquote(parts.username or ""), unquote(place), unquote(parts.path.lstrip("/")))

    def __str__(self) -> str:
        """The URL without password and options."""
        user = f"{self.user}@" if self.user else ""
        return f"postgresql://{user}{self.host}/{self.database}"

    def __repr__(self) -> str:
        return f"Address({self})"
