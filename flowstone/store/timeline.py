"""What became of one asset-partition over all runs, and which of its values is current.

"Current" needs no list of its own. It is the success that was recorded last, unless somebody invalidated that: an
invalidation covers every older success as well, so the newest one decides for all of them. Newest means recorded
last, and no instant in a record is asked: the clock of one node may be ahead of another's, or be set back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowstone.runs.records import Status

if TYPE_CHECKING:
    from flowstone.runs.records import Materialization

__all__ = ["Timeline"]

_SUCCEEDED: Final = Status.SUCCEEDED  # To look it up in the enum takes 90 ns, in a step's way.


class Timeline:
    """The terminal records of one asset-partition in the order they were recorded.

    Attributes:
        records: Successes and all other outcomes, oldest first.
        newest: The newest success, or None.
        valid: Whether `newest` is current; False once it was invalidated.
    """

    __slots__ = ("newest", "records", "valid")

    def __init__(self) -> None:
        self.records: list[Materialization] = []
        self.newest: Materialization | None = None
        self.valid = False

    @property
    def current(self) -> Materialization | None:
        """The current materialization, or None."""
        return self.newest if self.valid else None

    def add(self, record: Materialization) -> bool:
        """File a terminal record; says whether it became current."""
        self.records.append(record)
        if record.status is not _SUCCEEDED:
            return False
        self.newest = record
        self.valid = True
        return True

    def discard(self, record: Materialization) -> None:
        """Forget one record that is not a success."""
        for index, candidate in enumerate(self.records):
            if candidate is record:
                del self.records[index]
                return

    def prune(self, keep: int) -> list[Materialization]:
        """Forget the successes beyond the newest `keep`, but never the current one; returns them."""
        successes = [record for record in self.records if record.status is _SUCCEEDED]
        current = self.current
        forgotten = [record for record in successes[: max(0, len(successes) - keep)] if record is not current]
        if forgotten:
            gone = {id(record) for record in forgotten}
            self.records = [record for record in self.records if id(record) not in gone]
            if id(self.newest) in gone:
                self.newest = None
        return forgotten
