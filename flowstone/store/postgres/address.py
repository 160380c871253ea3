"""The URL of a Postgres store, and how to name it without its secrets."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from flowstone.errors import StoreUnavailable
from flowstone.masking import masked

if TYPE_CHECKING:
    from urllib.parse import SplitResult

__all__ = ["Address"]


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is.

    Attributes:
        dsn: The URL as libpq understands it; it may hold a password, so it is never shown.
        user, host, database: For messages; empty where the URL leaves them to the environment.
    """

    dsn: str = field(repr=False)
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
            _refuse_unescaped(parts)
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

    def masked(self, text: str) -> str:
        """What a driver or a server says of it, without its passwords and those of the environment."""
        return masked(text.replace(self.dsn, str(self)), _secrets(self.dsn))

    def __repr__(self) -> str:
        return f"Address({self})"


def _refuse_unescaped(parts: SplitResult) -> None:
    """A password with an unescaped `@`, `/`, `?` or `#` would pass in part for the host or the database."""
    beyond = parts.path + parts.fragment + ("" if "@" in parts.netloc else parts.query)
    if parts.fragment or "@" in beyond or parts.netloc.count("@") > 1:
        raise ValueError("unescaped")


def _secrets(dsn: str) -> list[str]:
    """Every password that a driver may have used, as written and as meant, the longest first."""
    try:
        parts = urlsplit(dsn)
        options = parse_qs(parts.query)
        given = [parts.password or "", *options.get("password", ()), *options.get("sslpassword", ())]
    except ValueError:
        given = []
    given.append(os.environ.get("PGPASSWORD", ""))
    return sorted({*given, *map(unquote, given)}, key=len, reverse=True)
