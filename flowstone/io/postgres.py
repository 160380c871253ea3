"""`PostgresIO`: values in the run store, each written in the transaction of its success record.

The manager writes nothing itself. `store` makes the bytes and names their place; the runtime gives both to the run
store together with the success, and there they are recorded, both or neither. So there is no instant at which a
recorded success has no value, or a value no record, whatever dies when.

Which store that is, the manager learns from the runtime: `attach` gives a manager for one store, and every
runtime attaches its own. Rejected: setting it on the manager that the user made, which two runtimes may share.
"""

from __future__ import annotations

from copy import copy
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Protocol, Self
from uuid import UUID

from flowstone.assets.exact_dates import REAL
from flowstone.errors import IOManagerError
from flowstone.io.locations import Location, digest_of
from flowstone.io.manager import Stored
from flowstone.io.translation import decoded, encoded, location_error, named
from flowstone.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowstone.io.codecs import Codec
    from flowstone.io.manager import Target

__all__ = ["MAX_SIZE", "PayloadStore", "PostgresIO", "is_small"]

MAX_SIZE: Final = 64 * 1024 * 1024
"""Bytes of the largest value: what a database takes in one piece without trouble."""

_SMALL: Final = 8 * 1024  # Bytes that are decoded sooner than a thread is woken.
_THREADS: Final = 4
_BUILT_IN: Final = frozenset({"json", "txt", "bin"})
_CLASSES: Final = (
    b'"$model"',
    b'"$model_json"',
    b'"$pydantic"',
    b'"$dataclass"',
    b'"$namedtuple"',
    b'"$enum"',
    b'"$flags"',
)
_IDLE: Final = 10.0  # Seconds that a thread without work stays.
_MOST: Final = 400  # Parts; of text and bytes each so many characters count as one.
_CHARACTERS: Final = 32
_TEXT: Final = frozenset({str, bytes, bytearray})
_ATOMS: Final = frozenset({type(None), bool, float, REAL.date, timedelta, Decimal, UUID})
_ITEMS: Final = frozenset({list, tuple, set, frozenset})


class PayloadStore(Protocol):
    """What a PostgresIO needs of a run store; `flowstone.store.Store` has it."""

    @property
    def keeps_payloads(self) -> bool: ...

    async def payload(self, location: str) -> bytes | None: ...

    async def has_payload(self, location: str) -> bool: ...

    async def delete_payload(self, location: str) -> None: ...


class PostgresIO:
    """Keeps each value in the run store, beside its success record and in the same transaction.

    The `default` IO manager of a runtime whose store is a Postgres database, embedded or not. It works with
    `memory://` too, but not with `file://`, which keeps no values. Every node that shares the database can load
    what any of them stored; retention deletes a value together with its record.

    Args:
        codec: `auto` picks by the value's type: `bytes`, `text`, `pydantic`, `dataclass`, `json`, `parquet`.
            One of these names takes only what that codec takes. `pickle` takes almost anything, and only a
            PostgresIO built with it loads pickles: loading one can run code.
        models: Classes whose instances may be loaded though their module is not imported when that happens.
        codecs: Codecs of your own, asked before the built-in ones.
        limit: Bytes a value may have once it is encoded; at most 64 MiB, the default.

    Raises:
        ValueError: There is no codec of that name, two share a suffix, or the limit is out of range.
    """

    kept_by_store: Final = True
    """Retention need not delete the values: the store forgets them with their records."""

    def __init__(
        self,
        codec: str = "auto",
        *,
        models: Iterable[type] = (),
        codecs: Iterable[Codec] = (),
        limit: int = MAX_SIZE,
    ) -> None:
        from flowstone.io.codecs.selection import Codecs  # noqa: PLC0415 - see the package's docstring

        if not 0 < limit <= MAX_SIZE:
            raise ValueError(f"limit is {limit} bytes; give 1 to {MAX_SIZE} (64 MiB), or use FileIO.")
        extra = tuple(codecs)
        self._codecs = Codecs(codec, models=models, extra=extra)
        self._own_codecs = bool(extra)
        self._is_small = is_small
        self._limit = limit
        self._threads = Threads(_THREADS, "flowstone-values", idle=_IDLE)
        self._store: PayloadStore | None = None

    def __repr__(self) -> str:
        limit = "" if self._limit == MAX_SIZE else f", limit={self._limit}"
        return f"PostgresIO(codec={self._codecs.name!r}{limit})"

    def attach(self, store: PayloadStore) -> Self:
        """A manager like this one for the values in `store`. Runtime calls it; this one stays as it is.

        Raises:
            IOManagerError: The store keeps no values.
        """
        if not store.keeps_payloads:
            raise IOManagerError(
                f"PostgresIO keeps values in the run store, and a {type(store).__name__} keeps none: use a store "
                'such as "postgresql://…", "embedded://DIR" or "memory://", or another IO manager, such as FileIO.'
            )
        attached = copy(self)
        attached._store = store
        return attached

    async def store(self, target: Target, value: object) -> Stored:
        """The bytes of `value` and their place, for the run store to write with the success.

        Raises:
            IOManagerError: No codec takes the value, or it is larger than the limit.
        """
        if self._store is None:
            raise self._unattached(f"store asset {named(target)!r}")
        if not self._own_codecs and self._is_small(value):
            return self._encode(target, value)
        return await self._threads.run(lambda _: self._encode(target, value))

    async def load(self, location: str) -> object:
        """The value, which equals the one stored and has its type.

        Raises:
            IOManagerError: It is not there, was damaged, or cannot be rebuilt in this process.
            StoreUnavailable: The store does not answer.
        """
        place = Location.parse(location)
        if place is None:
            raise location_error("load", location, "PostgresIO")
        if self._store is None:
            raise self._unattached(f"load {location!r}")
        data = await self._store.payload(location)
        if data is None:
            raise IOManagerError(
                f"Cannot load {location!r}: the run store does not hold it; retention has removed it, or it was "
                f"stored in another database. Materialize the asset again."
            )
        if self._decodes_at_once(place, data):
            return self._decode(place, data)
        return await self._threads.run(lambda _: self._decode(place, data))

    async def delete(self, location: str) -> None:
        """Remove a value; deleting what is not there is not an error."""
        if Location.parse(location) is None:
            raise location_error("delete", location, "PostgresIO")
        await self._attached(f"delete {location!r}").delete_payload(location)

    async def exists(self, location: str) -> bool:
        """Whether `load` would find the value; False for what is no location of a PostgresIO."""
        if Location.parse(location) is None:
            return False
        return await self._attached(f"look for {location!r}").has_payload(location)

    async def teardown(self) -> None:
        """Let the threads go. The manager may be used again, which starts new ones."""
        self._threads.close()

    def _attached(self, doing: str) -> PayloadStore:
        if self._store is None:
            raise self._unattached(doing)
        return self._store

    def _unattached(self, doing: str) -> IOManagerError:
        return IOManagerError(
            f"Cannot {doing}: this PostgresIO knows no run store. Ask a running Runtime for the value, or use "
            f"the manager that attach(store) returns."
        )

    def _encode(self, target: Target, value: object) -> Stored:
        codec, data = encoded(self._codecs, target, value)
        if len(data) > self._limit:
            raise IOManagerError(
                f"Cannot store asset {named(target)!r}: encoded, it has {len(data):,} bytes, and this PostgresIO "
                f"takes {self._limit:,}; store it with FileIO or in an object store, or split it over partitions."
            )
        digest = digest_of(data)
        place = Location.of(target, digest, codec.suffix)
        return Stored(str(place), len(data), f"sha256:{digest}", {"codec": codec.name}, payload=data)

    def _decode(self, place: Location, data: bytes) -> object:
        if not place.matches(data):
            raise IOManagerError(
                f"Cannot load {str(place)!r}: its bytes in the run store are damaged (they do not have the "
                f"recorded digest). Restore them from a backup, or materialize the asset again."
            )
        return decoded(self._codecs, place, data)

    def _decodes_at_once(self, place: Location, data: bytes) -> bool:
        """Whether decoding is over in no time and calls nothing of the user's."""
        if len(data) > _SMALL or place.suffix not in _BUILT_IN or self._own_codecs:
            return False
        return place.suffix != "json" or b'"$' not in data or not any(name in data for name in _CLASSES)


def is_small(value: object) -> bool:
    """Whether `value` is a tree of a few hundred plain built-in values: encoded sooner than handed to a thread.

    Instances of other classes never are: what their encoding does, and for how long, is their own affair. It looks
    at no more than those few hundred, however large the value, or round in circles.
    """
    left = _MOST
    waiting = [value]
    while waiting:
        item = waiting.pop()
        kind = type(item)
        left -= 1
        if kind in _TEXT:
            left -= len(item) // _CHARACTERS  # type: ignore[arg-type]  # what is in _TEXT has a length
        elif isinstance(item, int) and kind is int:
            left -= item.bit_length() // 256
        elif isinstance(item, dict) and kind is dict:
            if len(item) > left:
                return False
            waiting += item
            waiting += item.values()
        elif kind in _ITEMS:
            if len(item) > left:  # type: ignore[arg-type]  # what is in _ITEMS has a length
                return False
            waiting += item  # type: ignore[arg-type]  # and items
        elif kind not in _ATOMS:
            return False
        if left < 0:
            return False
    return True
