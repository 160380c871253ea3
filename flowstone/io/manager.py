"""The one extension point for values: an IO manager stores, loads and deletes immutable objects."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["IOManager", "Stored", "Target"]


@frozen
class Target:
    """What a value is stored for: one attempt of one step.

    Attributes:
        asset: The asset's name.
        partition_key: Encoded partition key, or None for "no partition".
        run_id: The run.
        attempt: 1 for the first attempt. Two attempts never share a location.
    """

    asset: str
    partition_key: str | None
    run_id: str
    attempt: int


@frozen
class Stored:
    """Where a value went.

    Attributes:
        location: Names this very object for `load`, `delete` and `exists`; at most 2,000 characters.
        size: Bytes, where known.
        digest: A content digest such as `sha256:…`, where known; it becomes the data version by default.
        metadata: Facts about the stored value (codec, rows), JSON-like.
        payload: Bytes kept in the run store, written in the transaction of the success record.
    """

    location: str
    size: int | None = None
    digest: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    payload: bytes | None = None


@runtime_checkable
class IOManager(Protocol):
    """Stores values as immutable objects: a location names one attempt's value and is never overwritten.

    `store` returns only once the value is as durable as the manager makes it. A value it cannot take, or a
    location it cannot load, raises `IOManagerError` naming the asset or location and a remedy.
    An IO manager may also have `async setup()`, `async teardown()` and `async health()`. One that keeps values in
    the run store (`Stored.payload`) has `attach(store)` as well: each runtime calls it with its open store when it
    is entered, and uses the manager that it returns.
    """

    async def store(self, target: Target, value: object) -> Stored:
        """Store `value` under a new location, and return once it is durable. It may be cancelled at any `await`.

        Args:
            target: The asset, partition, run and attempt that the value belongs to.
            value: What the asset's function returned; None is a value.

        Raises:
            IOManagerError: The value cannot be stored.
        """

    async def load(self, location: str) -> object:
        """The value that was stored under `location`, which is to be checked: it has been in a database.

        Raises:
            IOManagerError: There is no such value, or it is not what was stored.
        """

    async def delete(self, location: str) -> None:
        """Remove the value under `location`; one that is gone already is not an error.

        Raises:
            IOManagerError: It cannot be removed.
        """

    async def exists(self, location: str) -> bool:
        """Whether `load` would find a value under `location`; False for a location of another manager.

        Raises:
            IOManagerError: It cannot be found out.
        """
