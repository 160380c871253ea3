"""Which runs are meant: statuses, assets and tags as people write them, as the store is asked for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from flowstone.errors import ArgumentError
from flowstone.remedies import Remedies
from flowstone.runs.records import Status
from flowstone.store.json_safe import safe_text

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["wanted_statuses", "wanted_tags"]

_OF_RUNS: Final = (
    Status.QUEUED,
    Status.RUNNING,
    Status.WAITING,
    Status.SUCCEEDED,
    Status.FAILED,
    Status.CANCELLED,
)


def wanted_statuses(given: object) -> Sequence[Status]:
    """The statuses of runs: one, or several, by name or as `Status`; None: of any status, so no filter.

    Raises:
        ValueError: No run has such a status.
    """
    if given is None:
        return ()
    several = [given] if isinstance(given, str) or not isinstance(given, Iterable) else given
    found = [_status(each) for each in several]
    if not found:
        raise ValueError("status= names no status: leave it out for runs of any.")
    return tuple(dict.fromkeys(found))


def _status(given: object) -> Status:
    found = next((status for status in _OF_RUNS if status == given), None)
    if found is None:
        remedies = Remedies.takes("status", ", ".join(_OF_RUNS))
        raise ArgumentError(f"{str(given)!r:.50} is not a status of a run.", remedies=remedies)
    return found


def wanted_tags(given: object) -> dict[str, str | None]:
    """Tags by name with the value they are to have, or None for any; as the store keeps their texts.

    Args:
        given: `name`, `name=value` (a name ends at the first `=`), or several as a mapping of names to values, None
            for any.

    Raises:
        TypeError: It is something else.
    """
    if given is None:
        return {}
    if isinstance(given, str):
        name, equals, value = given.partition("=")
        return {safe_text(name): safe_text(value) if equals else None}
    if isinstance(given, Mapping) and all(
        isinstance(name, str) and isinstance(value, str | None) for name, value in given.items()
    ):
        return {safe_text(name): None if value is None else safe_text(value) for name, value in given.items()}
    raise TypeError(f"tag={given!r:.100} must be a name, 'name=value', or a mapping of text to text.")
