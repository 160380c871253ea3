"""What is remembered of the items that a step goes through: a few bytes each.

An item is not a step: no plan has a number for it, and `RunState` does not know it. What became of each is a row of
the step, and here are such rows by position, packed so that a million of them fit in memory.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from flowstone.frozen import frozen
from flowstone.runs.packed import PAGE, Packed
from flowstone.runs.records import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from flowstone.runs.records import Failure

__all__ = ["ENDED", "Item", "ItemCounts", "ItemRow", "ItemTable", "item_of", "items_of_pages"]

ENDED: Final[Mapping[Status, int]] = {Status.SUCCEEDED: 1, Status.FAILED: 2, Status.SKIPPED: 3}
"""How an item may end, and the byte that says so; 0: it has not."""

_STATUS: Final[Mapping[int, Status]] = {code: status for status, code in ENDED.items()}


@frozen
class Item:
    """What became of one item of a step.

    Attributes:
        position: Its place among the items, from 0.
        key: What names it: what `Each(key=)` says, its key in a dict, else its position as text.
        status: `succeeded`, `failed`, or `skipped` by its own choice.
        attempt: The number of its last attempt.
        failure: Why it failed, or was skipped; or None.
        location: Where the IO manager keeps what the function returned for it, where that is an object of its own.
    """

    position: int
    key: str
    status: Status
    attempt: int
    failure: Failure | None = None
    location: str | None = None


class ItemRow(NamedTuple):
    """As an item is recorded. `code`: see `ENDED`. `key` is None where it is the position.

    What a reader yields is recorded a page at a time: a row is a page, `attempt` the number of its items (0 at the
    end of the source), and `key` the cursor, as JSON, with the number of items that are behind it.
    """

    position: int
    code: int
    attempt: int
    key: str | None = None
    failure: Failure | None = None
    location: str | None = None


def item_of(row: ItemRow) -> Item:
    """A row, as it is shown."""
    position, code, attempt, key, failure, location = row
    return Item(position, str(position) if key is None else key, _STATUS[code], attempt, failure, location)


def items_of_pages(rows: Iterable[ItemRow], offset: int, limit: int) -> list[Item]:
    """The items of pages, as they are shown."""
    positions = (position for row in rows for position in range(row.position, row.position + row.attempt))
    return [Item(at, str(at), Status.SUCCEEDED, 1) for at in islice(positions, offset, offset + limit)]


class ItemCounts(NamedTuple):
    """How many items a step went through, and how they ended: `metadata["items"]` of its record."""

    total: int
    succeeded: int
    failed: int
    skipped: int

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> ItemCounts | None:
        """What a record's metadata says of items; None if it says nothing, or if that is the user's own."""
        found = metadata.get("items")
        if not isinstance(found, dict) or found.keys() != set(cls._fields):
            return None
        return cls(**found) if all(type(number) is int for number in found.values()) else None

    @property
    def metadata(self) -> dict[str, Any]:
        """As a record has them."""
        return {"items": self._asdict()}


class ItemTable:
    """The rows of one step's items, by position.

    Attributes:
        states: How each item has ended, see `ENDED`; 0 where it has not.
        values: What the function returned for each, where values stay in memory; else None.
        names: What names each item, where that is not its position; else None.
        cursor: Of a reader: its last checkpoint, and how many items are behind it.
        io: The IO manager that keeps values of theirs; None if there is none, "" if nobody knows.
    """

    __slots__ = ("_failures", "_locations", "_retried", "cursor", "io", "names", "states", "values")

    def __init__(self) -> None:
        self.states = bytearray()
        self.values: Packed | None = None
        self.names: Packed | None = None
        self.cursor: tuple[Any, int] | None = None
        self.io: str | None = None
        self._locations: Packed | None = None
        self._failures: dict[int, Failure] = {}
        self._retried: dict[int, int] = {}  # Items whose last attempt was not the first -> its number.

    def record(self, rows: Sequence[ItemRow]) -> None:
        """Take in how items ended; what has ended stays as it is."""
        for position, code, attempt, key, failure, location in rows:
            if self.end(position, code, attempt):
                if key is not None:
                    self.name(position, key)
                if failure is not None:
                    self._failures[position] = failure
                if location is not None:
                    if self._locations is None:
                        self._locations = Packed()
                    self._locations.put(position, location)

    def end(self, position: int, code: int, attempt: int) -> bool:
        """An item has ended; False if it had before."""
        states = self.states
        if position >= len(states):
            states.extend(bytes(max(PAGE, position + 1 - len(states))))
        if states[position]:
            return False
        states[position] = code
        if attempt != 1:
            self._retried[position] = attempt
        return True

    def fail(self, position: int, code: int, attempt: int, failure: Failure) -> None:
        """As `end`, for an item that failed or was skipped."""
        if self.end(position, code, attempt):
            self._failures[position] = failure

    def name(self, position: int, key: str) -> None:
        """Keep what names an item."""
        if self.names is None:
            self.names = Packed()
        self.names.put(position, key)

    def forget(self, up_to: int) -> None:
        """Forget the items up to this position."""
        end = min(up_to + 1, len(self.states))
        self.states[:end] = bytes(end)

    # Questions ----------------------------------------------------------------------------------------------

    @property
    def is_located(self) -> bool:
        """Whether the value of an item is kept elsewhere than here."""
        return self._locations is not None

    def row(self, position: int) -> ItemRow:
        """One row of an item that has ended."""
        return ItemRow(
            position,
            self.states[position],
            self._retried.get(position, 1),
            None if self.names is None else self.names[position],
            self._failures.get(position),
            None if self._locations is None else self._locations[position],
        )

    def rows(self, code: int | None, after: int, offset: int, limit: int | None) -> list[ItemRow]:
        """Items that have ended, or have ended so, in their order; see `store/items.py`."""
        stop = None if limit is None else offset + limit
        return [self.row(position) for position in islice(self.positions(code, after + 1), offset, stop)]

    def positions(self, code: int | None = None, start: int = 0) -> Iterator[int]:
        """The positions of items that have ended, or have ended so."""
        states = self.states
        if code is None:
            yield from (position for position in range(start, len(states)) if states[position])
            return
        found = states.find(code, start)
        while found >= 0:
            yield found
            found = states.find(code, found + 1)

    def count(self, code: int) -> int:
        """How many items have ended so."""
        return self.states.count(code)

    @property
    def ended(self) -> int:
        """How many items have ended."""
        return len(self.states) - self.states.count(0)

    @property
    def failures(self) -> Mapping[int, Failure]:
        """Why items failed, by position."""
        return self._failures
