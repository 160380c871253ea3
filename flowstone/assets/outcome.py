"""What became of an upstream step, for an asset that goes on whatever that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from flowstone.errors import ValueNotFound

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ENDED_WITHOUT", "Outcome"]

T = TypeVar("T")

ENDED_WITHOUT: Final[Mapping[str, str]] = {
    "failed": "it failed",
    "skipped": "it was skipped",
    "cancelled": "it was cancelled",
    "never": "it was never computed",
}
"""How a step without a value ended, in words, by its status."""


class Outcome(Generic[T]):
    """What became of an upstream step in this run: what a parameter annotated `Outcome[T]` receives.

    An asset that takes it runs once the upstream step has ended, in whatever way. If that is no part of the run, it
    is the outcome of the current value: `succeeded`, or `never`.

    Args:
        status: How the step ended: `succeeded`, `reused`, `failed` or `skipped`; or `never`.
        value: Its value, if it has one.
        failure: Why it failed.
        reason: Why it has no value, for people.
        name: The step, as `asset` or `asset[key]`.

    Attributes:
        status: As given; a `Status`.
        failure: The `Failure` of a step that failed, else None.
        reason: Why there is no value: the message of the failure, or what a skip says; None if there is one.
        name: The step, as `asset` or `asset[key]`.
    """

    __slots__ = ("_value", "failure", "name", "reason", "status")

    def __init__(
        self,
        status: str,
        value: Any = None,
        *,
        failure: Any = None,
        reason: str | None = None,
        name: str = "",
    ) -> None:
        self.status = status
        self.failure = failure
        self.reason = reason
        self.name = name
        self._value = value

    @property
    def ok(self) -> bool:
        """Whether there is a value."""
        return self.status in ("succeeded", "reused")

    @property
    def value(self) -> T:
        """The value.

        Raises:
            ValueNotFound: There is none; the message says why.
        """
        if not self.ok:
            why = f": {self.reason}" if self.reason else "."
            raise ValueNotFound(f"{self.name or 'It'} has no value: {ENDED_WITHOUT[self.status]}{why}")
        return self._value  # type: ignore[no-any-return] # what the upstream asset gave

    def __repr__(self) -> str:
        shown = f"{self._value!r:.200}" if self.ok else f"{self.reason!r:.200}"
        return f"Outcome({self.name}, {self.status}: {shown})"
