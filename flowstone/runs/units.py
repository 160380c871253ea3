"""What a step goes through: the items of its source one after the other, or batches of them, each with its name.

Pure. The same source gives the same units at the same positions, so that a step that is attempted again finds what
it has done. `next()` says what is at hand, so that a source may be one that is still being read.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from flowstone.masking import masked
from flowstone.runs.grouping import Grouping

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowstone.assets.each import Each

__all__ = ["END", "LATER", "Unit", "UnitError", "Units", "batch_of", "source_problem"]

END: Final = object()
"""There is nothing more."""
LATER: Final = object()
"""There may be more, but not now."""

_LONGEST_KEY: Final = 1_024


class UnitError(Exception):
    """What makes it impossible to go on; its text says so to people."""


class Unit(NamedTuple):
    """One thing to call the function with.

    Attributes:
        position: Its place, from 0.
        item: The item, or the batch.
        key: What names it, or None for its position.
    """

    position: int
    item: Any
    key: str | None


def source_problem(name: str, value: object) -> str | None:
    """Why there is no going through the items of a value, with the remedy; None if there is."""
    if isinstance(value, Mapping) or (
        isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray | memoryview)
    ):
        return None
    hint = " or sorted(…)" if isinstance(value, set | frozenset) else ""
    return (
        f"The value of {name!r} is of type {type(value).__qualname__}, and each={name!r} goes through the items of "
        f"a list, a tuple or a dict: let {name!r} return list(…){hint}, or take its value whole."
    )


class Units:
    """The units of one step.

    Args:
        each: How it goes through its source.
        source: What there is to read: an iterator that may give `LATER`.
        total: How many items there are, if that is known.
        names: The names of the items, where they come with the source.
    """

    def __init__(
        self, each: Each, source: Iterator[Any], total: int | None, names: Sequence[Any] | None = None
    ) -> None:
        self._each = each
        self._source = source
        self._names = names
        batch = each.batches
        self._grouping = None if batch is None else Grouping(batch)
        self._seen = None if each.key is None else KeySet()
        self._ended = False
        self.position = 0
        self.total = total
        if total is not None and batch is not None:
            exact = batch.size is not None and batch.max_bytes is None and batch.by is None
            self.total = -(-total // batch.size) if exact and batch.size is not None else None

    @classmethod
    def of(cls, each: Each, value: Sequence[Any] | Mapping[Any, Any]) -> Units:
        """The units of a value that is there."""
        if isinstance(value, Mapping):
            names = None if each.key is not None or each.batch is not None else list(value)
            return cls(each, iter(value.values()), len(value), names)
        return cls(each, iter(value), len(value))

    def next(self) -> Unit | object:
        """The next unit, `LATER` or `END`. Raises `UnitError`."""
        item = self._next_item()
        if item is END:
            self.total = self.position
        if item is END or item is LATER:
            return item
        position = self.position
        key = None
        if self._names is not None:
            key = masked(str(self._names[position]))
        elif self._seen is not None:
            key = self._named(item, position)
        self.position = position + 1
        return Unit(position, item, key)

    def _next_item(self) -> Any:
        grouping = self._grouping
        if grouping is None:
            return next(self._source, END)
        while not self._ended:
            item = next(self._source, END)
            if item is LATER:
                return LATER
            if item is END:
                self._ended = True
                break
            full = batch_of(grouping, item)
            if full is not None:
                return full
        return grouping.rest() or END

    def _named(self, item: Any, position: int) -> str:
        assert self._each.key is not None
        assert self._seen is not None
        try:
            key = self._each.key(item)
            text = None if key is None or _is_nameless(key) else str(key)
        except Exception as error:
            raise UnitError(
                f"Each(key=…) raised {type(error).__name__} for item {position:,}: {masked(str(error))}. Let it "
                "name every item of the source."
            ) from error
        if not text or len(text) > _LONGEST_KEY:
            raise UnitError(
                f"Each(key=…) gave {masked(repr(key)):.100} for item {position:,}: let it give a text of 1 to "
                f"{_LONGEST_KEY:,} characters, or a number."
            )
        if not self._seen.add(text):
            raise UnitError(
                f"Each(key=…) gave {masked(repr(text)):.100} for item {position:,} and for one before it: a key "
                "names one item. Let it tell them apart, or leave duplicates out of the source."
            )
        return masked(text)  # Not before: others of that name may have another password.


def batch_of(grouping: Grouping, item: Any) -> list[Any] | None:
    """The batch that is complete because of an item. Raises `UnitError`."""
    try:
        return grouping.add(item)
    except Exception as error:
        raise UnitError(
            f"Batch(by=…) raised {type(error).__name__}: {masked(str(error))}. Let it take every item of the "
            "source."
        ) from error


def _is_nameless(key: object) -> bool:
    """Whether the text of a key says where it is in memory: another one each time."""
    kind = type(key)
    return kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__


class KeySet:
    """Texts that were seen, 16 to 32 bytes each however long they are: a table of hashes of 64 bits.

    That two of ten million different texts are taken for one has a chance of three in a million.
    """

    __slots__ = ("_count", "_slots")

    def __init__(self) -> None:
        self._slots = array("Q", bytes(8 * 1_024))
        self._count = 0

    def add(self, text: str) -> bool:
        """Remember a text; False if it was there."""
        data = text.encode("utf-8", "surrogatepass")
        hashed = int.from_bytes(blake2b(data, digest_size=8).digest(), "little") or 1
        if not self._put(self._slots, hashed):
            return False
        self._count += 1
        if 2 * self._count > len(self._slots):
            old = self._slots
            self._slots = array("Q", bytes(16 * len(old)))
            for each in old:
                if each:
                    self._put(self._slots, each)
        return True

    @staticmethod
    def _put(slots: array[int], hashed: int) -> bool:
        mask = len(slots) - 1
        place = hashed & mask
        while slots[place]:
            if slots[place] == hashed:
                return False
            place = (place + 1) & mask
        slots[place] = hashed
        return True
