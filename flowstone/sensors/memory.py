"""What a sensor has seen: which objects in which states, as digests, in a cursor of less than a megabyte.

No watermark: an object that appears with an earlier time than others is found all the same, and clocks do not
matter. An object that is new is reported when it has been quiet long enough: found in the same state by two looks,
with so many seconds between them as nobody's setting of a clock can change.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from flowstone.sensors.found import DIGEST

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from flowstone.sensors.found import FoundObject

__all__ = ["MOST_AGAIN", "MOST_AT_ONCE", "MOST_OBJECTS", "Memory", "Seen", "judge"]

MOST_OBJECTS: Final = 100_000
"""Objects that may be there at a time."""

MOST_AT_ONCE: Final = 10_000
"""Objects that one look reports; the others are reported by the next ones."""

MOST_AGAIN: Final = 100
"""Objects of which no run could be made that one look tries again: those that were changed last."""


class Memory(NamedTuple):
    """What was seen.

    Attributes:
        scope: What was looked at; of something else nothing is known.
        known: Digests of what need not be reported any more.
        quiet: Digests of what is to be reported, and for how many seconds it was seen as it is.
        refused: Digests of what was reported, and no run could be made of; that has been told.
    """

    scope: str
    known: frozenset[bytes]
    quiet: tuple[tuple[float, frozenset[bytes]], ...] = ()
    refused: frozenset[bytes] = frozenset()

    @classmethod
    def read(cls, cursor: Any, scope: str) -> Memory | None:
        """From JSON; None if there is none yet, or it is about something else."""
        if not isinstance(cursor, dict) or cursor.get("of") != scope:
            return None
        quiet = tuple((seconds, _unpacked(text)) for seconds, text in cursor["quiet"])
        return cls(scope, _unpacked(cursor["known"]), quiet, _unpacked(cursor.get("refused", "")))

    def written(self) -> dict[str, Any]:
        """As JSON has it."""
        quiet = [[seconds, _packed(digests)] for seconds, digests in self.quiet]
        written = {"of": self.scope, "known": _packed(self.known), "quiet": quiet}
        return {**written, "refused": _packed(self.refused)} if self.refused else written

    def again(self, seen: Seen) -> list[FoundObject]:
        """What is tried again of that which no run could be made of: perhaps it can be by now."""
        there = [seen.objects[digest] for digest in self.refused if digest in seen.objects]
        there.sort(key=lambda found: (found.modified, found.path), reverse=True)
        return there[:MOST_AGAIN]

    def after(self, tried: Collection[bytes], refused: Collection[bytes]) -> Memory:
        """What is remembered when something was tried, and no run could be made of some of it."""
        known = self.known.union(tried).difference(refused)
        return self._replace(known=known, refused=self.refused.difference(tried).union(refused))


class Seen(NamedTuple):
    """What a look has found.

    Attributes:
        objects: All there is, by digest.
        complete: Whether that is all; what could not be listed is not gone.
    """

    objects: Mapping[bytes, FoundObject]
    complete: bool = True


def judge(
    seen: Seen, before: Memory | None, scope: str, *, existing: bool, settle: float, since: float | None
) -> tuple[list[FoundObject], Memory]:
    """What is to be reported, in the order in which it was changed, and what is remembered.

    Args:
        seen: What there is.
        before: What was remembered; None at the first look.
        scope: What is looked at.
        existing: Whether what is there at the first look is new.
        settle: For how many seconds it must have been quiet.
        since: Seconds since the last look, if that is known.
    """
    found = seen.objects
    if before is None:
        if not existing:
            return [], Memory(scope, frozenset(found))
        before = Memory(scope, frozenset())
    new = found.keys() - before.known - before.refused
    quiet = _quiet(new, before, settle, since)
    ready = [digest for seconds, digests in quiet.items() if seconds >= settle for digest in digests]
    ready.sort(key=lambda digest: (found[digest].modified, found[digest].path))
    reported = frozenset(ready[:MOST_AT_ONCE])
    # A folder that is empty all of a sudden is perhaps one that is away, and will be back.
    forget = seen.complete and bool(found)
    known = (before.known & found.keys() if forget else before.known) | reported
    refused = before.refused & found.keys() if forget else before.refused
    if len(known) + len(refused) + len(new) > MOST_OBJECTS:
        known, refused = known & found.keys(), refused & found.keys()
    left = ((seconds, frozenset(digests) - reported) for seconds, digests in sorted(quiet.items()))
    waiting = tuple((seconds, digests) for seconds, digests in left if digests)
    return [found[digest] for digest in ready[:MOST_AT_ONCE]], Memory(scope, known, waiting, refused)


def _quiet(
    new: Collection[bytes], before: Memory, settle: float, since: float | None
) -> dict[float, set[bytes]]:
    """For how many seconds what is new has been as it is."""
    grouped: dict[float, set[bytes]] = {}
    left = set(new)
    for seconds, digests in before.quiet:
        if still := left & digests:
            left -= still
            grouped.setdefault(min(settle, round(seconds + (since or 0.0), 3)), set()).update(still)
    if left:
        grouped.setdefault(0.0, set()).update(left)
    return grouped


def _packed(digests: Collection[bytes]) -> str:
    return b64encode(b"".join(sorted(digests))).decode()


def _unpacked(text: str) -> frozenset[bytes]:
    data = b64decode(text)
    return frozenset(data[start : start + DIGEST] for start in range(0, len(data), DIGEST))
