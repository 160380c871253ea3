"""The URL of a Postgres store, and how to name it without its secrets."""

from __future__ import annotations

import os
import re
from dataclasses import field
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, unquote, urlsplit

from flowstone.errors import StoreUnavailable
from flowstone.frozen import frozen
from flowstone.masking import masked

if TYPE_CHECKING:
    from urllib.parse import SplitResult

__all__ = ["Address"]

_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+(%[\w.-]+)?\]|[^\[\]:\s]*)(:[0-9]{1,5})?")
_WRITABLE: Final = ("read-write", "primary", "any")


@frozen
class Address:
    """Where a database is.

    Attributes:
        dsn: The URL as libpq understands it; it may hold a password, so it is never shown.
        user, host, database: For messages; empty where the URL leaves them to the environment. Several hosts are
            divided by commas.
        role: Whose rights count: the user, or what the URL's `role=` makes of it.
        target: Which of the hosts will do, as libpq's `target_session_attrs`.
    """

    dsn: str = field(repr=False)
    user: str
    host: str
    database: str
    role: str
    target: str = "any"

    @classmethod
    def of(cls, dsn: str) -> Address:
        """Read a URL.

        Raises:
            StoreUnavailable: It cannot be one, which the message says without repeating anything of it; or it asks
                for a server that takes no writes.
        """
        try:
            parts = urlsplit(dsn)
            _refuse_unescaped(parts)
            options = parse_qs(parts.query, strict_parsing=bool(parts.query))
            hosts = _hosts(parts, options)
        except ValueError:
            raise StoreUnavailable(
                "the store URL cannot be read; write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, "
                "with special characters of the password written as %XX, and several HOST:PORT divided by commas"
            ) from None
        user = unquote(parts.username or "") or options.get("user", [""])[-1]
        database = unquote(parts.path.lstrip("/")) or options.get("dbname", [""])[-1]
        role = options.get("role", [user])[-1]
        return cls(dsn, user, ",".join(hosts), database, role, _target(options, len(hosts)))

    def __str__(self) -> str:
        """The URL without password and options."""
        user = f"{self.user}@" if self.user else ""
        return f"postgresql://{user}{self.host}/{self.database}"

    def masked(self, text: str) -> str:
        """What a driver or a server says of it, without its passwords and those of the environment."""
        return masked(text.replace(self.dsn, str(self)), _secrets(self.dsn))

    def __repr__(self) -> str:
        return f"Address({self})"


def _hosts(parts: SplitResult, options: dict[str, list[str]]) -> list[str]:
    """The hosts with their ports, as people write them; `urlsplit` knows one only, and none of its capitals."""
    named = parts.netloc.rpartition("@")[2]
    if not named:
        hosts = options.get("host", [""])[-1].split(",")
        ports = options.get("port", [""])[-1].split(",")
        if len(ports) not in {1, len(hosts)}:
            raise ValueError("ports")
        ports *= len(hosts) // len(ports)
        return [
            f"{host}:{port}" if port and host and host[0] != "/" else host
            for host, port in zip(hosts, ports, strict=True)
        ]
    hosts = named.split(",")
    if not all(map(_HOST.fullmatch, hosts)) or (len(hosts) > 1 and not all(hosts)):
        raise ValueError("host")
    return [unquote(host) for host in hosts]


def _target(options: dict[str, list[str]], hosts: int) -> str:
    """A store is written to: of several hosts it takes the first that can be, unless the URL says otherwise."""
    given = options.get("target_session_attrs", [os.environ.get("PGTARGETSESSIONATTRS", "")])[-1]
    if given in {"", *_WRITABLE}:
        return given or ("read-write" if hosts > 1 else "any")
    raise StoreUnavailable(
        f"a store is written to, so target_session_attrs is {', '.join(_WRITABLE[:-1])} or {_WRITABLE[-1]}; "
        "correct the store URL, or PGTARGETSESSIONATTRS"
    )


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
