"""Where a command keeps things: the run store of `--store`, and the folder of values beside it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from flowstone.cli.problem import CommandError
from flowstone.io import FileIO, MemoryIO
from flowstone.store import FileStore, MemoryStore, open_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flowstone.io import IOManager
    from flowstone.store import Store

__all__ = ["directory_of", "history", "values_beside"]

_HOME = Path(".flowstone")


def directory_of(url: str) -> Path | None:
    """The directory of a `file://` store; None for any other store."""
    parts = urlsplit(url)
    return Path(unquote(parts.netloc + parts.path)) if parts.scheme == "file" else None


def values_beside(url: str) -> IOManager:
    """The IO manager called "default" where the module defines none: as durable as the store.

    Values live in the folder `values` of a `file://` store, in memory for a memory store, and in
    `.flowstone/values` for any other.
    """
    if url.startswith("memory:"):
        return MemoryIO()
    return FileIO((directory_of(url) or _HOME) / "values")


@contextlib.asynccontextmanager
async def history(url: str) -> AsyncIterator[Store]:
    """The store, opened to be read while others may be writing; empty where nothing has run yet."""
    store = _readable(url)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def _readable(url: str) -> Store:
    if url.startswith("memory:"):
        raise CommandError(
            "A memory store remembers nothing from one command to the next.",
            "Name the store that was used with --store, such as file://.flowstone.",
        )
    directory = directory_of(url)
    if directory is None:
        return open_store(url)
    return FileStore(directory, read_only=True) if directory.exists() else MemoryStore()
