"""Where a command keeps things: the run store of `--store`, and the folder of values beside it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from flowstone.cli.problem import CommandError
from flowstone.errors import StoreUnavailable
from flowstone.io import FileIO, MemoryIO
from flowstone.store import FileStore, MemoryStore, open_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flowstone.io import IOManager
    from flowstone.store import Store

__all__ = ["directory_of", "history", "store_of", "values_beside"]


def store_of(url: str) -> Store:
    """The store a `--store` means, not yet opened; raises `CommandError` if it means none."""
    try:
        return open_store(url)
    except StoreUnavailable as error:
        raise CommandError(f"--store: {error}.") from None


def directory_of(url: str) -> Path | None:
    """The directory of a `file://` store; None for any other store."""
    store = store_of(url)
    return store._directory if isinstance(store, FileStore) else None


def values_beside(url: str) -> IOManager:
    """The IO manager called "default" where the module defines none: as durable as the store.

    Values live in the folder `values` of a `file://` store, in memory for a memory store, and in
    `.flowstone/values` (`FLOWSTONE_HOME`) for any other.
    """
    store = store_of(url)
    if isinstance(store, FileStore):
        return FileIO(store._directory / "values")
    if isinstance(store, MemoryStore):
        return MemoryIO()
    return FileIO(Path(os.environ.get("FLOWSTONE_HOME") or ".flowstone") / "values")


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
    store = store_of(url)
    if isinstance(store, FileStore):
        directory = store._directory
        return FileStore(directory, read_only=True) if directory.exists() else MemoryStore()
    if isinstance(store, MemoryStore):
        raise CommandError(
            "A memory store remembers nothing from one command to the next.",
            "Name the store that was used with --store, such as file://.flowstone.",
        )
    return store
