"""What an asset's function may know about the attempt it runs in.

One is made for each attempt, so construction does nothing but store references: the logger, the metadata
and the view of the resources come into being when they are first asked for.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from flowstone.assets.arguments import is_number
from flowstone.assets.partition_labels import key_label, step_label
from flowstone.errors import ResourceUnavailable, Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["Context", "Resources"]

_LONGEST: Final = (
    100 * 366 * 86_400.0
)  # Seconds of a wait; beyond it an instant cannot be counted on to exist.
_LONGEST_NAME: Final = 200
_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(9999, 12, 31, tzinfo=UTC)


class Resources:
    """The resources one asset required, by attribute (`resources.db`) or item (`resources["db"]`)."""

    __slots__ = ("_asset", "_by_name")

    def __init__(self, by_name: Mapping[str, Any], asset: str) -> None:
        self._by_name = by_name
        self._asset = asset

    def __getitem__(self, name: str) -> Any:
        try:
            return self._by_name[name]
        except KeyError:
            raise ResourceUnavailable(self._refusal(name)) from None

    def __getattr__(self, name: str) -> Any:
        # Dunder look-ups come from copy, pickle and inspection; those expect an AttributeError.
        if name.startswith("__") or name not in self._by_name:
            raise _MissingResource(self._refusal(name))
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def __repr__(self) -> str:
        return f"Resources({', '.join(sorted(self._by_name))})"

    def _refusal(self, name: str) -> str:
        return (
            f"Asset {self._asset!r} did not require the resource {name!r}: add requires={{{name!r}}} to its "
            f"definition, or a parameter annotated Annotated[…, Resource({name!r})]."
        )


class _MissingResource(ResourceUnavailable, AttributeError):
    """Both at once, so that `hasattr` and `getattr` with a default behave."""


class Context:
    """The attempt an asset's function runs in.

    Attributes:
        asset: The asset's name.
        partition: The partition as a Python value, or None.
        partition_key: The same as text (`encode_partition`), or None.
        run_id: The run this attempt belongs to.
        attempt: 1 for the first attempt.
        answers: What waits of the step were answered with, by name, or None.
        waits_for: What this attempt ends with because it is not there yet, once a call has found that out.
    """

    __slots__ = (
        "_log",
        "_metadata",
        "_on_progress",
        "_resources",
        "answers",
        "asset",
        "attempt",
        "partition",
        "partition_key",
        "run_id",
        "waits_for",
    )

    def __init__(
        self,
        asset: str,
        partition: Any = None,
        partition_key: str | None = None,
        run_id: str = "",
        attempt: int = 1,
        resources: Mapping[str, Any] | None = None,
        on_progress: Callable[[float, str | None], None] | None = None,
        answers: Mapping[str, Any] | None = None,
    ) -> None:
        """Store the facts of one attempt.

        Args:
            asset: The asset's name.
            partition: The partition as a Python value.
            partition_key: The encoded partition.
            run_id: The run.
            attempt: 1 for the first attempt.
            resources: What the asset required, by name; default nothing.
            on_progress: Called with `(fraction, message)`, on the thread that runs the asset; default nobody.
            answers: What waits of the step were answered with, by name; default nothing.
        """
        self.asset = asset
        self.partition = partition
        self.partition_key = partition_key
        self.run_id = run_id
        self.attempt = attempt
        self._resources: Any = resources
        self._on_progress = on_progress
        self._metadata: dict[str, Any] | None = None
        self._log: Any = None
        self.answers = answers
        self.waits_for: Waiting | None = None

    @property
    def resources(self) -> Resources:
        """The resources this asset required.

        Raises:
            ResourceUnavailable: On access to a resource that the asset did not require.
        """
        resources = self._resources
        if type(resources) is not Resources:
            resources = self._resources = Resources(resources or {}, self.asset)
        return resources

    @property
    def metadata(self) -> dict[str, Any]:
        """JSON-like facts that are recorded with the materialization; empty at first, yours to fill."""
        if self._metadata is None:
            self._metadata = {}
        return self._metadata

    @property
    def log(self) -> Any:
        """A structlog logger bound to asset, partition (as people write it), run and attempt.

        Its entries become records of the standard library's logger `flowstone.asset.NAME`, so your handlers, levels
        and pytest's `caplog` see them, also from threads and worker processes.
        """
        if self._log is None:
            from flowstone.assets.step_log import (  # noqa: PLC0415 - structlog costs more than most assets log
                step_log,
            )

            partition = None if self.partition_key is None else key_label(self.partition_key)
            self._log = step_log(self.asset, partition, self.run_id, self.attempt)
        return self._log

    def progress(self, fraction: float, message: str | None = None) -> None:
        """Say how far the work is.

        Args:
            fraction: From 0 (begun) to 1 (done).
            message: What is going on, in a few words.

        Raises:
            ValueError: `fraction` is no number between 0 and 1.
        """
        if not is_number(fraction, at_least=0, at_most=1):
            raise ValueError(
                f"progress({fraction!r}) takes a number from 0 to 1: divide what is done by the total."
            )
        if self._on_progress is not None:
            self._on_progress(float(fraction), message)

    def __repr__(self) -> str:
        where = step_label(self.asset, self.partition_key)
        return f"Context({where}, run {self.run_id or '-'}, attempt {self.attempt})"

    # Waiting ------------------------------------------------------------------------------------------------

    def sleep(self, name: str, seconds: float) -> None:
        """Go on after so many seconds, and hold nothing until then: no slot, no thread, no memory.

        A plain call, in async assets as well. The first time it ends the attempt by raising `Waiting`; when the
        time has passed, on whatever node, the function runs again from the top, and the call returns at once. The
        seconds are counted by the clock of the store, from when the attempt has ended.

        Args:
            name: What the wait is called: within a step the same name is the same wait.
            seconds: At least 0, at most a hundred years.

        Raises:
            Waiting: They have not passed. Not to be caught.
            ValueError: Name or seconds are no such.
        """
        if not is_number(seconds, at_least=0, at_most=_LONGEST):
            raise ValueError(
                f"sleep({name!r}, {seconds!r:.100}): give seconds, 0 or more, up to a hundred years."
            )
        self._answer(name, Waiting(_name(name), "sleep", None, float(seconds)))

    def sleep_until(self, name: str, instant: datetime) -> None:
        """As `sleep`, until an instant, which the clock of the store tells; one that has passed is no long wait.

        Args:
            name: What the wait is called.
            instant: A datetime with a time zone.

        Raises:
            Waiting: It has not come. Not to be caught.
            ValueError: The name is none, or the instant has no time zone.
        """
        given: object = instant
        offset = given.utcoffset() if isinstance(given, datetime) else None
        if offset is None:
            raise ValueError(
                f"sleep_until({name!r}, {instant!r:.100}): give a datetime with a time zone, such as "
                "datetime(2025, 1, 15, 9, tzinfo=UTC)."
            )
        self._answer(name, Waiting(_name(name), "sleep", _in_utc(instant, offset), None))

    def _answer(self, name: str, wait: Waiting) -> Any:
        """What the wait was answered with. Raises `Waiting` if it was not; of several waits the first one."""
        if self.answers is not None and name in self.answers:
            return self.answers[name]
        if self.waits_for is None:
            self.waits_for = wait
        raise self.waits_for


def _in_utc(instant: datetime, offset: timedelta) -> datetime:
    """The same instant as a plain datetime: a time zone or a class of the caller's own runs in no store.

    What is earlier or later than any clock says is moved to where every store can compare and keep it.
    """
    day = datetime(instant.year, instant.month, instant.day, tzinfo=UTC)
    time = timedelta(
        hours=instant.hour,
        minutes=instant.minute,
        seconds=instant.second,
        microseconds=instant.microsecond,
    )
    try:
        found = day + (time - offset)
    except OverflowError:
        return _FIRST if offset > timedelta() else _LAST
    return min(max(found, _FIRST), _LAST)


def _name(name: object) -> str:
    if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
        raise ValueError(
            f"A wait is named by a printable text of 1 to {_LONGEST_NAME} characters, not by {name!r:.100}."
        )
    return name
