"""From a store URL to a store: a table of schemes, each with the function that reads its URL."""

from __future__ import annotations

import os
import re
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote, unquote

from flowstone.errors import StoreUnavailable
from flowstone.store.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flowstone.store.protocol import Store

__all__ = ["check_store", "open_store"]


def open_store(store: str | Store, *, auto_migrate: bool = True) -> Store:
    """The store that a URL means; it still has to be opened (`await store.open()`).

    | URL | store |
    |---|---|
    | `memory://` | this process's memory |
    | `file://DIR` | a directory: `file:///srv/runs`, or relative to the working directory: `file://runs` |
    | `postgresql://USER@HOST/DATABASE` | a Postgres database, shared by any number of processes; several hosts |
    | | are divided by commas: `postgresql://h1:5432,h2:5433/db` |
    | `embedded://DIR` | a Postgres server of our own in that directory, shared by the processes of this machine; |
    | | it stops 10 seconds after its last user, or after `embedded://DIR?linger=SECONDS` |

    In a directory `%` begins an escape (`%20`, `%3F`), and `~/` at its start is the home directory.

    Args:
        store: A URL, or a store object, which is returned as it is.
        auto_migrate: Whether opening a database brings its schema up to date.

    Raises:
        StoreUnavailable: No store of this installation has that URL. The message never repeats more of it
            than the scheme, because a URL may carry a password; a path without a scheme is repeated.
        TypeError: Neither text nor a store.
    """
    check_store(store)
    if not isinstance(store, str):
        return store
    scheme, separator, rest = store.partition("://")
    known = _SCHEMES.get(scheme.lower()) if separator else None
    if known is None:
        raise StoreUnavailable(_unknown(scheme if separator else "", store))
    made = known.make(rest)
    if not auto_migrate and hasattr(made, "auto_migrate"):
        made.auto_migrate = False
    return made


def check_store(store: object) -> None:
    """Raise TypeError unless it is text or a store object; what the text says is seen when it is opened."""
    if isinstance(store, str) or (hasattr(store, "write_many") and not isinstance(store, type)):
        return
    if isinstance(store, os.PathLike):
        url = f"file://{quote(os.fsdecode(store), safe='/~')}"
        raise TypeError(
            f"A store is a URL such as 'file://DIR' or a store object, not a path: write {url!r}."
        )
    what = f"the class {store.__name__}" if isinstance(store, type) else f"one of type {type(store).__name__}"
    raise TypeError(f"A store is a URL such as 'file://DIR' or a store object, not {what}.")


class _Scheme(NamedTuple):
    example: str
    make: Callable[[str], Store]


def _memory(rest: str) -> Store:
    if rest:
        raise StoreUnavailable("'memory://' takes nothing behind it: each runtime has a memory of its own")
    return MemoryStore()


def _file(rest: str) -> Store:
    if re.search(r"[?#\x00]", rest):
        raise StoreUnavailable("a directory's '?' and '#' are written %3F and %23 in 'file://DIR'")
    if not rest:
        raise StoreUnavailable("'file://' names no directory; write 'file://DIR', such as file://.flowstone")
    if os.name == "nt" and re.match(r"/[A-Za-z]:", rest):
        rest = rest[1:]
    from flowstone.store.file import FileStore  # noqa: PLC0415 - the journal's modules only for those who need them

    return FileStore(_home(rest))


def _postgres(rest: str) -> Store:
    from flowstone.store.postgres import PostgresStore  # noqa: PLC0415 - asyncpg only for those who need it

    return PostgresStore(f"postgresql://{rest}")


def _embedded(rest: str) -> Store:
    rest, query, linger = rest.partition("?linger=")
    if re.search(r"[?#\x00]", rest):
        raise StoreUnavailable("a directory's '?' and '#' are written %3F and %23 in 'embedded://DIR'")
    if query and re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", linger) is None:
        raise StoreUnavailable(
            "'linger' is a number of seconds, such as 'embedded://DIR?linger=60'; 0 is at once"
        )
    if not rest:
        raise StoreUnavailable(
            "'embedded://' names no directory; write 'embedded://DIR', such as embedded://.flowstone/pg"
        )
    from flowstone.store.embedded.store import LINGER, EmbeddedStore  # noqa: PLC0415 - as above

    return EmbeddedStore(_home(rest), linger=float(linger) if query else LINGER)


def _home(rest: str) -> Path:
    directory = Path(unquote(rest))
    return directory.expanduser() if rest == "~" or rest.startswith("~/") else directory


_SCHEMES: Final[Mapping[str, _Scheme]] = MappingProxyType(
    {
        "file": _Scheme("file://DIR", _file),
        "memory": _Scheme("memory://", _memory),
        "postgresql": _Scheme("postgresql://USER@HOST/DATABASE", _postgres),
        "postgres": _Scheme("", _postgres),  # The same to libpq.
        "embedded": _Scheme("embedded://DIR", _embedded),
    }
)


def _unknown(scheme: str, given: str) -> str:
    examples = [known.example for known in _SCHEMES.values() if known.example]
    available = ", ".join(examples[:-1]) + " and " + examples[-1]
    if re.fullmatch(r"[a-z][a-z0-9+.-]{0,30}", scheme, re.IGNORECASE):
        return f"no store of this installation has URLs that begin with {scheme}://; available: {available}"
    kind = given.partition(":")[0].lower() if ":" in given else ""
    if kind in _SCHEMES:
        example = _SCHEMES[kind].example or _SCHEMES["postgresql"].example
        return f"a store URL has two slashes behind {kind!r} and the colon: {example}"
    return f"a store URL begins with its kind, and {_given(given)}; available: {available}"


def _given(given: str) -> str:
    """What was given instead of a URL. It is repeated only if it is a path: anything else may be a password."""
    if not given:
        return "this one is empty"
    if re.fullmatch(r"(/|~/|\.\.?(/|$))[^@:=?#%]{0,200}", given) is None or not given.isprintable():
        return "this one does not"
    return f"{given!r} does not: the directory of that name is file://{given}"
