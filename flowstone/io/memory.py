"""`MemoryIO`: values stay in this process, by reference."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from flowstone.assets.one_shot import find_one_shot
from flowstone.counting import count
from flowstone.errors import IOManagerError
from flowstone.io.manager import Stored
from flowstone.io.translation import named

if TYPE_CHECKING:
    from flowstone.io.manager import Target

__all__ = ["MemoryIO"]

_MAX_LOCATION: Final = 2000


class MemoryIO:
    """Keeps values in a dict of this process, by reference: nothing is copied, encoded or written.

    The fastest manager, and the one for tests, notebooks and values that cannot leave the process. What is
    stored here ends with the process; an asset that changes a value it received changes it for every other reader.

    Attributes:
        values: The values by their locations, for those in this process who need not wait for them.
    """

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: dict[str | None, object] = {}

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        return f"MemoryIO({count(len(self.values), 'value')})"

    async def store(self, target: Target, value: object) -> Stored:
        """Keep `value`.

        Raises:
            IOManagerError: It can be read only once, or this very attempt has stored a value already.
        """
        found = find_one_shot(value)
        if found is not None:
            raise IOManagerError(f"Cannot store asset {named(target)!r}: {found.explanation()}.")
        location = self.put(target.asset, target.partition_key, target.run_id, target.attempt, value)
        if location is None:
            raise IOManagerError(
                f"Cannot store asset {target.asset!r}: attempt {target.attempt} of run {target.run_id!r} "
                f"already stored a value, and stored values are never replaced; store it under a new attempt."
            )
        return Stored(location)

    def put(
        self, asset: str, partition_key: str | None, run_id: str, attempt: int, value: object
    ) -> str | None:
        """`store` without its questions about the value; returns the location, or None if that is taken."""
        # Names the run as well as the attempt: a record that outlives the process must never find the value of
        # another run, which a plain counter would allow.
        if "/" in asset or "/" in run_id or "%" in asset or "%" in run_id:
            asset, run_id = _quoted(asset), _quoted(run_id)
        location = f"memory:{asset}/{run_id}/{attempt}"
        if partition_key is not None:
            location = f"{location}/{partition_key}"
        if len(location) > _MAX_LOCATION:
            location = _hashed(location)
        if location in self.values:
            return None
        self.values[location] = value
        return location

    async def load(self, location: str) -> object:
        """The very object that was stored. Raises `IOManagerError` if it is not, or no longer, here."""
        try:
            return self.values[location]
        except KeyError:
            raise IOManagerError(
                f"Cannot load {location!r}: this MemoryIO does not hold it; it was deleted, or stored by "
                f"another process. Materialize the asset again, or use FileIO, which outlives it."
            ) from None

    async def delete(self, location: str) -> None:
        """Forget the value; deleting what is not there is not an error."""
        self.values.pop(location, None)

    async def exists(self, location: str) -> bool:
        """Whether `load` would find the value."""
        return location in self.values


def _quoted(text: str) -> str:
    return text.replace("%", "%25").replace("/", "%2f")


def _hashed(location: str) -> str:
    digest = hashlib.sha256(location.encode("utf-8", "surrogatepass")).hexdigest()
    return f"memory-sha256:{digest}"
