"""Where a command keeps things: the run store of `--store`."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from flowstone.cli.default_store import DefaultStore, file_instead, kept_in_a_file
from flowstone.cli.environment import options
from flowstone.cli.problem import CommandError
from flowstone.cli.server import ServerUrl, asked
from flowstone.errors import StoreUnavailable
from flowstone.masking import masked
from flowstone.printable import one_line
from flowstone.store import FileStore, MemoryStore, open_store
from flowstone.store.protocol import NoSchema

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from flowstone.store import Store
    from flowstone.store.cluster import Cluster

__all__ = [
    "cluster_of",
    "directory_of",
    "history",
    "no_cluster",
    "or_by_its_holder",
    "remembers",
    "shares",
    "shown",
    "store_of",
    "too_late",
    "written",
]


def store_of(url: str) -> Store:
    """The store a `--store` means, not yet opened; raises `CommandError` if it means none."""
    if isinstance(url, ServerUrl):
        raise CommandError(
            "This works on a store, and not through a server.",
            "Leave --server out (FLOWSTONE_SERVER), and name the store with --store.",
        )
    try:
        return open_store(url)
    except StoreUnavailable as error:
        raise CommandError(f"--store: {error}.") from None


def shown(url: str) -> str:
    """A store's URL as it may be shown: without password and options."""
    if isinstance(url, ServerUrl):
        return one_line(masked(url))
    address = getattr(store_of(url), "address", None) if shares(url) and not _is_embedded(url) else None
    return one_line(url if address is None else str(address))


def shares(url: str) -> bool:
    """Whether several processes can use the store at once: it is a database, or behind a server."""
    if isinstance(url, ServerUrl):
        return True
    return not isinstance(store_of(url), MemoryStore)


def remembers(url: str) -> bool:
    """Whether the store outlives the process."""
    return shares(url) or isinstance(store_of(url), FileStore)


def _is_embedded(url: str) -> bool:
    return url.lower().startswith("embedded:")


def directory_of(url: str) -> Path | None:
    """The directory of a `file://` or `embedded://` store; None for any other store."""
    directory: Path | None = getattr(store_of(url), "directory", None)
    return directory


@contextlib.asynccontextmanager
async def history(url: str, *, to_write: bool = False) -> AsyncIterator[Store]:
    """The store, opened to be read while others may be writing; empty where nothing has run yet.

    Args:
        url: The store's URL.
        to_write: Whether a database is written to as well.
    """
    if isinstance(url, ServerUrl):
        from flowstone.cli.remote_history import RemoteHistory  # noqa: PLC0415 - for servers only

        async with asked(url) as client:
            yield cast("Store", RemoteHistory(client))
        return
    store = _readable(url)
    if hasattr(store, "read_only"):
        store.read_only = not to_write
    async with _opened(store, url) as usable:
        yield usable


@contextlib.asynccontextmanager
async def written(url: str, instead: str = "") -> AsyncIterator[Store]:
    """The store, opened to be written to; made, or brought up to date, as by a command that computes.

    Args:
        url: The store's URL.
        instead: The call by which a program that has the store open does the same.

    Raises:
        CommandError: It is a memory store, which would forget what is written.
        StoreUnavailable: It does not open, such as a file that another process holds.
    """
    if not remembers(url):
        raise _forgetful()
    chosen = options()
    store = open_store(url, auto_migrate=chosen.auto_migrate)
    try:
        with or_by_its_holder(url, instead):
            async with asyncio.timeout(chosen.connect_timeout):
                await store.open()
    except TimeoutError:
        raise too_late(url, chosen.connect_timeout) from None
    except StoreUnavailable as error:
        raise file_instead(url, error) from error
    try:
        yield store
    finally:
        await store.close()


@contextlib.contextmanager
def or_by_its_holder(url: str, call: str) -> Iterator[None]:
    """Say of a file that a process has open that it can do itself what the command would, by this call."""
    try:
        yield
    except StoreUnavailable as error:
        # What else is wrong with a file has no remedy for programs.
        if not call or error.remedies is None or not isinstance(store_of(url), FileStore):
            raise
        words = f"Or have the program that has it open do that: `await runtime.{call}`."
        raise StoreUnavailable(error.sentence, remedies=replace(error.remedies, command=words)) from error


@contextlib.asynccontextmanager
async def _opened(store: Store, url: str) -> AsyncIterator[Store]:
    """A store, opened within `connect_timeout`, and empty if it is a database without our schema.

    It is not migrated: looking from a newer FlowStone must not stop the older ones that work there.
    """
    limit = options().connect_timeout
    try:
        async with asyncio.timeout(limit):
            await store.open()
    except TimeoutError:
        raise too_late(url, limit) from None
    except NoSchema:
        store = MemoryStore()
    except StoreUnavailable as error:
        raise file_instead(url, error) from error
    try:
        yield store
    finally:
        await store.close()


def too_late(url: str, limit: float) -> StoreUnavailable:
    """The error for a store that does not answer within `connect_timeout`."""
    return StoreUnavailable(
        f"{shown(url)} did not open within {limit:g} s; check that it is up, or raise FLOWSTONE_CONNECT_TIMEOUT"
    )


def _readable(url: str) -> Store:
    store = store_of(url)
    if isinstance(store, FileStore):
        directory = store.directory
        return FileStore(directory, read_only=True) if directory.exists() else MemoryStore()
    if isinstance(store, MemoryStore):
        raise _forgetful()
    if not _is_embedded(url):
        return open_store(url, auto_migrate=False)
    place = directory_of(url)
    return store if place is not None and (place / "data").exists() else MemoryStore()


def _forgetful() -> CommandError:
    return CommandError(
        "A memory store remembers nothing from one command to the next.",
        "Name the store that was used with --store, such as file://.flowstone.",
    )


def cluster_of(store: Store, url: str) -> Cluster:
    """What the nodes of an open store share. Raises `CommandError` where only one process can hold it."""
    if store.cluster is None:
        raise no_cluster(url)
    return store.cluster


def no_cluster(url: str, *, why: str = "only one process at a time can hold it") -> CommandError:
    """The error for a store that is no database."""
    remark = kept_in_a_file() if isinstance(url, DefaultStore) else None
    return CommandError(
        f"{shown(url)} is not shared by processes: {why}." + ("" if remark is None else f" {remark}"),
        "Name a database with --store, such as postgresql://USER@HOST/DATABASE or embedded://.flowstone/pg.",
    )
